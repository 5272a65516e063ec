"""Exchange an authorization code, and store the grant that it brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.identifiers import ContextId
from cloud_integrations.domain.integration import AccountFacts, Integration, State, StoredIntegration
from cloud_integrations.domain.pending import AccountGrants, Connected
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
    StaleWriteError,
    StorageUnavailableError,
    TenantNotFoundError,
)
from cloud_integrations.flows.connect.exchange import NewGrant, spend_code
from cloud_integrations.flows.connect.installation import at_sign_in, confirm_installation
from cloud_integrations.flows.connect.live_grants import count_grants
from cloud_integrations.flows.shared.applications import announced_end
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.events import happened, recovery, tell
from cloud_integrations.flows.shared.fingerprints import account_fingerprint
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.next_check import next_use
from cloud_integrations.flows.shared.resources import asks_for_resources, choose_connected
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
from cloud_integrations.flows.shared.verification import check_credential, is_other_account, shown
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of
from cloud_integrations.ports.store import AddEntry, AddIntegration, Change, ClosePending, ReplaceCredential

_SAVE_TRIES = 5
_KINDS: Final[tuple[TokenKind, ...]] = ("refresh", "access")


async def connect(
    wiring: Wiring,
    wanted: NewGrant,
    /,
    *,
    code: Secret,
    redirect_uri: str,
    verifier: Secret | None,
    dpop_key: Secret | None = None,
    caller: Caller,
    installation: str | None = None,
) -> Connected:
    """Exchange *code* and store the grant; *installation* is the id of an installation that the callback claims.

    *dpop_key* is as in `spend_code`.

    Call it inside `single_flight.shield`: once the code was sent, a cancelled caller must not keep the grant from being stored.
    Raises what `spend_code`, `confirm_installation` and `store_grant` raise.
    """
    with measured(wiring, "connect", wanted.tenant_id, wanted.client.provider.provider_id):
        signs_in = at_sign_in(wiring, wanted, claimed=installation)
        grant = await spend_code(
            wiring, signs_in, code=code, redirect_uri=redirect_uri, verifier=verifier, dpop_key=dpop_key, caller=caller
        )
        if wanted.client.method.installation is None:
            return await store_grant(wiring, wanted, grant, caller=caller)
        grant, account = await confirm_installation(wiring, wanted, signs_in, grant, claimed=installation, caller=caller)
        return await store_grant(wiring, wanted, grant, account=account, caller=caller)


async def store_grant(
    wiring: Wiring, wanted: NewGrant, grant: Grant, /, *, account: AccountFacts | None = None, caller: Caller
) -> Connected:
    """Seal and store *grant*, and revoke the tokens that it replaces; *account* is whose it is, None: the provider is asked.

    A grant that cannot be stored is revoked, so that it is not left behind at the provider.
    Raises `IntegrationExistsError`, `GrantRefusedError` or `StorageUnavailableError`.
    """
    stored, known = wanted.reconnects, account
    account = known or AccountFacts()
    try:
        account = known or await _account(wiring, wanted, grant)
        changed = _is_changed(wiring, stored, account)
        grant = await _with_resource(wiring, wanted, grant)
        saved = await _save(wiring, wanted, grant, account, changed=changed, caller=caller)
    except GeneratorExit:
        # The coroutine is being closed, so nothing can be awaited.
        raise
    except BaseException:
        # An interruption of the work itself, or a fault in a port, may come after the commit: `give_back` revokes no stored token.
        await give_back(wiring, await _source(wiring, wanted, grant, account), tokens_of(grant), caller=caller)
        raise
    if saved.replaced is not None:
        await revoke_now(wiring, saved.replaced.client, saved.to_revoke, caller)
    return Connected(integration=saved.facts, account_changed=changed, shared=saved.shared, grants=saved.grants)


def _is_changed(wiring: Wiring, stored: StoredIntegration | None, account: AccountFacts) -> bool:
    """Return whether the grant belongs to another account than the stored one.  Raises `GrantRefusedError` if accounts are pinned."""
    changed = stored is not None and is_other_account(stored.facts.account, account)
    if changed and wiring.settings.pin_accounts:
        raise GrantRefusedError(reason="other_account")
    return changed


async def _source(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts) -> Source:
    facts = _facts(wanted, grant, account, wiring)
    try:
        named = account_fingerprint(await wiring.data_keys.index(), facts, wanted.client.id_for(None))
    except CloudIntegrationsError:
        named = None
    return Source(
        tenant_id=facts.tenant_id, integration_id=facts.id, client=wanted.client, variables=facts.variables, account_fingerprint=named
    )


async def _account(wiring: Wiring, wanted: NewGrant, grant: Grant) -> AccountFacts:
    client = wanted.client
    variables = {**client.variables, **grant.variables}
    try:
        presented = await shown(wiring, client.provider, client.method, grant.parts, variables=variables)
        result = await check_credential(wiring, client.provider, client.method, presented=presented, variables=variables)
    except CloudIntegrationsError:
        # The grant is good; `verify` can ask for its account again.
        return AccountFacts()
    return result.account if result is not None and result.accepted else AccountFacts()


async def _with_resource(wiring: Wiring, wanted: NewGrant, grant: Grant) -> Grant:
    """Return *grant* with the resource that it is for, if its method has such.

    Raises `GrantRefusedError` if the account reaches none, or not the one that the tenant named.
    """
    client, stored = wanted.client, wanted.reconnects
    facts = asks_for_resources(client.method, wanted.scopes if grant.scopes is None else grant.scopes)
    if facts is None:
        return grant
    variables = {**client.variables, **grant.variables}
    choice = await choose_connected(
        wiring,
        client.provider,
        client.method,
        facts,
        show=partial(shown, wiring, client.provider, client.method, grant.parts, variables=variables),
        variables=variables,
        before=None if stored is None else stored.facts.variables,
        subject=wanted.subject,
    )
    if choice.refused is not None:
        raise GrantRefusedError(reason=choice.refused)
    return replace(grant, variables={**grant.variables, facts.variable: choice.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """The integration as it was stored, and the tokens that are no longer needed."""

    facts: Integration
    shared: bool = False
    grants: AccountGrants | None = None
    replaced: Source | None = None
    to_revoke: Sequence[tuple[Revocation, Secret]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replaced:
    """The tokens that a new grant replaces."""

    source: Source | None = None
    tokens: Tokens = ()
    said: str = "none"
    """What the audit log says of them: `outbox`, `none` (the same tokens came again, or there were none), `unsupported`, `ends_grant`
    or `does_not_open`."""


async def _save(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts, *, changed: bool, caller: Caller) -> _Saved:
    stored = wanted.reconnects
    events: list[Event] = []
    # The code cannot be used again, so a few attempts are made before the grant is given up.
    for attempt in range(_SAVE_TRIES):
        try:
            return await _write(wiring, wanted, grant, account, stored, events=events, changed=changed, caller=caller)
        except (StaleWriteError, IntegrationNotFoundError, TenantNotFoundError):
            # A refresh or another reconnect wrote first.  This consent is the newest and replaces what they wrote, unless the
            # integration was removed or disabled, or the tenant was erased.
            stored = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if stored is None or stored.facts.state is State.DISABLED:
                raise GrantRefusedError(reason="integration_closed") from None
        except IntegrationExistsError:
            found = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if found is None:
                raise
            # An earlier attempt was committed, but its answer was lost.
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
    replaced = _Replaced() if stored is None else await _replaced(wiring, wanted, stored, grant, account)
    shared = await is_shared(wiring, facts, grant)
    grants = await count_grants(wiring, wanted.client.method, facts)
    said = {
        "provider": wanted.client.provider.id,
        "bound": str(wanted.bound).lower(),
        "account_changed": str(changed).lower(),
        "replaced": replaced.said,
        "shared": str(shared).lower(),
        "ends": announced_end(wanted.client.provider, wanted.client.method.id),
        "held": None if grants is None else str(grants.held),
        "most": None if grants is None else str(grants.most),
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
            _stored(wiring, key, index, facts, grant, application=wanted.client.id_for(None), stored=stored, due=due),
            ClosePending(tenant_id=wanted.tenant_id, provider_id=facts.provider_id, slot=facts.slot),
            *events,
        ]

    await apply_sealed(wiring, wanted.tenant_id, changes, begun_under=wanted.begun_under)
    to_revoke = [(entry, token) for entry, (_, token) in zip(entries, replaced.tokens, strict=True)]
    return _Saved(facts=facts, shared=shared, grants=grants, replaced=replaced.source, to_revoke=to_revoke)


async def _kept(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts, stored: StoredIntegration | None) -> Secret | None:
    """Return the stored refresh token if it stays in use, otherwise None.

    It stays if the grant brings none and the same account has consented again to the same application, with the same key if tokens are
    bound to one.
    """
    if stored is None or grant.refresh_token is not None or grant.inputs or account.account_id is None:
        return None
    if account.account_id != stored.facts.account.account_id or stored.facts.context_id != wanted.client.context_id:
        return None
    try:
        parts = await wiring.sealer.open_column(stored, "renewal")
    except (DecryptError, KeyringError, KeyServiceUnavailableError):
        return None
    return parts.get("refresh_token") if parts.get(DPOP_KEY) == grant.dpop_key else None


async def _replaced(wiring: Wiring, wanted: NewGrant, stored: StoredIntegration, grant: Grant, account: AccountFacts) -> _Replaced:
    """Return the tokens of *stored* that are not needed once *grant* is stored, if they are to be revoked, and the audit log's word."""
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
        client = await granting_client(wiring, stored.facts)
    except (AppMisconfiguredError, StorageUnavailableError):
        # The new grant is stored all the same.
        return _Replaced(said="unsupported")
    choice = choose(client, old)
    if not choice.tokens:
        return _Replaced(said="unsupported")
    same = account.account_id is not None and account.account_id == stored.facts.account.account_id
    same = same and stored.facts.context_id == wanted.client.context_id
    if same and client.method.revoke is not None and client.method.revoke.kills == "grant":
        # A revocation would end the grant, which the new tokens belong to; it ends with the integration.
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
    application: ContextId,
    stored: StoredIntegration | None,
    due: datetime | None,
) -> AddIntegration | ReplaceCredential:
    generation = 0 if stored is None else stored.credential.generation
    credential = wiring.sealer.seal_grant(key, index, facts, grant, generation=generation + 1, application=application)
    if stored is None:
        return AddIntegration(facts=facts, credential=credential, due_at=due)
    return ReplaceCredential(facts=facts, credential=credential, expected_generation=generation, due_at=due)


