"""Telemetry: it measures what the library does, and is told what happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.work_report import WorkReport

from .observer import Observer

OperationName = Literal["connect", "credential", "renew", "revoke", "verify"]
"""The operations that are measured.

`connect`: what came from a tenant is checked or exchanged with the provider, and stored.  `credential`: a credential is handed out that
is not in memory.  `renew`: the provider is asked for the next credential, and that is stored.  `revoke`: the provider is asked to end
one token or key.  `verify`: the provider is asked whether a stored credential works.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation, without secrets."""

    name: OperationName
    provider: str
    """The slug; the id if the catalogue does not have the provider.  It never is what a caller wrote."""
    tenant_id: TenantId


End = Callable[[str, float], None]
"""Takes the outcome of an operation and how long it took, in seconds.

The outcome is `ok`, the code of an error such as `integration/reconnect-required`, `internal` for an error that is not ours,
`interrupted`, or for `revoke` a `RevocationOutcome`, and for `renew` also `superseded`: another process was faster.
"""


class Telemetry(Observer, Protocol):
    """Measures operations, is told facts, and takes the counts of `worker.report`; what it raises is logged and ignored."""

    def begin(self, operation: Operation, /) -> End:
        """Begin to measure, and return what is called once when the operation has ended, in the same thread or task."""
        ...

    def take(self, report: WorkReport, /) -> None:
        """Take the newest counts of what waits and what works, in place of those before."""
        ...
