"""What happened to each token at its provider when an integration was removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, get_args
from uuid import UUID

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.outbox import OUTBOX_TABLE, OutboxEntry
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import DamagedRowError

REVOCATION = "revocation"
"""The kind of the outbox entries that revoke a token."""
_VARIABLE = "variable."


class RevocationOutcome(StrEnum):
    """What happened to one token at its provider."""

    REVOKED = "revoked"
    UNSUPPORTED = "unsupported"
    """Not revoked: the provider has no request for it; `manual_url` is the page where a person can do it."""
    FAILED = "failed"
    """Not revoked yet: it is stored, sealed, and the revocation is repeated."""
    SHARED = "shared"
    """Not revoked: an integration of another tenant has the same token.  The last of them to be removed revokes it."""
    SKIPPED = "skipped"
    """No request was sent: there was no such token, it ended with the other one, or a reason (`LeftAlone`) is given beside it."""


LeftAlone = Literal["ends_grant", "held", "not_asked"]
"""Why a token or a key was not revoked although the provider could.

`ends_grant`: that may end the grant of another integration of the same account.  `held`: another integration of the tenant (connected
again meanwhile, or in another slot) has the same token or key.  `not_asked`: a key may serve elsewhere too, so it is revoked only if
that is asked for.
"""
TokenKind = Literal["refresh", "access"]
API_KEY: Final = "api_key"
"""The kind of a key that was pasted, beside the kinds of tokens."""
RevokedKind = TokenKind | Literal["api_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal(Serialisable):
    """The result of a removal: the stored secrets are deleted, and this happened to each token at the provider."""

    integration_id: IntegrationId
    refresh_token: RevocationOutcome = RevocationOutcome.SKIPPED
    access_token: RevocationOutcome = RevocationOutcome.SKIPPED
    api_key: RevocationOutcome = RevocationOutcome.SKIPPED
    """`unsupported`: the key still works at the provider, which cannot revoke it by a request (of this key); `skipped`: there was no
    key, the provider had refused it before, or `key_reason` says why it was left."""
    other_key: RevocationOutcome = RevocationOutcome.SKIPPED
    """The key that was not handed out, if a rotation of the key was open, as `api_key`; `skipped` also if it was never used."""
    installation: RevocationOutcome = RevocationOutcome.SKIPPED
    """`unsupported`: the operator's application stays installed at the provider, where others may use it too, until its owner removes it
    at `manual_url`; `skipped`: there was no installation, or the provider had refused it before."""
    refresh_reason: LeftAlone | None = None
    """Why the refresh token was not revoked: `ends_grant` (that may end the grant of another integration of the same account) or
    `held` (another integration of the tenant has the same token); None: neither."""
    access_reason: LeftAlone | None = None
    """The same for the access token."""
    key_reason: LeftAlone | None = None
    """Why the key was not revoked: `not_asked` (the provider could, and was not asked) or `held`; None: neither."""
    other_key_reason: LeftAlone | None = None
    """The same for `other_key`."""
    waiting: int = 0
    """The number of tokens of earlier connections with this provider that the outbox still has to revoke."""
    manual_url: str | None = None
    """The page where a person withdraws what is `unsupported` or `not_asked`; None: nothing is, or the page is not known."""


_KINDS: dict[str, RevokedKind] = {**{kind: kind for kind in get_args(TokenKind)}, API_KEY: API_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A token or key that still has to be revoked at its provider, read from an outbox entry of kind `revocation`."""

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    method_id: str
    context_id: ContextId | None
    kind: RevokedKind
    sealed_token: bytes = field(repr=False)
    """The token, or the packed parts of a key."""
    key_id: UUID
    """The data key that sealed it."""
    account_fingerprint: bytes | None = field(default=None, repr=False)
    """The fingerprint of its account, as in `SealedCredential`; None: the account is not known."""
    variables: dict[str, str] = field(default_factory=dict)
    """The integration's variables; of a key also the `identity` that the check found, if it did."""
    attempts: int = 0
    next_attempt_at: datetime
    created_at: datetime
    last_error: str | None = None

    @property
    def entry(self) -> OutboxEntry:
        """The outbox entry of this revocation."""
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
        """Return the revocation that *entry* describes.  Raises `DamagedRowError` if the entry was edited and cannot be read."""
        facts = entry.facts
        if entry.sealed_payload is None or entry.key_id is None or entry.integration_id is None:
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
    """The result of one round over the revocations in the outbox, in numbers of tokens."""

    revoked: int = 0
    kept: int = 0
    """Not revoked and done: a stored credential has the token, or depends on its grant."""
    delayed: int = 0
    """Not revoked yet: the attempt failed and is repeated later."""
    abandoned: int = 0
    """Given up: the token has ended long ago, or its provider is no longer configured."""
    waiting: int = 0
    """Still in the outbox after the round, due or not."""
