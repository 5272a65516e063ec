"""A message is carried by an entry of the outbox, and comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from cloud_integrations.domain.announcements import end_value
from cloud_integrations.domain.event_message import Delivery, EventMessage, delivery_of, wait_after
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.testing.clock import START

MESSAGE = EventMessage(
    id=UUID("019b0000-0000-7000-8000-000000000001"),
    name="credential.reconnect_required",
    tenant_id=TenantId("acme"),
    integration_id=IntegrationId(UUID(int=1)),
    occurred_at=START,
    data={"tenant": "acme", "name": "not the name", "message": "not the id", "reason": "revoked"},
)


def test_a_message_comes_back_from_its_entry_and_from_a_delivery() -> None:
    assert EventMessage.of(MESSAGE.entry) == MESSAGE
    delivery = delivery_of(MESSAGE, "handler:billing", entry_id=UUID(int=7), due=START + timedelta(hours=1))
    assert (delivery.id, delivery.created_at, delivery.next_attempt_at) == (UUID(int=7), START, START + timedelta(hours=1))
    read = Delivery.of(delivery)
    assert (read.message, read.receiver) == (MESSAGE, "handler:billing")


@pytest.mark.parametrize("facts", [{}, {"message": "no id", "name": "x"}, {"message": str(UUID(int=1))}])
def test_an_entry_that_was_edited_is_damaged(facts: dict[str, str]) -> None:
    with pytest.raises(DamagedRowError):
        EventMessage.of(replace(MESSAGE.entry, facts=facts))
    with pytest.raises(DamagedRowError):
        Delivery.of(replace(MESSAGE.entry, facts=facts, index_key="handler:billing"))


def test_a_delivery_without_a_receiver_is_damaged() -> None:
    with pytest.raises(DamagedRowError):
        Delivery.of(MESSAGE.entry)


def test_attempts_follow_over_days_and_end() -> None:
    waits = [wait_after(attempt, chance=0.5) for attempt in range(1, 11)]
    assert waits[0] == timedelta(seconds=5)
    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known)
    assert timedelta(days=3) < sum(known, timedelta()) < timedelta(days=4)
    assert wait_after(1, chance=0) == timedelta(seconds=4)
    assert wait_after(1, chance=1) == timedelta(seconds=6)


def test_the_end_of_an_integration_is_remembered_exactly() -> None:
    assert end_value(START + timedelta(microseconds=7)) == str(int(START.timestamp()) * 1_000_000 + 7)
