"""The store that a manager is given: all subjects, and the unit of work that spans them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .announcements import Announce, AnnouncementStore, AsyncAnnouncementStore, Retract
from .applications import ApplicationStore, AsyncApplicationStore, RemoveApplication, SaveApplication
from .audit import AsyncAuditStore, AuditStore, CutAudit, HidePerson, Record
from .connect_sessions import AddConnectSession, AsyncConnectSessionStore, ConnectSessionStore, OpenConnectSession, RemoveConnectSession
from .freezes import AddFreeze, AsyncFreezeStore, FreezeStore, LiftFreeze
from .incidents import AddIncident, AsyncIncidentStore, IncidentStore, SettleItem
from .integrations import (
    AddIntegration,
    AsyncIntegrationStore,
    EraseIntegration,
    IntegrationStore,
    MarkUsed,
    ReplaceCredential,
    SaveFacts,
    SaveVariables,
)
from .keys import AddKey, AddKeyCheck, AsyncKeyStore, DestroyKey, EraseTenant, KeyStore, RefuseKeys, Reseal, RewrapKey, RotateKey
from .outbox import AddEntry, AsyncOutboxStore, DelayEntry, FinishEntry, OutboxStore
from .overview import AsyncOverviewStore, OverviewStore
from .pending import AddPending, AsyncPendingStore, BeginPoll, ClosePending, EndPoll, PendingStore
from .refresh import AsyncRefreshStore, MarkSent, RefreshStore, SaveRenewal, SetDue, SettleAttempt, TakeLease
from .sessions import AddSession, AsyncSessionStore, RevokeSession, SessionStore
from .webhooks import AsyncWebhookStore, MarkWebhook, RemoveWebhook, SaveWebhook, WebhookStore

Change = (
    AddIntegration
    | SaveFacts
    | SaveVariables
    | ReplaceCredential
    | MarkUsed
    | EraseIntegration
    | TakeLease
    | MarkSent
    | SaveRenewal
    | SetDue
    | SettleAttempt
    | AddPending
    | ClosePending
    | SaveApplication
    | RemoveApplication
    | AddSession
    | RevokeSession
    | AddConnectSession
    | OpenConnectSession
    | RemoveConnectSession
    | AddFreeze
    | LiftFreeze
    | AddIncident
    | SettleItem
    | BeginPoll
    | EndPoll
    | AddKey
    | RotateKey
    | RewrapKey
    | DestroyKey
    | Reseal
    | RefuseKeys
    | EraseTenant
    | AddKeyCheck
    | AddEntry
    | FinishEntry
    | DelayEntry
    | SaveWebhook
    | MarkWebhook
    | RemoveWebhook
    | Announce
    | Retract
    | HidePerson
    | CutAudit
    | Record
)
"""One change of a unit of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What `doctor` shows of a store; no secrets."""

    kind: str
    schema: str | None
    facts: Mapping[str, str] = field(default_factory=dict)


class AsyncStore(
    AsyncIntegrationStore,
    AsyncRefreshStore,
    AsyncPendingStore,
    AsyncApplicationStore,
    AsyncSessionStore,
    AsyncConnectSessionStore,
    AsyncFreezeStore,
    AsyncIncidentStore,
    AsyncKeyStore,
    AsyncOutboxStore,
    AsyncAnnouncementStore,
    AsyncWebhookStore,
    AsyncAuditStore,
    AsyncOverviewStore,
    Protocol,
):
    """Keeps everything.  `Store` is the same, blocking.

    Every method raises `StorageUnavailableError` if the database cannot be used, and `CommitUnknownError` if the connection broke
    during a commit.  A store may itself repeat a transaction that certainly was not committed.  `UnstorableValueError` means that a
    value is too long, or that a credential does not fit the kind of its integration; a value is never truncated.

    `DamagedRowError` means that a row was edited and cannot be read.  Methods that return many rows
    (lists of integrations, claims) return `DamagedRow` in place of such a row, together with the others.
    """

    async def prepare(self) -> None:
        """Check that the tables exist and have this version; raise `SchemaError` otherwise."""
        ...

    async def report(self) -> StoreReport:
        """Return the kind of this store and the version of its schema."""
        ...

    async def apply(self, *changes: Change) -> None:
        """Make all *changes* in one transaction; if one is refused, make none and raise the error that this change documents."""
        ...


class Store(
    IntegrationStore,
    RefreshStore,
    PendingStore,
    ApplicationStore,
    SessionStore,
    ConnectSessionStore,
    FreezeStore,
    IncidentStore,
    KeyStore,
    OutboxStore,
    AnnouncementStore,
    WebhookStore,
    AuditStore,
    OverviewStore,
    Protocol,
):
    """The blocking form of `AsyncStore`: the same methods, the same promises."""

    def prepare(self) -> None: ...

    def report(self) -> StoreReport: ...

    def apply(self, *changes: Change) -> None: ...
