"""Ask whether an agent may use a credential now."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.session import Approval, ApprovalRequest


class AsyncApprover(Protocol):
    """Says yes or no to what an agent wants to do, for example by asking a person.  `Approver` is the same, blocking."""

    async def approve(self, request: ApprovalRequest, /) -> Approval:
        """Return whether the request may be sent.

        It may wait for a person, up to `Settings.approval_wait`; after that, and where this raises, the request is refused.  It may be
        called for several requests at once.
        """
        ...


class Approver(Protocol):
    """The blocking form of `AsyncApprover`."""

    def approve(self, request: ApprovalRequest, /) -> Approval: ...
