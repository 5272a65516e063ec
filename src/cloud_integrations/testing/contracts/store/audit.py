"""What a store promises about the audit chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from cloud_integrations.domain.audit import AuditReport, ChainCheck
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.ports.store import AddEntry, Record
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, an_entry, an_event, applying


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
        bare = an_event(reason=None, request_id=None, details={})
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
        assert [record.seq for record in blocking.list_audit_newest(ACME, resource="integration:1")] == [6, 4, 2]
        assert [record.seq for record in blocking.list_audit_newest(ACME, resource="integration:1", before=6, limit=1)] == [4]
        assert blocking.list_audit_newest(ACME, resource="integration:1", before=1) == ()
        assert blocking.list_audit_newest(ACME, resource="integration:none") == ()

    def test_events_of_all_resources_come_newest_first(self, blocking: BlockingStore) -> None:
        blocking.apply(*[Record(event=an_event(resource=f"integration:{number}")) for number in range(4)])
        assert [record.seq for record in blocking.list_audit_newest(ACME, limit=3)] == [4, 3, 2]
        assert [record.seq for record in blocking.list_audit_newest(ACME, before=2)] == [1]
        assert blocking.list_audit_newest(GLOBEX) == ()

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
