"""What a store promises about the audit chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import EVERY_EVENT, USED, Actor, AuditEvent, AuditFilter, Outcome, UseCount
from cloud_integrations.domain.audit_chain import person_hash
from cloud_integrations.domain.audit_check import AuditReport, ChainCheck
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddEntry, CutAudit, DamagedRow, HidePerson, Record, StoredCut
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    ALICE,
    CONTEXT,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    PROVIDER,
    an_entry,
    an_event,
    applying,
)

_OTHER_CONTEXT = ContextId(UUID(int=4))


def _recorded(event: AuditEvent) -> Record:
    return Record(event=event)


def verified(blocking: Any, tenant_id: TenantId = ACME, **check: Any) -> AuditReport:
    """Check a tenant's chain from its first event to its head, and return the report."""
    walk = ChainCheck(tenant_id, **check)
    after = 0
    while records := blocking.list_audit(tenant_id, after=after, limit=100):
        walk.feed(records)
        after = records[-1].seq
    return walk.finish(blocking.find_audit_head(tenant_id))


def write_in_parallel(blocking: BlockingStore, *, writers: int, each: int) -> None:
    """Let writers append to two chains at once, in both orders, then check both chains."""
    for _ in range(each):
        pairs = [(ACME, GLOBEX) if number % 2 else (GLOBEX, ACME) for number in range(writers)]
        answers = blocking.together([applying(*[Record(event=an_event(tenant_id)) for tenant_id in pair]) for pair in pairs])
        assert refused(answers) == []
    for tenant_id in (ACME, GLOBEX):
        report = verified(blocking, tenant_id)
        assert report.whole
        assert report.checked == writers * each


