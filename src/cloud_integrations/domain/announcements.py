"""Announcements: what messages that are delivered once are remembered by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId

TROUBLE: Final = "trouble"
"""That an integration does not work, by the message that told it."""
RECONNECT_REQUIRED: Final = "credential.reconnect_required"
"""The value of `TROUBLE` where only the tenant can repair it."""
TRUST: Final = "trust"
"""That a tenant's trust at the provider is too loose."""
END: Final = "end"
"""That an integration ends soon, by `end_value`."""
APPLICATION: Final = "application"
"""That a provider refuses an application, by the reason."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """The announcement that a message makes or ends."""

    tenant_id: TenantId
    subject_id: UUID
    """The id of the integration or the application that it is about."""
    name: str
    value: str | None
    """What the message says of it; None: it ends it."""
    lasting: bool = False
    """Whether it is delivered only when it has lasted for the setting `trouble_after`."""
    expected_generation: int | None = None
    """The generation for which it is true; None: the change beside it has its own condition."""


def end_value(at: datetime, /) -> str:
    """Return a time as announcements have it, in microseconds since 1970, so that a store can compare it with a column."""
    return str((at - _EPOCH) // timedelta(microseconds=1))
