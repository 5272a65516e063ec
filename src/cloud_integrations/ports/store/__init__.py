"""Keeps integrations, keys, authorizations, applications and webhooks of tenants, sessions of agents, freezes, the outbox, audit chains.

A unit of work is a list of values: a flow lists its changes and `apply` makes all of them in one transaction, or
none of them.  Reads are single statements.  Leases use the store's own clock.

Each change with a sealed value (`AddIntegration`, `ReplaceCredential`, `SaveRenewal`, `AddPending`, `SaveApplication`, `SaveWebhook`,
`AddEntry`) must be sealed by the tenant's *active* data key, the one that `find_active_key` finds.  The store locks that key's row until
the commit, and raises `KeyRetiredError` for any other key.  So nothing new is sealed under a key once it was replaced, even by a process
that still has the old key in memory.

Times are exact to the microsecond.  A lease still runs at the instant `lease_until`; an authorization is expired at the instant
`expires_at`; `due_at` and `next_attempt_at` are due at that instant.

All changes lock in one order: key, rows, audit.  In a unit of work that also changes other rows, list changes with sealed values first.
"""

from __future__ import annotations

from .announcements import Announce, Retract
from .applications import RemoveApplication, SaveApplication
from .audit import CutAudit, HidePerson, Record, StoredCut
from .composed import AsyncStore, Change, Store, StoreReport
from .connect_sessions import AddConnectSession, OpenConnectSession, RemoveConnectSession
from .damaged_row import DamagedRow
from .freezes import AddFreeze, LiftFreeze
from .incidents import AddIncident, SettleItem
from .integrations import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    USES_EVERY,
    AddIntegration,
    EraseIntegration,
    MarkUsed,
    ReplaceCredential,
    SaveFacts,
    SaveVariables,
)
from .keys import AddKey, AddKeyCheck, DestroyKey, EraseTenant, RefuseKeys, Reseal, RewrapKey, RotateKey
from .outbox import AddEntry, DelayEntry, FinishEntry
from .overview import MAX_ENDING, MAX_LOOKED, FoundPage, RenewalCounts
from .pending import AddPending, BeginPoll, ClosePending, EndPoll
from .refresh import MAX_COUNTED, MarkSent, SaveRenewal, SetDue, SettleAttempt, TakeLease
from .sessions import AddSession, RevokeSession
from .webhooks import MarkWebhook, RemoveWebhook, SaveWebhook

__all__ = [
    "MAX_COUNTED",
    "MAX_ENDING",
    "MAX_HOLDERS",
    "MAX_LOOKED",
    "RECONNECT_OWNER",
    "USES_EVERY",
    "AddConnectSession",
    "AddEntry",
    "AddFreeze",
    "AddIncident",
    "AddIntegration",
    "AddKey",
    "AddKeyCheck",
    "AddPending",
    "AddSession",
    "Announce",
    "AsyncStore",
    "BeginPoll",
    "Change",
    "ClosePending",
    "CutAudit",
    "DamagedRow",
    "DelayEntry",
    "DestroyKey",
    "EndPoll",
    "EraseIntegration",
    "EraseTenant",
    "FinishEntry",
    "FoundPage",
    "HidePerson",
    "LiftFreeze",
    "MarkSent",
    "MarkUsed",
    "MarkWebhook",
    "OpenConnectSession",
    "Record",
    "RefuseKeys",
    "RemoveApplication",
    "RemoveConnectSession",
    "RemoveWebhook",
    "RenewalCounts",
    "ReplaceCredential",
    "Reseal",
    "Retract",
    "RevokeSession",
    "RewrapKey",
    "RotateKey",
    "SaveApplication",
    "SaveFacts",
    "SaveRenewal",
    "SaveVariables",
    "SaveWebhook",
    "SetDue",
    "SettleAttempt",
    "SettleItem",
    "Store",
    "StoreReport",
    "StoredCut",
    "TakeLease",
]
