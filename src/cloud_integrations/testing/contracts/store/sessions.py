"""What a store promises about sessions of agents."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import SessionId
from cloud_integrations.domain.session import StoredSession
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddSession, EraseTenant, Record, RevokeSession
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, SECOND, a_session, an_event, applying

_HOUR = timedelta(hours=1)


class SessionsContract(Contract):
    """Storing, revoking and removing them."""

    def test_a_session_is_found_as_it_was_added(self, blocking: BlockingStore) -> None:
        whole = a_session()
        other = a_session(id=SessionId(uuid4()), needs_approval=False, methods=("GET",), revoked_at=START + SECOND)
        for session in (whole, other):
            blocking.apply(AddSession(session=session))
            assert blocking.find_session(ACME, session.facts.id) == session
        assert blocking.find_session(ACME, SessionId(uuid4())) is None

    def test_the_newest_session_is_listed_first(self, blocking: BlockingStore) -> None:
        older = a_session()
        newer = a_session(id=SessionId(uuid4()), opened_at=START + SECOND)
        blocking.apply(AddSession(session=newer), AddSession(session=older))
        assert blocking.list_sessions(ACME) == (newer, older)

    def test_actors_are_as_long_as_the_audit_log_has_them(self, blocking: BlockingStore) -> None:
        session = a_session(agent=Actor(type="t" * 32, id="é" * 255), on_behalf_of=Actor(type="t" * 32, id="漢" * 255))
        blocking.apply(AddSession(session=session))
        assert blocking.find_session(ACME, session.facts.id) == session

    @pytest.mark.requirement("ISO-01")
    def test_tenants_have_their_own_sessions(self, blocking: BlockingStore) -> None:
        # The same id on purpose.
        ours, theirs = a_session(), a_session(GLOBEX)
        blocking.apply(AddSession(session=ours), AddSession(session=theirs))
        blocking.apply(RevokeSession(tenant_id=GLOBEX, session_id=theirs.facts.id, revoked_at=START))
        assert blocking.find_session(ACME, ours.facts.id) == ours
        assert blocking.list_sessions(GLOBEX) == (_revoked(theirs),)

    def test_an_id_is_taken_once(self, blocking: BlockingStore) -> None:
        blocking.apply(AddSession(session=a_session()))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddSession(session=a_session(methods=("DELETE",))))
        assert blocking.list_sessions(ACME) == (a_session(),)

    def test_a_session_is_revoked_once(self, blocking: BlockingStore) -> None:
        session = a_session()
        change = RevokeSession(tenant_id=ACME, session_id=session.facts.id, revoked_at=START)
        with pytest.raises(StaleWriteError):
            blocking.apply(change)
        blocking.apply(AddSession(session=session))
        calls = [applying(change, Record(event=an_event(ACME))) for _ in range(3)]
        assert [type(error) for error in refused(blocking.together(calls))] == [StaleWriteError] * 2
        with pytest.raises(StaleWriteError):
            blocking.apply(replace(change, revoked_at=START + SECOND))
        assert blocking.find_session(ACME, session.facts.id) == _revoked(session)
        assert len(blocking.list_audit(ACME)) == 1

    def test_sessions_of_all_tenants_that_ended_long_ago_are_deleted(self, blocking: BlockingStore, clock: FixedClock) -> None:
        ours, theirs = a_session(), a_session(GLOBEX)
        later = a_session(id=SessionId(uuid4()), opened_at=START + SECOND, expires_at=ours.facts.expires_at + timedelta(microseconds=1))
        for session in (ours, theirs, later):
            blocking.apply(AddSession(session=session))
        clock.advance(2 * _HOUR - timedelta(microseconds=1))
        assert blocking.sweep_sessions(ended_for=_HOUR, limit=10) == 0
        clock.advance(timedelta(microseconds=1))
        assert blocking.sweep_sessions(ended_for=_HOUR, limit=1) == 1
        assert blocking.sweep_sessions(ended_for=_HOUR, limit=10) == 1
        assert (blocking.list_sessions(ACME), blocking.list_sessions(GLOBEX)) == ((later,), ())

    @pytest.mark.requirement("ENC-14")
    def test_an_erased_tenant_has_no_sessions(self, blocking: BlockingStore) -> None:
        blocking.apply(AddSession(session=a_session()), AddSession(session=a_session(GLOBEX)))
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert blocking.list_sessions(ACME) == ()
        assert len(blocking.list_sessions(GLOBEX)) == 1


def _revoked(session: StoredSession) -> StoredSession:
    return replace(session, facts=replace(session.facts, revoked_at=START))
