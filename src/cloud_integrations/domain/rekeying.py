"""The values that rotating, rewrapping and destroying keys read, write and report."""

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
    """The sealed fields of one row, named as in their sealing context.

    These names are the same in every store, whatever its tables are called, because a value opens only under the names that it was
    sealed with.

    | `table` | `row` | `generation` | fields |
    |---|---|---|---|
    | `ci_integration` | the integration's `str(id)` | its credential's | `presented`, `renewal` |
    | `ci_authorization` | `state_hash.hex()` | 0 | `parts` |
    | `ci_application` | its `str(id)` | its own | `secrets` |
    | `ci_outbox` | the entry's `str(id)` | 0 | `payload` |
    """

    table: str
    tenant_id: TenantId
    row: str
    generation: int = 0
    key_id: UUID
    """The data key that sealed them."""
    sealed: Mapping[str, bytes] = field(repr=False)
    """The sealed values by field, without fields that are empty; there is at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUsage:
    """The number of data keys and rows that one key-encryption key, or one data key of a tenant, protects."""

    kek_uri: str
    state: KeyState
    """The state of the data keys that are counted."""
    key_id: UUID | None = None
    """The data key; None: the numbers are of all tenants."""
    version: int | None = None
    created_at: datetime | None = None
    keys: int
    """The number of data keys."""
    rows: int
    """The number of rows sealed under them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport(Serialisable):
    """The key-encryption keys and data keys in use, and how much each protects."""

    usage: tuple[KeyUsage, ...]
    primary: str
    """The URI of the key-encryption key that wraps new data keys."""
    misplaced: int
    """The number of data keys that are not wrapped by their tenant's primary key; `rewrap_keys` rewraps them."""
    returned: int
    """The number of data keys that were erased with their tenant and that a restored backup has brought back; 100 means that or more.

    They open nothing; `erase_tenant` destroys them again.
    """

    @property
    def outdated(self) -> int:
        """The number of rows sealed under a data key that was replaced; `reseal` seals them under the active one."""
        return sum(usage.rows for usage in self.usage if usage.state is KeyState.DECRYPT_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyFailure:
    """A tenant whose key or row could not be changed; the run continued without it."""

    tenant_id: TenantId
    reason: str
    """The name of an error class, or `does_not_open`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyRun:
    """The result of one run over keys or rows: how many were changed, and the failures.  Another run continues from there."""

    changed: int = 0
    failures: tuple[RekeyFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A receipt of what was destroyed when a tenant was erased.  Store it apart from the database's backups.

    `find_returned` takes its `key_ids` and tells whether a backup has brought something back.
    """

    tenant_id: TenantId
    erased_at: datetime
    effective_at: datetime
    """From this time on, no process uses a data key or a token that it still has in memory."""
    integrations: int
    """The number of integrations that were deleted."""
    revoked: int
    """The number of tokens that the provider has revoked."""
    left_alone: int
    """The number of tokens that were not revoked, because an integration of another tenant has them or depends on the same grant."""
    not_revoked: int
    """The number of tokens and API keys that may still work at the provider.

    The provider cannot revoke them or did not answer, or it is an API key, which only its owner revokes.
    """
    manual_urls: tuple[str, ...] = ()
    """The pages where a person can withdraw them, as far as they are known."""
    key_ids: tuple[UUID, ...]
    """The ids of all data keys of the tenant that were destroyed, now or before."""
    audit_seq: int
    """The number of the last event of the tenant's audit chain."""
    audit_hash: bytes
    """The hash of that event."""
