"""How often a host's doors may be used, by actors, tenants and addresses; and a shared limiter that does not answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.events import Fact
from cloud_integrations.errors import ConfigurationError, TooManyRequestsError, ValidationFailedError, http_status
from cloud_integrations.ports.settings import Settings

from .conftest import ACME, ALICE, GLOBEX, MALLORY
from .watching import Interruption

USES = {"begin": 10, "verify": 10, "reveal": 60}


async def _allowed(door, use, tenant=ACME, *, actor=ALICE, most=1_000):
    """How many uses are allowed at this moment, and the error of the one after."""
    for number in range(most):
        try:
            await door.limits.count(use, tenant, actor=actor)
        except TooManyRequestsError as error:
            return number, error
    raise AssertionError(f"more than {most}")


class Shared:
    """A limiter for all processes: it answers as told."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    def take(self, quotas, /):
        self.asked.append(quotas)
        if callable(self.answer):
            return self.answer()
        return self.answer


class AsyncShared(Shared):
    async def take(self, quotas, /):
        return super().take(quotas)


def _shared(world, answer=None):
    return (Shared if world.blocking else AsyncShared)(answer)


def _raising(error):
    def answer():
        raise error

    return answer


@pytest.mark.requirement("ISO-17", "OAU-013")
@pytest.mark.parametrize("use", USES)
async def test_one_actor_has_the_number_of_the_settings_in_a_minute(world, use):
    allowed, error = await _allowed(world.door, use)
    assert allowed == USES[use]
    assert error.retry_after == timedelta(minutes=1) / USES[use]
    assert (error.code, error.retryable, error.details, http_status(error)) == ("request/too-many", True, {"use": use}, 429)
    world.pass_(minutes=1)
    assert (await _allowed(world.door, use))[0] == USES[use]


@pytest.mark.requirement("ISO-17")
@pytest.mark.parametrize("use", USES)
async def test_the_settings_name_the_numbers_and_zero_is_no_limit(world, use):
    assert (await _allowed(world.open(settings=world.settings(**{f"{use}_per_minute": 3})), use))[0] == 3
    free = world.open(settings=world.settings(**{f"{use}_per_minute": 0}))
    for _ in range(200):
        await free.limits.count(use, ACME, actor=ALICE)


