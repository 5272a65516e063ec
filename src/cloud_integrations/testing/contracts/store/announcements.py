"""What a store promises about announcements."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from cloud_integrations.domain.announcements import END, RECONNECT_REQUIRED, TROUBLE, end_value
from cloud_integrations.domain.identifiers import ContextId, TenantId
from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.ports.store import (
    AddIntegration,
    Announce,
    EraseIntegration,
    EraseTenant,
    RemoveApplication,
    Retract,
    SaveApplication,
)
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    SECOND,
    a_credential,
    an_application,
    an_entry,
    an_integration,
)

_MINUTE = timedelta(minutes=1)
_DAYS = timedelta(days=14)


def a_message(about: UUID, tenant_id: TenantId = ACME) -> OutboxEntry:
    """Return an entry of a message about an integration, which has no secret."""
    return an_entry(tenant_id, integration_id=about, kind="event", index_key=None, sealed_payload=None, key_id=None)


def announced(about: UUID, /, **changes: Any) -> Announce:
    """Return the change that announces trouble of an integration at `START`; *changes* replace fields."""
    return replace(Announce(subject_id=about, name=TROUBLE, value="retrying", at=START, entry=a_message(about)), **changes)


def retracted(about: UUID, /, **changes: Any) -> Retract:
    """Return the change that takes it back, with a message."""
    return replace(Retract(tenant_id=ACME, subject_id=about, name=TROUBLE, entry=a_message(about)), **changes)


class AnnouncementsContract(Contract):
    """Messages that are written once, and what is still to be announced."""

    def test_what_is_announced_is_written_once_until_it_is_another(self, blocking: BlockingStore) -> None:
        about = uuid4()
        blocking.apply(announced(about))
        blocking.apply(announced(about))
        assert blocking.count_entries("event") == 1
        blocking.apply(announced(about, value="ünïcode"), announced(about, value="ünïcode"))
        assert blocking.count_entries("event") == 2
        blocking.apply(announced(about))
        assert blocking.count_entries("event") == 3

    def test_subjects_names_and_tenants_are_apart(self, blocking: BlockingStore) -> None:
        about = uuid4()
        blocking.apply(announced(about), announced(uuid4()), announced(about, name=END), announced(about, entry=a_message(about, GLOBEX)))
        assert blocking.count_entries("event") == 4
        assert len(blocking.list_entries(GLOBEX, "event", limit=10)) == 1

    def test_the_end_is_written_if_the_beginning_was(self, blocking: BlockingStore) -> None:
        about = uuid4()
        blocking.apply(retracted(about))
        assert blocking.count_entries("event") == 0
        blocking.apply(announced(about))
        blocking.apply(retracted(about))
        blocking.apply(retracted(about))
        assert blocking.count_entries("event") == 2
        blocking.apply(announced(about))
        assert blocking.count_entries("event") == 3
        blocking.apply(retracted(about, entry=None))
        blocking.apply(announced(about))
        assert blocking.count_entries("event") == 4

    def test_what_has_to_last_is_written_when_it_has_lasted(self, blocking: BlockingStore) -> None:
        about, lasting = uuid4(), {"lasting": _MINUTE}
        for at, written in ((START, 0), (START + _MINUTE - INSTANT, 0), (START + _MINUTE, 1), (START + 2 * _MINUTE, 1)):
            blocking.apply(announced(about, at=at, **lasting))
            assert blocking.count_entries("event") == written
        blocking.apply(retracted(about))
        assert blocking.count_entries("event") == 2

    def test_what_did_not_last_is_neither_written_nor_ended(self, blocking: BlockingStore) -> None:
        about = uuid4()
        blocking.apply(announced(about, lasting=_MINUTE))
        blocking.apply(retracted(about))
        # It begins anew.
        blocking.apply(announced(about, lasting=_MINUTE, at=START + _MINUTE))
        assert blocking.count_entries("event") == 0

    def test_what_is_worse_is_written_at_once(self, blocking: BlockingStore) -> None:
        about = uuid4()
        blocking.apply(announced(about, lasting=_MINUTE))
        blocking.apply(announced(about, value=RECONNECT_REQUIRED))
        blocking.apply(announced(about, lasting=_MINUTE, value=RECONNECT_REQUIRED))
        assert blocking.count_entries("event") == 1

    def test_it_can_ask_for_the_generation_of_its_integration(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(announced(facts.id, expected_generation=2))
        blocking.apply(announced(uuid4(), expected_generation=1))
        assert blocking.count_entries("event") == 0
        blocking.apply(announced(facts.id, expected_generation=1))
        assert blocking.count_entries("event") == 1

    def test_announcements_go_with_what_they_are_about(self, blocking: BlockingStore, facts: Integration) -> None:
        application = an_application()
        blocking.apply(SaveApplication(application=application), announced(facts.id), announced(application.facts.id))
        blocking.apply(
            EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1),
            RemoveApplication(tenant_id=ACME, application_id=ContextId(application.facts.id), expected_generation=1),
        )
        assert blocking.count_entries("event") == 2
        blocking.apply(announced(facts.id), announced(application.facts.id))
        assert blocking.count_entries("event") == 4
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        # The messages stay: they have no secret, and somebody waits for them.
        assert blocking.count_entries("event") == 4
        blocking.apply(announced(facts.id))
        assert blocking.count_entries("event") == 5

    def test_of_all_who_announce_the_same_at_once_one_writes(self, blocking: BlockingStore) -> None:
        about = uuid4()

        def announce(store: Any) -> Any:
            return store.apply(announced(about))

        def retract(store: Any) -> Any:
            return store.apply(retracted(about))

        assert refused(blocking.together([announce] * 8)) == []
        assert blocking.count_entries("event") == 1
        assert refused(blocking.together([retract] * 8)) == []
        assert blocking.count_entries("event") == 2
        assert refused(blocking.together([announce, retract] * 4)) == []

    def test_what_ends_soon_is_listed_until_it_was_announced(self, blocking: BlockingStore, clock: FixedClock) -> None:
        soon, later, off = (
            an_integration(reconnect_before=START + _DAYS),
            an_integration(provider_id=OTHER_PROVIDER, reconnect_before=START + _DAYS + SECOND),
            an_integration(GLOBEX, reconnect_before=START + SECOND, state=State.DISABLED),
        )
        blocking.apply(*[AddIntegration(facts=each, credential=a_credential()) for each in (later, soon, off)])

        def listed() -> list[UUID]:
            return [stored.facts.id for stored in blocking.list_ending(within=_DAYS, limit=10)]

        assert listed() == [soon.id]
        clock.advance(SECOND)
        assert listed() == [soon.id, later.id]
        assert [stored.facts for stored in blocking.list_ending(within=_DAYS, limit=1)] == [soon]
        assert soon.reconnect_before is not None
        blocking.apply(announced(soon.id, name=END, value=end_value(soon.reconnect_before + INSTANT)))
        assert listed() == [soon.id, later.id]
        blocking.apply(announced(soon.id, name=END, value=end_value(soon.reconnect_before)))
        assert listed() == [later.id]

    def test_what_has_ended_and_is_not_renewed_is_listed_until_it_was_announced(self, blocking: BlockingStore, clock: FixedClock) -> None:
        ends: dict[str, Any] = {"reconnect_before": None, "expires_at": START + SECOND}
        ended = an_integration(renewal_rule="reconnect", **ends)
        renewed = an_integration(GLOBEX, **ends)
        alone = replace(a_credential(), renewal=None, renewal_fingerprint=None)
        blocking.apply(AddIntegration(facts=ended, credential=alone), AddIntegration(facts=renewed, credential=a_credential()))
        assert blocking.list_ending(within=_DAYS, limit=10) == ()
        clock.advance(SECOND)
        assert [stored.facts for stored in blocking.list_ending(within=_DAYS, limit=10)] == [ended]
        blocking.apply(announced(ended.id))
        assert [stored.facts for stored in blocking.list_ending(within=_DAYS, limit=10)] == [ended]
        blocking.apply(announced(ended.id, value=RECONNECT_REQUIRED))
        assert blocking.list_ending(within=_DAYS, limit=10) == ()
