"""Giving tokens back to the provider: out of the outbox, and only what no stored credential lives on.

An entry is written before anything is sent, in the transaction of the change that makes the token unneeded where there is
one.  So neither a crash nor a provider that is down leaves a grant behind.  Whether somebody holds the token is asked
right before each attempt, after that change was committed: of two who remove a shared token at once, the second sees no holder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, RecordedName, Subject
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration, StoredIntegration
from cloud_integrations.domain.outbox import OUTBOX_TABLE, OutboxEntry
from cloud_integrations.domain.removal import REVOCATION, Revocation, RevocationOutcome, TokenKind
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    CloudIntegrationsError,
    DamagedRowError,
    KeyringError,
    KeyServiceUnavailableError,
    OAuthBackendError,
    ProviderUnavailableError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import AddEntry, Change, DamagedRow, DelayEntry, FinishEntry
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.http import find_json_object
from cloud_integrations.protocol.rate_limit import read_wait

from .events import apply, happened, tell_of
from .fingerprints import token_fingerprint
from .stale_writes import apply_sealed
from .wiring import Wiring

Tokens = Sequence[tuple[TokenKind, Secret]]

ENDS_GRANT: Final = "ends_grant"
HELD: Final = "held"
KEEP_TRYING = timedelta(days=30)
"""Then an entry is abandoned, and that is recorded."""
_LOOK_AGAIN = timedelta(days=1)
"""When to ask again whether somebody still lives on a grant."""
_BACKOFF_CAP = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt to revoke one token went, or why none was made."""

    outcome: RevocationOutcome
    reason: str | None = None
    error_description: str | None = None
    """Which OAuth backend failed, and how."""
    retry_after: timedelta | None = None
    """How long the provider asks to wait before the next attempt."""
    waits: bool = False
    """It is to be looked at again: nobody knows whether revoking what lives on will end it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where tokens that are to be given back come from."""

    tenant_id: TenantId
    integration_id: IntegrationId
    client: Client
    variables: Mapping[str, str]
    account_fingerprint: bytes | None
    """Whose grant it is; None: nobody knows."""

    @classmethod
    def of_stored(cls, client: Client, stored: StoredIntegration, /) -> Source:
        """Return the source of the tokens that a row holds."""
        return cls(
            tenant_id=stored.facts.tenant_id,
            integration_id=stored.facts.id,
            client=client,
            variables=stored.facts.variables,
            account_fingerprint=stored.credential.account_fingerprint,
        )

    @property
    def subject(self) -> Subject:
        """What events say that they are about."""
        return Subject(tenant_id=self.tenant_id, provider_id=self.client.provider.provider_id, integration_id=self.integration_id)


@dataclass(slots=True, kw_only=True)
class Choice:
    """Which tokens are to be revoked, and what becomes of the others."""

    tokens: list[tuple[TokenKind, Secret]] = field(default_factory=list)
    unsupported: list[TokenKind] = field(default_factory=list)
    go_along: list[TokenKind] = field(default_factory=list)
    """Ended by the revocation of the first."""


def choose(client: Client, tokens: Tokens, /) -> Choice:
    """Say which of *tokens* take a request of their own; the refresh token first (RFC 7009 §2.1)."""
    choice = Choice()
    revoke = client.method.revoke
    for kind, token in tokens:
        if not _has_request(client, kind, token):
            choice.unsupported.append(kind)
        elif choice.tokens and revoke is not None and revoke.kills == "grant":
            choice.go_along.append(kind)
        else:
            choice.tokens.append((kind, token))
    return choice


def _has_request(client: Client, kind: TokenKind, token: Secret) -> bool:
    try:
        return client.backend.build_revoke(client, token=token, kind=kind) is not None
    except OAuthBackendError:
        # It waits in the outbox until the backend is repaired.
        return True


def tokens_of(grant: Grant, /) -> Tokens:
    """Return what a grant brought, the refresh token first."""
    named: list[tuple[TokenKind, Secret | None]] = [("refresh", grant.refresh_token), ("access", grant.access_token)]
    return [(kind, token) for kind, token in named if token is not None]


def new_entries(wiring: Wiring, key: DataKey, source: Source, tokens: Tokens, /) -> list[Revocation]:
    """Seal *tokens* for the outbox; this process tries first, and a worker takes over if it does not come back."""
    return [_entry(wiring, key, source, kind, token) for kind, token in tokens]


def _entry(wiring: Wiring, key: DataKey, source: Source, kind: TokenKind, token: Secret) -> Revocation:
    now = wiring.clock.now()
    entry_id = wiring.new_id()
    client = source.client
    return Revocation(
        id=entry_id,
        tenant_id=source.tenant_id,
        integration_id=source.integration_id,
        provider_id=client.provider.provider_id,
        method_id=client.method.id,
        context_id=client.context_id,
        kind=kind,
        sealed_token=wiring.sealer.seal(key, token, table=OUTBOX_TABLE, row=str(entry_id), field="payload"),
        key_id=key.key_id,
        account_fingerprint=source.account_fingerprint,
        variables=dict(source.variables),
        next_attempt_at=now + wiring.settings.lease,
        created_at=now,
    )


