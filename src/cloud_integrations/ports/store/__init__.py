"""Keeps integrations, keys, pending authorizations, tenants' own applications, the outbox and the audit chain.

A unit of work is a list of values: a flow lists its changes and `apply` makes all of them in one transaction, or
none of them.  Reads are single statements.  Leases use the store's own clock.

Each change with a sealed value (`AddIntegration`, `ReplaceCredential`, `SaveRenewal`, `AddPending`, `SaveApplication`, `AddEntry`)
must be sealed by the tenant's *active* data key, the one that `find_active_key` finds.  The store locks that key's row until the
commit, and raises `KeyRetiredError` for any other key.  So nothing new is sealed under a key once it was replaced, even by a process
that still has the old key in memory.

Times are exact to the microsecond.  A lease still runs at the instant `lease_until`; an authorization is expired at the instant
`expires_at`; `due_at` and `next_attempt_at` are due at that instant.

All changes lock in one order: key, rows, audit.  In a unit of work that also changes other rows, list changes with sealed values first.
"""

from __future__ import annotations

from .applications import RemoveApplication, SaveApplication
from .audit import Record
from .composed import AsyncStore, Change, Store, StoreReport
from .damaged_row import DamagedRow
from .integrations import MAX_HOLDERS, RECONNECT_OWNER, AddIntegration, EraseIntegration, ReplaceCredential, SaveFacts
from .keys import AddKey, AddKeyCheck, DestroyKey, EraseTenant, RefuseKeys, Reseal, RewrapKey, RotateKey
from .outbox import AddEntry, DelayEntry, FinishEntry
from .pending import AddPending, BeginPoll, ClosePending, EndPoll
from .refresh import MAX_COUNTED, MarkSent, SaveRenewal, SettleAttempt, TakeLease

__all__ = [
    "MAX_COUNTED",
    "MAX_HOLDERS",
    "RECONNECT_OWNER",
    "AddEntry",
    "AddIntegration",
    "AddKey",
    "AddKeyCheck",
    "AddPending",
    "AsyncStore",
    "BeginPoll",
    "Change",
    "ClosePending",
    "DamagedRow",
    "DelayEntry",
    "DestroyKey",
    "EndPoll",
    "EraseIntegration",
    "EraseTenant",
    "FinishEntry",
    "MarkSent",
    "Record",
    "RefuseKeys",
    "RemoveApplication",
    "ReplaceCredential",
    "Reseal",
    "RewrapKey",
    "RotateKey",
    "SaveApplication",
    "SaveFacts",
    "SaveRenewal",
    "SettleAttempt",
    "Store",
    "StoreReport",
    "TakeLease",
]
