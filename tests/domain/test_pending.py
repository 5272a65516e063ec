"""An authorization that was begun."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cloud_integrations.domain.pending import Authorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.testing.store_contract import a_pending


@pytest.mark.requirement("OAU-012", "OAU-080")
def test_an_authorization_shows_neither_state_nor_url():
    begun = Authorization(
        url="https://login.example.com/authorize?state=fake-state",
        state=Secret("fake-state"),
        browser_token=Secret("fake-browser"),
        context_id=UUID(int=1),
        integration_id=UUID(int=2),
        redirect_uri="https://app.example/callback",
        expires_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert "fake" not in repr(begun)


def test_what_is_pending_shows_no_hash_and_no_ciphertext():
    pending = a_pending()
    shown = repr(pending)
    assert repr(pending.state_hash) not in shown
    assert "browser_hash" not in shown
    assert "sealed_verifier" not in shown
