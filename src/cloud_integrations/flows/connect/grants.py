"""A code is spent and the grant it gave is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import AccountFacts, Integration, State, StoredIntegration
from cloud_integrations.domain.outcome import Granted, Misconfigured, Refused, Rejected, Unusable
from cloud_integrations.domain.pending import Connected
from cloud_integrations.domain.removal import Revocation, TokenKind
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    DecryptError,
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationNotFoundError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
    StaleWriteError,
    StorageUnavailableError,
    TenantNotFoundError,
)
from cloud_integrations.flows.shared.applications import granting_client
from cloud_integrations.flows.shared.events import backend_failures_told, happened, recovery, tell, tell_of, tell_unread
from cloud_integrations.flows.shared.fingerprints import account_fingerprint
from cloud_integrations.flows.shared.revocation import (
    ENDS_GRANT,
    Source,
    Tokens,
    choose,
    give_back,
    is_shared,
    new_entries,
    revoke_now,
    tokens_of,
)
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.verification import check_credential, is_other_account
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, present
from cloud_integrations.ports.store import AddEntry, AddIntegration, Change, ClosePending, ReplaceCredential
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.error_text import clean_prose

_SAVE_TRIES = 5
_KINDS: Final[tuple[TokenKind, ...]] = ("refresh", "access")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """Where a new grant goes: a new integration, or the one in `reconnects`."""

    tenant_id: TenantId
    integration_id: IntegrationId
    name: str
    client: Client
    scopes: tuple[str, ...]
    begun_under: UUID
    """The tenant's active key when the work began (`DataKeys.id_at_start`): a grant that outlives its tenant is given back."""
    reconnects: StoredIntegration | None = None
    bound: bool = True
    """False: the code came without a state that was begun here."""

    @property
    def subject(self) -> Subject:
        """What events say that it is about."""
        return Subject(tenant_id=self.tenant_id, provider_id=self.client.provider.provider_id, integration_id=self.integration_id)


async def connect(
    wiring: Wiring, wanted: NewGrant, /, *, code: Secret, redirect_uri: str, verifier: Secret | None, caller: Caller
) -> Connected:
    """Spend *code* and store what it gives.

    To be called inside `flights.shield`: once the code is on its way, nobody who leaves keeps the grant from being stored.
    """
    grant = await _spend_code(wiring, wanted, code=code, redirect_uri=redirect_uri, verifier=verifier, caller=caller)
    return await _store_grant(wiring, wanted, grant, caller=caller)


async def _spend_code(
    wiring: Wiring, wanted: NewGrant, /, *, code: Secret, redirect_uri: str, verifier: Secret | None, caller: Caller
) -> Grant:
    """Exchange *code* for a grant; once, whatever happens (RFC 6749 §4.1.3).

    Raises `GrantRefusedError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
    """
    client = wanted.client
    # Fetched before the code is spent: a keyring that fails now must not cost the grant.
    await wiring.data_keys.active(wanted.tenant_id)
    await wiring.data_keys.index()
    subject = wanted.subject if wanted.reconnects is not None else replace(wanted.subject, integration_id=None)
    with backend_failures_told(wiring, subject):
        request = client.backend.build_exchange(client, code=code, redirect_uri=redirect_uri, verifier=verifier)
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    provider_id = str(client.provider.provider_id)
    outcome = client.backend.read_grant(client, response, requested_scopes=wanted.scopes, now=wiring.clock.now())
    received: list[Secret] = []
    if isinstance(outcome, Unusable):
        # The person is here and can begin again; a grant without a token to use could be neither checked nor used.
        source = Source(
            tenant_id=wanted.tenant_id,
            integration_id=wanted.integration_id,
            client=client,
            variables=client.tenant_variables,
            account_fingerprint=None,
        )
        await give_back(wiring, source, outcome.tokens, caller=caller)
        received += [token for _, token in outcome.tokens]
        outcome = outcome.failure
    if isinstance(outcome, Granted):
        wiring.breaker.accept(client.context_id)
        tell_unread(wiring, wanted.tenant_id, wanted.integration_id, client, outcome.unread)
        return outcome.grant
    said = clean_prose(outcome.said, request=request, secrets=(code, verifier, client.application.client_secret, *received))
    tell_of(wiring, "authorization.failed", subject, reason=outcome.reason, error_description=said)
    match outcome:
        case Refused(reason) | Rejected(reason):
            raise GrantRefusedError(reason=reason, error_description=said)
        case Misconfigured(reason):
            raise AppMisconfiguredError(provider_id=provider_id, reason=reason, error_description=said)
        case _:
            raise ProviderUnavailableError(
                provider_id=provider_id, reason=outcome.reason, retry_after=outcome.retry_after, error_description=said
            )


