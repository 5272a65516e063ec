"""The database goes away around a commit, or comes back as an older copy of itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.domain.integration import State

from .conftest import DATABASES, MODES, SERVERS


@pytest.mark.requirement("REF-05")
@pytest.mark.parametrize("mode", ["tolerant", "strict", "family"])
@pytest.mark.parametrize("moment", ["before_begin", "before_commit", "after_commit_before_ack"])
@pytest.mark.parametrize("change", ["TakeLease", "MarkSent", "SaveRenewal"])
@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_a_connection_that_breaks_around_a_commit_loses_no_token(database, change, moment, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    replica = stage.replica(moment, "hold", change=change, wait_limit=20).go()
    replica.until("at")
    database.cut()
    outcome = replica.go().end_one()
    if change == "SaveRenewal":
        assert outcome["generation"] == 2
    else:
        # Nothing was sent, so nothing can be lost: the caller may simply ask again.
        assert outcome.get("generation") == 2 or outcome["error"] in {"StorageUnavailableError", "CommitUnknownError"}
        stage.pass_time(31)
    assert stage.ask()["generation"] == 2
    assert len(stage.refreshes) == 1
    assert stage.row.credential.generation == 2
    # An attempt that ended with an error before its request may have no outcome: it reads as unknown.
    unfinished = list(stage.attempts.values()).count(["started"])
    assert unfinished <= (change != "SaveRenewal")
    stage.check_invariants(died=unfinished, without_intent=int(change == "TakeLease"))


class Copy:
    """The tenant's rows as they were."""

    _TABLES = (schema.integration, schema.audit, schema.audit_head)

    def __init__(self, stage):
        self._stage = stage
        with stage.database.engine.connect() as connection:
            self._rows = [
                [row._asdict() for row in connection.execute(sa.select(table).where(table.c.tenant_id == stage.tenant))]
                for table in self._TABLES
            ]

    def restore(self):
        with self._stage.database.engine.begin() as connection:
            for table, rows in zip(self._TABLES, self._rows, strict=True):
                connection.execute(sa.delete(table).where(table.c.tenant_id == self._stage.tenant))
                connection.execute(sa.insert(table), rows)


@pytest.mark.requirement("REF-06")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lost", ["the new tokens", "the lease and the new tokens"])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_database_that_lost_the_new_tokens_is_noticed(database, lost, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    before = Copy(stage)
    replica = stage.replica("after_sent", "hold").go()
    replica.until("at")
    after_sent = Copy(stage)
    assert replica.go().end_one()["generation"] == 2
    checkpoint = stage.store.find_audit_head(stage.tenant)
    (before if lost.startswith("the lease") else after_sent).restore()
    # What was stored has gone: the older token is now the newest that we know.
    stage.stored = [(0, stage.first_refresh_token)]
    for replica in stage.replicas:
        replica.told.clear()
    stage.pass_time(18 if mode == "grace" else 31)
    outcome = stage.ask()
    assert len(stage.refreshes) == 2
    if mode in {"strict", "family"}:
        assert outcome["error"] == "ReconnectRequiredError"
        # Where the row says that a request was out, it also says what happened.
        assert outcome["reason"] == ("revoked" if lost.startswith("the lease") else "rotation_lost")
        assert stage.row.facts.state is State.NEEDS_REAUTH
    else:
        assert outcome["generation"] == 2
    stage.check_invariants(died=0 if lost.startswith("the lease") else 1)
    # A checkpoint that was kept elsewhere shows that the log was cut.
    assert not stage.manager.audit.verify(stage.tenant, checkpoint=checkpoint).whole


@pytest.mark.requirement("REF-06")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_who_lost_its_lease_with_the_database_does_not_send(database, mode, stage):
    stage = stage(database, mode)
    stage.expire()
    before = Copy(stage)
    replica = stage.replica("after_lease", "hold", wait_limit=20).go()
    replica.until("at")
    before.restore()
    # It finds its lease gone, takes a new one, and only then asks.
    assert replica.go().end_one()["generation"] == 2
    assert len(stage.refreshes) == 1
    stage.check_invariants(without_intent=1)


@pytest.mark.requirement("REF-06")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_lease_that_was_lost_while_its_request_was_out_ends_in_what_the_provider_holds(database, mode, stage):
    """Two leases then have one number; whoever writes first stays, and the other takes what is stored.

    Where a replay has ended the family, the late tokens are dead, and are not taken for good.
    """
    stage = stage(database, mode)
    stage.expire()
    before = Copy(stage)
    first = stage.replica("after_response", "hold").go()
    first.until("at")
    before.restore()
    second = stage.ask()
    late = first.go().end_one()
    assert len(stage.refreshes) == 2
    if mode == "family":
        assert (second["error"], late["error"]) == ("ReconnectRequiredError", "ReconnectRequiredError")
        assert stage.row.facts.state is State.NEEDS_REAUTH
    else:
        assert late["generation"] == 2
        if mode == "strict":
            assert second["error"] == "ReconnectRequiredError"
        else:
            assert second["generation"] == 2
            assert second["token"] == late["token"]
        assert stage.provider.is_alive(stage.stored_secret("refresh"))
    assert stage.manager.audit.verify(stage.tenant).whole