async def waiting_revocations(
    wiring: Wiring, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
) -> tuple[Revocation | DamagedRow, ...]:
    """Return what waits for a tenant (and one provider), due or not, the oldest first."""
    index_key = None if provider_id is None else str(provider_id)
    return tuple([read_entry(entry) for entry in await wiring.store.list_entries(tenant_id, REVOCATION, index_key=index_key, limit=limit)])


def read_entry(entry: OutboxEntry | DamagedRow, /) -> Revocation | DamagedRow:
    """Return the revocation that an entry of the outbox says."""
    if isinstance(entry, DamagedRow):
        return entry
    try:
        return Revocation.of(entry)
    except DamagedRowError as error:
        return DamagedRow(table=error.table, row=error.row, tenant_id=entry.tenant_id)


async def give_back(wiring: Wiring, source: Source, tokens: Tokens, /, *, caller: Caller) -> None:
    """Give back tokens that were received and will not be kept.  Never raises an error of ours: the caller has one already."""
    choice = choose(source.client, tokens)
    entries: list[Revocation] = []

    def changes(key: DataKey) -> list[Change | Event]:
        entries[:] = new_entries(wiring, key, source, choice.tokens)
        # What cannot be given back lives until it ends by itself.
        unsupported = [
            happened(wiring, "token.abandoned", source.subject, caller, token=kind, reason="unsupported") for kind in choice.unsupported
        ]
        return [*(AddEntry(entry=revocation.entry) for revocation in entries), *unsupported]

    try:
        await apply_sealed(wiring, source.tenant_id, changes)
    except CloudIntegrationsError:
        await _give_back_unwritten(wiring, source, choice.tokens)
        return
    await revoke_now(wiring, source.client, [(entry, token) for entry, (_, token) in zip(entries, choice.tokens, strict=True)], caller)


async def _give_back_unwritten(wiring: Wiring, source: Source, tokens: Tokens) -> None:
    """Send without an entry, as the last resort: the outbox cannot be written.  Never where nobody can say who holds the token."""
    for kind, token in tokens:
        attempt = await _attempt(
            wiring, source.client, tenant_id=source.tenant_id, account=source.account_fingerprint, kind=kind, token=token
        )
        if attempt.waits or attempt.outcome in {RevocationOutcome.FAILED, RevocationOutcome.UNSUPPORTED}:
            tell_of(wiring, "token.left_behind", source.subject, token=kind, reason=attempt.reason or "failed")


async def revoke_now(
    wiring: Wiring, client: Client, waiting: Sequence[tuple[Revocation, Secret]], caller: Caller, /
) -> dict[TokenKind, Attempt]:
    """Try, at once, what was just written to the outbox; return what became of each, by its kind."""
    attempts: dict[TokenKind, Attempt] = {}
    for entry, token in waiting:
        attempt = await attempt_revocation(wiring, client, entry, token)
        attempts[entry.kind] = attempt
        try:
            await settle(wiring, entry, attempt, caller=caller, at_once=True)
        except StorageUnavailableError:
            # The entry is still in the outbox: it will be looked at, and recorded, once more.
            said = attempt.error_description
            tell_of(wiring, "revocation.unrecorded", Subject.named_by(entry), token=entry.kind, error_description=said)
    return attempts


async def attempt_revocation(wiring: Wiring, client: Client, entry: Revocation, token: Secret, /) -> Attempt:
    """Ask the provider to end *token* (RFC 7009 §2), once, unless a stored credential lives on it."""
    return await _attempt(wiring, client, tenant_id=entry.tenant_id, account=entry.account_fingerprint, kind=entry.kind, token=token)


