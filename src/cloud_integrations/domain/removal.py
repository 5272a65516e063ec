"""What became of each token when an integration was removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args
from uuid import UUID

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.outbox import OUTBOX_TABLE, OutboxEntry
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import DamagedRowError

REVOCATION = "revocation"
"""The kind of an entry of the outbox."""
_VARIABLE = "variable."


class RevocationOutcome(StrEnum):
    """The truth about one token."""

    REVOKED = "revoked"
    UNSUPPORTED = "unsupported"
    """The provider has no request for it; `manual_url` says where a person can do it."""
    FAILED = "failed"
    """Not revoked yet; it is kept, sealed, and retried."""
    SHARED = "shared"
    """Not revoked: an integration of another tenant holds the same token, and the one removed last revokes it."""
    SKIPPED = "skipped"
    """Not sent: ended together with another token, never held, or left alone for the reason that stands beside it."""


LeftAlone = Literal["ends_grant", "held"]
"""Why a token was not revoked, though it could be."""
TokenKind = Literal["refresh", "access"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal(Serialisable):
    """What a removal did: the local secret is gone, and each token's fate at the provider."""

    integration_id: IntegrationId
    refresh_token: RevocationOutcome = RevocationOutcome.SKIPPED
    access_token: RevocationOutcome = RevocationOutcome.SKIPPED
    api_key: RevocationOutcome = RevocationOutcome.SKIPPED
    """`unsupported`: the key still works at the provider, because whoever pasted it may use it elsewhere too; `skipped`: there was
    none, or the provider had refused it before."""
    refresh_reason: LeftAlone | None = None
    """Why the refresh token was left alone: `ends_grant` (revoking it may end the grant of another integration of the same
    account) or `held` (the tenant has connected anew meanwhile, and this token came again); None: nothing to say."""
    access_reason: LeftAlone | None = None
    """The same for the access token."""
    waiting: int = 0
    """Tokens of earlier connections with this provider that are still to be revoked; the outbox has them."""
    manual_url: str | None = None
    """Where a person withdraws what is `unsupported`; None: nothing is, or nobody knows."""


_KINDS: dict[str, TokenKind] = {kind: kind for kind in get_args(TokenKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A token that still has to be revoked at its provider: what an entry of the outbox of kind `revocation` says."""

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    method_id: str
    context_id: ContextId | None
    kind: TokenKind
    sealed_token: bytes = field(repr=False)
    key_id: UUID
    """The data key that sealed it."""
    account_fingerprint: bytes | None = field(default=None, repr=False)
    """Whose grant it is, in the words of `SealedCredential`; None: nobody knows."""
    variables: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    next_attempt_at: datetime
    created_at: datetime
    last_error: str | None = None

    @property
    def entry(self) -> OutboxEntry:
        """The entry that says it."""
        facts = {"method_id": self.method_id, "token": self.kind}
        if self.context_id is not None:
            facts["context_id"] = str(self.context_id)
        if self.account_fingerprint is not None:
            facts["account_fingerprint"] = self.account_fingerprint.hex()
        return OutboxEntry(
            id=self.id,
            tenant_id=self.tenant_id,
            integration_id=self.integration_id,
            kind=REVOCATION,
            index_key=str(self.provider_id),
            facts={**facts, **{f"{_VARIABLE}{name}": value for name, value in self.variables.items()}},
            sealed_payload=self.sealed_token,
            key_id=self.key_id,
            attempts=self.attempts,
            next_attempt_at=self.next_attempt_at,
            created_at=self.created_at,
            last_error=self.last_error,
        )

    @classmethod
    def of(cls, entry: OutboxEntry, /) -> Revocation:
        """Return what *entry* says.  Raises `DamagedRowError` for one that was edited, so that it says nothing."""
        facts = entry.facts
        if entry.sealed_payload is None or entry.key_id is None:
            raise DamagedRowError(table=OUTBOX_TABLE, row=str(entry.id))
        try:
            return cls(
                id=entry.id,
                tenant_id=entry.tenant_id,
                integration_id=entry.integration_id,
                provider_id=ProviderId(UUID(entry.index_key)),
                method_id=facts["method_id"],
                context_id=ContextId(UUID(facts["context_id"])) if "context_id" in facts else None,
                kind=_KINDS[facts["token"]],
                sealed_token=entry.sealed_payload,
                key_id=entry.key_id,
                account_fingerprint=bytes.fromhex(facts["account_fingerprint"]) if "account_fingerprint" in facts else None,
                variables={name.removeprefix(_VARIABLE): value for name, value in facts.items() if name.startswith(_VARIABLE)},
                attempts=entry.attempts,
                next_attempt_at=entry.next_attempt_at,
                created_at=entry.created_at,
                last_error=entry.last_error,
            )
        except (LookupError, TypeError, ValueError):
            raise DamagedRowError(table=OUTBOX_TABLE, row=str(entry.id)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRun(Serialisable):
    """What one round over the outbox did."""

    revoked: int = 0
    kept: int = 0
    """Left alone: a stored credential holds the token, or lives on its grant."""
    delayed: int = 0
    abandoned: int = 0
    """Given up: the token has long ended by itself, or its provider is no longer configured."""
    waiting: int = 0
    """Left in the outbox, due or not."""