@pytest.mark.parametrize("name", ["begin_per_minute", "verify_per_minute", "reveal_per_minute", "callback_per_minute"])
@pytest.mark.parametrize("value", [-1, 1_000_001, 1.5, True, "10", None])
def test_a_number_that_is_no_limit_is_refused_with_its_setting(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number from 0 to 1000000"):
        Settings(**{name: value})


@pytest.mark.requirement("ISO-14")
async def test_what_one_use_takes_no_other_use_lacks(world):
    await _allowed(world.door, "begin")
    assert (await _allowed(world.door, "verify"))[0] == 10


@pytest.mark.requirement("ISO-14", "ISO-15")
async def test_a_hostile_actor_uses_up_nothing_of_others_in_the_tenant(world):
    assert (await _allowed(world.door, "begin", actor=MALLORY))[0] == 10
    for _ in range(1_000):
        with pytest.raises(TooManyRequestsError):
            await world.door.limits.count("begin", ACME, actor=MALLORY)
    assert (await _allowed(world.door, "begin"))[0] == 10


@pytest.mark.requirement("ISO-14", "ISO-15")
async def test_a_hostile_tenant_with_any_number_of_actors_uses_up_its_own_limit_alone(world):
    admitted = 0
    for number in range(2_000):
        try:
            await world.door.limits.count("begin", GLOBEX, actor=Actor(id=f"mallory-{number}"))
        except TooManyRequestsError:
            continue
        admitted += 1
    assert admitted == 100
    # Even if both tenants' users have the same id.
    await _allowed(world.door, "begin", GLOBEX, actor=ALICE)
    assert (await _allowed(world.door, "begin"))[0] == 10


async def test_actors_of_another_type_are_others(world):
    await _allowed(world.door, "begin")
    assert (await _allowed(world.door, "begin", actor=Actor(type="service", id=ALICE.id)))[0] == 10


@pytest.mark.requirement("ISO-17")
async def test_one_address_has_thirty_callbacks_in_a_minute(world):
    for _ in range(30):
        await world.door.limits.count_address("192.0.2.7")
    with pytest.raises(TooManyRequestsError) as refused:
        await world.door.limits.count_address("::ffff:192.0.2.7")
    assert (refused.value.use, refused.value.retry_after) == ("callback", timedelta(seconds=2))
    await world.door.limits.count_address("192.0.2.8")
    world.pass_(seconds=2)
    await world.door.limits.count_address("192.0.2.7")


async def test_all_addresses_of_an_ipv6_network_are_one_client(world):
    for number in range(30):
        await world.door.limits.count_address(f"2001:db8::{number:x}")
    with pytest.raises(TooManyRequestsError):
        await world.door.limits.count_address("2001:db8::ffff")
    await world.door.limits.count_address("2001:db8:0:1::1")


async def test_an_address_that_is_not_known_is_not_counted(world):
    for _ in range(100):
        await world.door.limits.count_address(None)


async def test_without_a_limit_no_address_is_counted(world):
    door = world.open(settings=world.settings(callback_per_minute=0))
    for _ in range(100):
        await door.limits.count_address("192.0.2.7")


async def test_what_was_reached_is_told_once_a_minute_and_names_no_actor_and_no_address(world):
    for _ in range(3):
        await _allowed(world.door, "begin")
        for _ in range(40):
            try:
                await world.door.limits.count_address("192.0.2.7")
            except TooManyRequestsError:
                break
    reached = [
        Fact(name="rate_limit.reached", facts={"tenant": ACME, "use": "begin"}),
        Fact(name="rate_limit.reached", facts={"use": "callback"}),
    ]
    assert world.facts.told == reached
    world.pass_(minutes=1)
    await _allowed(world.door, "begin")
    assert world.facts.told == [*reached, reached[0]]


@pytest.mark.parametrize("tenant", ["", "a b", "x" * 256, None])
async def test_a_tenant_that_cannot_be_one_is_refused(world, tenant):
    with pytest.raises(ValidationFailedError):
        await world.door.limits.count("begin", tenant, actor=ALICE)


async def test_an_unknown_use_is_refused(world):
    with pytest.raises(ValidationFailedError, match="use must be begin, reveal or verify"):
        await world.door.limits.count("callback", ACME, actor=ALICE)


async def test_nothing_is_read_or_written(world):
    await _allowed(world.door, "begin")
    await world.door.limits.count_address("192.0.2.7")
    assert world.store.calls == []


async def test_the_managers_own_methods_are_not_limited(world):
    held = await world.add_key()
    for _ in range(15):
        await world.door.verify(ACME, held.id, actor=ALICE)
        await world.begin(GLOBEX)


# A shared limiter


async def test_a_shared_limiter_is_asked_in_place_of_this_process(world):
    shared = _shared(world)
    door = world.open(rate_limiter=shared)
    for _ in range(50):
        await door.limits.count("begin", ACME, actor=ALICE)
    await door.limits.count_address("192.0.2.7")
    actor, tenant = shared.asked[0]
    assert (actor.rate.count, tenant.rate.count) == (10, 100)
    assert ACME not in repr(shared.asked)
    assert [quotas[0].rate.count for quotas in shared.asked[50:]] == [30]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (timedelta(seconds=7), timedelta(seconds=7)),
        (timedelta(days=400), timedelta(minutes=1)),
        (timedelta(seconds=-7), timedelta()),
    ],
)
async def test_a_shared_limiter_says_how_long_to_wait_within_reason(world, answer, told):
    door = world.open(rate_limiter=_shared(world, answer))
    with pytest.raises(TooManyRequestsError) as refused:
        await door.limits.count("begin", ACME, actor=ALICE)
    assert refused.value.retry_after == told


@pytest.mark.parametrize(
    "answer",
    [_raising(OSError("redis://:fake-password@cache.example")), _raising(RuntimeError()), lambda: 7],
    ids=["away", "broken", "no-time"],
)
async def test_while_a_shared_limiter_does_not_answer_the_process_counts_alone(world, answer):
    shared = _shared(world, answer)
    door = world.open(rate_limiter=shared)
    assert (await _allowed(door, "begin"))[0] == 10
    assert len(shared.asked) == 1, "it is left alone for a while"
    unshared = [fact for fact in world.facts.told if fact.name == "rate_limit.unshared"]
    assert [set(fact.facts) for fact in unshared] == [{"error"}]
    assert "fake-password" not in repr(unshared)
    shared.answer = None
    world.pass_(seconds=10)
    for _ in range(50):
        await door.limits.count("begin", ACME, actor=ALICE)
    assert len(shared.asked) == 51


async def test_a_signal_is_no_failure_of_the_limiter(world):
    class TimeUpError(Exception):
        pass

    with Interruption(TimeUpError) as interruption:
        door = world.open(rate_limiter=_shared(world, interruption.strike))
        with pytest.raises(TimeUpError):
            await door.limits.count("begin", ACME, actor=ALICE)
    assert world.facts.told == []


def test_a_limiter_of_the_wrong_colour_is_refused(world):
    wrong = AsyncShared() if world.blocking else Shared()
    with pytest.raises(ConfigurationError, match=r"rate_limiter must be an? .*RateLimiter"):
        world.open(rate_limiter=wrong)
