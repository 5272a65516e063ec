"""A process stands still for longer than its lease, at every point of a refresh, and then goes on as if nothing had happened."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud_integrations.domain.integration import State

from .conftest import DATABASES, MODES, SERVERS
from .processes import until

pytestmark = pytest.mark.slow  # each starts processes

ANSWER_IN_HAND = ("after_request_written", "after_response")
STORED = ("after_commit_before_ack", "before_release")


def held_up(stage, failpoint, **named):
    """Let a replica stand still at *failpoint* until its lease is over."""
    passed = 18 if stage.mode == "grace" else 31
    victim = stage.replica(failpoint, "stop", passed=passed, **named).go()
    victim.until("at")
    victim.stopped()
    if failpoint in ANSWER_IN_HAND:
        until(lambda: stage.refreshes, "the request at the provider")
    stage.look()
    stage.pass_time(passed)
    return victim


@pytest.mark.requirement("REF-02", "B16")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("failpoint", ["after_lease", "after_sent"])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_who_was_held_up_before_the_request_does_not_send_it(database, failpoint, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    victim = held_up(stage, failpoint)
    second = stage.ask()
    late = victim.resume().end_one()
    assert (second["generation"], late["generation"], stage.ask()["generation"]) == (2, 2, 2)
    assert second["token"] == late["token"]
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_who_was_held_up_while_sending_takes_what_the_successor_stored_and_marks_nobody(database, mode, stage):
    """The window that stays open: a provider knows no fencing numbers (see refresh.md)."""
    stage = stage(database, mode)
    stage.expire()
    victim = held_up(stage, "before_post")
    second = stage.ask()
    late = victim.resume().end_one()
    assert (second["generation"], late["generation"]) == (2, 2)
    assert second["token"] == late["token"]
    assert len(stage.refreshes) == 2
    assert stage.row.facts.state is State.ACTIVE
    assert stage.provider.is_alive(stage.stored_secret("refresh")) == (mode != "family")
    stage.check_invariants(late=1)
    if mode == "family":
        # The replay has ended the grant; it comes to light at the next refresh, not later.
        assert stage.ask(calls="refresh")["error"] == "ReconnectRequiredError"
        assert stage.row.facts.state is State.NEEDS_REAUTH


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("mode", ["none", "tolerant", "grace", "strict"])
@pytest.mark.parametrize("failpoint", ANSWER_IN_HAND)
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_tokens_that_come_late_are_kept_unless_newer_ones_are_stored(database, failpoint, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    victim = held_up(stage, failpoint)
    second = stage.ask()
    late = victim.resume().end_one()
    assert late["generation"] == 2
    if mode == "strict":
        # The successor could not know that somebody holds the new tokens; who does takes the row back.
        assert second["reason"] == "rotation_lost"
    else:
        assert second["token"] == late["token"]
    assert stage.ask()["token"] == late["token"]
    assert len(stage.refreshes) == 2
    stage.check_invariants()


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("mode", ["strict", "family"])
@pytest.mark.parametrize("failpoint", ["before_post", *ANSWER_IN_HAND])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_while_the_access_token_lives_nobody_takes_over_where_a_replay_is_punished(database, failpoint, mode, stage):
    stage = stage(database, mode)
    stage.pass_time(stage.provider.access_lifetime.total_seconds() - 40)
    # Longer than its lease, but less than the rest of the access token's life.
    victim = stage.replica(failpoint, "stop", passed=31, calls="refresh").go()
    victim.until("at")
    victim.stopped()
    stage.pass_time(31)
    second = stage.ask(min_ttl=30)
    assert (second["generation"], second["warning"]) == (1, "refresh_failed")
    late = victim.resume().end_one()
    assert (late["generation"], stage.ask()["generation"]) == (2, 2)
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("failpoint", STORED)
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_who_was_held_up_after_storing_has_held_up_nobody(database, failpoint, stage):
    stage = stage(database, "family")
    stage.expire()
    victim = held_up(stage, failpoint)
    second = stage.ask()
    late = victim.resume().end_one()
    assert (second["generation"], late["generation"]) == (2, 2)
    assert second["token"] == late["token"]
    assert len(stage.refreshes) == 1
    stage.check_invariants()


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_who_is_held_up_inside_a_transaction_holds_others_only_until_the_server_ends_it(database, stage):
    """The host's `idle_in_transaction_session_timeout` bounds it; here it is a second at most."""
    stage = stage(database, "tolerant")
    stage.expire()
    option = {
        "postgresql": {"options": "-c idle_in_transaction_session_timeout=300"},
        "mariadb": {"init_command": "SET SESSION idle_write_transaction_timeout = 1"},
    }
    url = sa.make_url(database.url).update_query_dict(option[database.kind]).render_as_string(hide_password=False)
    victim = stage.replica("before_commit", "stop", passed=31, url=url).go()
    victim.until("at")
    victim.stopped()
    # Waits at the victim's lock until the server lets go of it.
    stage.pass_time(31)
    second = stage.ask()
    late = victim.resume().end_one()
    assert (second["generation"], late["generation"]) == (2, 2)
    assert second["token"] == late["token"]
    assert len(stage.refreshes) == 2
    stage.check_invariants()


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_holds_the_file_makes_others_wait_no_longer_than_their_engine_says(database, stage):
    stage = stage(database, "strict")
    stage.expire()
    victim = stage.replica("before_commit", "stop").go()
    victim.until("at")
    victim.stopped()
    assert stage.replica(url=f"{database.url}?timeout=0.1").go().end_one()["error"] in {"RefreshInProgressError", "StorageUnavailableError"}
    late = victim.resume().end_one()
    assert (late["generation"], stage.ask()["token"]) == (2, late["token"])
    assert len(stage.refreshes) == 1
    stage.check_invariants()
