"""A server that refuses everything, seen by many processes and by those that start anew: few credentials are made."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.replacement import SHORTEST_WAIT

from .conftest import DATABASES

WAITED = SHORTEST_WAIT.total_seconds() + 1


@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_all_processes_together_replace_once_and_then_wait(database, stage):
    stage = stage(database, "family")
    for generation in (2, 3):
        replicas = [stage.replica(callers=10, calls="replace", wait_limit=20) for _ in range(3)]
        for replica in replicas:
            replica.go()
        outcomes = [outcome for replica in replicas for outcome in replica.end()]
        assert len(outcomes) == 30
        assert {outcome.get("generation") for outcome in outcomes} == {generation}
        # A process that starts anew asks nothing.
        anew = stage.ask(calls="replace")
        assert (anew["generation"], anew["warning"]) == (generation, "refused_again")
        assert len(stage.refreshes) == generation - 1
        stage.pass_time(WAITED)
    stage.check_invariants()


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", ["after_sent", "before_commit", "before_release"])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_killed_process_leaves_no_wait_that_does_not_end(database, failpoint, stage):
    stage = stage(database, "none")
    assert stage.ask(calls="replace")["generation"] == 2
    stage.pass_time(WAITED)
    victim = stage.replica(failpoint, "kill", calls="replace").go()
    victim.until("at")
    victim.end()
    stage.look()
    assert stage.row.credential.generation == (3 if failpoint == "before_release" else 2)
    stage.pass_time(31)
    after = stage.ask(calls="replace")
    assert after["generation"] == (4 if failpoint == "before_release" else 3)
    assert stage.ask(calls="replace")["warning"] == "refused_again"
