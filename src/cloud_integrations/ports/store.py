"""Where integrations, keys, pending authorizations, the outbox and the audit chain are kept.

A unit of work is a value: a flow lists its changes and `apply` makes them in one transaction, or
none of them.  Reads are single statements.  Leases use the store's own clock.

Whatever a change seals (`AddIntegration`, `ReplaceCredential`, `SaveRenewal`, `AddPending`, `AddRevocation`), the tenant's
*active* data key must have sealed it, the one that `find_active_key` finds: the store holds that key's row until the commit, and
otherwise raises `KeyRetiredError`.  So once a key was replaced nothing new is sealed under it, whatever other processes remember.

Times are exact to the microsecond.  A lease still runs at the instant `lease_until`; an authorization is gone at the instant `expires_at`;
what falls due (`due_at`, `next_attempt_at`) is due at that instant.

Everybody locks in one order, key, rows, audit: in a unit of work that also changes other rows, name what seals first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord
from cloud_integrations.domain.envelope import KeyCheck, WrappedKey
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import (
    DueIntegration,
    Integration,
    Phase,
    SealedCredential,
    State,
    StoredCredential,
    StoredIntegration,
)
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.domain.removal import Revocation

RECONNECT_OWNER = "reconnect"
"""What `lease_owner` says after a user's reconnect, so that a late refresh of the old grant knows who was faster."""
MAX_COUNTED = 10_000
"""Where `count_due` stops counting, so that its cost has a bound."""
MAX_HOLDERS = 10
"""How many integrations `find_holders` names at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIntegration:
    """Store a new integration.  `IntegrationExistsError` if the tenant has one with this provider.

    `refreshed_at` becomes the `updated_at` of *facts*.  Like every `due_at`, this one is kept only where the state is refreshed.
    """

    facts: Integration
    credential: SealedCredential
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFacts:
    """Write name, state, state_since, reason and updated_at of *facts*; the credential is not touched.

    A state that is not refreshed (disabled, needs_reauth) has no due time; coming out of one, what can be refreshed is due
    when its token ends, and `refused_since` is emptied.  `IntegrationNotFoundError` if it is gone; `StaleWriteError` if its
    state is no longer `expected_state`.
    """

    facts: Integration
    expected_state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceCredential:
    """A user's reconnect: write *facts* (but for the name, which stays) and *credential*, take a lease number and end any lease.

    A refresh that is under way can then no longer write (its lease is older than `writer_lease`, and
    `lease_owner` says `RECONNECT_OWNER`).  `refreshed_at` becomes the `updated_at` of *facts*.
    The provider and `created_at` stay; the marks of the refresh protocol start anew.
    `IntegrationNotFoundError` if it is gone; `StaleWriteError` if the generation is no longer `expected_generation`, or
    the state is disabled: a user's switch stays.  `credential.generation` is the next one.
    """

    facts: Integration
    credential: SealedCredential
    expected_generation: int
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseIntegration:
    """Delete the integration.  `IntegrationNotFoundError` if it is gone, `StaleWriteError` if its generation moved."""

    tenant_id: TenantId
    integration_id: IntegrationId
    expected_generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeLease:
    """Become the one who refreshes (protocol step T1).

    `lease_token` goes up by one and `lease_until` is the store's clock plus `length`, if the
    generation is still `expected_generation`, the state is active, retry or unknown, and no lease
    is running: `lease_until` is empty or lies before the store's clock; where the phase is `sent` or
    `unknown`, `lease_until` plus `takeover_delay` does.  At that very instant the lease still runs, one microsecond later it does not.
    With `asks_again` the state may be needs_reauth, too, and stays so until tokens come.
    Otherwise `StaleWriteError`.  Read the row again to learn the lease number.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    expected_generation: int
    attempt_id: str
    owner: str
    length: timedelta
    takeover_delay: timedelta
    asks_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSent:
    """Say that the request is about to leave (T2): phase `sent`, and `sent_at` the store's clock, unless it says something earlier.

    Only with the lease (its number and `attempt_id`) and generation, with more than `needed` left of it, and in a state that is
    refreshed (with `asks_again`, also needs_reauth): what was switched off since the lease is not asked for.
    Otherwise `StaleWriteError`.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    lease_token: int
    attempt_id: str
    generation: int
    needed: timedelta
    asks_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRenewal:
    """Write a renewed credential (T3): the newest lease wins.

    Writes the credential (whose generation is the next; the fingerprint of its account stays), scopes, expires_at,
    reconnect_before, variables, state, state_since, reason, updated_at, `refreshed_at`, `due_at`, `next_attempt_at`,
    phase idle, attempts 0, no error, no `failed_at`, no `refused_since`, `writer_lease = lease_token`; the lease ends, and
    `sent_at` is emptied, unless a later attempt has them.
    Only where `writer_lease < lease_token`, the generation is `credential.generation - 1` and the state is not disabled;
    otherwise `StaleWriteError`; `IntegrationNotFoundError` if the row is gone.

    A row in state needs_reauth is one of two.  Where its lease is still this attempt's (number and `attempt_id`), nobody has asked
    since, and the renewal is written like any other.  Where a later attempt has the lease, that one was refused after these tokens
    were asked for: with `takes_back` its refusal leaves these tokens good, and state and reason become those of *facts*; without,
    `StaleWriteError`, and the row stays as it is.

    Where the state of *facts* is disabled, the row's must be, too, and then state, state_since and `due_at` stay as they are,
    and the reason is that of *facts*: what came is kept for when somebody switches it on again.
    """

    facts: Integration
    credential: SealedCredential
    lease_token: int
    attempt_id: str
    takes_back: bool
    refreshed_at: datetime
    due_at: datetime | None = None
    next_attempt_at: datetime | None = None
    """In the store's clock; given where what was written brought no access token, and asking again must wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleAttempt:
    """Write how an attempt without tokens ended (T3', T3''): only with its lease and generation, otherwise `StaleWriteError`.

    The lease is its number and `attempt_id`: a restored database may give a number twice.  Nor where the state is disabled:
    a user's switch stays.  With phase `unknown` the lease is kept until its end; otherwise it ends now.  With state
    `unknown` `sent_at` stays, so that the loss is not forgotten; otherwise it is emptied.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    lease_token: int
    attempt_id: str
    generation: int
    phase: Phase
    state: State
    reason: str | None
    state_since: datetime
    error: str | None
    next_attempt_at: datetime | None
    due_at: datetime | None = None
    failed_at: datetime | None = None
    refused_since: datetime | None = None
    count_attempt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPending:
    """Store an authorization that begins; drops closed ones of the tenant, and the surplus by `domain.pending.surplus`.

    `StaleWriteError` if its state's hash is there already.
    """

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePending:
    """Drop every authorization of this tenant with this provider: what was begun earlier can no longer be completed (OAU-029)."""

    tenant_id: TenantId
    provider_id: ProviderId


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Store a wrapped data key.  `StaleWriteError` if the version exists or was erased, or another key of the tenant is active."""

    key: WrappedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """Make `key`, which is active, take the place of the tenant's active key, which then only opens (`retired_at` as given).

    Waits for transactions that write under the old key; none begins later.
    `StaleWriteError` if `replaces` is no longer the active one, or the version exists or was erased.
    """

    key: WrappedKey
    replaces: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrapKey:
    """Store a data key as another wrapping key has wrapped it.

    `StaleWriteError` if it is no longer wrapped as in `before`, gone, or destroyed.
    """

    before: WrappedKey
    kek_uri: str
    kek_key_id: bytes
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyKey:
    """Overwrite a wrapped data key that only opens; its version stays taken.

    `StaleWriteError` if it is active, gone, destroyed already, or still seals a row.
    """

    tenant_id: TenantId
    key_id: UUID
    destroyed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reseal:
    """Replace the sealed fields of rows, each (before, after); nothing else of a row changes.

    A row is left as it is where its key or generation is no longer that of *before*, where *after* has other fields than
    *before*, or where the key of *after* is not the tenant's active one.
    """

    rows: tuple[tuple[SealedRow, SealedRow], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseKeys:
    """From now on no data key of the tenant below `min_version` is found, and none seals; 1 takes it back.  They stay listed."""

    tenant_id: TenantId
    min_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseTenant:
    """Overwrite every data key of the tenant, and drop its pending authorizations and its outbox.

    The versions that there were are remembered: none of them is found, seals or is added again, whatever a backup brings back.
    Waits for transactions that write under the tenant's keys or replace one.
    `StaleWriteError` while the tenant has an integration, or its keys keep being replaced.
    """

    tenant_id: TenantId
    erased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKeyCheck:
    """Remember the check value of a key-encryption key; an existing one stays as it is."""

    check: KeyCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRevocation:
    """Put a token into the outbox.  `StaleWriteError` if the entry is there already."""

    revocation: Revocation


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRevocation:
    """Take an entry out of the outbox; one that is gone is no error."""

    tenant_id: TenantId
    revocation_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayRevocation:
    """Count a failed attempt and set the next time; an entry that is gone is no error."""

    tenant_id: TenantId
    revocation_id: UUID
    next_attempt_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Append an event to its tenant's audit chain; written last, whatever its place in the list."""

    event: AuditEvent


Change = (
    AddIntegration
    | SaveFacts
    | ReplaceCredential
    | EraseIntegration
    | TakeLease
    | MarkSent
    | SaveRenewal
    | SettleAttempt
    | AddPending
    | ClosePending
    | AddKey
    | RotateKey
    | RewrapKey
    | DestroyKey
    | Reseal
    | RefuseKeys
    | EraseTenant
    | AddKeyCheck
    | AddRevocation
    | FinishRevocation
    | DelayRevocation
    | Record
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRow:
    """Stands in the place of a row that cannot be read, because somebody has edited it."""

    table: str
    row: str
    """Its key, as far as that can be read."""
    tenant_id: TenantId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What `doctor` shows of a store; no secrets."""

    kind: str
    schema: str | None
    facts: Mapping[str, str] = field(default_factory=dict)


class AsyncStore(Protocol):
    """Where everything is kept.  `Store` is the same, blocking.

    Every method raises `StorageUnavailableError` when the database cannot be used, and
    `CommitUnknownError` when the connection broke during a commit.  What was surely not made, a store may try
    again by itself.  `UnstorableValueError` says that a value is too long, or that a credential is not of its
    integration's kind; a value is never cut.

    `DamagedRowError` says that somebody has edited a row, so that it cannot be read.  Where many rows are read for their own
    sake (lists of integrations, claims), `DamagedRow` stands in the place of such a row, and the others are given.
    """

    async def prepare(self) -> None:
        """Check that the tables are there and of this version, or raise `SchemaError`."""
        ...

    async def report(self) -> StoreReport:
        """Say what kind of store this is and which schema it has."""
        ...

    async def apply(self, *changes: Change) -> None:
        """Make all *changes* in one transaction, or none and raise what the refused change says."""
        ...

    async def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None; like everywhere, `renewable` says whether a refresh token is stored."""
        ...

    async def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /) -> StoredCredential | None:
        """Return what handing out the tenant's credential with this provider takes, or None; the read of the way that is taken most."""
        ...

    async def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration | DamagedRow, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        ...

    async def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired (by the store's clock), or None."""
        ...

    async def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization by one conditional statement; None if there is none, or somebody was first (OAU-015)."""
        ...

    async def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations, consumed or not, of all tenants; return how many."""
        ...

    async def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Whether an authorization of this tenant with this provider is open."""
        ...

    async def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """Return this data key of the tenant; None if it is not there, destroyed, refused (`RefuseKeys`) or erased."""
        ...

    async def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """Return every data key of these tenants that `find_key` would find, in no order; at most 1,000 tenants."""
        ...

    async def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """Return the data key that new values of the tenant are sealed with, or None."""
        ...

    async def last_key_version(self, tenant_id: TenantId, /) -> int:
        """Return the highest version of a data key that the tenant has or ever had; 0 where there was none."""
        ...

    async def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return data keys that are not destroyed (of one tenant), those beyond *after*, tenant by tenant and by version.

        Which of two tenants comes first is the store's own business, as its database compares text.
        """
        ...

    async def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that only open and still seal a row, those beyond *after*, in the store's own order of ids."""
        ...

    async def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """Return at most *limit* rows of any table that are sealed under these data keys (tenant, key id)."""
        ...

    async def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """Count data keys and the rows they seal by wrapping key and state, or each of one tenant's; without the destroyed."""
        ...

    async def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that were erased with their tenant and are there again: a backup was restored."""
        ...

    async def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """Return the ids of all data keys of the tenant that were destroyed, by rotation or with the tenant, the oldest first."""
        ...

    async def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """Return the check values of every key-encryption key ever used."""
        ...

    async def list_kek_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
        ...

    async def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]:
        """Return at most *limit* entries of the outbox, of all tenants, whose time has come, and hold them.

        Their `next_attempt_at` becomes the store's clock plus *hold*, so that until then nobody else has them.  They come as they are
        then in the store, with that time; whose time came first comes first.  A claim is no attempt: `attempts` and `last_error`
        change by `DelayRevocation` alone.  Where `DamagedRow` stands, the entry is held, too, if it can be named.
        """
        ...

    async def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        ...

    async def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]:
        """Return entries of the outbox for tokens of this tenant (from one provider), due or not, the oldest first."""
        ...

    async def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return which integrations of any tenant have *fingerprint* as that of a token or of their account, in no order.

        At most `MAX_HOLDERS` of them.
        """
        ...

    async def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say how all other integrations of an OAuth application did since then; whatever their tenants.

        True: one was renewed or connected.  False: none was, though one was tried (its `failed_at`).  None: none was tried.
        """
        ...

    async def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations with this provider, of all tenants, that are in state needs_reauth and hold a refresh token.

        Those beyond *after*, ordered by tenant and id as the database compares them; with *reason*, those that have it.
        """
        ...

    async def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the *limit* integrations that have been due for longest, in no order, and hold them.

        A store may look for the next ones behind those that it gave last; what became due before them comes when nothing is left
        behind them, and 20 claims later at the latest.  Only those in state active, retry or unknown.  Their `due_at` becomes the
        store's clock plus *hold*, so that until then nobody else has them.
        """
        ...

    async def count_due(self) -> int:
        """Return how many integrations are due and claimed by nobody; `MAX_COUNTED` means that or more."""
        ...

    async def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events in order of their numbers: all, or those with a number above *after*.

        A forged event may have any number.  Where one cannot be read, the record says so (`readable`).
        """
        ...

    async def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events (of one resource), newest first, with a number below *before*."""
        ...

    async def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None where nothing happened yet."""
        ...


class Store(Protocol):
    """The blocking face of `AsyncStore`: the same names, the same promises."""

    def prepare(self) -> None: ...

    def report(self) -> StoreReport: ...

    def apply(self, *changes: Change) -> None: ...

    def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None: ...

    def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /) -> StoredCredential | None: ...

    def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration | DamagedRow, ...]: ...

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def sweep_pending(self, *, limit: int) -> int: ...

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool: ...

    def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None: ...

    def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]: ...

    def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None: ...

    def last_key_version(self, tenant_id: TenantId, /) -> int: ...

    def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]: ...

    def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]: ...

    def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]: ...

    def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]: ...

    def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]: ...

    def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]: ...

    def list_key_checks(self) -> tuple[KeyCheck, ...]: ...

    def list_kek_ids(self) -> tuple[bytes, ...]: ...

    def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]: ...

    def count_revocations(self) -> int: ...

    def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]: ...

    def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]: ...

    def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None: ...

    def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]: ...

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]: ...

    def count_due(self) -> int: ...

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]: ...

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]: ...

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None: ...
