"""The rotation of a key: two keys of one integration are stored, and one of them is handed out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.outbox import OUTBOX_TABLE, OutboxEntry
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import DamagedRowError

KEY_ROTATION: Final = "key_rotation"
"""The kind of the outbox entries that hold the key which is not handed out."""
STAGED_FOR: Final = timedelta(days=7)
"""How long a new key waits beside the old one; then the rotation is cancelled."""
_VARIABLE = "variable."

RotationState = Literal["sent", "staged", "switched", "replaced", "cancelled", "rolled"]
"""How far a rotation has come.

`sent`: the provider is asked for a new key, and its answer is not stored yet.  `staged`: the old key is handed out, and the new one
waits.  `switched`: the new key is handed out, and the old one waits for its end.  `replaced`: as `switched`, but the new key was replaced
by a reconnect, so there is no way back to the old one.  `cancelled`: the old key is handed out, and the new one is gone.  `rolled`: the
provider has given the key a new value, which is handed out, and has ended the old one.
"""
KeyEnd = Literal["revoke", "unsupported", "not_asked", "unused", "unknown", "ended"]
"""What becomes of the key that is not handed out, when the rotation ends.

`revoke`: the provider is asked to end it.  `unsupported`: the provider has no request for that, so the tenant ends it, at `manual_url`.
`not_asked`: the provider could, but the rotation began without `revoke_key`.  `unused`: a new key that was entered and never handed out
is forgotten.  `unknown`: the provider may have made a key that nobody knows; a person looks for it, at `manual_url`.  `ended`: the
provider itself has ended it.
"""
KeyMaking = Literal["create", "roll"]
"""How a provider makes a new key: beside the old one (`create`), or in its place (`roll`)."""
NewKeySource = Literal["entered"] | KeyMaking
"""Where a new key comes from: a person has entered it, or the provider makes it (`KeyMaking`)."""
_MAKINGS: tuple[KeyMaking, ...] = get_args(KeyMaking)
_SOURCES: dict[str, NewKeySource] = {"entered": "entered", **{making: making for making in _MAKINGS}}
_STATES: dict[str, RotationState] = {state: state for state in get_args(RotationState)}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation(Serialisable):
    """An open rotation of the key of one integration, without its secrets.  Times are aware UTC datetimes."""

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    state: RotationState
    begun_at: datetime
    switched_at: datetime | None
    """Since when the new key is handed out; None: it is not yet."""
    ends_at: datetime
    """When the worker ends the rotation: it gives up a request that was `sent`, cancels a `staged` one, otherwise ends the old key."""
    key_end: KeyEnd
    """What then becomes of the key that is not handed out."""
    manual_url: str | None
    """The page where a person ends a key, where the provider is not asked; None: not known, or not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRotation:
    """A rotation with the key that is not handed out, read from an outbox entry of kind `key_rotation`.

    The entry has the id of its integration, so the primary key of the outbox allows one rotation at a time.
    """

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    state: RotationState
    method_id: str
    """The method of the key that is not handed out."""
    variables: dict[str, str]
    """The integration's variables, and the `identity` that the check of this key found, if it did."""
    new_key: NewKeySource
    revoke_key: bool
    """Whether the old key is revoked at the end, if the provider can."""
    overlap: timedelta
    begun_at: datetime
    switched_at: datetime | None = None
    ends_at: datetime
    key_ends_at: datetime | None = None
    """When the key that is not handed out ends by itself; None: not known."""
    sealed_parts: bytes = field(repr=False)
    """What is stored of the key that is not handed out; nothing while it is `sent`."""
    key_id: UUID
    """The data key that sealed it."""

    @property
    def is_new(self) -> bool:
        """Whether the key that is not handed out is the new one."""
        return self.state in {"sent", "staged"}

    @property
    def entry(self) -> OutboxEntry:
        """The outbox entry of this rotation."""
        facts = {
            "rotation": str(self.id),
            "state": self.state,
            "provider_id": str(self.provider_id),
            "method_id": self.method_id,
            "new_key": self.new_key,
            "revoke_key": str(self.revoke_key).lower(),
            "overlap": str(self.overlap // timedelta(seconds=1)),
            "begun_at": self.begun_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
        }
        if self.switched_at is not None:
            facts["switched_at"] = self.switched_at.isoformat()
        if self.key_ends_at is not None:
            facts["key_ends_at"] = self.key_ends_at.isoformat()
        return OutboxEntry(
            id=self.integration_id,
            tenant_id=self.tenant_id,
            integration_id=self.integration_id,
            kind=KEY_ROTATION,
            index_key=str(self.integration_id),
            facts={**facts, **{f"{_VARIABLE}{name}": value for name, value in self.variables.items()}},
            sealed_payload=self.sealed_parts,
            key_id=self.key_id,
            next_attempt_at=self.ends_at,
            created_at=self.begun_at,
        )

    @classmethod
    def of(cls, entry: OutboxEntry, /) -> StoredRotation:
        """Return the rotation that *entry* describes.  Raises `DamagedRowError` if the entry was edited and cannot be read."""
        facts, sealed, key_id = entry.facts, entry.sealed_payload, entry.key_id
        damaged = DamagedRowError(table=OUTBOX_TABLE, row=str(entry.id))
        if sealed is None or key_id is None or entry.integration_id is None:
            raise damaged
        try:
            found = cls(
                id=UUID(facts["rotation"]),
                tenant_id=entry.tenant_id,
                integration_id=entry.integration_id,
                provider_id=ProviderId(UUID(facts["provider_id"])),
                state=_STATES[facts["state"]],
                method_id=facts["method_id"],
                variables={name.removeprefix(_VARIABLE): value for name, value in facts.items() if name.startswith(_VARIABLE)},
                new_key=_SOURCES[facts["new_key"]],
                revoke_key={"true": True, "false": False}[facts["revoke_key"]],
                overlap=timedelta(seconds=int(facts["overlap"])),
                begun_at=datetime.fromisoformat(facts["begun_at"]),
                switched_at=datetime.fromisoformat(facts["switched_at"]) if "switched_at" in facts else None,
                ends_at=datetime.fromisoformat(facts["ends_at"]),
                key_ends_at=datetime.fromisoformat(facts["key_ends_at"]) if "key_ends_at" in facts else None,
                sealed_parts=sealed,
                key_id=key_id,
            )
        except (LookupError, OverflowError, TypeError, ValueError):
            raise damaged from None
        if found.entry.facts != facts:
            raise damaged
        return found
