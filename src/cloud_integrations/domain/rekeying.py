"""What changing keys reads, writes and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.serialisation import Serialisable


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRow:
    """The sealed fields of one row, in the words of their sealing context.

    The words are the same in every store, whatever it calls its tables: a value opens under the words that it was sealed with, and under
    no others.

    | `table` | `row` | `generation` | fields |
    |---|---|---|---|
    | `ci_integration` | the integration's `str(id)` | its credential's | `presented`, `renewal` |
    | `ci_authorization` | `state_hash.hex()` | 0 | `verifier` |
    | `ci_outbox` | the entry's `str(id)` | 0 | `payload` |
    """

    table: str
    tenant_id: TenantId
    row: str
    generation: int = 0
    key_id: UUID
    """The data key that sealed them."""
    sealed: Mapping[str, bytes] = field(repr=False)
    """By field, those that hold a value; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUsage:
    """How much one wrapping key, or one tenant's data key, protects."""

    kek_uri: str
    state: KeyState
    """Of the data keys that it wraps."""
    key_id: UUID | None = None
    """The data key, where one tenant was asked about."""
    version: int | None = None
    created_at: datetime | None = None
    keys: int
    """Data keys."""
    rows: int
    """Rows sealed under them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport(Serialisable):
    """Which keys protect what."""

    usage: tuple[KeyUsage, ...]
    primary: str
    """The URI of the key that wraps from now on."""
    misplaced: int
    """Data keys that are wrapped by another key than the one that should; `rewrap_keys` moves them."""
    returned: int
    """Data keys that were erased with their tenant and are there again (a hundred at the most are counted): a backup was restored.

    They open nothing; `erase_tenant` destroys them once more.
    """

    @property
    def outdated(self) -> int:
        """Rows sealed under a data key that was replaced; `reseal` moves them."""
        return sum(usage.rows for usage in self.usage if usage.state is KeyState.DECRYPT_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyFailure:
    """A tenant whose key or row could not be changed; the run went on without it."""

    tenant_id: TenantId
    reason: str
    """The name of an error class, or `does_not_open`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyRun:
    """What one run over keys or rows did.  Running it again goes on where it stands."""

    changed: int = 0
    failures: tuple[RekeyFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A receipt: what was destroyed when a tenant was erased.  Keep it where the database's backups are not.

    With its `key_ids` `find_returned` tells whether a backup has brought something back.
    """

    tenant_id: TenantId
    erased_at: datetime
    effective_at: datetime
    """From when on no process uses what it may still remember."""
    integrations: int
    revoked: int
    """Tokens that the provider has revoked."""
    left_alone: int
    """Tokens that were not revoked because an integration of another tenant holds them, or lives on the same grant."""
    not_revoked: int
    """Tokens and API keys that may still work at the provider: it has no way to revoke them, did not answer, or the key is its owner's."""
    manual_urls: tuple[str, ...] = ()
    """Where a person can withdraw them, as far as that is known."""
    key_ids: tuple[UUID, ...]
    """Of all data keys that were destroyed, now or before."""
    audit_seq: int
    """Where the tenant's audit chain stood, and its hash."""
    audit_hash: bytes
