"""What every `Approver` and `AsyncApprover` promises, as tests.

Inherit the class and provide an approver for each answer:

    class TestMyApprover(ApproverContract):
        @pytest.fixture
        def agreeing(self):
            return MyApprover(...)  # says yes to `request_of_agent`

        @pytest.fixture
        def refusing(self):
            return MyApprover(...)  # says no to it

The same class tests an awaiting approver.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import SessionId, TenantId
from cloud_integrations.domain.session import Approval, ApprovalRequest
from cloud_integrations.ports.approval import Approver, AsyncApprover

_AT_ONCE = 5


class ApproverContract:
    """Inherit, and provide the fixtures `agreeing` and `refusing`."""

    @pytest.fixture
    def request_of_agent(self) -> ApprovalRequest:
        """What the approvers are asked."""
        return ApprovalRequest(
            tenant_id=TenantId("acme"),
            session_id=SessionId(UUID(int=9)),
            agent=Actor(type="agent", id="fake-agent"),
            on_behalf_of=Actor(id="ada"),
            provider="github",
            host="api.github.com",
            http_method="POST",
        )

    def test_a_yes_is_an_approval(self, agreeing: Approver | AsyncApprover, request_of_agent: ApprovalRequest) -> None:
        for answer in _answers(agreeing, request_of_agent, times=1):
            assert answer.approved is True
            assert answer.until is None or answer.until.astimezone(UTC) > datetime.now(UTC)

    def test_a_no_is_an_answer_and_no_error(self, refusing: Approver | AsyncApprover, request_of_agent: ApprovalRequest) -> None:
        assert [answer.approved for answer in _answers(refusing, request_of_agent, times=1)] == [False]

    def test_the_end_of_an_approval_has_a_time_zone(self, agreeing: Approver | AsyncApprover, request_of_agent: ApprovalRequest) -> None:
        for answer in _answers(agreeing, request_of_agent, times=1):
            assert answer.until is None or answer.until.utcoffset() is not None

    def test_several_may_be_asked_at_once(self, agreeing: Approver | AsyncApprover, request_of_agent: ApprovalRequest) -> None:
        assert [answer.approved for answer in _answers(agreeing, request_of_agent, times=_AT_ONCE)] == [True] * _AT_ONCE


def _answers(approver: Approver | AsyncApprover, request: ApprovalRequest, /, *, times: int) -> list[Approval]:
    """Ask *times* over at once, in tasks or in threads."""
    ask: Any = approver.approve
    if inspect.iscoroutinefunction(ask):

        async def gathered() -> list[Approval]:
            return list(await asyncio.gather(*[ask(request) for _ in range(times)]))

        return asyncio.run(gathered())
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(ask, [request] * times))
