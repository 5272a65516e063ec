"""What became of each token."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.removal import Removal, RevocationOutcome, RevocationRun
from cloud_integrations.testing.contracts.store import a_revocation


def test_what_was_never_held_is_skipped():
    removal = Removal(integration_id=UUID(int=1))
    assert (removal.refresh_token, removal.access_token, removal.manual_url) == (RevocationOutcome.SKIPPED, RevocationOutcome.SKIPPED, None)


def test_an_entry_of_the_outbox_shows_no_ciphertext():
    assert "sealed_token" not in repr(a_revocation())


def test_a_round_that_found_nothing_counts_nothing():
    assert RevocationRun() == RevocationRun(revoked=0, delayed=0, abandoned=0, waiting=0)
