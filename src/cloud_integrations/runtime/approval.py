"""Approvers that are waited for no longer than a time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta

from cloud_integrations.domain.session import Approval, ApprovalRequest
from cloud_integrations.ports.approval import Approver, AsyncApprover

_NO = Approval(approved=False)


class ThreadApprover:
    """A blocking approver that can be awaited: it runs in a thread, and after *wait* its answer counts no more."""

    def __init__(self, approver: Approver, /, *, wait: timedelta) -> None:
        self._approver = approver
        self._wait = wait

    def __repr__(self) -> str:
        return f"awaitable {self._approver!r}"

    async def approve(self, request: ApprovalRequest, /) -> Approval:
        """See `Approver.approve`."""
        answers: list[Approval] = []
        context = copy_context()

        def ask() -> None:
            # Whatever fails in there, nobody has said yes.
            with suppress(BaseException):
                answers.append(context.run(self._approver.approve, request))

        # A daemon: an approver that never answers must not keep the interpreter from its end.
        thread = threading.Thread(target=ask, name="cloud-integrations-approval", daemon=True)
        thread.start()
        thread.join(self._wait.total_seconds())
        return answers[0] if answers else _NO


class TaskApprover:
    """An awaiting approver; after *wait* it is cancelled."""

    def __init__(self, approver: AsyncApprover, /, *, wait: timedelta) -> None:
        self._approver = approver
        self._wait = wait

    def __repr__(self) -> str:
        return f"bounded {self._approver!r}"

    async def approve(self, request: ApprovalRequest, /) -> Approval:
        """See `AsyncApprover.approve`."""
        return await asyncio.wait_for(self._approver.approve(request), self._wait.total_seconds())