def _due_at(wiring: Wiring, wanted: NewGrant, grant: Grant, facts: Integration) -> datetime | None:
    if grant.refresh_token is None:
        return next_use(wiring, wanted.client.method) if grant.expires_at is None else None
    idle = wanted.client.method.refresh_token.idle
    return due_at(expires_at=grant.expires_at, now=facts.updated_at, chance=wiring.entropy.fraction(), idle=idle)


def _facts(
    wanted: NewGrant, grant: Grant, account: AccountFacts, wiring: Wiring, *, kept_from: StoredIntegration | None = None
) -> Integration:
    """Return the integration's facts with *grant*; *kept_from* is the row whose refresh token, and its end, stay."""
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
        slot=wanted.slot,
        auth_type=auth_type_of(client.method),
        state=State.ACTIVE,
        state_since=now,
        created_at=now,
        updated_at=now,
        scopes=granted,
        requested_scopes=wanted.scopes,
        missing_scopes=client.method.scopes.missing(requested=wanted.scopes, granted=granted),
        expires_at=grant.expires_at,
        renewal_rule="mint" if grant.inputs else "reconnect" if grant.refresh_token is None and kept_from is None else "refresh",
        granted_at=now,
        reconnect_before=ends,
        account=account,
        variables={**client.tenant_variables, **grant.variables},
        context_id=client.context_id,
        method_id=client.method.id,
    )
    return fresh if stored is None else replace(fresh, created_at=stored.facts.created_at, name=stored.facts.name)
