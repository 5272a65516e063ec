"""An integration and how it is doing."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from cloud_integrations.domain.integration import ADVICE, HEALTH, Health, SealedCredential, State, Status, integration_name
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.testing.contracts.store import an_integration


@pytest.mark.parametrize(
    ("state", "status", "health"),
    [
        (State.ACTIVE, Status.ACTIVE, Health.OK),
        (State.RETRY, Status.ACTIVE, Health.RETRYING),
        (State.UNKNOWN, Status.ACTIVE, Health.UNKNOWN),
        (State.NEEDS_REAUTH, Status.INACTIVE, Health.RECONNECT_REQUIRED),
        (State.DISABLED, Status.INACTIVE, Health.DISABLED),
    ],
)
def test_every_state_has_a_status_a_health_and_advice(state, status, health):
    integration = replace(an_integration(), state=state)
    assert (integration.status, integration.health, integration.advice) == (status, health, ADVICE[health])
    assert HEALTH[state] is health


@pytest.mark.parametrize("name", ["abc", "x" * 50, "Files of \u00c4cme", "a b"])
def test_a_name_has_3_to_50_visible_characters(name):
    assert integration_name(name) == name


@pytest.mark.parametrize("name", ["", "ab", "x" * 51, " abc", "abc ", "a\nc", "a\x1bc", None, 123])
def test_anything_else_is_no_name(name):
    with pytest.raises(ValidationFailedError) as caught:
        integration_name(name)
    assert caught.value.field == "name"


def test_a_sealed_credential_shows_nothing():
    sealed = SealedCredential(generation=1, key_id=UUID(int=1), presented=b"fake-sealed", renewal=b"fake-sealed")
    assert "fake" not in repr(sealed)
