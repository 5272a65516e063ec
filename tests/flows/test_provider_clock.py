"""Our clock is wrong: signatures are made for the provider's time, which its own call or the `Date` of its answers tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.domain.clock_offset import MOST, ClockOffset
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import AnswerLostError, InvalidCredentialsError, ProviderUnreachableError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.provider_time import read_date, read_time

from .clouds import CASES, Cloud
from .conftest import ACME, ALICE, GLOBEX

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
BY_DATE = sorted(CASES.keys() - {"ovhcloud"})
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def add(world, cloud, tenant=ACME):
    case = cloud.case
    return await world.door.add(
        tenant, cloud.provider.id, name="Our cloud", inputs=dict(case.inputs), variables=case.variables, actor=ALICE
    )


async def is_accepted(world, cloud, tenant=ACME):
    credential = await world.door.credential(tenant, cloud.provider.id)
    signed = credential.sign(Unsigned(method="GET", url=cloud.case.api), **cloud.case.options)
    return cloud.accepts("GET", signed.url, signed.headers, b"", **cloud.case.options)


@pytest.mark.requirement("Q52")
@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
@pytest.mark.parametrize("slug", sorted(CASES))
async def test_a_clock_that_is_an_hour_wrong_does_not_matter(world, slug, ahead):
    cloud = Cloud(world, slug)
    cloud.ahead = ahead
    held = await add(world, cloud)
    assert held.account.account_id == cloud.case.account
    assert held.created_at == world.clock.now(), "nothing but signatures uses the provider's time"
    assert await is_accepted(world, cloud) == "yes"
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"


@pytest.mark.requirement("Q52")
@pytest.mark.parametrize("slug", BY_DATE)
async def test_the_answer_that_tells_the_time_is_asked_for_once_more(world, slug):
    cloud = Cloud(world, slug)
    cloud.ahead = HOUR
    await add(world, cloud)
    assert len(cloud.checks) == 2
    await add(world, cloud, GLOBEX)
    assert len(cloud.checks) == 3, "the time of this host is known now"


@pytest.mark.requirement("Q52")
@pytest.mark.parametrize("slug", BY_DATE)
async def test_without_a_date_the_answer_is_believed(world, slug):
    cloud = Cloud(world, slug)
    cloud.ahead, cloud.tells_date = HOUR, False
    with pytest.raises(InvalidCredentialsError) as caught:
        await add(world, cloud)
    assert caught.value.reason == cloud.case.late_means
    assert len(cloud.checks) == 1


async def test_a_stored_key_is_not_called_dead_because_our_clock_was_set_wrong(world):
    cloud = Cloud(world, "oracle_cloud")
    held = await add(world, cloud)
    world.clock.jump(-HOUR)
    cloud.ahead = HOUR
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    assert await is_accepted(world, cloud) == "yes"


async def test_a_dead_key_stays_dead_though_the_clock_is_wrong(world):
    cloud = Cloud(world, "huawei_cloud")
    cloud.ahead = HOUR
    wrong = {**cloud.case.inputs, **cloud.case.wrong}
    with pytest.raises(InvalidCredentialsError):
        await world.door.add(ACME, "huawei_cloud", name="Our cloud", inputs=wrong, variables=cloud.case.variables, actor=ALICE)
    assert len(cloud.checks) == 2


@pytest.mark.requirement("Q52")
async def test_the_time_call_is_made_once_for_many_and_again_after_an_hour(world):
    cloud = Cloud(world, "ovhcloud")
    cloud.ahead = HOUR
    await add(world, cloud)
    assert (cloud.time_calls, len(cloud.checks)) == (1, 1)
    other = cloud.open()
    world.door = other
    await other.together(10, "credential", ACME, "ovhcloud")
    assert cloud.time_calls == 2, "another process asks for itself, and once"
    assert await is_accepted(world, cloud) == "yes"
    world.pass_(minutes=61)
    assert await is_accepted(world, cloud) == "yes"
    assert cloud.time_calls == 3


@pytest.mark.parametrize(
    "answer",
    [
        ProviderUnreachableError(provider_id="x"),
        AnswerLostError(provider_id="x"),
        HttpResponse(status=500),
        HttpResponse(status=200, body=b"<html>"),
        HttpResponse(status=200, body=b"9" * 40),
        HttpResponse(status=403, body=b"1767268800"),
    ],
)
async def test_a_time_call_that_tells_nothing_stops_nobody(world, answer):
    cloud = Cloud(world, "ovhcloud")
    await add(world, cloud)
    world.door = cloud.open()
    cloud.time_answer = answer
    assert await is_accepted(world, cloud) == "yes"
    world.pass_(seconds=59)
    assert await is_accepted(world, cloud) == "yes"
    assert cloud.time_calls == 2, "it is left alone for a minute"
    cloud.time_answer = None
    world.pass_(minutes=5)
    assert await is_accepted(world, cloud) == "yes"
    assert cloud.time_calls == 3


async def test_a_wrong_answer_of_the_time_call_is_corrected_by_the_date_of_the_check(world):
    cloud = Cloud(world, "ovhcloud")
    cloud.time_answer = HttpResponse(status=200, body=str(int((world.clock.now() + HOUR).timestamp())).encode())
    held = await add(world, cloud)
    assert held.account.account_id == "aa1-ovh"
    assert len(cloud.checks) == 2
    assert await is_accepted(world, cloud) == "yes"


async def test_another_host_has_its_own_time(world):
    cloud = Cloud(world, "ovhcloud")
    cloud.ahead = HOUR
    await add(world, cloud)
    credential = await world.door.credential(ACME, "ovhcloud")
    assert world.door.wiring.clock_offsets.find("eu.api.ovh.com").ahead == HOUR
    assert world.door.wiring.clock_offsets.find("ca.api.ovh.com") is None
    assert credential.expires_at is None


async def test_a_wall_clock_that_is_set_right_again_ends_the_correction(world):
    cloud = Cloud(world, "tencent_cloud")
    cloud.ahead = HOUR
    await add(world, cloud)
    credential = await world.door.credential(ACME, "tencent_cloud")
    # Somebody sets our clock, and a credential that is in use already signs for the right time, too.
    world.clock.jump(HOUR)
    cloud.ahead = timedelta()
    signed = credential.sign(Unsigned(method="GET", url=cloud.case.api), service="cvm")
    assert cloud.accepts("GET", signed.url, signed.headers, b"", service="cvm") == "yes"
    assert (await world.door.verify(ACME, "tencent_cloud")).outcome == "alive"


async def test_a_date_is_no_reason_to_ask_again_if_the_key_was_accepted(world):
    cloud = Cloud(world, "exoscale")
    cloud.ahead = timedelta(minutes=4)
    await add(world, cloud)
    assert len(cloud.checks) == 1
    assert await is_accepted(world, cloud) == "yes"


@pytest.mark.parametrize("ahead", [MOST + HOUR, -MOST - HOUR, timedelta(days=4000)])
async def test_a_time_that_is_too_far_away_is_not_believed(world, ahead):
    cloud = Cloud(world, "tencent_cloud")
    cloud.ahead = ahead
    with pytest.raises(InvalidCredentialsError) as caught:
        await add(world, cloud)
    assert caught.value.reason == "clock_skew"
    assert len(cloud.checks) == 1


@pytest.mark.parametrize(
    ("ahead", "believed"),
    [
        (timedelta(seconds=9), timedelta()),
        (timedelta(seconds=-9), timedelta()),
        (timedelta(seconds=10), timedelta(seconds=10)),
        (MOST, MOST),
    ],
)
def test_small_and_absurd_differences_are_none(ahead, believed):
    offset = ClockOffset.measure(NOW + ahead, between=(NOW, NOW), monotonic=7.0)
    assert offset.ahead == believed
    assert offset.correct(NOW + HOUR, monotonic=7.0 + 3600) == NOW + HOUR + believed
    assert offset.correct(NOW + HOUR, monotonic=7.0) == NOW + HOUR, "the wall clock was set"


def test_the_time_is_measured_in_the_middle_of_the_request():
    offset = ClockOffset.measure(NOW + HOUR, between=(NOW, NOW + timedelta(seconds=8)), monotonic=0.0)
    assert offset.ahead == HOUR - timedelta(seconds=4)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"date": "Thu, 01 Jan 2026 12:00:00 GMT"}, NOW),
        ({"date": "Thursday, 01-Jan-26 12:00:00 GMT"}, NOW),
        ({"date": "Thu Jan  1 12:00:00 2026"}, NOW),
        ({"date": "Thu, 01 Jan 2026 12:00:00 GMT", "age": "0"}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Thu, 01 Jan 99999 12:00:00 GMT"}, None),
        ({"date": "Fri, 31 Dec 9999 23:59:59 -2300"}, None),
        ({}, None),
    ],
)
def test_a_date_is_read_in_each_of_its_forms(headers, told):
    assert read_date(HttpResponse(status=401, headers=headers)) == told


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"1767268800", NOW),
        (200, b" 1767268800\n", NOW),
        (200, b"1767268800.5", None),
        (200, b"-1767268800", None),
        (200, b"999999999999", None),
        (200, b"", None),
        (404, b"1767268800", None),
    ],
)
def test_the_answer_of_a_time_call_is_a_number_of_seconds(status, body, told):
    assert read_time(HttpResponse(status=status, body=body)) == told
