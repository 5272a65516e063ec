"""What an operator sees of all tenants: counts, and integrations page by page."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations import Catalogue, OAuthApplication
from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.overview import BoundedCount, Overview
from cloud_integrations.domain.work_report import DueCount, WorkReport
from cloud_integrations.errors import (
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import DamagedRow, FoundPage, Record, RenewalCounts
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.contracts.store import an_event
from cloud_integrations.testing.contracts.store.values import INSTANT, OTHER_PROVIDER

from .conftest import ACME, ALICE, GLOBEX

DAY = timedelta(days=1)


async def pages(door, **named):
    found, page = [], await door.overview.integrations(**named)
    while True:
        found += page.items
        if page.after is None:
            return found
        page = await door.overview.integrations(**named, after=page.after)


async def test_nothing_is_seen_of_an_empty_installation(world, door):
    found = await door.overview.report()
    assert found == Overview(work=WorkReport(due=DueCount(count=0)), ending_soon=BoundedCount(number=0, at_least=False), freezes=0)
    assert (found.integrations, found.waiting, found.given_up, set(found.by_health.values())) == (0, 0, 0, {0})
    page = await door.overview.integrations()
    assert (page.items, page.after) == ((), None)


async def test_the_overview_counts_what_works_what_ends_and_what_waits_over_all_tenants(world, door):
    removed = await world.connect("initech")
    await world.connect("globex")
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await door.delete("initech", removed.id, actor=ALICE)
    world.pass_(minutes=61)
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        await door.credential("globex", world.provider.slug)
    await world.add_key(ends_at=world.clock.now() + 14 * DAY - timedelta(seconds=1))
    await world.add_key("umbrella", ends_at=world.clock.now() + 15 * DAY)
    await door.incidents.freeze(reason="a fake reason", tenant_id=ACME, actor=ALICE)
    found = await door.overview.report()
    assert found.work == await door.worker.report()
    assert {health: count for health, count in found.by_health.items() if count} == {Health.OK: 2, Health.RECONNECT_REQUIRED: 1}
    assert (found.integrations, found.ending_soon, found.freezes) == (3, BoundedCount(number=1, at_least=False), 1)
    assert (found.waiting, found.given_up) == (2, 0)
    assert not any(tenant in str(found.as_dict()) for tenant in (ACME, "globex", "initech", "umbrella"))


async def test_integrations_of_all_tenants_are_found_page_by_page(world, door):
    integrations = {(await world.connect(tenant)).id for tenant in (ACME, GLOBEX, "initech")}
    for limit in (1, 2, 3):
        found = await pages(door, limit=limit)
        assert len(found) == 3
        assert {item.integration.id for item in found} == integrations
    assert {item.key_version for item in found} == {1}
    assert await door.overview.count() == BoundedCount(number=3, at_least=False)


@pytest.mark.parametrize("letter", ["x", '"', "名", "😀"])
async def test_pages_go_on_behind_a_tenant_with_the_longest_id(letter, world, door):
    for tenant in (letter * 254 + "a", letter * 254 + "b"):
        await world.connect(tenant)
    assert [item.integration.tenant_id[-1] for item in await pages(door, limit=1)] == ["a", "b"]


async def test_each_filter_is_taken_as_people_write_it(world, door):
    grant, key = await world.connect(), await world.add_key(GLOBEX, ends_at=world.clock.now() + 3 * DAY)
    soon = world.clock.now() + DAY
    for named, admitted in (
        ({"tenant_id": ACME}, {grant.id}),
        ({"provider": world.provider.slug}, {grant.id}),
        ({"provider": str(key.provider_id)}, {key.id}),
        ({"method": key.method_id, "provider": key.provider_id}, {key.id}),
        ({"health": "ok"}, {grant.id, key.id}),
        ({"health": Health.DISABLED}, set()),
        ({"ends_before": soon}, set()),
        ({"ends_before": soon + 3 * DAY}, {key.id}),
        ({"unused_since": world.clock.now()}, set()),
        ({"unused_since": soon, "tenant_id": GLOBEX}, {key.id}),
        ({"key_version": 1, "health": "ok"}, {grant.id, key.id}),
        ({"key_version": 2}, set()),
    ):
        assert {item.integration.id for item in await pages(door, **named)} == admitted, named
        assert await door.overview.count(**named) == BoundedCount(number=len(admitted), at_least=False)
    with pytest.raises(ProviderNotFoundError):
        await door.overview.count(provider="nowhere")


async def test_the_last_use_is_known_to_a_day_and_written_once_a_day(world, door):
    held = await world.connect()
    (listed,) = await pages(door)
    assert (listed.integration.last_used_at, listed.idle_since) == (None, held.created_at)
    writes = []
    world.pass_(seconds=1)
    first = world.clock.now()
    for hours in (0, 1, 22, 1, 25):
        world.pass_(hours=hours)
        await world.open().credential(ACME, world.provider.slug)
        writes.append(world.row(held).facts.last_used_at - first)
    assert writes == [timedelta(), timedelta(), timedelta(), DAY, 2 * DAY + timedelta(hours=1)]
    (listed,) = await pages(door)
    assert listed.integration.last_used_at == world.row(held).facts.last_used_at
    assert (await world.open().get_integration(ACME, held.id)).last_used_at == listed.integration.last_used_at
    assert len(await pages(door, unused_since=world.clock.now() + DAY)) == 1
    assert await pages(door, unused_since=world.clock.now()) == []


async def test_where_uses_are_not_recorded_none_is_known(world):
    held = await world.connect()
    door = world.open(settings=world.settings(use_window=None))
    await door.credential(ACME, world.provider.slug)
    assert world.row(held).facts.last_used_at is None


async def test_a_row_that_cannot_be_read_is_left_out_and_told(world, door, monkeypatch):
    damaged = DamagedRow(table="ci_integration", row="fake", tenant_id=ACME)
    page = FoundPage(items=(damaged,), after="WzBd")
    monkeypatch.setattr(type(world.rows), "search_integrations", lambda *_args, **_named: page)
    found = await door.overview.integrations()
    assert (found.items, found.after) == ((), "WzBd")
    assert world.facts.told[-1].name == "storage.damaged_row"


async def test_renewals_and_failures_are_told_by_the_hour(world, door):
    held = await world.connect()
    world.pass_(minutes=61)
    await door.refresh(ACME, held.id)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None)
    world.pass_(minutes=61)
    with pytest.raises(ProviderUnavailableError):
        await door.credential(ACME, world.provider.slug, min_ttl=timedelta(hours=2))
    hours = await door.overview.history(hours=3)
    assert [hour.start for hour in hours] == [world.clock.now().replace(minute=0) - timedelta(hours=past) for past in (2, 1, 0)]
    assert [(hour.renewed, hour.failed) for hour in hours] == [(0, 0), (1, 0), (0, 1)]
    assert len(await door.overview.history()) == 24
    assert {hour.renewed for hour in await door.overview.history(provider="simulated_keys")} == {0}
    assert await door.overview.history(hours=3, provider=world.provider.slug) == hours


async def test_renewals_are_told_by_provider_from_the_read_that_counts_them_all(world, door):
    slug, provider_id, gone, now = world.provider.slug, (await world.connect()).provider_id, uuid4(), world.clock.now()
    empty = await door.overview.history_by_provider(hours=3)
    assert (empty.hours, dict(empty.by_provider)) == (await door.overview.history(hours=3), {})
    hours = [now.replace(minute=0) - timedelta(hours=past) for past in (23, 1, 0)]
    events = (
        (provider_id, Outcome.SUCCESS, hours[0] - INSTANT),
        (provider_id, Outcome.SUCCESS, hours[0]),
        (provider_id, Outcome.FAILURE, hours[1]),
        (gone, Outcome.SUCCESS, hours[1]),
        (gone, Outcome.UNKNOWN, now),
    )
    for named, outcome, at in events:
        world.rows.apply(Record(event=an_event(action=REFRESH, provider_id=named, outcome=outcome, occurred_at=at)))
    history = await door.overview.history_by_provider()
    assert list(history.by_provider) == sorted([slug, str(gone)])
    assert [(hour.start, hour.renewed, hour.failed) for hour in history.by_provider[slug] if hour.renewed or hour.failed] == [
        (hours[0], 1, 0),
        (hours[1], 0, 1),
    ]
    assert [(hour.start, hour.renewed, hour.failed) for hour in history.by_provider[str(gone)] if hour.renewed or hour.failed] == [
        (hours[1], 1, 0),
        (hours[2], 0, 1),
    ]
    assert {len(each) for each in (history.hours, *history.by_provider.values())} == {24}
    assert history.hours == await door.overview.history()
    for name, provider in ((slug, slug), (str(gone), gone)):
        assert history.by_provider[name] == await door.overview.history(provider=provider)
    assert history.as_json()["byProvider"][slug][0] == {
        "start": hours[0].isoformat().replace("+00:00", "Z"),
        "renewed": 1,
        "failed": 0,
        "atLeast": False,
    }
    with pytest.raises(ValidationFailedError):
        await door.overview.history_by_provider(hours=169)


async def test_what_is_at_least_is_so_for_every_provider(world, door, monkeypatch):
    provider_id = (await world.connect()).provider_id

    def counted(_store, *, since, hours):
        assert hours == 1
        return (RenewalCounts(start=since, renewed={provider_id: 9_999, None: 1}, failed={OTHER_PROVIDER: 2}, at_least=True),)

    monkeypatch.setattr(type(world.rows), "count_renewals", counted)
    history = await door.overview.history_by_provider(hours=1)
    (total,) = history.hours
    assert (total.renewed, total.failed, total.at_least) == (10_000, 2, True)
    assert {name: [(hour.renewed, hour.failed, hour.at_least) for hour in each] for name, each in history.by_provider.items()} == {
        world.provider.slug: [(9_999, 0, True)],
        str(OTHER_PROVIDER): [(0, 2, True)],
    }
    (one,) = await door.overview.history(hours=1, provider="simulated_keys")
    assert (one.renewed, one.failed, one.at_least) == (0, 0, True)


async def test_ends_are_told_by_the_day(world, door):
    await world.add_key(ends_at=world.clock.now() + 3 * DAY)
    days = await door.overview.ends(days=4)
    assert [(each.day, each.number) for each in days] == [((world.clock.now() + past * DAY).date(), past // 3) for past in range(4)]
    assert len(await door.overview.ends()) == 90


async def test_the_errors_of_a_provider_are_those_of_the_last_day_unless_a_time_is_named(world, door):
    await world.connect()
    world.pass_(minutes=61)
    world.provider.revoke_grant()
    before = world.clock.now()
    with pytest.raises(ReconnectRequiredError):
        await door.credential(ACME, world.provider.slug)
    (found,) = (await door.overview.errors(world.provider.slug)).errors
    assert (found.health, found.error, found.number) == (Health.RECONNECT_REQUIRED, "invalid_grant", 1)
    world.pass_(days=2)
    assert (await door.overview.errors(world.provider.slug)).errors == ()
    assert len((await door.overview.errors(world.provider.slug, since=before)).errors) == 1
    assert (await door.overview.errors("simulated_keys", since=before)).errors == ()


async def test_a_renewal_is_reported_from_the_first_lease_to_the_next_success(world, door):
    held = await world.connect()
    fresh = await door.overview.renewal(ACME, world.provider.slug)
    assert (fresh.integration_id, fresh.rule, fresh.generation, fresh.obtained_at) == (held.id, "refresh", 1, held.created_at)
    assert (fresh.phase, fresh.lease, fresh.leased_until, fresh.attempts, fresh.last_error) == ("idle", 0, None, 0, None)
    assert (fresh.circuit.application_id, fresh.circuit.open, fresh.circuit.reason) == (held.context_id, False, None)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="refresh")
    world.pass_(minutes=61)
    with pytest.raises(ProviderUnavailableError):
        await door.credential(ACME, world.provider.slug)
    failed = await door.overview.renewal(ACME, held.id)
    assert (failed.generation, failed.lease, failed.attempts, failed.failed_at) == (1, 1, 1, world.clock.now())
    assert failed.last_error
    assert failed.next_attempt_at > world.clock.now()
    world.pass_(minutes=61)
    await door.credential(ACME, world.provider.slug)
    renewed = await door.overview.renewal(ACME, str(held.id))
    assert (renewed.generation, renewed.lease, renewed.attempts, renewed.last_error) == (2, 2, 0, None)
    assert renewed.obtained_at == world.clock.now()


async def test_a_lease_is_reported_as_long_as_it_keeps_others_away(world, door):
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="refresh")
    world.pass_(minutes=61)
    with pytest.raises(ProviderUnavailableError):
        await door.credential(ACME, world.provider.slug)
    lost = await door.overview.renewal(ACME, held.id)
    assert (lost.phase, lost.sent_at) == ("unknown", world.clock.now())
    assert lost.leased_until > world.clock.now()
    world.pass_(minutes=61)
    assert (await door.overview.renewal(ACME, held.id)).leased_until is None


async def test_a_renewal_is_reported_of_a_key_and_of_nothing_else(world, door):
    key = await world.add_key()
    report = await door.overview.renewal(ACME, key.id)
    assert (report.rule, report.generation, report.circuit) == ("keep", 1, None)
    assert not any(part in str(report.as_dict()) for part in ("fake", "presented"))
    for tenant, integration in ((GLOBEX, key.id), (ACME, world.provider.slug)):
        with pytest.raises(IntegrationNotFoundError):
            await door.overview.renewal(tenant, integration)


async def test_the_circuit_of_a_provider_is_the_one_that_its_renewals_meet(world, door):
    tenants = [f"tenant-{number}" for number in range(6)]
    for tenant in tenants:
        held = await world.connect(tenant)
    assert not (await door.overview.circuit(world.provider.slug)).open
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    world.pass_(minutes=61)
    for tenant in tenants:
        with pytest.raises(ProviderUnavailableError):
            await door.credential(tenant, world.provider.slug)
    circuit = await door.overview.circuit(world.provider.slug)
    assert (circuit.open, circuit.application_id, circuit.reason) == (True, held.context_id, None)
    assert 0 < circuit.wait_seconds <= 45
    assert (await door.overview.renewal(tenants[-1], held.id)).circuit == circuit
    assert not (await world.open().overview.circuit(world.provider.slug)).open


async def test_no_circuit_is_known_without_an_application_or_where_tenants_choose_the_server(world):
    assert await world.open(applications=[]).overview.circuit(world.provider.slug) is None
    zendesk = Catalogue.builtin().require("zendesk")
    application = OAuthApplication(provider="zendesk", client_id="fake", client_secret="fake-secret")
    door = world.open(providers=[zendesk], applications=[application])
    assert await door.overview.circuit("zendesk") is None
    with pytest.raises(ProviderNotFoundError):
        await door.overview.circuit("nowhere")
