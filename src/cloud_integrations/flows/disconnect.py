"""An integration is removed for good."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from cloud_integrations.domain.audit import Caller, Outcome
from cloud_integrations.domain.identifiers import uuid7
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.provider import AuthType
from cloud_integrations.domain.removal import Removal, Revocation, TokenFate
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    DecryptError,
    KeyRetiredError,
    KeyringError,
    ProviderNotFoundError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.messages.client import Client
from cloud_integrations.messages.dialect import dialect_of
from cloud_integrations.ports.observer import Fact
from cloud_integrations.ports.store import AddRevocation, ClosePending, DelayRevocation, EraseIntegration, FinishRevocation
from cloud_integrations.ports.wiring import Wiring

from .applications import granting_client
from .list_integrations import known_tenant, load
from .recording import recorded, resource_of
from .revoking import Kind, ends_grant, revoke_token
from .sealing import active_key, forget_key, open_field, seal

REVOCATION_TABLE = "ci_revocation"
_TRIES = 5


@dataclass(slots=True, kw_only=True)
class _Fates:
    refresh: TokenFate = TokenFate.SKIPPED
    access: TokenFate = TokenFate.SKIPPED
    access_goes_along: bool = False
    """One revocation is to end both."""
    to_revoke: list[tuple[Kind, Secret, Revocation]] = field(default_factory=list)


async def disconnect(wiring: Wiring, tenant: str, integration_id: UUID, /, *, caller: Caller) -> Removal:
    """Erase the integration, then revoke its tokens, and say truthfully what became of each.

    The row goes and the tokens enter the outbox in one transaction, so that neither a crash nor a
    provider that is down leaves the secret here or the grant forgotten.
    """
    tenant_id = await known_tenant(wiring, tenant)
    for _ in range(_TRIES):
        held = await load(wiring, tenant_id, integration_id)
        client = _client(wiring, held)
        fates = await _plan(wiring, held, client)
        try:
            await wiring.store.apply(
                # What seals comes first: everybody locks the key before the rows.
                *(AddRevocation(revocation=entry) for _, _, entry in fates.to_revoke),
                EraseIntegration(tenant_id=tenant_id, integration_id=held.facts.id, expected_generation=held.credential.generation),
                ClosePending(tenant_id=tenant_id, provider_id=held.facts.provider_id),
                recorded(wiring, tenant_id, caller, "integration.removed", resource_of(integration_id)),
            )
        except StaleWriteError:
            # A refresh wrote a newer credential: that one is to be revoked.
            continue
        except KeyRetiredError:
            forget_key(wiring, tenant_id)
            continue
        break
    else:
        raise StorageUnavailableError("the integration kept changing")
    wiring.tokens.drop(tenant_id)
    if client is not None:
        await _revoke_now(wiring, client, fates, caller)
    wiring.observer.tell(Fact(name="integration.removed", facts={"integration": str(integration_id)}))
    return Removal(
        integration_id=held.facts.id, refresh_token=fates.refresh, access_token=fates.access, manual_url=_manual_url(wiring, held, fates)
    )


def _client(wiring: Wiring, held: StoredIntegration) -> Client | None:
    if held.facts.auth_type is not AuthType.OAUTH2:
        return None
    try:
        return granting_client(wiring, held.facts)
    except AppMisconfiguredError:
        # The application that could revoke is not configured any more; the local secret goes all the same.
        return None


async def _plan(wiring: Wiring, held: StoredIntegration, client: Client | None) -> _Fates:
    """Open what is held and put it, sealed anew, on the list of tokens to revoke; refresh token first (RFC 7009 §2.1)."""
    fates = _Fates()
    if held.facts.auth_type is not AuthType.OAUTH2:
        return fates
    held_kinds: list[tuple[Kind, str]] = [("refresh", "refresh_token"), ("access", "access_token")]
    for kind, name in held_kinds:
        try:
            token = await open_field(wiring, held, name)
        except (DecryptError, KeyringError):
            # It cannot be revoked by us (its tenant may have taken our permission away), and it must not keep the row alive.
            setattr(fates, kind, TokenFate.UNSUPPORTED)
            continue
        if token is None:
            continue
        if client is None or dialect_of(client.provider).build_revoke(client, token=token, kind=kind) is None:
            setattr(fates, kind, TokenFate.UNSUPPORTED)
            continue
        if fates.to_revoke and ends_grant(client):
            # The first revocation ends this token too.
            fates.access_goes_along = True
            continue
        try:
            entry = await _entry(wiring, held, kind, token)
        except (DecryptError, KeyringError):
            # The same for the key that seals now: without it, nothing can be kept for the outbox.
            setattr(fates, kind, TokenFate.UNSUPPORTED)
            continue
        setattr(fates, kind, TokenFate.FAILED)
        fates.to_revoke.append((kind, token, entry))
    return fates


async def _entry(wiring: Wiring, held: StoredIntegration, kind: Kind, token: Secret) -> Revocation:
    now = wiring.clock.now()
    entry_id = uuid7(now, wiring.entropy.bytes(10))
    key = await active_key(wiring, held.facts.tenant_id)
    return Revocation(
        id=entry_id,
        tenant_id=held.facts.tenant_id,
        integration_id=held.facts.id,
        provider_id=held.facts.provider_id,
        method_id=held.facts.method_id,
        context_id=held.facts.context_id,
        kind=kind,
        sealed_token=seal(wiring, key, token, table=REVOCATION_TABLE, row=str(entry_id), field="token"),
        key_id=key.key_id,
        variables=held.facts.variables,
        # Ours to try first; a worker takes over if this process does not come back.
        next_attempt_at=now + wiring.settings.lease,
        created_at=now,
    )


async def _revoke_now(wiring: Wiring, client: Client, fates: _Fates, caller: Caller) -> None:
    for kind, token, entry in fates.to_revoke:
        attempt = await revoke_token(wiring, client, token, kind)
        setattr(fates, kind, attempt.fate)
        resource = resource_of(entry.integration_id)
        if attempt.fate is TokenFate.FAILED:
            reason = attempt.error
            record = recorded(
                wiring, entry.tenant_id, caller, "token.revoked", resource, outcome=Outcome.FAILURE, reason=reason, token=kind
            )
            wiring.observer.tell(Fact(name="revocation.delayed", facts={"integration": str(entry.integration_id), "token": kind}))
            changes: tuple[FinishRevocation | DelayRevocation, ...] = ()
            if attempt.retry_after is not None and attempt.retry_after > wiring.settings.lease:
                later = wiring.clock.now() + attempt.retry_after
                changes = (
                    DelayRevocation(tenant_id=entry.tenant_id, revocation_id=entry.id, next_attempt_at=later, error=reason or "failed"),
                )
        else:
            record = recorded(wiring, entry.tenant_id, caller, "token.revoked", resource, token=kind)
            changes = (FinishRevocation(tenant_id=entry.tenant_id, revocation_id=entry.id),)
        try:
            await wiring.store.apply(*changes, record)
        except StorageUnavailableError:
            # The entry is still in the outbox: it will be revoked, and recorded, once more.
            wiring.observer.tell(Fact(name="revocation.delayed", facts={"integration": str(entry.integration_id), "token": kind}))
    if fates.access_goes_along and fates.refresh is TokenFate.FAILED:
        fates.access = TokenFate.FAILED


def _manual_url(wiring: Wiring, held: StoredIntegration, fates: _Fates) -> str | None:
    if TokenFate.UNSUPPORTED not in {fates.refresh, fates.access} and held.facts.auth_type is AuthType.OAUTH2:
        return None
    try:
        method = wiring.providers.require(held.facts.provider_id).method_named(held.facts.method_id)
    except ProviderNotFoundError:
        return None
    return method.revoke.manual_url if method is not None and method.revoke is not None else None
