"""Incidents: what a leak concerns is found, ended once, and reported, whoever interferes or is killed."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import OPERATOR, Actor
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import (
    IncidentNotFoundError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
    http_status,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX, MALLORY, World
from .test_no_orphans import repeat_tokens

WHY = "its host was broken into"
BILLING = Actor(type="service", id="billing")
REVOKED, FAILED = RevocationOutcome.REVOKED, RevocationOutcome.FAILED


@pytest.fixture
def blocking():
    """A world whose hooks may use a manager: the flows are the same for both."""
    return World("blocking")


@pytest.fixture
async def leaked(world):
    """An integration that the leaked caller has used, and one that somebody else has."""
    leaked = await world.connect()
    spared = await world.connect(GLOBEX, name="Files of Globex")
    await world.door.credential(ACME, "simulated", actor=BILLING)
    await world.door.credential(GLOBEX, "simulated", actor=ALICE)
    return leaked, spared


async def opened(world, **named):
    return await world.door.incidents.open(reason=WHY, actor=ALICE, **(named or {"used_by": BILLING}))


async def revoke(world, incident, **named):
    return await (named.pop("door", None) or world.door).incidents.revoke(incident.id, actor=ALICE, **named)


class TestScope:
    async def test_it_counts_the_uses_that_fit(self, world, leaked):
        world.pass_(minutes=2)
        await world.door.credential(ACME, "simulated", actor=BILLING)
        scope = await world.door.incidents.scope(used_by=BILLING)
        (use,) = scope.uses
        assert (use.tenant_id, use.integration_id, use.records) == (ACME, leaked[0].id, 2)
        assert use.last_at - use.first_at == timedelta(minutes=2)
        assert (scope.tenants, scope.records) == (1, 2)

    @pytest.mark.parametrize(
        ("named", "found"),
        [
            ({"everything": True}, 2),
            ({"tenant_id": GLOBEX}, 1),
            ({"provider": "simulated"}, 2),
            ({"provider": "simulated_keys"}, 0),
            ({"used_by": MALLORY}, 0),
            ({"tenant_id": ACME, "integration": "simulated"}, 1),
        ],
    )
    async def test_it_is_what_fits_all_that_is_named(self, world, leaked, named, found):
        assert len((await world.door.incidents.scope(**named)).uses) == found

    async def test_it_may_be_a_time(self, world, leaked):
        now = world.clock.now()
        assert (await world.door.incidents.scope(everything=True, since=now + timedelta(seconds=1))).uses == ()
        assert len((await world.door.incidents.scope(everything=True, since=now, until=now + timedelta(seconds=1))).uses) == 2
        with pytest.raises(ValidationFailedError) as caught:
            await world.door.incidents.scope(everything=True, since=now, until=now)
        assert caught.value.field == "until"


class TestRevoke:
    async def test_what_is_in_scope_is_dead_and_the_rest_lives(self, world, leaked):
        ours, spared = leaked
        incident = await opened(world)
        run = await revoke(world, incident)
        assert (run.asked, run.revoked, run.not_ended, run.left) == (1, 1, 0, 0)
        assert world.row(ours).facts.state is State.NEEDS_REAUTH
        with pytest.raises(ReconnectRequiredError) as caught:
            await world.door.credential(ACME, "simulated")
        assert caught.value.reason == "revoked_by_operator"
        assert await world.door.credential(GLOBEX, "simulated")
        world.pass_(hours=1)
        assert await world.door.credential(GLOBEX, "simulated")
        assert world.row(spared).facts.state is State.ACTIVE
        (item,) = (await world.door.incidents.report(incident.id)).items
        assert (item.state, item.works_on) == ("settled", False)
        assert item.receipt.refresh_token is REVOKED

    async def test_a_call_looks_at_no_more_than_it_may_and_the_next_goes_on(self, world, leaked):
        await world.door.credential(GLOBEX, "simulated", actor=BILLING)
        incident = await opened(world)
        runs = [await revoke(world, incident, at_most=1) for _ in range(3)]
        assert [(run.asked, run.revoked, run.left) for run in runs] == [(1, 1, 1), (1, 1, 0), (0, 0, 0)]

    async def test_the_tenant_connects_again_and_the_same_integration_works(self, world, leaked):
        ours, _ = leaked
        incident = await opened(world)
        await revoke(world, incident)
        assert (await world.reconnect(ours)).integration.id == ours.id
        assert await world.door.credential(ACME, "simulated")
        assert (await revoke(world, incident)).asked == 0
        assert await world.door.credential(ACME, "simulated")

    async def test_a_grant_that_came_after_the_incident_was_opened_is_left_alone(self, world, leaked):
        ours, _ = leaked
        incident = await opened(world)
        await world.reconnect(ours)
        run = await revoke(world, incident)
        assert (run.reconnected, run.revoked) == (1, 0)
        assert await world.door.credential(ACME, "simulated")
        assert (await world.door.incidents.report(incident.id)).states == {"reconnected": 1}

    async def test_a_reconnect_in_the_last_moment_is_left_alone(self, blocking):
        world = blocking
        ours = await world.connect()
        await world.door.credential(ACME, "simulated", actor=BILLING)
        incident = await opened(world)
        looks = []

        def reconnects(name, _):
            if name == "list_audit_newest":
                looks.append(name)
                if len(looks) == 2:  # nothing was found, and the row is read again to be closed
                    manager = world.door.acting_as(ALICE)
                    begun = manager.begin_reconnect(ACME, ours.id)
                    manager.complete_oauth(begun.context_id, world.approve(begun), browser_token=begun.browser_token)

        world.store.after = reconnects
        run = await revoke(world, incident)
        assert (run.reconnected, run.revoked) == (1, 0)
        assert await world.door.credential(ACME, "simulated")

    async def test_a_renewed_token_of_the_same_grant_is_ended(self, world, leaked):
        incident = await opened(world)
        world.pass_(hours=1)
        await world.door.credential(ACME, "simulated")
        assert (await revoke(world, incident)).revoked == 1

    async def test_what_is_removed_meanwhile_is_gone(self, world, leaked):
        incident = await opened(world)
        await world.door.delete(ACME, leaked[0].id, actor=ALICE)
        assert (await revoke(world, incident)).gone == 1

    async def test_a_dry_run_changes_nothing(self, world, leaked):
        incident = await opened(world)
        before = world.events()
        run = await revoke(world, incident, dry_run=True)
        assert (run.asked, run.left, run.revoked) == (1, 1, 0)
        assert await world.door.credential(ACME, "simulated")
        assert [event.action for event in world.events()[len(before) :]] == ["credential.used"]

    async def test_two_operators_at_once_end_it_once(self, world, leaked):
        incident = await opened(world)
        runs = await world.door.together(3, "incidents.revoke", incident.id, actor=ALICE)
        assert [run for run in runs if isinstance(run, BaseException)] == []
        assert [event.action for event in world.events()].count("integration.revoked") == 1
        assert (await world.door.incidents.report(incident.id)).states == {"settled": 1}

    async def test_a_provider_that_is_down_is_told_and_the_worker_goes_on(self, world, leaked):
        incident = await opened(world)
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
        assert (await revoke(world, incident)).not_ended == 1
        report = await world.door.incidents.report(incident.id)
        assert (report.waiting, len(report.still_works)) == (2, 1)
        world.provider.behave()
        world.pass_(hours=1)
        assert (await world.door.worker.retry_revocations()).revoked == 2
        assert (await world.door.incidents.report(incident.id)).waiting == 0

    @pytest.mark.parametrize("nth", range(2, 6))
    async def test_a_process_that_is_killed_at_any_step_is_followed_by_one_that_goes_on(self, world, leaked, nth):
        incident = await opened(world)
        world.store.fail(nth, afterwards=True)
        await revoke(world, incident)
        world.store.heal()
        assert (await revoke(world, incident)).left == 0
        (item,) = (await world.door.incidents.report(incident.id)).items
        assert (item.state, item.receipt.refresh_token, item.works_on) == ("settled", REVOKED, False)

    async def test_a_store_that_is_down_leaves_it_for_the_next_call(self, world, leaked):
        incident = await opened(world)
        world.store.fail(2)
        run = await revoke(world, incident)
        assert (run.failed, run.left) == (1, 1)
        world.store.heal()
        assert (await revoke(world, incident)).revoked == 1

    async def test_one_that_is_switched_off_is_ended_and_stays_off(self, world, leaked):
        ours, _ = leaked
        await world.door.edit_integration(ACME, ours.id, status="inactive", actor=ALICE)
        incident = await opened(world)
        assert (await revoke(world, incident)).revoked == 1
        assert world.row(ours).facts.state is State.DISABLED
        with pytest.raises(ReconnectRequiredError) as caught:
            await world.door.edit_integration(ACME, ours.id, status="active", actor=ALICE)
        assert caught.value.reason == "revoked_by_operator"

    async def test_a_token_that_another_tenant_holds_is_left_alone_and_the_receipt_says_so(self, world):
        repeat_tokens(world.provider)
        await world.connect()
        await world.connect(GLOBEX, name="Files of Globex")
        await world.door.credential(ACME, "simulated", actor=BILLING)
        incident = await opened(world)
        assert (await revoke(world, incident)).not_ended == 1
        (item,) = (await world.door.incidents.report(incident.id)).still_works
        assert item.receipt.refresh_token is RevocationOutcome.SHARED
        assert await world.door.credential(GLOBEX, "simulated")

    async def test_a_pasted_key_stays_at_a_provider_that_cannot_end_it_and_the_report_says_so(self, world):
        held = await world.add_key()
        await world.door.credential(ACME, "simulated_keys", actor=BILLING)
        incident = await opened(world)
        assert (await revoke(world, incident)).not_ended == 1
        report = await world.door.incidents.report(incident.id)
        (item,) = report.still_works
        assert item.receipt.api_key is RevocationOutcome.UNSUPPORTED
        with pytest.raises(ReconnectRequiredError):
            await world.door.credential(ACME, "simulated_keys")
        with pytest.raises(ReconnectRequiredError):
            await world.door.verify(ACME, held.id, actor=ALICE)
        key = world.provider.valid_api_key
        assert (await world.door.replace_api_key(ACME, held.id, api_key=key, actor=ALICE)).health.value == "ok"

    async def test_two_incidents_about_one_integration_end_it_once(self, world, leaked):
        first, second = await opened(world), await opened(world, tenant_id=ACME)
        assert (await revoke(world, first)).revoked == 1
        assert (await revoke(world, second)).gone == 1

    async def test_it_is_paced_by_provider(self, world, leaked):
        incident = await opened(world, everything=True)
        before = world.clock.monotonic()
        await revoke(world, incident, per_second=1)
        assert world.clock.monotonic() - before >= 1

    async def test_the_log_says_who_did_what(self, world, leaked):
        incident = await opened(world)
        await revoke(world, incident)
        assert [event.action for event in world.events(OPERATOR)] == ["incident.opened", "incident.revocation"]
        assert {event.actor for event in world.events(OPERATOR)} == {ALICE}
        (event,) = [event for event in world.events() if event.action == "integration.revoked"]
        assert (event.actor, event.details["incident"]) == (ALICE, str(incident.id))
        assert "credential.reconnect_required" in world.facts.names


class TestTheRest:
    async def test_the_tenants_concerned_get_new_keys_once(self, world, leaked):
        world.pass_(seconds=1)
        incident = await opened(world)
        world.pass_(seconds=1)
        seen = []
        assert (await world.door.incidents.rotate(incident.id, actor=ALICE, progress=seen.append)).changed == 1
        assert seen == [1]
        assert (await world.door.incidents.rotate(incident.id, actor=ALICE)).changed == 0
        assert await world.door.credential(GLOBEX, "simulated")

    async def test_incidents_are_listed_and_found(self, world, leaked):
        incident = await opened(world)
        assert await world.door.incidents.list() == (incident,)
        assert await world.door.incidents.get(str(incident.id)) == incident
        with pytest.raises(IncidentNotFoundError) as caught:
            await world.door.incidents.get(uuid4())
        assert http_status(caught.value) == 404

    async def test_an_incident_that_cannot_be_stored_is_not_there(self, world, leaked):
        world.store.fail(1)
        with pytest.raises(StorageUnavailableError):
            await opened(world)
        world.store.heal()
        assert await world.door.incidents.list() == ()
