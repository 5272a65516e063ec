"""Return a credential: from the cache, from the store, or after a refresh."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Hashable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cloud_integrations.domain.arguments import find_id, read_duration, read_provider, read_scopes
from cloud_integrations.domain.audit import SYSTEM, Caller
from cloud_integrations.domain.credential import Credential, CredentialWarning, Presented
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import Inactive, Reconnect, Use, next_step
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import StoredCredential
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import BEARER, Present, Scopes
from cloud_integrations.errors import (
    AppMisconfiguredError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
)
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.events import apply, first_today, happened, tell_of
from cloud_integrations.flows.shared.lookup import read_chosen_slot, refuse_slot_of_id
from cloud_integrations.flows.shared.verification import shown
from cloud_integrations.flows.shared.wiring import Wiring

_PATIENCE_WITH_FALLBACK = timedelta(seconds=2)


async def get_token(
    wiring: Wiring,
    tenant: str,
    provider: str | UUID,
    /,
    *,
    slot: str,
    min_ttl: timedelta | float | None,
    scopes: Sequence[str],
    caller: Caller,
) -> Credential:
    """Return a credential that works, renewed first if it has expired or soon will.

    *provider* and *slot* name an integration with a provider, or *provider* is the integration's id.  The credential should live for
    *min_ttl* (seconds or a timedelta) more; *scopes* are compared with those granted.  Raises `ValidationFailedError`,
    `IntegrationNotFoundError`, `IntegrationInactiveError`, `ReconnectRequiredError`, `ProviderNotFoundError`,
    `ProviderUnavailableError`, `RefreshInProgressError` or `AppMisconfiguredError`.
    """
    tenant_id = read_tenant_id(tenant)
    name = read_provider(provider)
    slot = read_chosen_slot(wiring, slot)
    key = _cache_key(name, slot, caller)
    wanted_life = wiring.settings.min_ttl if min_ttl is None else read_duration("minTtl", min_ttl)
    wanted_scopes = read_scopes(scopes)
    usual = min_ttl is None and not wanted_scopes
    if usual and (known := wiring.tokens.find(tenant_id, key)) is not None:
        return known
    row, read = _row_of(wiring, tenant_id, name, slot)
    tenant_tokens = wiring.tokens.for_tenant(tenant_id)
    # When a token expires, all its users ask at once: they share one read, which begins after each of them has asked.
    stored = await wiring.single_flight.share_afresh(("read", tenant_id, row), read)
    if stored is None:
        raise IntegrationNotFoundError
    stored, warning = await fresh(wiring, stored, min_ttl=wanted_life, caller=caller)
    if usual and (known := wiring.tokens.find(tenant_id, key)) is not None and known.generation == stored.generation:
        # Another of these callers has opened it already.
        return known
    token = await opened(wiring, stored, scopes=wanted_scopes, warning=warning, min_ttl=wanted_life)
    recorded_for = await record_use(wiring, stored, caller)
    if usual and warning is None and (seconds := min(_cacheable(wiring, stored, token), recorded_for)) > 0:
        wiring.tokens.put(tenant_tokens, key, token, seconds=seconds)
    return token


def _row_of(
    wiring: Wiring, tenant_id: TenantId, name: UUID | str, slot: str
) -> tuple[Hashable, Callable[[], Coroutine[Any, Any, StoredCredential | None]]]:
    """Return a key for the row that *name* and *slot* name (the same, however they name it), and a function that reads the row."""
    try:
        provider_id = wiring.providers.require(name).provider_id
    except ProviderNotFoundError:
        found = find_id(name)
        if found is None:
            raise
        refuse_slot_of_id(slot)
        integration_id = IntegrationId(found)

        async def by_id() -> StoredCredential | None:
            stored = await wiring.store.find_integration(tenant_id, integration_id)
            return None if stored is None else stored.to_use

        return integration_id, by_id
    return (provider_id, slot), lambda: wiring.store.find_credential(tenant_id, provider_id, slot=slot)


async def opened(
    wiring: Wiring,
    stored: StoredCredential,
    /,
    *,
    scopes: tuple[str, ...] = (),
    warning: CredentialWarning | None = None,
    min_ttl: timedelta | None = None,
) -> Credential:
    """Open the credential of a row and return it with where it goes, its scopes and its warning.

    Raises `DecryptError`, `KeyServiceUnavailableError` or `KeyringError` if it cannot be opened.
    """
    parts = await wiring.sealer.open_parts(
        stored.tenant_id, stored.integration_id, stored.presented, field="presented", generation=stored.generation
    )
    rule, presented, expires_at = await _rules(wiring, stored, parts)
    if warning is None and min_ttl is not None and expires_at is not None and expires_at - wiring.clock.now() < min_ttl:
        warning = "less_life_than_asked"
    return Credential(
        parts=presented.parts,
        present=presented.present,
        variables=presented.variables,
        signer=presented.signer,
        nonce=presented.nonce,
        tls=presented.tls,
        integration_id=stored.integration_id,
        provider_id=stored.provider_id,
        auth_type=stored.auth_type,
        expires_at=expires_at,
        scopes=stored.scopes,
        missing_scopes=rule.missing(requested=scopes, granted=stored.scopes) if scopes else stored.missing_scopes,
        warning=warning,
        generation=stored.generation,
    )


async def fresh(
    wiring: Wiring, stored: StoredCredential, *, min_ttl: timedelta, caller: Caller
) -> tuple[StoredCredential, CredentialWarning | None]:
    """Return a row whose credential may be handed out, renewed if needed, and a warning if the renewal failed.

    Raises `IntegrationInactiveError`, `ReconnectRequiredError`, and what `renew` raises if the stored token cannot be used instead.
    """
    method = wiring.providers.require(stored.provider_id).method_named(stored.method_id)
    # The provider may end the old access token at a renewal, even if the answer is lost.
    ends_old_access = method is not None and method.refresh_token.ends_old_access
    least = min_ttl if method is None else max(min_ttl, method.access_token.min_remaining)
    match next_step(stored, now=wiring.clock.now(), min_ttl=least, ends_old_access=ends_old_access):
        case Use():
            return stored, None
        case Inactive():
            raise IntegrationInactiveError(integration_id=str(stored.integration_id))
        case Reconnect(reason):
            _tell_ended(wiring, stored, reason)
            raise ReconnectRequiredError(integration_id=str(stored.integration_id), reason=reason)
        case refresh:
            patience = min(_PATIENCE_WITH_FALLBACK, wiring.settings.wait_limit) if refresh.fallback else wiring.settings.wait_limit
            try:
                renewed = await renew(
                    wiring, stored.tenant_id, stored.integration_id, seen_generation=stored.generation, caller=caller, patience=patience
                )
            except (ProviderUnavailableError, RefreshInProgressError, AppMisconfiguredError, StorageUnavailableError):
                # While the stored token still works, the failed renewal is not the caller's problem.
                if refresh.fallback and not (ends_old_access and await _is_in_doubt(wiring, stored)):
                    return stored, "refresh_failed"
                raise
            return renewed.to_use, None


def _tell_ended(wiring: Wiring, stored: StoredCredential, reason: str) -> None:
    """Tell the observer, once a day, of an access token that expired and cannot be renewed: nothing else reports it."""
    if stored.state.is_refreshed and first_today(wiring, "ended", stored.integration_id):
        tell_of(wiring, "credential.ended", Subject.named_by(stored), reason=reason)


async def _is_in_doubt(wiring: Wiring, stored: StoredCredential) -> bool:
    """Return whether a request was sent in the meantime that may have ended the token of *stored*."""
    try:
        found = await wiring.store.find_integration(stored.tenant_id, stored.integration_id)
    except StorageUnavailableError:
        return False
    return found is not None and (found.to_use.in_doubt or found.credential.generation != stored.generation)


async def record_use(wiring: Wiring, stored: StoredCredential, caller: Caller) -> float:
    """Record a use before the secret is returned; one record covers the uses by one actor in a time window (AUD-02, AUD-03).

    Returns for how many seconds the record still covers uses.  A token from the cache is not recorded, so the cache must not keep it
    longer than that.
    """
    window = wiring.settings.use_window
    if window is None:
        return math.inf
    key = (stored.tenant_id, stored.integration_id, caller.actor.type, caller.actor.id)

    async def record() -> float:
        await apply(wiring, happened(wiring, "credential.used", Subject.named_by(stored), caller))
        ends = wiring.clock.monotonic() + window.total_seconds()
        wiring.uses.put(key, ends, seconds=window.total_seconds())
        return ends

    ends: float | None = wiring.uses.find(key)
    if ends is None:
        # Concurrent callers share one record; without a window each use is recorded by itself.
        ends = await (wiring.single_flight.share(("use", key), record) if window else record())
    return ends - wiring.clock.monotonic()


def _cacheable(wiring: Wiring, stored: StoredCredential, token: Credential) -> float:
    """Return for how many seconds the token may be handed out again without reading the store."""
    known = find_method(wiring, stored.provider_id, stored.method_id)
    least = timedelta() if known is None else known[1].access_token.min_remaining
    seconds = wiring.settings.token_cache.total_seconds()
    if token.expires_at is not None:
        seconds = min(seconds, (token.expires_at - wiring.clock.now() - max(wiring.settings.min_ttl, least)).total_seconds())
    return seconds


def _cache_key(name: str | UUID, slot: str, caller: Caller) -> Hashable:
    # The managers look for the first and the second form themselves.
    row = (name, slot) if slot else name
    return row if caller.actor is SYSTEM else (row, caller.actor.type, caller.actor.id)


async def _rules(wiring: Wiring, stored: StoredCredential, parts: Parts) -> tuple[Scopes, Presented, datetime | None]:
    """Return how the method's scopes are compared, the parts with where they go, as the credential's check uses them, and their end."""
    known = find_method(wiring, stored.provider_id, stored.method_id)
    if known is None:
        # The catalogue no longer says where it goes.  An access token without a key is a bearer token (RFC 6750); where a key goes is
        # not known.
        is_bearer = "access_token" in parts and DPOP_KEY not in parts
        return Scopes(), Presented(parts=parts, present=BEARER if is_bearer else Present()), stored.expires_at
    provider, method = known
    variables = known_variables(wiring, provider, stored.variables)
    # A proof is made now, and ends before the inputs that it is made from.
    made_at = wiring.clock.now()
    ends = [made_at + proof.lifetime - proof.backdate for name, proof in method.proofs.items() if name in method.shown_proofs]
    ends += [] if stored.expires_at is None else [stored.expires_at]
    return method.scopes, await shown(wiring, provider, method, parts, variables=variables), min(ends, default=None)
