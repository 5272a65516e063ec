"""A renewal that brings nothing: the grant is dead, another has the lease, or the application is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import AppMisconfiguredError, IntegrationNotFoundError, ReconnectRequiredError, RefreshInProgressError
from cloud_integrations.ports.store import EraseIntegration, TakeLease
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME
from .renewals import expired, of_refresh, token

# The grant is dead


@pytest.mark.requirement("Q41")
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


@pytest.mark.requirement("Q30")
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
