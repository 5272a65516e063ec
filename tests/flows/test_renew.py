"""A token is renewed: what each answer leads to, by what the provider does with a spent refresh token."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.integration import Phase, State
from cloud_integrations.domain.provider import Variable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    DecryptError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import EraseIntegration, TakeLease
from cloud_integrations.testing import Misbehaviour

ACME = "acme"
A_MOMENT = timedelta(milliseconds=1)
"""Elapsed seconds are floats: a wait that is over to the microsecond may not be over yet."""
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


def follow(world, rule, **changes):
    """Let the provider treat spent refresh tokens by *rule*, and the catalogue say so."""
    world.provider.rotation = "never" if rule == "none" else "always"
    world.provider.reuse = "tolerant" if rule == "none" else rule
    for name, value in changes.items():
        setattr(world.provider, name, value)
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()


async def token(world, **named):
    return await world.door.credential(ACME, "simulated", **named)


async def nearly_expired(world):
    """Connect, and let the time pass until the token has 20 s to live."""
    held = await world.connect()
    first = await token(world)
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    return held, first


async def expired(world, **named):
    held = await world.connect(**named)
    world.clock.advance(world.provider.access_lifetime)
    return held


def of_refresh(world):
    return [event for event in world.events() if event.action == "credential.refresh"]


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


@pytest.mark.requirement("REF-09")
async def test_a_new_refresh_token_replaces_the_old_one(world):
    for _ in range(3):
        await (expired(world) if not world.sent else token(world))
        world.clock.advance(world.provider.access_lifetime)
    await token(world)
    assert world.provider.refresh_count == 3
    assert len(set(presented(world))) == 3
    assert not any(request.reused for request in world.provider.requests)


@pytest.mark.requirement("REF-09")
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


@pytest.mark.requirement("REF-08")
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


# The grant is dead


async def test_a_revoked_grant_needs_its_tenant_once_and_for_all(world):
    held = await expired(world)
    world.provider.revoke_grant()
    for _ in range(3):
        with pytest.raises(ReconnectRequiredError) as refused:
            await token(world)
        assert refused.value.reason == "revoked"
    assert world.provider.refresh_count == 1
    assert world.row(held).facts.state is State.NEEDS_REAUTH
    assert world.facts.names.count("credential.reconnect_required") == 1
    assert [event.outcome.value for event in of_refresh(world)] == ["started", "failure"]


async def test_an_error_in_a_good_status_is_read_as_the_error(world):
    await expired(world)
    world.provider.misbehave(Misbehaviour.ERROR_IN_200, endpoint="refresh")
    with pytest.raises(ReconnectRequiredError):
        await token(world)


def lease_taken_by_somebody_else(world, held):
    """Let the lease end, and another process take the next one."""
    world.pass_(seconds=31)
    row = world.row(held)
    world.rows.apply(
        TakeLease(
            tenant_id=held.tenant_id,
            integration_id=held.id,
            expected_generation=row.credential.generation,
            attempt_id="other",
            owner="other",
            length=timedelta(seconds=30),
            takeover_delay=timedelta(),
        )
    )


@pytest.mark.parametrize("what", [Misbehaviour.INVALID_GRANT, Misbehaviour.ERROR_BEFORE, Misbehaviour.RATE_LIMITED])
async def test_a_loser_never_writes_over_a_newer_lease(world, what):
    held = await expired(world)
    world.on_answer = lambda *_: lease_taken_by_somebody_else(world, held)
    world.provider.misbehave(what, endpoint="refresh")
    # It waits for the other, as everybody does.
    with pytest.raises(RefreshInProgressError) as busy:
        await token(world)
    assert busy.value.retry_after > timedelta()
    row = world.row(held)
    assert (row.facts.state, row.marks.attempt_id, row.marks.attempts) == (State.ACTIVE, "other", 0)
    assert of_refresh(world)[-1].outcome.value in {"failure", "unknown"}
    assert "credential.reconnect_required" not in world.facts.names


async def test_a_success_is_good_although_the_lease_was_lost(world):
    held = await expired(world)
    world.on_answer = lambda *_: lease_taken_by_somebody_else(world, held)
    renewed = await token(world)
    assert renewed.generation == 2
    assert world.provider.is_alive(renewed.value)
    row = world.row(held)
    assert row.credential.generation == 2
    assert row.marks.lease_owner == "other"


async def test_a_loser_returns_what_the_row_holds_when_it_has_no_time_to_send(world):
    held = await expired(world)

    def hold_up(name, args):
        if name == "apply" and any(type(change).__name__ == "MarkSent" for change in args):
            world.store.before = None
            world.pass_(seconds=11)

    world.store.before = hold_up
    # 19 s are left of the lease, and 20 are needed: nothing is sent, and the next lease is a new one.
    world.provider.misbehave(Misbehaviour.SLOW, endpoint="refresh", delay=timedelta(seconds=1))
    renewed = await world.open(settings=world.settings(wait_limit=timedelta(minutes=1))).credential(ACME, "simulated")
    assert renewed.generation == 2
    assert world.row(held).marks.writer_lease == 2
    assert [event.reason for event in of_refresh(world)] == [None, "not_sent", None, None]
    assert world.provider.refresh_count == 1


async def test_an_integration_that_went_away_is_not_found(world):
    held = await expired(world)

    def erase(*_):
        world.rows.apply(EraseIntegration(tenant_id=ACME, integration_id=held.id, expected_generation=1))

    world.on_answer = erase
    world.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    with pytest.raises(IntegrationNotFoundError):
        await token(world)


@pytest.mark.parametrize("moment", ["find_integration", "apply"])
async def test_an_integration_that_went_away_before_the_request_is_not_found(world, moment):
    held = await expired(world)

    def erase(name, args):
        if name == moment and (name != "apply" or any(isinstance(change, TakeLease) for change in args)):
            world.store.before = world.store.after = None
            world.rows.apply(EraseIntegration(tenant_id=ACME, integration_id=held.id, expected_generation=1))

    if moment == "apply":
        world.store.after = erase
    else:
        world.store.before = erase
    with pytest.raises(IntegrationNotFoundError):
        await token(world)
    assert world.provider.refresh_count == 0


# The operator's fault, and the host's


@pytest.mark.requirement("REF-12")
async def test_a_refused_application_marks_nobody_and_is_left_alone_for_a_while(world):
    tenants = [f"tenant-{number}" for number in range(20)]
    rows = [await world.connect(tenant) for tenant in tenants]
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    world.provider.misbehave(Misbehaviour.INVALID_CLIENT, times=None, endpoint="refresh")
    for tenant in tenants:
        assert (await world.door.credential(tenant, "simulated")).warning == "refresh_failed"
    # The second tenant's refusal says that it is not the first one's trouble.
    assert world.provider.refresh_count == 2
    world.pass_(seconds=14)
    for tenant in tenants:
        assert (await world.door.credential(tenant, "simulated")).warning == "refresh_failed"
    assert world.provider.refresh_count == 2
    world.pass_(seconds=46)
    for tenant in tenants:
        with pytest.raises(AppMisconfiguredError) as refused:
            await world.door.credential(tenant, "simulated")
        assert refused.value.reason == "invalid_client"
    assert world.provider.refresh_count == 3
    assert {world.row(row).facts.state for row in rows} == {State.ACTIVE}
    world.provider.behave()
    world.pass_(seconds=46)
    for tenant in tenants:
        assert (await world.door.credential(tenant, "simulated")).generation == 2


@pytest.mark.requirement("OAU-049")
@pytest.mark.parametrize("changed", ["client_id", "token_url", "removed"])
async def test_a_refresh_token_goes_nowhere_but_where_it_came_from(world, changed):
    held = await expired(world)
    before = world.row(held)
    sent = len(world.sent)
    if changed == "client_id":
        application = OAuthApplication(provider="simulated", client_id="fake-other-id", client_secret=Secret("fake-other-secret"))
        other = world.open(applications=[application])
    elif changed == "token_url":
        entry = world.entries[0]
        method = entry.methods[0].model_copy(update={"token_url": "https://elsewhere.example/token"})
        other = world.open(providers=[entry.model_copy(update={"methods": (method,)})])
    else:
        other = world.open(applications=[])
    for call in (other.credential(ACME, "simulated"), other.refresh(ACME, held.id)):
        with pytest.raises(AppMisconfiguredError) as refused:
            await call
        assert refused.value.reason == ("no_usable_application" if changed == "removed" else "application_changed")
    assert len(world.sent) == sent
    after = world.row(held)
    # Only why nothing is sent was written.
    since = before.facts.state_since
    assert (replace(after.facts, reason=None, state_since=since), after.credential) == (before.facts, before.credential)
    assert (after.facts.reason, after.facts.state_since) == (refused.value.reason, world.clock.now())
    assert (after.marks.attempts, after.marks.next_attempt_at, after.marks.lease_until) == (0, None, None)
    # Set right again, it works.
    assert (await token(world)).generation == 2


# Another token in the place of a refused one


@pytest.mark.requirement("OAU-053")
async def test_a_refused_token_is_replaced_by_one_refresh_for_everybody(world):
    await world.connect()
    first = await token(world)
    world.provider.expire_access(first.value)
    replaced = await world.door.together(10, "replace_refused", ACME, first)
    assert {new.generation for new in replaced} == {2}
    assert world.provider.refresh_count == 1
    # Whoever comes late with the old one gets what is there.
    assert (await world.door.replace_refused(ACME, first)).value == replaced[0].value
    assert (await token(world)).value == replaced[0].value
    assert world.provider.refresh_count == 1


@pytest.mark.requirement("OAU-053")
async def test_who_knows_a_newer_token_is_not_given_it_again(world):
    """The one who had seen less leads; the other, who refuses what that finds, waits with it and then goes on."""
    await world.connect()
    first = await token(world)
    other = world.open()
    second = await other.replace_refused(ACME, first)
    world.provider.expire_access(second.value)
    third = await world.door.all_at_once(
        *(lambda held=held: world.door.manager.replace_refused(ACME, held) for held in (first, second, first, second))
    )
    assert {new.generation for new in third[1::2]} == {3}
    assert world.provider.refresh_count == 2


async def test_shared_work_that_brings_nothing_newer_is_done_again(world):
    held = await world.connect()
    single_flight, runs = world.door.manager._wiring.single_flight, []
    run = type(single_flight).run

    async def begun_by_somebody_who_had_seen_less(key, work):
        runs.append(key)
        return world.row(held) if len(runs) == 1 else await run(single_flight, key, work)

    single_flight.run = begun_by_somebody_who_had_seen_less
    await world.door.refresh(ACME, held.id)
    assert len(runs) == 2
    assert world.row(held).credential.generation == 2


async def test_a_refused_token_of_a_closed_integration_is_not_replaced(world):
    held = await world.connect()
    first = await token(world)
    await world.door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await world.door.replace_refused(ACME, first)
    with pytest.raises(IntegrationInactiveError):
        await world.door.refresh(ACME, held.id)
    with pytest.raises(IntegrationInactiveError):
        await token(world)
    await world.door.edit_integration(ACME, held.id, status="active")
    world.provider.revoke_grant()
    for _ in range(2):
        with pytest.raises(ReconnectRequiredError):
            await world.door.replace_refused(ACME, first)
    assert world.provider.refresh_count == 1


async def test_without_a_refresh_token_nothing_is_renewed(world):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held, first = await nearly_expired(world)
    assert (await token(world)).warning == "less_life_than_asked"
    with pytest.raises(ReconnectRequiredError) as refused:
        await world.door.replace_refused(ACME, first)
    assert refused.value.reason == "refused"
    with pytest.raises(ValidationFailedError):
        await world.door.refresh(ACME, held.id)
    world.pass_(seconds=20)
    with pytest.raises(ReconnectRequiredError) as ended:
        await token(world)
    assert ended.value.reason == "expired"


async def test_a_key_is_handed_out_as_it_is_and_never_renewed(world):
    held = await world.add_key()
    key = await world.door.credential(ACME, "simulated_keys")
    assert key.value == world.provider.valid_api_key
    assert key.expires_at is None
    with pytest.raises(ValidationFailedError):
        await world.door.refresh(ACME, held.id)
    with pytest.raises(ReconnectRequiredError):
        await world.door.replace_refused(ACME, key)


# How a token is handed out


async def test_an_unknown_integration_or_provider_is_not_found(world):
    with pytest.raises(IntegrationNotFoundError):
        await token(world)
    with pytest.raises(ProviderNotFoundError):
        await world.door.credential(ACME, "nobody")


async def test_more_life_than_the_token_has_is_got_by_a_renewal(world):
    await world.connect()
    world.pass_(minutes=30)
    first = await token(world)
    longer = await token(world, min_ttl=timedelta(minutes=35))
    assert longer.generation == first.generation + 1
    assert longer.warning is None
    # More than the provider gives: what is there is handed out, and said to be short.
    impossible = await token(world, min_ttl=timedelta(days=1))
    assert impossible.warning == "less_life_than_asked"
    assert world.provider.refresh_count == 1


async def test_scopes_that_were_not_granted_are_named(world):
    await world.connect()
    assert (await token(world, scopes=("read", "admin"))).missing_scopes == ("admin",)


async def test_uses_are_recorded_once_in_a_window_or_not_at_all(world):
    await world.connect()
    for _ in range(3):
        await token(world, scopes=("read",))
    assert [action for action, _ in world.actions()].count("credential.used") == 1
    quiet = world.open(settings=world.settings(use_window=None))
    await quiet.credential(ACME, "simulated")
    assert [action for action, _ in world.actions()].count("credential.used") == 1


async def test_a_use_that_cannot_be_recorded_is_refused(world):
    await world.connect()
    world.store.fail(1, "apply")
    with pytest.raises(StorageUnavailableError):
        await token(world)


async def test_a_token_is_sent_as_the_catalogue_says_and_plainly_where_it_says_nothing(world):
    await world.connect()
    first = await token(world)
    assert first.headers() == {"Authorization": f"Bearer {first.value.reveal()}"}
    entry = world.entries[0]
    without_method = entry.model_copy(update={"methods": (entry.methods[0].model_copy(update={"id": "another"}),)})
    for providers in ([without_method], [world.entries[1]]):
        other = world.open(providers=providers, applications=[])
        assert (await other.replace_refused(ACME, replaced_already(first))).headers() == first.headers()


def replaced_already(token):
    """A token of an older generation, so that the row's own is handed out."""
    return replace(token, generation=0)