async def settle(
    wiring: Wiring, entry: Revocation, attempt: Attempt, /, *, caller: Caller, at_once: bool = False
) -> Literal["revoked", "kept", "delayed", "abandoned"]:
    """Write what became of an entry; *at_once*: by the process that made it, which a worker follows.

    Raises `StorageUnavailableError`.
    """
    finish = FinishEntry(tenant_id=entry.tenant_id, entry_id=entry.id)
    now = wiring.clock.now()

    def event(name: RecordedName) -> Event:
        said = attempt.error_description
        return happened(wiring, name, Subject.named_by(entry), caller, token=entry.kind, reason=attempt.reason, error_description=said)

    if attempt.outcome is RevocationOutcome.REVOKED:
        await apply(wiring, finish, event("token.revoked"))
        return "revoked"
    if attempt.outcome in {RevocationOutcome.SHARED, RevocationOutcome.SKIPPED}:
        kept = event("token.kept")
        if not attempt.waits:
            await apply(wiring, finish, kept)
            return "kept"
        # One record is enough, however often it is looked at.
        news = [kept] if entry.last_error != attempt.reason else []
        await apply(wiring, _delayed(entry, attempt, now + _LOOK_AGAIN), *news)
        return "delayed"
    # What had to wait for its integration to go has not been tried before.
    is_old = now - entry.created_at > KEEP_TRYING and entry.last_error != ENDS_GRANT
    if attempt.outcome is RevocationOutcome.UNSUPPORTED or is_old:
        await apply(wiring, finish, event("token.abandoned"))
        return "abandoned"
    asked = attempt.retry_after or timedelta()
    if at_once:
        # It is due when its first holder, this process, must have come back.
        later = [_delayed(entry, attempt, now + asked)] if asked > wiring.settings.lease else []
        await apply(wiring, *later, event("token.not_revoked"))
        return "delayed"
    backoff = min(timedelta(seconds=30) * 2 ** min(entry.attempts, 8), _BACKOFF_CAP) * (0.75 + wiring.entropy.fraction() / 2)
    await apply(wiring, _delayed(entry, attempt, now + max(backoff, asked)))
    return "delayed"


async def _attempt(
    wiring: Wiring, client: Client, *, tenant_id: TenantId, account: bytes | None, kind: TokenKind, token: Secret
) -> Attempt:
    try:
        spared = await _held(wiring, client, tenant_id, token) or await _lives_on_grant(wiring, client, tenant_id, account)
    except (StorageUnavailableError, KeyringError, KeyServiceUnavailableError) as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.code)
    return spared or await _send(wiring, client, kind, token)


async def _held(wiring: Wiring, client: Client, tenant_id: TenantId, token: Secret) -> Attempt | None:
    """Say that a stored credential holds *token*; None where none does."""
    holders = await _holders(wiring, client.provider.provider_id, token)
    if any(holder == tenant_id for holder, _ in holders):
        return Attempt(outcome=RevocationOutcome.SKIPPED, reason=HELD)
    return Attempt(outcome=RevocationOutcome.SHARED, reason="shared") if holders else None


async def is_shared(wiring: Wiring, facts: Integration, grant: Grant, /) -> bool:
    """Whether an integration of another tenant holds a token of *grant*."""
    for _, token in tokens_of(grant):
        if any(tenant_id != facts.tenant_id for tenant_id, _ in await _holders(wiring, facts.provider_id, token)):
            return True
    return False


async def _holders(wiring: Wiring, provider_id: ProviderId, token: Secret) -> tuple[tuple[TenantId, IntegrationId], ...]:
    return await wiring.store.find_holders(provider_id, token_fingerprint(await wiring.data_keys.index(), provider_id, token))


async def _lives_on_grant(wiring: Wiring, client: Client, tenant_id: TenantId, account: bytes | None) -> Attempt | None:
    """Say that a stored credential lives on the grant which revoking a token of *account* may end; None where none does."""
    revoke, provider_id = client.method.revoke, client.provider.provider_id
    if revoke is None or not revoke.may_end_grant:
        return None
    if account is not None and await wiring.store.find_holders(provider_id, account):
        # Where it is certain that the grant is one, whoever removes the last integration on it ends this token, too.
        return Attempt(outcome=RevocationOutcome.SKIPPED, reason=ENDS_GRANT, waits=revoke.kills is None)
    own = await wiring.store.find_credential(tenant_id, provider_id)
    row = None if own is None else await wiring.store.find_integration(tenant_id, own.integration_id)
    is_known = account is not None and row is not None and row.credential.account_fingerprint is not None
    if row is None or row.facts.context_id != client.context_id or is_known:
        # None, or one that lives on another application's or another account's grant.
        return None
    return Attempt(outcome=RevocationOutcome.SKIPPED, reason=ENDS_GRANT, waits=True)


async def _send(wiring: Wiring, client: Client, kind: TokenKind, token: Secret) -> Attempt:
    try:
        request = client.backend.build_revoke(client, token=token, kind=kind)
        if request is None:
            return Attempt(outcome=RevocationOutcome.UNSUPPORTED, reason="unsupported")
        response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
        answer = client.backend.read_revocation(client, response)
    except ProviderUnavailableError as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.reason, error_description=error.error_description)
    if answer == "revoked":
        return Attempt(outcome=RevocationOutcome.REVOKED)
    wait = read_wait(client.provider.rate_limit, response, find_json_object(response.body), now=wiring.clock.now())
    return Attempt(outcome=RevocationOutcome.FAILED, reason=f"status_{response.status}", retry_after=wait)


def _delayed(entry: Revocation, attempt: Attempt, until: datetime) -> DelayEntry:
    return DelayEntry(tenant_id=entry.tenant_id, entry_id=entry.id, next_attempt_at=until, error=attempt.reason or "failed")
