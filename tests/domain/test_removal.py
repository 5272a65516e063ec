"""What became of each token."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from cloud_integrations.domain.removal import Removal, Revocation, RevocationOutcome, RevocationRun
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import ACME, an_entry

REVOCATION = Revocation(
    id=UUID(int=1),
    tenant_id=ACME,
    integration_id=UUID(int=2),
    provider_id=UUID(int=3),
    method_id="oauth2",
    context_id=UUID(int=4),
    kind="refresh",
    sealed_token=b"fake-sealed",
    key_id=UUID(int=5),
    account_fingerprint=b"fake-fingerprint",
    variables={"region": "eu", "method_id": "other"},
    attempts=2,
    next_attempt_at=START,
    created_at=START,
    last_error="unreachable",
)


def test_what_was_never_held_is_skipped():
    removal = Removal(integration_id=UUID(int=1))
    assert (removal.refresh_token, removal.access_token, removal.manual_url) == (RevocationOutcome.SKIPPED, RevocationOutcome.SKIPPED, None)


def test_an_entry_of_the_outbox_shows_no_ciphertext():
    assert "sealed_payload" not in repr(an_entry())
    assert "fake-sealed" not in repr(REVOCATION)


@pytest.mark.parametrize("revocation", [REVOCATION, replace(REVOCATION, context_id=None, account_fingerprint=None, variables={})])
def test_a_revocation_goes_through_the_outbox_as_it_is(revocation):
    assert Revocation.of(revocation.entry) == revocation
    assert (revocation.entry.kind, revocation.entry.index_key) == ("revocation", str(revocation.provider_id))


@pytest.mark.parametrize(
    "changes",
    [
        {"sealed_payload": None},
        {"key_id": None},
        {"index_key": None},
        {"index_key": "fake"},
        {"facts": {}},
        {"facts": {"method_id": "oauth2", "token": "other"}},
        {"facts": {"method_id": "oauth2", "token": "refresh", "context_id": "fake"}},
        {"facts": {"method_id": "oauth2", "token": "refresh", "account_fingerprint": "fake"}},
    ],
)
def test_an_entry_that_somebody_edited_says_no_revocation(changes):
    with pytest.raises(DamagedRowError) as caught:
        Revocation.of(replace(REVOCATION.entry, **changes))
    assert (caught.value.table, caught.value.row) == ("ci_outbox", str(REVOCATION.id))


def test_a_round_that_found_nothing_counts_nothing():
    assert RevocationRun() == RevocationRun(revoked=0, delayed=0, abandoned=0, waiting=0)
