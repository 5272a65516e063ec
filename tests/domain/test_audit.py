"""The chain of audit events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import SYSTEM, Actor, AuditEvent, AuditHead, Caller, Outcome
from cloud_integrations.domain.audit_chain import GENESIS, chain_hash, chained
from cloud_integrations.domain.audit_check import ChainCheck

EVENT = AuditEvent(
    event_id=UUID(int=1),
    tenant_id="acme",
    occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    actor=Actor(id="alice"),
    action="integration.connected",
    resource="integration:1",
    details={"provider": "simulated"},
)


def head_of(record):
    return AuditHead(tenant_id="acme", seq=record.seq, hash=record.hash)


def chain(length=4):
    records, head = [], None
    for number in range(length):
        records.append(chained(replace(EVENT, event_id=UUID(int=number + 1)), head))
        head = head_of(records[-1])
    return records


def problems(records, head, **named):
    check = ChainCheck("acme", **named)
    check.feed(records)
    return [(problem.seq, problem.kind) for problem in check.finish(head).problems]


def test_a_chain_begins_at_one_behind_nothing():
    first, second, *_ = chain()
    assert (first.seq, first.previous_hash) == (1, GENESIS)
    assert (second.seq, second.previous_hash) == (2, first.hash)


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": UUID(int=9)},
        {"tenant_id": "globex"},
        {"occurred_at": datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)},
        {"actor": Actor(id="mallory")},
        {"actor": Actor(type="service", id="alice")},
        {"action": "integration.removed"},
        {"resource": "integration:2"},
        {"outcome": Outcome.DENIED},
        {"reason": ""},
        {"reason": "x"},
        {"request_id": ""},
        {"provider_id": UUID(int=1)},
        {"context_id": UUID(int=1)},
        {"details": {}},
        {"details": {"provider": "other"}},
        {"details": {"provider": "simulated", "x": ""}},
    ],
    ids=repr,
)
def test_every_fact_of_an_event_is_in_its_hash(change):
    before = chain_hash(EVENT, seq=1, previous_hash=GENESIS)
    assert chain_hash(replace(EVENT, **change), seq=1, previous_hash=GENESIS) != before


def test_place_and_predecessor_are_in_the_hash_and_the_order_of_details_is_not():
    before = chain_hash(EVENT, seq=1, previous_hash=GENESIS)
    assert chain_hash(EVENT, seq=2, previous_hash=GENESIS) != before
    assert chain_hash(EVENT, seq=1, previous_hash=bytes([1]) * 32) != before
    one, two = replace(EVENT, details={"a": "1", "b": "2"}), replace(EVENT, details={"b": "2", "a": "1"})
    assert chain_hash(one, seq=1, previous_hash=GENESIS) == chain_hash(two, seq=1, previous_hash=GENESIS)


def test_an_untouched_chain_has_no_problem():
    records = chain()
    assert problems(records, head_of(records[-1]), checkpoint=head_of(records[1])) == []
    assert problems([], None) == []


@pytest.mark.requirement("AUD-04")
def test_each_kind_of_break_has_its_name_and_place():
    records = chain()
    head = head_of(records[-1])
    assert problems([records[0], *records[2:]], head) == [(2, "gap")]
    assert problems(records[:2], head) == [(3, "truncated")]
    assert problems(records, head_of(records[1])) == [(3, "head_mismatch")]
    assert problems(records, None) == [(1, "head_mismatch")]
    assert (1, "truncated") in problems([], head)
    edited = replace(records[1], event=replace(EVENT, action="other"))
    assert problems([records[0], edited, *records[2:]], head) == [(2, "changed")]
    foreign = replace(records[1], event=replace(records[1].event, tenant_id="globex"))
    assert (2, "foreign") in problems([records[0], foreign, *records[2:]], head)
    relinked = chained(EVENT, head_of(records[0]))
    assert (3, "inserted") in problems([records[0], relinked, *records[2:]], head)


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize(
    "edited",
    [
        {"event": replace(EVENT, action="\ud800")},
        {"readable": False},
        {"previous_hash": b""},
        {"hash": b""},
    ],
)
def test_an_event_that_nobody_could_have_written_is_changed(edited):
    records = chain()
    found = problems([records[0], replace(records[1], **edited), *records[2:]], head_of(records[-1]))
    assert (2, "changed") in found


@pytest.mark.requirement("AUD-04")
def test_a_checkpoint_finds_what_the_chain_alone_cannot():
    records = chain()
    kept = head_of(records[-1])
    assert problems(records[:2], head_of(records[1]), checkpoint=kept) == [(3, "truncated")]
    assert problems(records, kept, checkpoint=replace(kept, hash=GENESIS)) == [(4, "checkpoint_mismatch")]


def test_a_report_says_how_much_was_checked():
    records = chain()
    check = ChainCheck("acme")
    check.feed(records[:2])
    check.feed(records[2:])
    report = check.finish(head_of(records[-1]))
    assert (report.checked, report.whole, report.head) == (4, True, head_of(records[-1]))


def test_an_actor_is_written_with_its_kind():
    assert str(Actor(type="service", id="worker")) == "service:worker"
    assert Caller().actor == SYSTEM
