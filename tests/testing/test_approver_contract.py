"""The contract of approvers, over one that blocks and one that is awaited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations import Approval
from cloud_integrations.testing.contracts.approver import ApproverContract


class Fixed:
    def __init__(self, answer):
        self.answer = answer

    def approve(self, _request, /):
        return self.answer


class AsyncFixed(Fixed):
    async def approve(self, _request, /):
        return self.answer


class TestBlockingApprover(ApproverContract):
    @pytest.fixture
    def agreeing(self):
        return Fixed(Approval(approved=True, until=datetime.now(UTC) + timedelta(minutes=1)))

    @pytest.fixture
    def refusing(self):
        return Fixed(Approval(approved=False))


class TestAwaitingApprover(ApproverContract):
    @pytest.fixture
    def agreeing(self):
        return AsyncFixed(Approval(approved=True))

    @pytest.fixture
    def refusing(self):
        return AsyncFixed(Approval(approved=False))
