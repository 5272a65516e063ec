"""Revoking tokens at the provider, through the outbox, unless a stored credential still needs them.

An entry is written before anything is sent: where a change makes the token unneeded, in the transaction of that change.  So neither
a crash nor a provider that is down leaves a grant behind.  Right before each attempt, after that change was committed, the store is
asked which integrations still hold the token: if two integrations that share it are removed at once, the later look finds no holder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import REVOKED_BY_OPERATOR, Integration, StoredIntegration
from cloud_integrations.domain.removal import API_KEY, Revocation, RevocationOutcome, RevokedKind, TokenKind
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    KeyringError,
    KeyServiceUnavailableError,
    OAuthBackendError,
    ProviderUnavailableError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import AddEntry, Change, DamagedRow, DelayEntry, FinishEntry
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.client_secrets import refuses_revoking_client
from cloud_integrations.protocol.http import HttpRequest, find_json_object
from cloud_integrations.protocol.rate_limit import read_wait

from .client_secrets import Answer, ask, preferred
from .events import apply, happened, tell_of
from .fingerprints import token_fingerprint
from .measuring import measured
from .revocation_entries import new_entry
from .server_metadata import located
from .stale_writes import apply_sealed
from .wiring import Wiring

Tokens = Sequence[tuple[TokenKind, Secret]]

ENDS_GRANT: Final = "ends_grant"
HELD: Final = "held"
KEEP_TRYING = timedelta(days=30)
"""After this time an entry is abandoned, and that is recorded."""
_LOOK_AGAIN = timedelta(days=1)
"""When to look again whether a stored credential still needs a grant."""
_BACKOFF_CAP = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The result of one attempt to revoke one token, or the reason why nothing was sent."""

    outcome: RevocationOutcome
    reason: str | None = None
    error_description: str | None = None
    """What an OAuth backend that failed says about the failure."""
    retry_after: timedelta | None = None
    """How long the provider asks to wait before the next attempt."""
    waits: bool = False
    """True: look again later, because it is not known whether the end of another credential will end this token too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The integration and the authorization server from which tokens to be revoked come."""

    tenant_id: TenantId
    integration_id: IntegrationId
    client: Client
    variables: Mapping[str, str]
    account_fingerprint: bytes | None
    """The account that granted access; None if it is not known."""

    @classmethod
    def of_stored(cls, client: Client, stored: StoredIntegration, /) -> Source:
        """Return the source of the tokens in a stored row."""
        return cls(
            tenant_id=stored.facts.tenant_id,
            integration_id=stored.facts.id,
            client=client,
            variables=stored.facts.variables,
            account_fingerprint=stored.credential.account_fingerprint,
        )

    @property
    def subject(self) -> Subject:
        """The subject of events about these tokens."""
        return Subject(tenant_id=self.tenant_id, provider_id=self.client.provider.provider_id, integration_id=self.integration_id)


@dataclass(slots=True, kw_only=True)
class Choice:
    """The tokens that need a revocation request of their own, and the kinds of those that do not."""

    tokens: list[tuple[TokenKind, Secret]] = field(default_factory=list)
    unsupported: list[TokenKind] = field(default_factory=list)
    go_along: list[TokenKind] = field(default_factory=list)
    """Kinds of tokens that the revocation of the first token ends."""


def choose(client: Client, tokens: Tokens, /) -> Choice:
    """Return which of *tokens*, the refresh token first, need a revocation request of their own (RFC 7009 §2.1)."""
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
    if client.lacks_endpoints:
        # Whether the server has an endpoint for it is asked when it is sent, so that an outage loses no token.
        return client.method.revoke is not None
    try:
        return client.backend.build_revoke(client, token=token, kind=kind) is not None
    except OAuthBackendError:
        # The token waits in the outbox until the backend is repaired.
        return True


def tokens_of(grant: Grant, /) -> Tokens:
    """Return the tokens of a grant with their kinds, the refresh token first."""
    named: list[tuple[TokenKind, Secret | None]] = [("refresh", grant.refresh_token), ("access", grant.access_token)]
    return [(kind, token) for kind, token in named if token is not None]


def new_entries(wiring: Wiring, key: DataKey, source: Source, tokens: Tokens, /) -> list[Revocation]:
    """Return new outbox entries with *tokens* sealed under *key*.

    They are due after the lease time, so that this process tries first and a worker takes over if this process ends.
    """
    client = source.client
    return [
        new_entry(
            wiring,
            key,
            kind,
            token,
            tenant_id=source.tenant_id,
            integration_id=source.integration_id,
            provider_id=client.provider.provider_id,
            method_id=client.method.id,
            context_id=client.context_id,
            account_fingerprint=source.account_fingerprint,
            variables=source.variables,
        )
        for kind, token in tokens
    ]