class AuditContract(Contract):
    """Events in order, in one whole chain per tenant."""

    def test_events_are_found_as_they_were_in_order(self, blocking: BlockingStore) -> None:
        events = [an_event(action=f"action.{number}") for number in range(4)]
        bare = an_event(reason=None, request_id=None, provider_id=None, context_id=None, details={}, salts={})
        blocking.apply(Record(event=events[0]), AddEntry(entry=an_entry()), Record(event=events[1]))
        blocking.apply(Record(event=events[2]), Record(event=events[3]), Record(event=bare))
        records = blocking.list_audit(ACME)
        assert [record.event for record in records] == [*events, bare]
        assert [record.seq for record in records] == [1, 2, 3, 4, 5]
        head = blocking.find_audit_head(ACME)
        assert (head.tenant_id, head.seq, head.hash) == (ACME, 5, records[-1].hash)
        assert verified(blocking).whole

    def test_without_events_there_is_no_head(self, blocking: BlockingStore) -> None:
        assert blocking.find_audit_head(ACME) is None
        assert blocking.list_audit(ACME) == ()
        assert verified(blocking).whole

    def test_pages_go_forward(self, blocking: BlockingStore) -> None:
        blocking.apply(*[Record(event=an_event()) for _ in range(5)])
        assert [record.seq for record in blocking.list_audit(ACME, after=1, limit=2)] == [2, 3]
        assert [record.seq for record in blocking.list_audit(ACME, after=3)] == [4, 5]
        assert blocking.list_audit(ACME, after=5) == ()

    def test_events_of_one_resource_come_newest_first(self, blocking: BlockingStore) -> None:
        blocking.apply(*[Record(event=an_event(resource=f"integration:{number % 2}")) for number in range(6)])
        one = AuditFilter(resource="integration:1")
        assert [record.seq for record in blocking.list_audit_newest(ACME, matching=one)] == [6, 4, 2]
        assert [record.seq for record in blocking.list_audit_newest(ACME, matching=one, before=6, limit=1)] == [4]
        assert blocking.list_audit_newest(ACME, matching=one, before=1) == ()
        assert blocking.list_audit_newest(ACME, matching=AuditFilter(resource="integration:none")) == ()

    def test_events_of_all_resources_come_newest_first(self, blocking: BlockingStore) -> None:
        blocking.apply(*[Record(event=an_event(resource=f"integration:{number}")) for number in range(4)])
        assert [record.seq for record in blocking.list_audit_newest(ACME, limit=3)] == [4, 3, 2]
        assert [record.seq for record in blocking.list_audit_newest(ACME, before=2)] == [1]
        assert blocking.list_audit_newest(GLOBEX) == ()

    @pytest.mark.parametrize(
        ("matching", "found"),
        [
            (AuditFilter(actor=ALICE), [5, 4, 3]),
            (AuditFilter(actor=Actor(type="agent", id="alice")), [2]),
            (AuditFilter(actor=Actor(id="nobody")), []),
            (AuditFilter(action="rare"), [4]),
            (AuditFilter(provider_id=OTHER_PROVIDER), [5]),
            (AuditFilter(provider_id=PROVIDER), [4, 3, 2]),
            (AuditFilter(context_id=_OTHER_CONTEXT), [3]),
            (AuditFilter(since=START + 3 * INSTANT), [5, 4, 3]),
            (AuditFilter(until=START + 3 * INSTANT), [2, 1]),
            (AuditFilter(actor=ALICE, action="rare", provider_id=PROVIDER, since=START + INSTANT, until=START + 5 * INSTANT), [4]),
            (AuditFilter(actor=ALICE, action="rare", provider_id=OTHER_PROVIDER), []),
        ],
    )
    def test_events_that_a_filter_admits_come_newest_first(self, blocking: BlockingStore, matching: AuditFilter, found: list[int]) -> None:
        told: list[dict[str, Any]] = [
            {"actor": Actor(id="bob"), "provider_id": None, "context_id": None},
            {"actor": Actor(type="agent", id="alice")},
            {"context_id": _OTHER_CONTEXT},
            {"action": "rare"},
            {"provider_id": OTHER_PROVIDER},
        ]
        events = [an_event(occurred_at=START + (number + 1) * INSTANT, **each) for number, each in enumerate(told)]
        blocking.apply(*map(_recorded, events))
        records = blocking.list_audit_newest(ACME, matching=matching)
        assert [record.seq for record in records] == found
        assert [record.seq for record in blocking.list_audit_newest(ACME, matching=matching, before=5, limit=1)] == [
            seq for seq in found if seq < 5
        ][:1]
        assert all(matching.admits(record.event) for record in records)

    def test_uses_are_counted_by_integration(self, blocking: BlockingStore) -> None:
        first, second, third = (IntegrationId(UUID(int=number)) for number in (1, 2, 3))

        def use(number: int, integration: IntegrationId, tenant_id: TenantId = ACME, **changes: Any) -> Record:
            at = START + number * INSTANT
            return Record(event=an_event(tenant_id, action=USED, resource=f"integration:{integration}", occurred_at=at, **changes))

        blocking.apply(
            use(1, first),
            use(2, first, actor=Actor(id="bob")),
            use(3, first, outcome=Outcome.DENIED),
            use(4, second, context_id=None, provider_id=OTHER_PROVIDER),
            use(5, third, GLOBEX),
            Record(event=an_event(action="integration.renamed", resource=f"integration:{first}")),
        )

        def uses(matching: AuditFilter = EVERY_EVENT, **asked: Any) -> list[tuple[str, UUID, int]]:
            counted = blocking.count_uses(matching, **asked)
            return [(use.tenant_id, use.integration_id, use.records) for use in counted]

        assert uses() == [(ACME, first, 2), (ACME, second, 1), (GLOBEX, third, 1)]
        assert uses(tenant_id=ACME) == [(ACME, first, 2), (ACME, second, 1)]
        assert uses(limit=1) == [(ACME, first, 2)]
        assert uses(AuditFilter(actor=ALICE)) == [(ACME, first, 1), (ACME, second, 1), (GLOBEX, third, 1)]
        assert uses(AuditFilter(provider_id=OTHER_PROVIDER)) == [(ACME, second, 1)]
        assert uses(AuditFilter(context_id=CONTEXT), tenant_id=ACME) == [(ACME, first, 2)]
        assert uses(AuditFilter(since=START + 2 * INSTANT, until=START + 5 * INSTANT)) == [(ACME, first, 1), (ACME, second, 1)]
        found = blocking.count_uses(AuditFilter(resource=f"integration:{first}"), tenant_id=ACME)
        assert found == (
            UseCount(
                tenant_id=ACME,
                integration_id=first,
                records=2,
                first_at=START + INSTANT,
                last_at=START + 2 * INSTANT,
            ),
        )
        assert blocking.count_uses(AuditFilter(actor=Actor(id="nobody"))) == ()
        blocking.apply(use(6, first, GLOBEX))
        forged, _, _ = blocking.count_uses(EVERY_EVENT)
        assert (type(forged), forged.table, forged.row) == (DamagedRow, "ci_audit", f"integration:{first}")
        assert uses(tenant_id=GLOBEX) == [(GLOBEX, first, 1), (GLOBEX, third, 1)]

    @pytest.mark.requirement("AUD-12")
    def test_a_person_is_hidden_and_the_hash_stays(self, blocking: BlockingStore) -> None:
        blocking.apply(Record(event=an_event()), Record(event=an_event(actor=Actor(id="bob"))))
        before, other = blocking.list_audit(ACME)
        salts = {"actor_id": person_hash(before.event, "actor_id")}
        event = replace(before.event, actor=Actor(id="erased-1"), details={"name": "another"}, salts=salts, reason="is not written")
        hidden = HidePerson(seq=1, hash=before.hash, event=event)
        blocking.apply(hidden)
        after, same = blocking.list_audit(ACME)
        assert after == replace(before, event=replace(event, reason=before.event.reason))
        assert same == other
        for stale in (replace(hidden, seq=2), replace(hidden, hash=bytes(32))):
            with pytest.raises(StaleWriteError):
                blocking.apply(stale)
        assert blocking.list_audit_newest(ACME, matching=AuditFilter(actor=Actor(id="erased-1"))) == (after,)

    @pytest.mark.requirement("AUD-12")
    def test_the_oldest_events_are_cut_off_behind_a_statement(self, blocking: BlockingStore) -> None:
        blocking.apply(*[Record(event=an_event()) for _ in range(5)], Record(event=an_event(GLOBEX)))
        assert blocking.find_audit_cut(ACME) is None
        records = blocking.list_audit(ACME)
        first, second = (StoredCut(tenant_id=ACME, seq=seq, note=f"fake n\u00f6te {seq}\n") for seq in (2, 4))
        blocking.apply(CutAudit(cut=first, expected=0))
        assert blocking.find_audit_cut(ACME) == first
        assert blocking.list_audit(ACME) == records[2:]
        assert blocking.list_audit(ACME, after=2) == records[2:]
        assert blocking.list_audit(ACME, after=3, limit=1) == records[3:4]
        assert blocking.list_audit_newest(ACME, before=4) == records[2:3]
        for stale in (0, 1, 3):
            with pytest.raises(StaleWriteError):
                blocking.apply(CutAudit(cut=second, expected=stale))
        blocking.apply(CutAudit(cut=second, expected=2), Record(event=an_event(action="next")))
        assert blocking.find_audit_cut(ACME) == second
        assert [record.seq for record in blocking.list_audit(ACME)] == [5, 6]
        assert blocking.find_audit_head(ACME).seq == 6
        assert len(blocking.list_audit(GLOBEX)) == 1
        assert blocking.find_audit_cut(GLOBEX) is None

    def test_heads_of_all_tenants_come_in_order_page_by_page(self, blocking: BlockingStore) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(5)]
        blocking.apply(*[Record(event=an_event(tenant_id)) for tenant_id in (*reversed(tenants), tenants[1])])
        heads = blocking.list_audit_heads()
        assert heads == tuple(blocking.find_audit_head(tenant_id) for tenant_id in tenants)
        assert [head.seq for head in heads] == [1, 2, 1, 1, 1]
        assert blocking.list_audit_heads(after=tenants[1], limit=2) == heads[2:4]
        assert blocking.list_audit_heads(after=tenants[-1]) == ()

    def test_a_time_of_another_zone_is_chained_in_utc(self, blocking: BlockingStore) -> None:
        event = an_event(occurred_at=START.astimezone(timezone(timedelta(hours=2))))
        blocking.apply(Record(event=event))
        assert blocking.list_audit(ACME)[0].event == event
        assert verified(blocking).whole

    def test_one_unit_of_work_can_write_to_several_chains(self, blocking: BlockingStore) -> None:
        blocking.apply(Record(event=an_event(GLOBEX)), Record(event=an_event(ACME)), Record(event=an_event(GLOBEX)))
        assert [len(blocking.list_audit(tenant_id)) for tenant_id in (ACME, GLOBEX)] == [1, 2]
        assert verified(blocking, ACME).whole
        assert verified(blocking, GLOBEX).whole

    @pytest.mark.requirement("AUD-05")
    def test_parallel_writers_leave_no_gap(self, blocking: BlockingStore) -> None:
        write_in_parallel(blocking, writers=16, each=25)

    @pytest.mark.requirement("AUD-04")
    def test_a_checkpoint_of_another_chain_is_noticed(self, blocking: BlockingStore) -> None:
        blocking.apply(Record(event=an_event()), Record(event=an_event()))
        checkpoint = blocking.find_audit_head(ACME)
        assert verified(blocking, checkpoint=checkpoint).whole
        assert not verified(blocking, checkpoint=replace(checkpoint, hash=bytes(32))).whole
        assert not verified(blocking, checkpoint=replace(checkpoint, seq=3)).whole
