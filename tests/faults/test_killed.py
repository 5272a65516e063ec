"""kill -9 at every point of a refresh: recovered, or said to be lost, and nobody hangs."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.integration import State

from .conftest import DATABASES, MODES
from .processes import until

pytestmark = pytest.mark.slow  # each starts processes

BEFORE_THE_REQUEST = ("after_lease", "after_sent", "before_post")
ANSWER_IS_LOST = ("after_request_written", "after_response", "before_commit")
STORED = ("after_commit_before_ack", "before_release")


def killed(stage, failpoint):
    """Let a replica die at *failpoint*, and wait until the provider has read what it wrote."""
    victim = stage.replica(failpoint, "kill").go()
    victim.until("at")
    victim.end()
    assert victim.outcomes == []
    stage.look()
    return victim


@pytest.mark.requirement("REF-01", "REF-17", "TST-03", "B15")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("failpoint", [*BEFORE_THE_REQUEST, *ANSWER_IS_LOST, *STORED])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_what_a_killed_process_leaves_is_taken_up_by_the_next(database, failpoint, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    killed(stage, failpoint)
    asked = 0 if failpoint in BEFORE_THE_REQUEST else 1
    until_asked(stage, asked)
    if failpoint in STORED:
        second, third = stage.ask(), stage.ask()
        assert (second["generation"], third["generation"]) == (2, 2)
        assert second["token"] == third["token"]
        assert len(stage.refreshes) == 1
        stage.check_invariants(died=0)
        return
    # The lease is running: whoever comes now is told to come again, and does not ask the provider.
    assert stage.ask()["error"] == "RefreshInProgressError"
    assert len(stage.refreshes) == asked
    stage.pass_time(18 if mode == "grace" else 31)
    second, third = stage.ask(), stage.ask()
    assert len(stage.refreshes) == asked + 1
    if failpoint in ANSWER_IS_LOST and mode in {"strict", "family"}:
        for outcome in (second, third):
            assert (outcome["error"], outcome["reason"]) == ("ReconnectRequiredError", "rotation_lost")
        assert stage.row.facts.state is State.NEEDS_REAUTH
    else:
        assert (second["generation"], third["generation"]) == (2, 2)
        assert second["token"] == third["token"]
    stage.check_invariants(died=1)


def until_asked(stage, count):
    """A killed client's bytes are still read: wait until the provider has, so that the next request comes after."""
    until(lambda: len(stage.refreshes) >= count, "the request at the provider")
    assert len(stage.refreshes) == count