async def _store_grant(wiring: Wiring, wanted: NewGrant, grant: Grant, /, *, caller: Caller) -> Connected:
    """Seal and store *grant*, and revoke what it replaced.

    A grant that cannot be stored is given back to the provider, so that none is left behind there.
    Raises `IntegrationExistsError`, `GrantRefusedError` or `StorageUnavailableError`.
    """
    stored, account = wanted.reconnects, AccountFacts()
    try:
        account = await _account(wiring, wanted, grant)
        changed = _is_changed(wiring, stored, account)
        saved = await _save(wiring, wanted, grant, account, changed=changed, caller=caller)
    except GeneratorExit:
        # Nobody runs this any more, so nothing can be awaited.
        raise
    except BaseException:
        # An interruption of the work itself, or a mistake in a port, may have come after the commit: what is stored is not given back.
        await give_back(wiring, await _source(wiring, wanted, grant, account), tokens_of(grant), caller=caller)
        raise
    if saved.replaced is not None:
        await revoke_now(wiring, saved.replaced.client, saved.to_revoke, caller)
    return Connected(integration=saved.facts, account_changed=changed, shared=saved.shared)


def _is_changed(wiring: Wiring, stored: StoredIntegration | None, account: AccountFacts) -> bool:
    """Whether another account answered than before.  Raises `GrantRefusedError` where that is not wanted."""
    changed = stored is not None and is_other_account(stored.facts.account, account)
    if changed and wiring.settings.pin_accounts:
        raise GrantRefusedError(reason="other_account")
    return changed


async def _source(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts) -> Source:
    facts = _facts(wanted, grant, account, wiring)
    try:
        named = account_fingerprint(await wiring.data_keys.index(), facts)
    except CloudIntegrationsError:
        named = None
    return Source(
        tenant_id=facts.tenant_id, integration_id=facts.id, client=wanted.client, variables=facts.variables, account_fingerprint=named
    )


