"""What happened is recorded, and the chain shows whether anything is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import OPERATOR, Actor, AuditHead, Outcome
from cloud_integrations.domain.audit_chain import chained
from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    InvalidCredentialsError,
    ProviderNotFoundError,
    StorageUnavailableError,
    TenantNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import Record

from .conftest import ACME, ALICE, AsyncKnownTenants, KnownTenants

BOT = Actor(type="agent", id="bot")


async def some_history(world, door):
    held = await world.connect()
    await door.edit_integration(ACME, held.id, name="New name", actor=ALICE)
    await door.edit_integration(ACME, held.id, status="inactive", actor=ALICE)
    return held


async def test_the_newest_events_come_first_page_by_page(world, door):
    await some_history(world, door)
    newest = await door.audit.list(ACME, limit=2)
    assert [record.event.action for record in newest] == ["integration.disabled", "integration.renamed"]
    older = await door.audit.list(ACME, limit=2, before=newest[-1].seq)
    assert [record.event.action for record in older] == ["integration.connected", "authorization.begun"]


async def test_one_integrations_events_are_listed_alone(world, door):
    held = await some_history(world, door)
    other = await world.add_key()
    found = await door.audit.list(ACME, integration=other.id)
    assert [record.event.resource for record in found] == [f"integration:{other.id}"]
    assert len(await door.audit.list(ACME, integration=held.id)) == 4


async def test_events_are_found_by_actor_action_provider_and_time(world, door):
    await some_history(world, door)
    await world.add_key()
    world.clock.advance(timedelta(minutes=5))
    now = world.clock.now()
    await door.credential(ACME, "simulated_keys", actor=BOT)

    async def found(**asked):
        return [record.event.action for record in await door.audit.list(ACME, **asked)]

    assert await found(by=BOT) == ["credential.used"]
    assert await found(by="bot") == []
    assert await found(action="integration.renamed") == ["integration.renamed"]
    assert await found(provider="simulated_keys") == ["credential.used", "integration.connected"]
    assert await found(provider=str(provider_id("simulated_keys")), until=now) == ["integration.connected"]
    assert await found(since=now, action="credential.used") == ["credential.used"]
    assert await found(since=now + timedelta(days=1)) == []
    assert await found(provider=UUID(int=9)) == []


async def test_a_use_names_the_application_that_obtained_the_access(world, door):
    held = await world.connect()
    await door.credential(ACME, "simulated")
    used = world.last_event()
    (stored,) = [row for row in world.tables.integrations.values() if row.facts.id == held.id]
    assert (used.action, used.context_id) == ("credential.used", stored.facts.context_id)
    assert used.context_id is not None


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"by": "user:ada"}, "by"),
        ({"by": 7}, "by"),
        ({"action": "a" * 65}, "action"),
        ({"action": "a\n"}, "action"),
        ({"provider": 7}, "provider"),
        ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001 - what is refused
        ({"until": "yesterday"}, "until"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused_by_its_name(door, named, field):
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.list(ACME, **named)
    assert caught.value.field == field


async def test_a_filter_by_a_provider_that_never_was_is_refused(door):
    with pytest.raises(ProviderNotFoundError):
        await door.audit.list(ACME, provider="no_such_provider")


@pytest.mark.requirement("AUD-13")
async def test_a_tenant_sees_its_own_events_and_looking_is_an_event(world, door):
    await some_history(world, door)
    assert await door.audit.list("globex", actor=ALICE) == ()
    (looked,) = await door.audit.list("globex", actor=ALICE)
    assert (looked.event.action, looked.event.resource, looked.event.actor) == ("audit.read", "audit", ALICE)


@pytest.mark.parametrize(("named", "field"), [({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"before": 0}, "before")])
async def test_a_page_has_1_to_200_events(door, named, field):
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.list(ACME, **named)
    assert caught.value.field == field


async def deny(door, number=1, *, tenant=ACME, actor=ALICE):
    await door.audit.record_denied(tenant, action="integration.remove", resource=f"integration:{number}", actor=actor)


def denied(world, tenant=ACME):
    return [event for event in world.events(tenant) if event.outcome is Outcome.DENIED]


@pytest.mark.requirement("AUD-08")
async def test_a_denial_by_the_host_is_recorded(world, door):
    await world.add_key()
    await door.audit.record_denied(ACME, action="integration.remove", resource="integration:1", actor=ALICE, request_id="req-1")
    event = world.last_event()
    assert (event.action, event.outcome, event.reason, event.actor) == ("integration.remove", Outcome.DENIED, "forbidden", ALICE)
    assert (event.request_id, event.details) == ("req-1", {"covers": "attempt"})


@pytest.mark.requirement("AUD-08")
async def test_a_denial_in_a_new_tenant_of_the_hosts_is_recorded(world):
    await deny(world.open(tenants=KnownTenants() if world.blocking else AsyncKnownTenants()))
    assert [event.actor for event in denied(world)] == [ALICE]


@pytest.mark.requirement("AUD-08", "ISO-11")
async def test_denials_in_tenants_that_never_were_leave_nothing(world, door):
    for number in range(20):
        await deny(door, tenant=f"never-was-{number}")
    known = world.open(tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    for number in range(20):
        with pytest.raises(TenantNotFoundError):
            await deny(known, tenant=f"never-was-{number}")
    assert world.tables.chains == {}
    assert world.tables.keys == {}


@pytest.mark.requirement("AUD-08")
async def test_one_row_speaks_for_a_denied_attempt_that_is_repeated_in_a_minute(world, door):
    await world.add_key()
    for _ in range(600):
        await deny(door)
    assert len(denied(world)) == 1
    world.clock.advance(timedelta(seconds=60))
    await deny(door)
    assert len(denied(world)) == 2


@pytest.mark.requirement("AUD-08")
async def test_many_denied_attempts_at_once_are_one_row(world, door):
    await world.add_key()
    await door.all_at_once(*[lambda: world.door.acting_as(ALICE).audit.record_denied(ACME, action="x", resource="y")] * 20)
    assert len(denied(world)) == 1


@pytest.mark.requirement("AUD-08")
async def test_an_actor_that_is_denied_different_things_gets_few_rows_and_the_last_says_so(world, door):
    await world.add_key()
    for number in range(100):
        await deny(door, number)
    assert [event.details["covers"] for event in denied(world)] == ["attempt"] * 4 + ["actor"]
    await deny(door, actor=Actor(id="mallory"))
    assert denied(world)[-1].actor == Actor(id="mallory")


@pytest.mark.requirement("AUD-08", "ISO-11")
async def test_a_stranger_who_changes_names_fills_no_log_but_one_minute_and_tenant(world, door):
    await world.add_key()
    await world.add_key("globex")
    for number in range(600):
        await deny(door, actor=Actor(id=f"mallory-{number}"))
    assert [event.details["covers"] for event in denied(world)] == ["attempt"] * 49 + ["tenant"]
    await deny(door, tenant="globex")
    assert len(denied(world, "globex")) == 1
    assert (await door.audit.verify(ACME)).whole


@pytest.mark.requirement("AUD-08")
async def test_a_denial_that_could_not_be_written_is_written_the_next_time(world, door):
    await world.add_key()
    world.store.calls.clear()
    world.store.fail(1)
    with pytest.raises(StorageUnavailableError):
        await deny(door)
    world.store.heal()
    await deny(door)
    assert len(denied(world)) == 1


@pytest.mark.requirement("AUD-08")
async def test_what_an_allowed_actor_does_is_recorded_act_by_act(world, door):
    for _ in range(7):
        with pytest.raises(InvalidCredentialsError):
            await world.add_key(api_key=Secret("fake-wrong-key-0123456789"))
    assert [event.outcome for event in world.events()] == [Outcome.FAILURE] * 7


@pytest.mark.parametrize(("action", "resource"), [("a" * 101, "x"), ("a\nb", "x"), ("caf\u00e9", "x"), ("x", "r" * 201), ("x", "\x1b[31m")])
async def test_a_denial_is_told_in_short_printable_text(door, action, resource):
    with pytest.raises(ValidationFailedError):
        await door.audit.record_denied(ACME, action=action, resource=resource, actor=ALICE)


async def test_an_untouched_chain_is_whole(world, door):
    await some_history(world, door)
    report = await door.audit.verify(ACME)
    assert (report.whole, report.checked, report.head.seq) == (True, 4, 4)
    assert (await door.audit.verify("globex")).whole


async def test_a_chain_of_several_pages_is_walked_to_its_end(world, door):
    for _ in range(401):
        await door.audit.list(ACME, limit=1)
    report = await door.audit.verify(ACME)
    assert (report.whole, report.checked) == (True, 401)


def chain_of(world, tenant=ACME):
    return world.tables.chains[tenant]


def edit(chain):
    chain[1] = replace(chain[1], event=replace(chain[1].event, action="integration.enabled"))


def edit_hash_too(chain):
    chain[1] = chained(replace(chain[1].event, action="x"), AuditHead(tenant_id=ACME, seq=1, hash=chain[0].hash))


def delete(chain):
    del chain[1]


def insert(chain):
    chain.insert(1, replace(chain[1], seq=2))


def reorder(chain):
    chain[1], chain[2] = chain[2], chain[1]


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize(
    ("tamper", "kinds", "seq"),
    [
        (edit, {"changed"}, 2),
        (edit_hash_too, {"inserted"}, 3),
        (delete, {"gap"}, 2),
        (insert, {"gap"}, 3),
        (reorder, {"gap"}, 2),
    ],
)
async def test_tampering_is_detected_and_located(world, door, tamper, kinds, seq):
    await some_history(world, door)
    head = (await door.audit.verify(ACME)).head
    tamper(chain_of(world))
    # The store's own head stays as it was: it is a row of its own.
    report = await door.audit.verify(ACME, checkpoint=head)
    assert not report.whole
    assert kinds <= {problem.kind for problem in report.problems}
    assert report.problems[0].seq == seq


@pytest.mark.requirement("AUD-04")
async def test_another_tenants_events_are_detected(world, door):
    await some_history(world, door)
    await world.connect("globex")
    world.tables.chains["globex"] = list(chain_of(world))
    report = await door.audit.verify("globex")
    assert {problem.kind for problem in report.problems} >= {"foreign"}


@pytest.mark.requirement("AUD-04")
async def test_a_chain_that_was_cut_back_is_found_by_a_checkpoint(world, door):
    await some_history(world, door)
    head = (await door.audit.verify(ACME)).head
    del chain_of(world)[-2:]
    assert (await door.audit.verify(ACME)).whole
    report = await door.audit.verify(ACME, checkpoint=head)
    assert [(problem.kind, problem.seq) for problem in report.problems] == [("truncated", 3)]


@pytest.mark.requirement("AUD-04")
async def test_a_chain_that_was_forged_anew_is_found_by_a_checkpoint(world, door):
    await some_history(world, door)
    head = (await door.audit.verify(ACME)).head
    chain, last = chain_of(world), None
    for index, record in enumerate(list(chain)):
        forged = chained(replace(record.event, actor=Actor(id="nobody")), last)
        chain[index] = forged
        last = AuditHead(tenant_id=ACME, seq=forged.seq, hash=forged.hash)
    assert (await door.audit.verify(ACME)).whole
    report = await door.audit.verify(ACME, checkpoint=head)
    assert [(problem.kind, problem.seq) for problem in report.problems] == [("checkpoint_mismatch", 4)]


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize("head", ["missing", "older"])
async def test_records_beyond_the_head_are_forged(world, door, head):
    await some_history(world, door)
    real = world.rows.find_audit_head(ACME)
    older = chain_of(world)[1]
    shown = None if head == "missing" else AuditHead(tenant_id=ACME, seq=older.seq, hash=older.hash)
    rows = type(world.rows).find_audit_head
    world.rows.find_audit_head = lambda tenant: shown if tenant == ACME else rows(world.rows, tenant)
    report = await door.audit.verify(ACME)
    assert not report.whole
    assert {problem.kind for problem in report.problems} == {"head_mismatch"}
    assert real.seq == 4


async def test_what_is_written_during_the_walk_belongs_to_the_next(world, door):
    await some_history(world, door)

    def write(name, _):
        if name == "list_audit":
            world.store.before = None
            event = replace(world.events()[-1], action="late")
            world.rows.apply(Record(event=event))

    world.store.before = write
    report = await door.audit.verify(ACME)
    assert (report.whole, report.checked, report.head.seq) == (True, 4, 4)
    assert (await door.audit.verify(ACME)).checked == 5


class TestTheOperatorsLog:
    async def test_it_is_listed_exported_and_verified_like_a_tenants(self, world):
        begun = await world.door.incidents.freeze(everything=True, reason="fake reason", actor=ALICE)
        (record,) = await world.door.audit.list(None, actor=ALICE)
        assert (record.event.action, record.event.resource, record.event.actor) == ("freeze.begun", f"freeze:{begun.id}", ALICE)
        exported = await world.door.audit.export(None, actor=ALICE)
        assert len(exported.lines) == 2
        assert "freeze.begun" in exported.lines[0]
        assert "audit.read" in exported.lines[1]
        report = await world.door.audit.verify(None)
        assert (report.whole, report.checked, report.tenant_id) == (True, 3, OPERATOR)
        chain = world.tables.chains[OPERATOR]
        chain[0] = replace(chain[0], event=replace(chain[0].event, reason="another"))
        assert not (await world.door.audit.verify(None)).whole

    async def test_nothing_of_a_tenant_is_in_it_and_a_tenant_cannot_name_it(self, world):
        await world.connect()
        assert await world.door.audit.list(None, actor=ALICE) == ()
        with pytest.raises(ValidationFailedError):
            await world.door.audit.list(str(OPERATOR), actor=ALICE)
        with pytest.raises(ValidationFailedError) as caught:
            await world.door.audit.list(None, integration="simulated", actor=ALICE)
        assert caught.value.field == "tenantId"
