"""A use of a session can wait for a yes; without one, nothing is sent and nothing is opened."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from cloud_integrations import Approval, Settings
from cloud_integrations.errors import ConfigurationError, SessionRefusedError

from .conftest import ACME, CALLBACK_URL
from .test_sessions import API, BOT, END, asked, awaited, opened, refusal

YES, NO = Approval(approved=True), Approval(approved=False)


class Asked:
    """An approver with prepared answers, which writes down what it was asked; an answer may be an error, or a function to call."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def _next(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def approve(self, request, /):
        answer = self._next(request)
        return answer() if callable(answer) else answer


class AsyncAsked(Asked):
    async def approve(self, request, /):
        answer = self._next(request)
        return await awaited(answer()) if callable(answer) else answer


@pytest.fixture
def approver(world):
    return Asked if world.blocking else AsyncAsked


@pytest.fixture(autouse=True)
async def connected(world):
    return await world.connect()


def actions(world):
    return [(event.action, event.outcome.value, event.reason) for event in world.events()][2:]


async def test_each_use_waits_for_a_yes_that_is_recorded(world, approver):
    asking = approver(YES, YES)
    session = await opened(world, approve=asking)
    await asked(session, f"{API}?fake=1")
    await asked(session)
    request = asking.requests[0]
    assert (request.tenant_id, request.session_id, request.agent) == (ACME, session.id, BOT)
    assert (str(request.on_behalf_of), request.provider, request.host, request.http_method) == (
        "user:alice",
        "simulated",
        "api.example",
        "GET",
    )
    assert len(asking.requests) == 2
    approved = [event for event in world.events() if event.action == "session.approved"]
    assert len(approved) == 2
    assert approved[0].actor == BOT
    assert dict(approved[0].details) == {"on_behalf_of": "user:alice", "provider": "simulated", "host": "api.example", "method": "GET"}


async def test_a_no_sends_nothing_and_opens_nothing(world, approver):
    session = await opened(world, approve=approver(NO))
    assert await refusal(session) == "not_approved"
    assert actions(world) == [("session.opened", "success", None), ("session.refused", "denied", "not_approved")]


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("fake"),
        None,
        True,
        "yes",
        Approval(approved="yes"),
        Approval(approved=True, until=END.replace(tzinfo=None)),
        Approval(approved=True, until=5),
    ],
    ids=str,
)
async def test_what_is_no_yes_is_a_no(world, approver, answer):
    session = await opened(world, approve=approver(answer))
    assert await refusal(session) == "not_approved"


async def test_an_approval_until_a_time_covers_the_same_requests_until_then(world, approver):
    until = Approval(approved=True, until=world.clock.now() + timedelta(minutes=5))
    asking = approver(until, NO, NO, NO)
    session = await opened(world, approve=asking, methods=["GET", "POST"], hosts=["api.example", "b.example"])
    await asked(session)
    world.pass_(minutes=4, seconds=59)
    await asked(session)
    assert len(asking.requests) == 1
    assert await refusal(session, method="POST") == "not_approved"
    assert await refusal(session, "https://b.example") == "not_approved"
    world.pass_(seconds=1)
    assert await refusal(session) == "not_approved"
    assert len(asking.requests) == 4


async def test_a_session_that_ended_while_a_person_thought_is_refused(world, approver):
    session = None

    async def later():
        await awaited(session.revoke())
        return YES

    def blocking():
        session.revoke()
        return YES

    session = await opened(world, approve=approver(blocking if world.blocking else later))
    assert await refusal(session) == "revoked"
    assert "credential.used" not in [action for action, *_ in actions(world)]


async def test_a_session_that_was_revoked_elsewhere_while_a_person_thought_is_refused(world, approver):
    session = None
    elsewhere = world.open()

    async def later():
        await elsewhere.sessions.revoke(ACME, session.id)
        return YES

    def blocking():
        elsewhere.manager.acting_as(BOT).sessions.revoke(ACME, session.id)
        return YES

    session = await opened(world, approve=approver(blocking if world.blocking else later))
    assert await refusal(session) == "revoked"


async def test_who_attaches_without_an_approver_is_refused(world, approver):
    session = await opened(world, approve=approver())
    assert (await world.door.sessions.get(ACME, session.id)).needs_approval
    attached = await world.door.sessions.attach(ACME, session.id)
    assert await refusal(attached) == "not_approved"
    asking = approver(YES)
    assert await asked(await world.door.sessions.attach(ACME, session.id, approve=asking))
    assert len(asking.requests) == 1


async def test_an_approver_beside_a_session_without_one_is_asked(world, approver):
    session = await opened(world)
    attached = await world.door.sessions.attach(ACME, session.id, approve=approver(NO))
    assert await refusal(attached) == "not_approved"
    assert await asked(session)


async def test_what_the_session_does_not_allow_is_not_asked(world, approver):
    asking = approver()
    session = await opened(world, approve=asking)
    assert await refusal(session, "https://evil.example") == "host"
    assert asking.requests == []


async def test_who_does_not_answer_in_time_has_not_said_yes(world, approver):
    settings = Settings(callback_url=CALLBACK_URL, approval_wait=timedelta(milliseconds=20))
    door = world.open(settings=settings)
    never = threading.Event().wait if world.blocking else asyncio.Event().wait
    session = await opened(world, door, approve=approver(never))
    assert await refusal(session) == "not_approved"


@pytest.mark.parametrize("part", [Asked, object(), 5, "yes"], ids=["class", "object", "number", "text"])
async def test_what_is_no_approver_is_refused_when_it_is_given(world, part):
    session = await opened(world)
    for call in (lambda: opened(world, approve=part), lambda: world.door.sessions.attach(ACME, session.id, approve=part)):
        with pytest.raises(ConfigurationError, match="approve"):
            await call()


async def test_an_approver_of_the_other_colour_is_refused(world):
    other = AsyncAsked() if world.blocking else Asked()
    with pytest.raises(ConfigurationError, match="approve"):
        await opened(world, approve=other)


async def test_approvals_that_are_remembered_are_limited(world, approver):
    until = Approval(approved=True, until=world.clock.now() + timedelta(minutes=5))
    asking = approver(*[until] * 1_001)
    session = await opened(world, approve=asking, hosts=["*.example.com"])
    for number in range(1_001):
        await asked(session, f"https://h{number}.example.com")
    assert len(session._approvals.known) == 1


async def test_a_repetition_of_an_approved_request_is_not_asked_again(world, approver):
    asking = approver(YES)
    session = await opened(world, approve=asking)
    first = await asked(session)
    from cloud_integrations.protocol.session_rules import SessionRequest

    request = SessionRequest(http_method="GET", url=API, provider="simulated")
    assert (await awaited(session._replace(request, first))).generation > first.generation
    assert len(asking.requests) == 1


async def test_a_refusal_says_what_is_missing(world, approver):
    session = await opened(world, approve=approver(NO))
    with pytest.raises(SessionRefusedError) as caught:
        await asked(session)
    assert (caught.value.code, caught.value.details) == ("session/refused", {"sessionId": str(session.id), "reason": "not_approved"})
    assert str(caught.value) == "nobody approved this request"
