"""What a store promises about connect sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.connect_session import StoredConnectSession
from cloud_integrations.domain.identifiers import ConnectSessionId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddConnectSession, EraseTenant, OpenConnectSession, Record, RemoveConnectSession
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, SECOND, a_connect_session, an_event, applying

_LINK, _BROWSER, _OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def _another(**changes: Any) -> StoredConnectSession:
    return a_connect_session(id=ConnectSessionId(uuid4()), token_hash=uuid4().bytes * 2, **changes)


def _opened(session: StoredConnectSession, token_hash: bytes) -> StoredConnectSession:
    facts = replace(session.facts, opened_at=START + SECOND, expires_at=START + timedelta(hours=1))
    return StoredConnectSession(facts=facts, token_hash=token_hash, fingerprint=b"fake-fingerprint")


class ConnectSessionsContract(Contract):
    """Storing, opening and removing them."""

    def test_a_connect_session_is_found_by_its_hash_as_it_was_added(self, blocking: BlockingStore) -> None:
        whole = a_connect_session(token_hash=_LINK)
        bare = _another(providers=(), slot="", locale=None, return_to=None, origin=None)
        for session in (whole, bare):
            blocking.apply(AddConnectSession(session=session))
            assert blocking.find_connect_session(session.token_hash) == session
        assert blocking.find_connect_session(_OTHER) is None

    def test_the_newest_connect_session_is_listed_first(self, blocking: BlockingStore) -> None:
        older, newer = a_connect_session(), _another(created_at=START + SECOND)
        blocking.apply(AddConnectSession(session=newer), AddConnectSession(session=older))
        assert blocking.list_connect_sessions(ACME) == (newer, older)

    def test_an_actor_of_a_connect_session_is_as_long_as_the_audit_log_has_it(self, blocking: BlockingStore) -> None:
        session = a_connect_session(actor=Actor(type="t" * 32, id="漢" * 255))
        blocking.apply(AddConnectSession(session=session))
        assert blocking.list_connect_sessions(ACME) == (session,)

    @pytest.mark.requirement("ISO-01")
    def test_tenants_have_their_own_connect_sessions(self, blocking: BlockingStore) -> None:
        # The same id on purpose.
        ours, theirs = a_connect_session(token_hash=_LINK), a_connect_session(GLOBEX, token_hash=_OTHER)
        blocking.apply(AddConnectSession(session=ours), AddConnectSession(session=theirs))
        blocking.apply(RemoveConnectSession(tenant_id=GLOBEX, session_id=theirs.facts.id))
        assert (blocking.list_connect_sessions(ACME), blocking.list_connect_sessions(GLOBEX)) == ((ours,), ())

    def test_an_id_and_a_hash_are_taken_once(self, blocking: BlockingStore) -> None:
        stored = a_connect_session(token_hash=_LINK)
        blocking.apply(AddConnectSession(session=stored))
        for session in (a_connect_session(token_hash=_OTHER), a_connect_session(GLOBEX, token_hash=_LINK)):
            with pytest.raises(StaleWriteError):
                blocking.apply(AddConnectSession(session=session))
        assert blocking.find_connect_session(_LINK) == stored

    def test_of_several_browsers_one_opens_a_link_which_is_then_found_no_more(self, blocking: BlockingStore) -> None:
        session = a_connect_session(token_hash=_LINK)
        blocking.apply(AddConnectSession(session=session))
        with pytest.raises(StaleWriteError):
            blocking.apply(OpenConnectSession(session=_opened(session, _BROWSER), link_hash=_OTHER))
        hashes = [bytes([number]) * 32 for number in range(10, 13)]
        calls = [
            applying(OpenConnectSession(session=_opened(session, each), link_hash=_LINK), Record(event=an_event(ACME))) for each in hashes
        ]
        assert [type(error) for error in refused(blocking.together(calls))] == [StaleWriteError] * 2
        assert blocking.find_connect_session(_LINK) is None
        (won,) = [found for each in hashes if (found := blocking.find_connect_session(each)) is not None]
        assert won == _opened(session, won.token_hash)
        with pytest.raises(StaleWriteError):
            blocking.apply(OpenConnectSession(session=_opened(session, _OTHER), link_hash=won.token_hash))
        assert len(blocking.list_audit(ACME)) == 1

    def test_a_connect_session_is_removed_once(self, blocking: BlockingStore) -> None:
        session = a_connect_session(token_hash=_LINK)
        change = RemoveConnectSession(tenant_id=ACME, session_id=session.facts.id)
        blocking.apply(AddConnectSession(session=session))
        blocking.apply(change)
        with pytest.raises(StaleWriteError):
            blocking.apply(change)
        with pytest.raises(StaleWriteError):
            blocking.apply(OpenConnectSession(session=_opened(session, _BROWSER), link_hash=_LINK))
        assert blocking.find_connect_session(_LINK) is None

    def test_connect_sessions_of_all_tenants_that_have_ended_are_deleted(self, blocking: BlockingStore, clock: FixedClock) -> None:
        ours, theirs = a_connect_session(token_hash=_LINK), a_connect_session(GLOBEX, token_hash=_OTHER)
        later = _another(expires_at=ours.facts.expires_at + timedelta(microseconds=1))
        for session in (ours, theirs, later):
            blocking.apply(AddConnectSession(session=session))
        clock.advance(timedelta(minutes=30) - timedelta(microseconds=1))
        assert blocking.sweep_connect_sessions(limit=10) == 0
        clock.advance(timedelta(microseconds=1))
        assert blocking.sweep_connect_sessions(limit=1) == 1
        assert blocking.sweep_connect_sessions(limit=10) == 1
        assert (blocking.list_connect_sessions(ACME), blocking.list_connect_sessions(GLOBEX)) == ((later,), ())

    @pytest.mark.requirement("ENC-14")
    def test_an_erased_tenant_has_no_connect_sessions(self, blocking: BlockingStore) -> None:
        theirs = a_connect_session(GLOBEX, token_hash=_OTHER)
        blocking.apply(AddConnectSession(session=a_connect_session(token_hash=_LINK)), AddConnectSession(session=theirs))
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert (blocking.list_connect_sessions(ACME), blocking.list_connect_sessions(GLOBEX)) == ((), (theirs,))
