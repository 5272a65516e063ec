"""A code is spent and the grant it gave is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import AccountFacts, Integration, State, StoredIntegration
from cloud_integrations.domain.provider import AuthType
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.messages.client import Client
from cloud_integrations.messages.dialect import dialect_of
from cloud_integrations.messages.outcome import Granted, Misconfigured, Refused, Rejected
from cloud_integrations.messages.prose import clean_prose
from cloud_integrations.ports.observer import Fact
from cloud_integrations.ports.store import AddIntegration, Change, ClosePending, ReplaceCredential
from cloud_integrations.ports.wiring import Wiring

from .checking import check_credential, is_other_account
from .recording import recorded, resource_of
from .revoking import revoke_unsaved
from .sealing import active_key, apply_sealed, open_field, seal_grant

_SAVE_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """Where a new grant goes: a new integration, or the one in `reconnects`."""

    tenant_id: TenantId
    integration_id: IntegrationId
    name: str
    client: Client
    scopes: tuple[str, ...]
    reconnects: StoredIntegration | None = None
    bound: bool = True
    """False: the code came without a state that was begun here."""


async def connect(
    wiring: Wiring, wanted: NewGrant, /, *, code: Secret, redirect_uri: str, verifier: Secret | None, caller: Caller
) -> tuple[Integration, bool]:
    """Spend *code* and store what it gives; return the integration and whether another account answered.

    To be called inside `flights.shield`: once the code is on its way, nobody who leaves keeps the grant from being stored.
    """
    grant = await _spend_code(wiring, wanted, code=code, redirect_uri=redirect_uri, verifier=verifier)
    return await _store_grant(wiring, wanted, grant, caller=caller)


async def _spend_code(wiring: Wiring, wanted: NewGrant, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> Grant:
    """Exchange *code* for a grant; once, whatever happens (RFC 6749 §4.1.3).

    Raises `GrantRefusedError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
    """
    client = wanted.client
    # Fetched before the code is spent: a keyring that fails now must not cost the grant.
    await active_key(wiring, wanted.tenant_id)
    dialect = dialect_of(client.provider)
    request = dialect.build_exchange(client, code=code, redirect_uri=redirect_uri, verifier=verifier)
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    provider_id = str(client.provider.provider_id)
    outcome = dialect.read_grant(client, response, requested_scopes=wanted.scopes, now=wiring.clock.now())
    if isinstance(outcome, Granted):
        wiring.breaker.accept(client.context_id)
        return outcome.grant
    said = clean_prose(outcome.said, request=request, secrets=(code, verifier, client.application.client_secret))
    told = {"provider": client.provider.id, "reason": outcome.reason}
    wiring.observer.tell(Fact(name="authorization.failed", facts=told if said is None else {**told, "error_description": said}))
    match outcome:
        case Refused(reason) | Rejected(reason):
            raise GrantRefusedError(reason=reason, error_description=said)
        case Misconfigured(reason):
            raise AppMisconfiguredError(provider_id=provider_id, reason=reason, error_description=said)
        case _:
            raise ProviderUnavailableError(
                provider_id=provider_id, reason=outcome.reason, retry_after=outcome.retry_after, error_description=said
            )


async def _store_grant(wiring: Wiring, wanted: NewGrant, grant: Grant, /, *, caller: Caller) -> tuple[Integration, bool]:
    """Seal and store *grant*; return the integration and whether another account answered.

    A grant that cannot be stored is given back to the provider, so that none is left behind there.
    Raises `IntegrationExistsError`, `GrantRefusedError` or `StorageUnavailableError`.
    """
    held = wanted.reconnects
    try:
        account = await _account(wiring, wanted, grant)
        changed = _is_changed(wiring, held, account)
        facts = await _save(wiring, wanted, grant, account, changed=changed, caller=caller)
    except CloudIntegrationsError:
        await revoke_unsaved(wiring, wanted.client, grant)
        raise
    except GeneratorExit:
        # Nobody runs this any more, so nothing can be awaited.
        raise
    except BaseException:
        # The work itself was interrupted, or a port has a mistake: it may have been after the commit.
        if not await _is_stored(wiring, wanted, grant):
            await revoke_unsaved(wiring, wanted.client, grant)
        raise
    wiring.tokens.drop(wanted.tenant_id)
    name = "integration.connected" if held is None else "integration.reconnected"
    about = {"integration": str(facts.id), "provider": wanted.client.provider.id}
    wiring.observer.tell(Fact(name=name, facts=about))
    if changed:
        wiring.observer.tell(Fact(name="integration.account_changed", facts=about))
    return facts, changed


def _is_changed(wiring: Wiring, held: StoredIntegration | None, account: AccountFacts) -> bool:
    """Whether another account answered than before.  Raises `GrantRefusedError` where that is not wanted."""
    changed = held is not None and is_other_account(held.facts.account, account)
    if changed and wiring.settings.pin_accounts:
        raise GrantRefusedError(reason="other_account")
    return changed


async def _is_stored(wiring: Wiring, wanted: NewGrant, grant: Grant) -> bool:
    found = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
    return found is not None and await open_field(wiring, found, "access_token") == grant.access_token


async def _account(wiring: Wiring, wanted: NewGrant, grant: Grant) -> AccountFacts:
    client = wanted.client
    variables = {**client.variables, **grant.variables}
    try:
        result = await check_credential(
            wiring, client.provider, client.method, inputs={"access_token": grant.access_token}, variables=variables
        )
    except CloudIntegrationsError:
        # The grant is good; whose it is can be asked again by `verify`.
        return AccountFacts()
    return result.account if result is not None and result.accepted else AccountFacts()


async def _save(wiring: Wiring, wanted: NewGrant, grant: Grant, account: AccountFacts, *, changed: bool, caller: Caller) -> Integration:
    facts = _facts(wanted, grant, account, wiring)
    due = _due_at(wiring, wanted, grant, facts)
    action = "integration.connected" if wanted.reconnects is None else "integration.reconnected"
    record = recorded(
        wiring,
        wanted.tenant_id,
        caller,
        action,
        resource_of(wanted.integration_id),
        provider=wanted.client.provider.id,
        bound=str(wanted.bound).lower(),
        account_changed=str(changed).lower(),
    )
    closing = ClosePending(tenant_id=wanted.tenant_id, provider_id=facts.provider_id)

    def changes(held: StoredIntegration | None, key: DataKey) -> tuple[Change, ...]:
        return _stored(wiring, key, facts, grant, held=held, due=due), closing, record

    held = wanted.reconnects
    # The code is spent, so a passing trouble of the store is worth a few tries before the grant is given up.
    for attempt in range(_SAVE_TRIES):
        try:
            await apply_sealed(wiring, wanted.tenant_id, partial(changes, held))
        except (StaleWriteError, IntegrationNotFoundError):
            # A refresh or another reconnect was faster; this consent is the newest word, unless the user closed the integration.
            held = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if held is None or held.facts.state is State.DISABLED:
                raise GrantRefusedError(reason="integration_closed") from None
        except IntegrationExistsError:
            found = await wiring.store.find_integration(wanted.tenant_id, wanted.integration_id)
            if found is None:
                raise
            # An earlier try did commit, though its answer was lost.
            return found.facts
        except StorageUnavailableError:
            if attempt == _SAVE_TRIES - 1:
                raise
            await wiring.pause.pause(0.1 * 2**attempt)
        else:
            return facts
    raise GrantRefusedError(reason="changed_meanwhile")


def _stored(
    wiring: Wiring, key: DataKey, facts: Integration, grant: Grant, /, *, held: StoredIntegration | None, due: datetime | None
) -> AddIntegration | ReplaceCredential:
    if held is None:
        return AddIntegration(facts=facts, credential=seal_grant(wiring, key, facts.id, grant, generation=1), due_at=due)
    generation = held.credential.generation
    credential = seal_grant(wiring, key, facts.id, grant, generation=generation + 1)
    return ReplaceCredential(facts=facts, credential=credential, expected_generation=generation, due_at=due)


def _due_at(wiring: Wiring, wanted: NewGrant, grant: Grant, facts: Integration) -> datetime | None:
    if grant.refresh_token is None:
        return None
    idle = wanted.client.method.refresh_token.idle
    return due_at(expires_at=grant.expires_at, now=facts.updated_at, chance=wiring.entropy.fraction(), idle=idle)


def _facts(wanted: NewGrant, grant: Grant, account: AccountFacts, wiring: Wiring) -> Integration:
    now = wiring.clock.now()
    client, held = wanted.client, wanted.reconnects
    granted = wanted.scopes if grant.scopes is None else grant.scopes
    ends = (
        reconnect_before(client.method.refresh_token, granted_at=now, now=now, told=grant.refresh_expires_at)
        if grant.refresh_token is not None
        else None
    )
    fresh = Integration(
        id=wanted.integration_id,
        tenant_id=wanted.tenant_id,
        provider_id=client.provider.provider_id,
        name=wanted.name,
        auth_type=AuthType.OAUTH2,
        state=State.ACTIVE,
        state_since=now,
        created_at=now,
        updated_at=now,
        scopes=granted,
        requested_scopes=wanted.scopes,
        missing_scopes=client.method.scopes.missing(requested=wanted.scopes, granted=granted),
        expires_at=grant.expires_at,
        granted_at=now,
        reconnect_before=ends,
        account=account,
        variables={**client.tenant_variables, **grant.variables},
        context_id=client.context_id,
        method_id=client.method.id,
    )
    return fresh if held is None else replace(fresh, created_at=held.facts.created_at, name=held.facts.name)