async def test_memory_answers_each_actor_for_a_while(world):
    await world.connect()
    alice = Actor(id="alice")
    first = await token(world, actor=alice)
    asked = world.store.count("find_credential")
    assert await token(world, actor=alice) is first
    assert world.store.count("find_credential") == asked
    await token(world, actor=Actor(id="bob"))
    assert world.store.count("find_credential") == asked + 1


async def test_a_row_without_its_credential_does_not_open(world):
    held = await world.connect()
    row = world.row(held)
    world.rows._tables.integrations[ACME, held.id] = replace(row, credential=replace(row.credential, presented=b""))
    with pytest.raises(DecryptError):
        await token(world)


async def test_a_tenants_variable_is_put_where_its_name_stands(world):
    held = await world.connect()
    row = world.row(held)
    world.rows._tables.integrations[ACME, held.id] = replace(row, facts=replace(row.facts, variables={"site": "acme-eu"}))
    entry = world.entries[0]
    method = entry.methods[0]
    placement = method.access_token.placement.model_copy(update={"template": "{site}:{value}"})
    access_token = method.access_token.model_copy(update={"placement": placement})
    methods = (method.model_copy(update={"access_token": access_token}),)
    site = Variable(name="site", pattern="[a-z-]+")
    other = world.open(providers=[entry.model_copy(update={"methods": methods, "variables": (site,)})])
    sent = await other.credential(ACME, "simulated")
    assert sent.headers() == {"Authorization": f"Bearer acme-eu:{sent.value.reveal()}"}


# The end that no renewal moves


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