async def give_back(wiring: Wiring, source: Source, tokens: Tokens, /, *, caller: Caller) -> None:
    """Revoke tokens that were received and will not be stored.

    Raises no error of ours, because the caller is already handling one.
    """
    choice = choose(source.client, tokens)
    entries: list[Revocation] = []

    def changes(key: DataKey) -> list[Change | Event]:
        entries[:] = new_entries(wiring, key, source, choice.tokens)
        # Tokens that cannot be revoked stay valid until they expire.
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
    """Send without an outbox entry, as the last resort, because the outbox cannot be written.

    Sends nothing if the store cannot say which integrations hold the token.
    """
    for kind, token in tokens:
        attempt = await _attempt(
            wiring, source.client, tenant_id=source.tenant_id, account=source.account_fingerprint, kind=kind, token=token
        )
        if attempt.waits or attempt.outcome in {RevocationOutcome.FAILED, RevocationOutcome.UNSUPPORTED}:
            tell_of(wiring, "token.left_behind", source.subject, token=kind, reason=attempt.reason or "failed")


async def revoke_now(
    wiring: Wiring, client: Client, waiting: Sequence[tuple[Revocation, Secret]], caller: Caller, /
) -> dict[RevokedKind, Attempt]:
    """Try at once the revocations that were just written to the outbox; return the attempts by kind of token."""
    attempts: dict[RevokedKind, Attempt] = {}
    for entry, token in waiting:
        attempts[entry.kind] = await attempt_revocation(wiring, client, entry, token)
        await settle_now(wiring, entry, attempts[entry.kind], caller=caller)
    return attempts


async def settle_now(wiring: Wiring, entry: Revocation, attempt: Attempt, /, *, caller: Caller) -> None:
    """Write and record the result of the first attempt, which the process made that wrote the entry."""
    try:
        await settle(wiring, entry, attempt, caller=caller, at_once=True)
    except StorageUnavailableError:
        # The entry is still in the outbox, so a worker will try it again and record the result.
        said = attempt.error_description
        tell_of(wiring, "revocation.unrecorded", Subject.named_by(entry), token=entry.kind, error_description=said)


async def attempt_revocation(wiring: Wiring, client: Client, entry: Revocation, token: Secret, /) -> Attempt:
    """Ask the provider once to revoke *token* (RFC 7009 §2), unless a stored credential still needs it."""
    kind = entry.kind
    assert kind != API_KEY  # noqa: S101  # a key has a request of its own, `key_revocation`
    return await _attempt(wiring, client, tenant_id=entry.tenant_id, account=entry.account_fingerprint, kind=kind, token=token)


