"""Many callers in many processes, wrong clocks and slow providers: one request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.testing import Misbehaviour

from .conftest import DATABASES, LEASE
from .processes import PATIENCE

ALL_CALLERS = 200


@pytest.mark.requirement("REF-03")
@pytest.mark.parametrize("mode", ["strict", "family"])
@pytest.mark.parametrize("replicas", [2, 5])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_two_hundred_callers_make_one_request(database, replicas, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    stage.provider.misbehave(Misbehaviour.SLOW, times=None, endpoint="refresh", delay=timedelta(milliseconds=50))
    running = [stage.replica(callers=ALL_CALLERS // replicas, wait_limit=20) for _ in range(replicas)]
    for replica in running:
        replica.go()
    outcomes = [outcome for replica in running for outcome in replica.end()]
    assert len(outcomes) == ALL_CALLERS
    assert {outcome.get("generation") for outcome in outcomes} == {2}
    assert len({outcome["token"] for outcome in outcomes}) == 1
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-04")
@pytest.mark.parametrize("first", [-600, 0, 600])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_wrong_clocks_do_not_make_a_second_request(database, first, stage):
    stage = stage(database, "family")
    # Ended by every replica's clock.
    stage.pass_time(stage.provider.access_lifetime.total_seconds() + 700)
    leader = stage.replica("after_sent", "hold", skew=first).go()
    leader.until("at")
    others = [stage.replica(skew=skew, callers=5).go() for skew in (-600, 0, 600)]
    for other in others:
        assert {outcome.get("error") for outcome in other.end()} == {"RefreshInProgressError"}
    assert leader.go().end_one()["generation"] == 2
    for skew in (-600, 0, 600):
        assert stage.ask(skew=skew)["generation"] == 2
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-04")
@pytest.mark.parametrize("jump", [-600, 600])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_clock_that_is_set_during_a_lease_changes_nothing(database, jump, stage):
    stage = stage(database, "family")
    stage.pass_time(stage.provider.access_lifetime.total_seconds() + 700)
    leader = stage.replica("after_lease", "hold", jump=jump).go()
    leader.until("at")
    assert stage.ask()["error"] == "RefreshInProgressError"
    assert leader.go().end_one()["generation"] == 2
    assert stage.ask()["generation"] == 2
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-07")
@pytest.mark.parametrize("delay", [5, LEASE + 1, 3600], ids=["slower-than-D", "slower-than-L", "slower-than-L-and-Q"])
@pytest.mark.parametrize("mode", ["tolerant", "grace", "strict"])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_slow_provider_is_given_up_on_and_asked_again_by_its_rule(database, mode, delay, stage):
    stage = stage(database, mode)
    stage.expire()
    stage.pass_time(PATIENCE)
    stage.provider.misbehave(Misbehaviour.SLOW, endpoint="refresh", delay=timedelta(seconds=delay))
    assert stage.ask(deadline=1)["error"] == "ProviderUnavailableError"
    row = stage.row
    assert (row.facts.state, row.facts.reason) == (State.UNKNOWN, "answer_lost")
    # Nobody else asks meanwhile; a slow machine must not let that time pass, so it is further ahead.
    stage.move_the_row(-PATIENCE)
    assert stage.ask()["error"] == "ProviderUnavailableError"
    assert len(stage.refreshes) == 1
    stage.move_the_row(PATIENCE)
    stage.pass_time(10 if mode == "grace" else LEASE + 1)
    outcome = stage.ask()
    assert len(stage.refreshes) == 2
    if mode == "strict":
        assert (outcome["error"], outcome["reason"]) == ("ReconnectRequiredError", "rotation_lost")
    else:
        assert outcome["generation"] == 2
    stage.check_invariants(given_up=1)
