"""The protocols of all parts that can be replaced, and the values that their methods take and return.

To write a part of your own, import everything from here.  `cloud_integrations.testing.contracts` has the tests for it.
"""

from __future__ import annotations

from cloud_integrations.domain.envelope import KeyCheck, WrappedKey, wrap_context
from cloud_integrations.domain.integration import (
    DueIntegration,
    Phase,
    RefreshMarks,
    SealedCredential,
    State,
    StoredCredential,
    StoredIntegration,
)
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.rekeying import SealedRow

from .catalogue import Providers
from .cipher import Cipher
from .clock import AsyncPause, Clock, Entropy, Pause
from .key_service import KekRef, KeyService
from .observer import Observer
from .signing_keys import PublicSigningKey, SigningKeys
from .store import (
    MAX_COUNTED,
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddEntry,
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    AsyncStore,
    BeginPoll,
    Change,
    ClosePending,
    DamagedRow,
    DelayEntry,
    DestroyKey,
    EndPoll,
    EraseIntegration,
    EraseTenant,
    FinishEntry,
    MarkSent,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    RewrapKey,
    RotateKey,
    SaveFacts,
    SaveRenewal,
    SettleAttempt,
    Store,
    StoreReport,
    TakeLease,
)
from .tenants import AsyncTenants, Tenants
from .transport import AsyncTransport, Transport

__all__ = [
    "MAX_COUNTED",
    "MAX_HOLDERS",
    "RECONNECT_OWNER",
    "AddEntry",
    "AddIntegration",
    "AddKey",
    "AddKeyCheck",
    "AddPending",
    "AsyncPause",
    "AsyncStore",
    "AsyncTenants",
    "AsyncTransport",
    "BeginPoll",
    "Change",
    "Cipher",
    "Clock",
    "ClosePending",
    "DamagedRow",
    "DelayEntry",
    "DestroyKey",
    "DueIntegration",
    "EndPoll",
    "Entropy",
    "EraseIntegration",
    "EraseTenant",
    "FinishEntry",
    "KekRef",
    "KeyCheck",
    "KeyService",
    "MarkSent",
    "Observer",
    "OutboxEntry",
    "Pause",
    "Phase",
    "Providers",
    "PublicSigningKey",
    "Record",
    "RefreshMarks",
    "RefuseKeys",
    "ReplaceCredential",
    "Reseal",
    "RewrapKey",
    "RotateKey",
    "SaveFacts",
    "SaveRenewal",
    "SealedCredential",
    "SealedRow",
    "SettleAttempt",
    "SigningKeys",
    "State",
    "Store",
    "StoreReport",
    "StoredCredential",
    "StoredIntegration",
    "TakeLease",
    "Tenants",
    "Transport",
    "WrappedKey",
    "wrap_context",
]