async def settle(
    wiring: Wiring, entry: Revocation, attempt: Attempt, /, *, caller: Caller, at_once: bool = False
) -> Literal["revoked", "kept", "delayed", "abandoned"]:
    """Write the result of an attempt into the outbox, record it, and return what happened to the entry.

    *at_once* says that the process that made the entry has tried it, before any worker.  Raises `StorageUnavailableError`.
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
        # Recorded once, however often the entry is looked at for the same reason.
        news = [kept] if entry.last_error != attempt.reason else []
        await apply(wiring, _delayed(entry, attempt, now + _LOOK_AGAIN), *news)
        return "delayed"
    # An entry that waited for another integration to be removed has not been tried yet, so its age does not count.
    is_old = now - entry.created_at > KEEP_TRYING and entry.last_error != ENDS_GRANT
    if attempt.outcome is RevocationOutcome.UNSUPPORTED or is_old:
        await apply(wiring, finish, event("token.abandoned"))
        return "abandoned"
    asked = attempt.retry_after or timedelta()
    if at_once:
        # The entry is due after the lease time already; it is moved only if the provider asks for more.
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
        spared = await find_spared(wiring, client.provider.provider_id, tenant_id, token) or await _lives_on_grant(
            wiring, client, tenant_id, account
        )
    except (StorageUnavailableError, KeyringError, KeyServiceUnavailableError) as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.code)
    if spared is not None:
        return spared
    with measured(wiring, "revoke", tenant_id, client.provider.provider_id) as running:
        attempt = await _send(wiring, client, tenant_id, kind, token)
        running.outcome = attempt.outcome.value
        return attempt


async def find_spared(wiring: Wiring, provider_id: ProviderId, tenant_id: TenantId, token: Secret, /) -> Attempt | None:
    """Return the reason to leave *token* alone if a stored credential holds it; None if none does."""
    holders = await _holders(wiring, provider_id, token)
    if any(holder == tenant_id for holder, _ in holders):
        return Attempt(outcome=RevocationOutcome.SKIPPED, reason=HELD)
    return Attempt(outcome=RevocationOutcome.SHARED, reason="shared") if holders else None


async def is_shared(wiring: Wiring, facts: Integration, grant: Grant, /) -> bool:
    """Return whether an integration of another tenant holds a token of *grant*."""
    for _, token in tokens_of(grant):
        # The tenant's own are left out: with slots, they could be more than the store returns.
        if await _holders(wiring, facts.provider_id, token, but=facts.tenant_id):
            return True
    return False


async def _holders(
    wiring: Wiring, provider_id: ProviderId, token: Secret, *, but: TenantId | None = None
) -> tuple[tuple[TenantId, IntegrationId], ...]:
    fingerprint = token_fingerprint(await wiring.data_keys.index(), provider_id, token)
    return await wiring.store.find_holders(provider_id, fingerprint, but=but)


async def _lives_on_grant(wiring: Wiring, client: Client, tenant_id: TenantId, account: bytes | None) -> Attempt | None:
    """Return the reason to leave a token of *account* alone if its revocation may end the grant of a stored credential; otherwise None."""
    revoke, provider_id = client.method.revoke, client.provider.provider_id
    if revoke is None or not revoke.may_end_grant:
        return None
    if account is not None and await wiring.store.find_holders(provider_id, account):
        # If a revocation is known to end the whole grant, the removal of the last integration on it ends this token too.
        return Attempt(outcome=RevocationOutcome.SKIPPED, reason=ENDS_GRANT, waits=revoke.kills is None)
    for own in await wiring.store.list_integrations(tenant_id, provider_id=provider_id):
        if _may_share_grant(own, client, account):
            return Attempt(outcome=RevocationOutcome.SKIPPED, reason=ENDS_GRANT, waits=True)
    return None


def _may_share_grant(own: Integration | DamagedRow, client: Client, account: bytes | None) -> bool:
    """Return whether an integration of the tenant with this provider, in any slot, may live on the grant of a token of *account*.

    No other integration has this account, as far as accounts are known.
    """
    if isinstance(own, DamagedRow):
        return True
    if own.reason == REVOKED_BY_OPERATOR:
        return False  # it holds nothing any more
    # The application may be registered here twice, by the operator and by the tenant; to the provider it is one.
    is_granted_to_it = own.context_id in {client.id_for(None), client.id_for(own.tenant_id)}
    return is_granted_to_it and (account is None or own.account.account_id is None)


async def _send(wiring: Wiring, client: Client, tenant_id: TenantId, kind: TokenKind, token: Secret) -> Attempt:
    def build(client: Client) -> HttpRequest | None:
        return client.backend.build_revoke(client, token=token, kind=kind)

    async def send(client: Client, request: HttpRequest, deadline: timedelta) -> Answer[Attempt]:
        response = await wiring.transport.send(request, deadline=deadline)
        if client.backend.read_revocation(client, response) == "revoked":
            return Answer(result=Attempt(outcome=RevocationOutcome.REVOKED), request=request, is_accepted=True)
        wait = read_wait(client.provider.rate_limit, response, find_json_object(response.body), now=wiring.clock.now())
        failed = Attempt(outcome=RevocationOutcome.FAILED, reason=f"status_{response.status}", retry_after=wait)
        return Answer(result=failed, request=request, is_refused=refuses_revoking_client(response))

    client = preferred(wiring, client)
    try:
        client = await located(wiring, tenant_id, client)
        request = build(client)
        if request is None:
            return Attempt(outcome=RevocationOutcome.UNSUPPORTED, reason="unsupported")
        deadline = wiring.settings.deadline
        answer = await ask(wiring, client, request, tenant_id=tenant_id, deadline=deadline, build=build, send=send)
    except (AppMisconfiguredError, ProviderUnavailableError) as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.reason, error_description=error.error_description)
    return answer.result


def _delayed(entry: Revocation, attempt: Attempt, until: datetime) -> DelayEntry:
    return DelayEntry(tenant_id=entry.tenant_id, entry_id=entry.id, next_attempt_at=until, error=attempt.reason or "failed")
