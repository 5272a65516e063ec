"""A token is renewed: what each answer leads to, by what the provider does with a spent refresh token."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from cloud_integrations.domain.integration import Phase, State
from cloud_integrations.errors import ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME
from .renewals import A_MOMENT, expired, follow, nearly_expired, of_refresh, token

RULES = ("none", "tolerant", "grace", "strict")
NOT_SENT = [Misbehaviour.CONNECTION_REFUSED, Misbehaviour.RATE_LIMITED]
UNKNOWN_NOT_ROTATED = [Misbehaviour.ERROR_BEFORE, Misbehaviour.TIMEOUT_BEFORE, Misbehaviour.TEMPORARILY_UNAVAILABLE, Misbehaviour.REDIRECT]
UNKNOWN_ROTATED = [
    Misbehaviour.ERROR_AFTER,
    Misbehaviour.ANSWER_LOST,
    Misbehaviour.RESET_MID_BODY,
    Misbehaviour.HTML_PAGE,
    Misbehaviour.EMPTY_BODY,
    Misbehaviour.GARBAGE_JSON,
    Misbehaviour.HUGE_BODY,
]


def presented(world):
    return [request.presented for request in world.provider.requests if request.endpoint == "refresh"]


# What a good answer holds


async def test_an_old_token_is_renewed_once(world):
    held = await expired(world)
    renewed = await token(world)
    assert renewed.generation == 2
    assert renewed.warning is None
    assert world.provider.is_alive(renewed.value)
    assert (await token(world)).value == renewed.value
    assert world.provider.refresh_count == 1
    row = world.row(held)
    assert (row.facts.state, row.marks.phase, row.marks.lease_until) == (State.ACTIVE, Phase.IDLE, None)
    assert [event.outcome.value for event in of_refresh(world)] == ["started", "success"]
    assert len({event.details["attempt"] for event in of_refresh(world)}) == 1
    assert "credential.refreshed" in world.facts.names


@pytest.mark.requirement("REF-09", "Q34")
async def test_a_new_refresh_token_replaces_the_old_one(world):
    for _ in range(3):
        await (expired(world) if not world.sent else token(world))
        world.clock.advance(world.provider.access_lifetime)
    await token(world)
    assert world.provider.refresh_count == 3
    assert len(set(presented(world))) == 3
    assert not any(request.reused for request in world.provider.requests)


@pytest.mark.requirement("REF-09", "Q35")
@pytest.mark.parametrize(
    "what",
    [
        Misbehaviour.REFRESH_TOKEN_MISSING,
        Misbehaviour.REFRESH_TOKEN_NULL,
        Misbehaviour.REFRESH_TOKEN_EMPTY,
        Misbehaviour.REFRESH_TOKEN_SAME,
    ],
)
async def test_without_a_new_refresh_token_the_held_one_stays_good(world, what):
    await expired(world)
    world.provider.misbehave(what, times=2, endpoint="refresh")
    assert (await token(world)).generation == 2
    world.clock.advance(world.provider.access_lifetime)
    assert (await token(world)).generation == 3
    world.clock.advance(world.provider.access_lifetime)
    assert (await token(world)).generation == 4
    assert len(set(presented(world))) == 1


@pytest.mark.parametrize("what", [Misbehaviour.EXPIRES_IN_MISSING, Misbehaviour.EXPIRES_IN_TEXT, Misbehaviour.SLOW])
async def test_a_life_is_counted_from_the_moment_the_request_was_sent(world, what):
    await expired(world)
    world.provider.misbehave(what, endpoint="refresh", delay=timedelta(seconds=10))
    sent_at = world.clock.now()
    renewed = await token(world)
    assert world.clock.now() >= sent_at + timedelta(seconds=10)
    assert renewed.expires_at == sent_at + world.provider.access_lifetime


@pytest.mark.requirement("OAU-048")
async def test_a_refresh_never_asks_for_scopes(world):
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.NARROWER_SCOPES, endpoint="refresh")
    narrower = await token(world)
    assert narrower.scopes == ("read",)
    assert narrower.missing_scopes == ("write",)
    world.clock.advance(world.provider.access_lifetime)
    assert (await token(world)).scopes == ("read",)
    await world.door.refresh(ACME, held.id)
    refreshes = [dict(parse_qsl(request.body.decode())) for request in world.sent if b"grant_type=refresh_token" in request.body]
    assert len(refreshes) == 3
    assert not any("scope" in form for form in refreshes)


# What each other answer leads to


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("what", NOT_SENT + UNKNOWN_NOT_ROTATED + UNKNOWN_ROTATED)
async def test_a_token_that_lives_is_handed_out_with_a_warning(world, rule, what):
    follow(world, rule)
    held, first = await nearly_expired(world)
    world.provider.misbehave(what, times=None, endpoint="refresh")
    for _ in range(3):
        served = await token(world)
        assert served.value == first.value
        assert served.warning == "refresh_failed"
        assert world.provider.is_alive(served.value)
    row = world.row(held)
    assert row.facts.state is (State.RETRY if what in NOT_SENT else State.UNKNOWN)
    assert row.marks.last_error == row.facts.reason is not None
    # Nobody is asked again before the time.
    assert world.provider.refresh_count == (0 if what is Misbehaviour.CONNECTION_REFUSED else 1)
    assert [event.outcome.value for event in of_refresh(world)] == ["started", "failure" if what in NOT_SENT else "unknown"]
    assert "credential.refresh_failed" in world.facts.names


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("what", NOT_SENT + UNKNOWN_NOT_ROTATED + UNKNOWN_ROTATED)
async def test_when_the_token_has_ended_the_next_attempt_decides(world, rule, what):
    follow(world, rule, grace=timedelta(seconds=60))
    held = await expired(world)
    world.provider.misbehave(what, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as failure:
        await token(world)
    asked = world.provider.refresh_count
    with pytest.raises(ProviderUnavailableError) as too_early:
        await token(world)
    assert world.provider.refresh_count == asked
    assert timedelta() < too_early.value.retry_after <= failure.value.retry_after
    if what is Misbehaviour.RATE_LIMITED:
        assert failure.value.retry_after >= timedelta(seconds=30)
    world.clock.advance(failure.value.retry_after + A_MOMENT)
    if rule == "strict" and what in UNKNOWN_ROTATED:
        with pytest.raises(ReconnectRequiredError) as lost:
            await token(world)
        assert lost.value.reason == "rotation_lost"
        assert world.row(held).facts.state is State.NEEDS_REAUTH
    else:
        renewed = await token(world)
        assert world.provider.is_alive(renewed.value)
        assert world.row(held).facts.state is State.ACTIVE
    assert world.provider.refresh_count == asked + 1


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize("what", [Misbehaviour.UNAVAILABLE, Misbehaviour.RATE_LIMITED])
async def test_the_wait_that_a_provider_asks_for_stands_in_the_row_for_callers_and_workers_of_every_process(world, what):
    follow(world, "tolerant")
    held = await expired(world)
    world.provider.misbehave(what, endpoint="refresh", retry_after=timedelta(minutes=40))
    with pytest.raises(ProviderUnavailableError) as failure:
        await token(world)
    assert failure.value.retry_after >= timedelta(minutes=40)
    marks = world.row(held).marks
    assert marks.next_attempt_at - world.clock.now() >= timedelta(minutes=39)
    assert marks.due_at - world.clock.now() >= timedelta(minutes=39)
    world.door = world.open()
    world.pass_(minutes=39)
    with pytest.raises(ProviderUnavailableError) as early:
        await token(world)
    assert timedelta() < early.value.retry_after <= timedelta(minutes=1)
    assert (await world.door.worker.refresh_due()).claimed == 0
    assert world.provider.refresh_count == 1
    world.pass_(minutes=2)
    assert (await world.door.worker.refresh_due()).renewed == 1


@pytest.mark.requirement("REF-08")
async def test_no_wait_keeps_a_replay_from_coming_inside_its_grace_period(world):
    follow(world, "grace", grace=timedelta(seconds=30))
    await expired(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="refresh", retry_after=timedelta(minutes=5))
    with pytest.raises(ProviderUnavailableError) as failure:
        await token(world)
    assert failure.value.retry_after <= timedelta(seconds=3)


@pytest.mark.requirement("REF-08", "Q37", "Q42")
@pytest.mark.parametrize("rotated", [True, False])
async def test_where_a_replay_is_punished_the_held_token_is_used_to_its_end_and_then_one_probe_goes_out(world, rotated):
    follow(world, "family")
    held = await world.connect()
    first = await token(world)
    world.provider.misbehave(Misbehaviour.ERROR_AFTER if rotated else Misbehaviour.ERROR_BEFORE, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as failure:
        await world.door.refresh(ACME, held.id)
    assert failure.value.retry_after == first.expires_at - world.clock.now()
    while world.clock.now() + timedelta(minutes=7) < first.expires_at:
        world.pass_(minutes=7)
        assert (await token(world)).value == first.value
        with pytest.raises(ProviderUnavailableError) as too_early:
            await world.door.refresh(ACME, held.id)
        assert too_early.value.retry_after == first.expires_at - world.clock.now()
    assert world.provider.refresh_count == 1
    assert world.provider.is_alive(first.value)
    world.clock.advance(first.expires_at - world.clock.now())
    if rotated:
        for _ in range(2):
            with pytest.raises(ReconnectRequiredError):
                await token(world)
        assert world.row(held).facts.reason == "rotation_lost"
    else:
        assert world.provider.is_alive((await token(world)).value)
    assert world.provider.refresh_count == 2


@pytest.mark.requirement("REF-08")
async def test_a_refused_token_is_no_reason_to_wait_for_its_end(world):
    follow(world, "strict", ends_old_access=True)
    held = await world.connect()
    first = await token(world)
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, held.id)
    assert not world.provider.is_alive(first.value)
    with pytest.raises(ProviderUnavailableError) as early:
        await world.door.replace_refused(ACME, first)
    assert early.value.retry_after <= timedelta(seconds=30)
    world.clock.advance(early.value.retry_after + A_MOMENT)
    with pytest.raises(ReconnectRequiredError) as lost:
        await world.door.replace_refused(ACME, first)
    assert lost.value.reason == "rotation_lost"
    assert world.provider.refresh_count == 2


@pytest.mark.requirement("REF-08")
async def test_an_outage_after_a_refused_token_asks_for_no_longer_wait_than_the_outage(world):
    await world.connect()
    refused = await token(world)
    world.provider.expire_access(refused.value)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="refresh", retry_after=timedelta(seconds=5))
    with pytest.raises(ProviderUnavailableError) as down:
        await world.door.replace_refused(ACME, refused)
    assert down.value.retry_after == timedelta(seconds=5)
    world.clock.advance(down.value.retry_after + A_MOMENT)
    assert world.provider.is_alive((await world.door.replace_refused(ACME, refused)).value)


@pytest.mark.requirement("REF-08", "Q36", "Q42")
async def test_inside_a_grace_period_the_replay_comes_soon_and_again(world):
    follow(world, "grace", grace=timedelta(seconds=30))
    held = await expired(world)
    began = world.clock.now()
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, times=3, endpoint="refresh")
    for _ in range(3):
        with pytest.raises(ProviderUnavailableError) as failure:
            await token(world)
        assert timedelta(seconds=1) <= failure.value.retry_after <= timedelta(seconds=3)
        world.clock.advance(failure.value.retry_after + A_MOMENT)
    renewed = await token(world)
    assert world.clock.now() - began < timedelta(seconds=30)
    assert world.provider.is_alive(renewed.value)
    assert len(set(presented(world))) == 1
    assert world.row(held).facts.state is State.ACTIVE


@pytest.mark.requirement("Q36", "Q42")
async def test_outside_its_grace_period_a_replay_is_kept_for_the_tokens_end(world):
    follow(world, "grace", grace=timedelta(seconds=30))
    held = await world.connect()
    first = await token(world)
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, held.id)
    world.pass_(minutes=10)
    with pytest.raises(ProviderUnavailableError) as failure:
        await world.door.refresh(ACME, held.id)
    assert failure.value.retry_after == first.expires_at - world.clock.now()
    assert world.provider.refresh_count == 1
    world.clock.advance(failure.value.retry_after + A_MOMENT)
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    assert world.provider.refresh_count == 2


async def test_the_waits_between_attempts_grow_up_to_five_minutes(world):
    await expired(world)
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, times=None, endpoint="refresh")
    waits = []
    for _ in range(30):
        with pytest.raises(ProviderUnavailableError) as failure:
            await token(world)
        waits.append(failure.value.retry_after)
        world.clock.advance(failure.value.retry_after + A_MOMENT)
    assert all(timedelta(seconds=0.5) <= wait <= timedelta(minutes=5) for wait in waits)
    assert max(waits[:3]) < timedelta(seconds=10) < max(waits)
    world.provider.behave()
    world.pass_(minutes=1)  # the breaker, too, lets somebody through again
    assert (await token(world)).generation == 2


async def test_somebody_who_says_now_does_not_wait(world):
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await token(world)
    assert (await world.door.refresh(ACME, held.id)).state is State.ACTIVE


# The end that no renewal moves


@pytest.mark.requirement("Q40")
async def test_a_tenant_that_must_soon_reconnect_is_named_once_a_day(world):
    method = world.entries[0].methods[0]
    ending = method.refresh_token.model_copy(update={"absolute": timedelta(days=20)})
    world.entries[0] = world.entries[0].model_copy(update={"methods": (method.model_copy(update={"refresh_token": ending}),)})
    world.door = world.open()
    held = await world.connect()
    assert held.reconnect_before == held.granted_at + timedelta(days=20)
    world.pass_(days=5)
    await world.door.refresh(ACME, held.id)
    assert "credential.reconnect_soon" not in world.facts.names
    world.pass_(days=5)
    await world.door.refresh(ACME, held.id)
    await world.door.refresh(ACME, held.id)
    [told] = [fact for fact in world.facts.told if fact.name == "credential.reconnect_soon"]
    assert (told.facts["integration"], told.facts["before"]) == (str(held.id), held.reconnect_before.isoformat())
    world.pass_(days=1, seconds=1)
    renewed = await world.door.refresh(ACME, held.id)
    assert world.facts.names.count("credential.reconnect_soon") == 2
    assert renewed.reconnect_before == held.reconnect_before