async def _account(wiring: Wiring, wanted: NewGrant, grant: Grant) -> AccountFacts:
    client = wanted.client
    variables = {**client.variables, **grant.variables}
    try:
        presented = present(client.method, {"access_token": grant.access_token}, variables=variables)
        result = await check_credential(wiring, client.provider, client.method, presented=presented, variables=variables)
    except CloudIntegrationsError:
        # The grant is good; whose it is can be asked again by `verify`.
        return AccountFacts()
    return result.account if result is not None and result.accepted else AccountFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """What was stored, and what that made unneeded."""

    facts: Integration
    shared: bool = False
    replaced: Source | None = None
    to_revoke: Sequence[tuple[Revocation, Secret]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replaced:
    """The tokens that a new grant takes the place of."""

    source: Source | None = None
    tokens: Tokens = ()
    said: str = "none"
    """What the audit says of them: `outbox`, `none` (the same ones came again, or there were none), `unsupported`, `ends_grant` or
    `does_not_open`."""


async def _save(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts, *, changed: bool, caller: Caller) -> _Saved:
    stored = wanted.reconnects
    events: list[Event] = []
    # The code is spent, so a passing trouble of the store is worth a few tries before the grant is given up.
    for attempt in range(_SAVE_TRIES):
        try:
            return await _write(wiring, wanted, grant, account, stored, events=events, changed=changed, caller=caller)
        except (StaleWriteError, IntegrationNotFoundError, TenantNotFoundError):
            # A refresh or another reconnect was faster; this consent is the newest word, unless the user closed the integration,
            # or the tenant was erased.
            stored = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if stored is None or stored.facts.state is State.DISABLED:
                raise GrantRefusedError(reason="integration_closed") from None
        except IntegrationExistsError:
            found = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if found is None:
                raise
            # An earlier try did commit, though its answer was lost.
            tell(wiring, *events)
            return _Saved(facts=found.facts)
        except StorageUnavailableError:
            if attempt == _SAVE_TRIES - 1:
                raise
            await wiring.pause.pause(0.1 * 2**attempt)
    raise GrantRefusedError(reason="changed_meanwhile")


async def _write(
    wiring: Wiring,
    wanted: NewGrant,
    grant: Grant,
    account: AccountFacts,
    stored: StoredIntegration | None,
    *,
    events: list[Event],
    changed: bool,
    caller: Caller,
) -> _Saved:
    """Store the grant, and in the same transaction put what it replaces into the outbox; leave in *events* what is told of it."""
    index = await wiring.data_keys.index()
    kept = await _kept(wiring, wanted, grant, account, stored)
    facts = _facts(wanted, grant, account, wiring, kept_from=stored if kept is not None else None)
    grant = grant if kept is None else replace(grant, refresh_token=kept)
    due = _due_at(wiring, wanted, grant, facts)
    replaced = _Replaced() if stored is None else await _replaced(wiring, stored, grant, account)
    shared = await is_shared(wiring, facts, grant)
    said = {
        "provider": wanted.client.provider.id,
        "bound": str(wanted.bound).lower(),
        "account_changed": str(changed).lower(),
        "replaced": replaced.said,
        "shared": str(shared).lower(),
    }
    subject = wanted.subject
    events[:] = [happened(wiring, "integration.connected" if stored is None else "integration.reconnected", subject, caller, **said)]
    if stored is not None:
        events += recovery(wiring, stored.facts, facts, caller)
    if changed:
        events.append(happened(wiring, "integration.account_changed", subject, caller))
    if shared:
        events.append(happened(wiring, "credential.shared", subject, caller))
    entries: list[Revocation] = []

    def changes(key: DataKey) -> list[Change | Event]:
        entries[:] = [] if replaced.source is None else new_entries(wiring, key, replaced.source, replaced.tokens)
        return [
            *(AddEntry(entry=revocation.entry) for revocation in entries),
            _stored(wiring, key, index, facts, grant, stored=stored, due=due),
            ClosePending(tenant_id=wanted.tenant_id, provider_id=facts.provider_id),
            *events,
        ]

    await apply_sealed(wiring, wanted.tenant_id, changes, begun_under=wanted.begun_under)
    to_revoke = [(entry, token) for entry, (_, token) in zip(entries, replaced.tokens, strict=True)]
    return _Saved(facts=facts, shared=shared, replaced=replaced.source, to_revoke=to_revoke)


async def _kept(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts, stored: StoredIntegration | None) -> Secret | None:
    """Return the refresh token that stays: none came, and it is the same account that consents once more to the same application."""
    if stored is None or grant.refresh_token is not None or account.account_id is None:
        return None
    if account.account_id != stored.facts.account.account_id or stored.facts.context_id != wanted.client.context_id:
        return None
    try:
        return await wiring.sealer.open_token(stored, "refresh")
    except (DecryptError, KeyringError, KeyServiceUnavailableError):
        return None


async def _replaced(wiring: Wiring, stored: StoredIntegration, grant: Grant, account: AccountFacts) -> _Replaced:
    """Say which tokens of *held* nobody needs once *grant* is stored, and whether they are to be revoked."""
    old: list[tuple[TokenKind, Secret]] = []
    try:
        for kind in _KINDS:
            token = await wiring.sealer.open_token(stored, kind)
            if token is not None and token not in (grant.access_token, grant.refresh_token):
                old.append((kind, token))
    except (DecryptError, KeyringError, KeyServiceUnavailableError):
        return _Replaced(said="does_not_open")
    if not old:
        return _Replaced()
    try:
        client = granting_client(wiring, stored.facts)
    except AppMisconfiguredError:
        return _Replaced(said="unsupported")
    choice = choose(client, old)
    if not choice.tokens:
        return _Replaced(said="unsupported")
    same = account.account_id is not None and account.account_id == stored.facts.account.account_id
    if same and client.method.revoke is not None and client.method.revoke.kills == "grant":
        # What they belong to lives on, and ends with the integration.
        return _Replaced(said=ENDS_GRANT)
    return _Replaced(source=Source.of_stored(client, stored), tokens=choice.tokens, said="outbox")


def _stored(
    wiring: Wiring,
    key: DataKey,
    index: DataKey,
    facts: Integration,
    grant: Grant,
    /,
    *,
    stored: StoredIntegration | None,
    due: datetime | None,
) -> AddIntegration | ReplaceCredential:
    if stored is None:
        return AddIntegration(facts=facts, credential=wiring.sealer.seal_grant(key, index, facts, grant, generation=1), due_at=due)
    generation = stored.credential.generation
    credential = wiring.sealer.seal_grant(key, index, facts, grant, generation=generation + 1)
    return ReplaceCredential(facts=facts, credential=credential, expected_generation=generation, due_at=due)


def _due_at(wiring: Wiring, wanted: NewGrant, grant: Grant, facts: Integration) -> datetime | None:
    if grant.refresh_token is None:
        return None
    idle = wanted.client.method.refresh_token.idle
    return due_at(expires_at=grant.expires_at, now=facts.updated_at, chance=wiring.entropy.fraction(), idle=idle)


def _facts(
    wanted: NewGrant, grant: Grant, account: AccountFacts, wiring: Wiring, *, kept_from: StoredIntegration | None = None
) -> Integration:
    """Say what the integration is from now on; *kept_from*: the row whose refresh token stays, and ends when it did."""
    now = wiring.clock.now()
    client, stored = wanted.client, wanted.reconnects
    granted = wanted.scopes if grant.scopes is None else grant.scopes
    ends = (
        reconnect_before(client.method.refresh_token, granted_at=now, now=now, told=grant.refresh_expires_at)
        if grant.refresh_token is not None
        else None
        if kept_from is None
        else kept_from.facts.reconnect_before
    )
    fresh = Integration(
        id=wanted.integration_id,
        tenant_id=wanted.tenant_id,
        provider_id=client.provider.provider_id,
        name=wanted.name,
        auth_type=auth_type_of(client.method),
        state=State.ACTIVE,
        state_since=now,
        created_at=now,
        updated_at=now,
        scopes=granted,
        requested_scopes=wanted.scopes,
        missing_scopes=client.method.scopes.missing(requested=wanted.scopes, granted=granted),
        expires_at=grant.expires_at,
        renewal_rule="reconnect" if grant.refresh_token is None and kept_from is None else "refresh",
        granted_at=now,
        reconnect_before=ends,
        account=account,
        variables={**client.tenant_variables, **grant.variables},
        context_id=client.context_id,
        method_id=client.method.id,
    )
    return fresh if stored is None else replace(fresh, created_at=stored.facts.created_at, name=stored.facts.name)
