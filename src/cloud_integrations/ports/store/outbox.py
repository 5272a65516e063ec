"""The outbox: what is still to be delivered to the outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.work_report import OutboxCount

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEntry:
    """Put an entry into the outbox.  `StaleWriteError` if this entry is there already.

    With *expected_generation*, the integration of the entry stays as it is until the commit: `IntegrationNotFoundError` if it is gone,
    `StaleWriteError` if it has another generation.

    With *follows*, it comes after the entries of its integration that are there, of any kind: if its `created_at` is not later than
    theirs, because clocks differ, it becomes a microsecond later than the last one.
    """

    entry: OutboxEntry
    expected_generation: int | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishEntry:
    """Delete an entry, which has arrived or is given up; it is no error if it is gone.

    With *expected_facts*, `StaleWriteError` if the entry is gone or has other facts: then only one of two callers finishes it.
    """

    tenant_id: TenantId
    entry_id: UUID
    expected_facts: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayEntry:
    """Count a failed attempt and set the next time; it is no error if the entry is gone."""

    tenant_id: TenantId
    entry_id: UUID
    next_attempt_at: datetime
    error: str


class AsyncOutboxStore(Protocol):
    """Reads and claims for workers that deliver entries of a kind.

    Entries of another kind are left as they are, for a worker that knows it.
    """

    async def claim_entries(
        self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False, index_key: str | None = None
    ) -> tuple[OutboxEntry | DamagedRow, ...]:
        """Return at most *limit* due entries of *kind*, of all tenants, those that were due first coming first, and hold them.

        *index_key* selects those with this key.

        Their `next_attempt_at` becomes the store's clock plus *hold*, so that until then no other worker gets them.  They are returned as
        they are then stored, with that time.  A claim is not an attempt: only `DelayEntry` changes `attempts` and `last_error`.
        An entry for which `DamagedRow` is returned is held, too, if its key can be read.

        With *in_order*, an entry waits until each of its kind and index key for the same integration that was created before it is
        finished: whether that one is due, held or damaged.  Those about no integration wait for none.  Without *in_order*, one that
        cannot be delivered holds up no other.
        """
        ...

    async def list_due_keys(self, kind: str, /, *, limit: int) -> tuple[str, ...]:
        """Return at most *limit* index keys of due entries of *kind*, of all tenants, that of the entry that was due first coming first."""
        ...

    async def count_entries(self, kind: str, /) -> int:
        """Return how many entries of *kind* wait, of all tenants."""
        ...

    async def count_outbox(self) -> tuple[OutboxCount, ...]:
        """Return how many entries wait, of all tenants, by kind; a kind that has none is left out."""
        ...

    async def list_entries(
        self, tenant_id: TenantId | None, kind: str, /, *, index_key: str | None = None, limit: int
    ) -> tuple[OutboxEntry | DamagedRow, ...]:
        """Return entries of *kind* (with one index key) of the tenant, or of all (None), due or not, the oldest first."""
        ...


class OutboxStore(Protocol):
    """The blocking form of `AsyncOutboxStore`: the same methods, the same promises."""

    def claim_entries(
        self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False, index_key: str | None = None
    ) -> tuple[OutboxEntry | DamagedRow, ...]: ...

    def list_due_keys(self, kind: str, /, *, limit: int) -> tuple[str, ...]: ...

    def count_entries(self, kind: str, /) -> int: ...

    def count_outbox(self) -> tuple[OutboxCount, ...]: ...

    def list_entries(
        self, tenant_id: TenantId | None, kind: str, /, *, index_key: str | None = None, limit: int
    ) -> tuple[OutboxEntry | DamagedRow, ...]: ...
