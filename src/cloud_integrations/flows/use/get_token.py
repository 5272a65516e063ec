"""A token is wanted: from memory, from a row, or after a refresh."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Hashable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from cloud_integrations.domain.arguments import find_id, read_duration, read_provider, read_scopes
from cloud_integrations.domain.audit import SYSTEM, Caller
from cloud_integrations.domain.credential import Credential, CredentialWarning, Presented
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import Inactive, Reconnect, Use, next_step
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import StoredCredential
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Placement, Scopes
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
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import present

_PATIENCE_WITH_FALLBACK = timedelta(seconds=2)


async def get_token(
    wiring: Wiring, tenant: str, provider: str | UUID, /, *, min_ttl: timedelta | float | None, scopes: Sequence[str], caller: Caller
) -> Credential:
    """Return a credential that works."""
    tenant_id = read_tenant_id(tenant)
    name = read_provider(provider)
    key = _cache_key(name, caller)
    wanted_life = wiring.settings.min_ttl if min_ttl is None else read_duration("minTtl", min_ttl)
    wanted_scopes = read_scopes(scopes)
    usual = min_ttl is None and not wanted_scopes
    if usual and (known := wiring.tokens.find(tenant_id, key)) is not None:
        return known
    place, read = _row_of(wiring, tenant_id, name)
    tenant_tokens = wiring.tokens.for_tenant(tenant_id)
    # When a token ends, all who use it come at once: they share a read, which begins after each of them has asked.
    stored = await wiring.single_flight.share_afresh(("read", tenant_id, place), read)
    if stored is None:
        raise IntegrationNotFoundError
    stored, warning = await fresh(wiring, stored, min_ttl=wanted_life, caller=caller)
    if usual and (known := wiring.tokens.find(tenant_id, key)) is not None and known.generation == stored.generation:
        # Whoever was first among them has opened it.
        return known
    token = await opened(wiring, stored, scopes=wanted_scopes, warning=warning, min_ttl=wanted_life)
    recorded_for = await record_use(wiring, stored, caller)
    if usual and warning is None and (seconds := min(_cacheable(wiring, token), recorded_for)) > 0:
        wiring.tokens.put(tenant_tokens, key, token, seconds=seconds)
    return token


def _row_of(
    wiring: Wiring, tenant_id: TenantId, name: UUID | str
) -> tuple[UUID, Callable[[], Coroutine[Any, Any, StoredCredential | None]]]:
    """Return the id of what *name* names, a provider or an integration, and how its row is read."""
    try:
        provider_id = wiring.providers.require(name).provider_id
    except ProviderNotFoundError:
        found = find_id(name)
        if found is None:
            raise
        integration_id = IntegrationId(found)

        async def by_id() -> StoredCredential | None:
            stored = await wiring.store.find_integration(tenant_id, integration_id)
            return None if stored is None else stored.to_use

        return integration_id, by_id
    return provider_id, lambda: wiring.store.find_credential(tenant_id, provider_id)


async def opened(
    wiring: Wiring,
    stored: StoredCredential,
    /,
    *,
    scopes: tuple[str, ...] = (),
    warning: CredentialWarning | None = None,
    min_ttl: timedelta | None = None,
) -> Credential:
    """Open the credential of a row and say how it is sent."""
    parts = await wiring.sealer.open_parts(
        stored.tenant_id, stored.integration_id, stored.presented, field="presented", generation=stored.generation
    )
    now = wiring.clock.now()
    if warning is None and min_ttl is not None and stored.expires_at is not None and stored.expires_at - now < min_ttl:
        warning = "less_life_than_asked"
    rule, presented = _rules(wiring, stored, parts)
    return Credential(
        parts=presented.parts,
        placement=presented.placement,
        variables=presented.variables,
        integration_id=stored.integration_id,
        provider_id=stored.provider_id,
        auth_type=stored.auth_type,
        expires_at=stored.expires_at,
        scopes=stored.scopes,
        missing_scopes=rule.missing(requested=scopes, granted=stored.scopes) if scopes else stored.missing_scopes,
        warning=warning,
        generation=stored.generation,
    )


async def fresh(
    wiring: Wiring, stored: StoredCredential, *, min_ttl: timedelta, caller: Caller
) -> tuple[StoredCredential, CredentialWarning | None]:
    """Return a row whose credential may be handed out, and a warning if it could not be renewed."""
    ends_old_access = _ends_old_access(wiring, stored)
    match next_step(stored, now=wiring.clock.now(), min_ttl=min_ttl, ends_old_access=ends_old_access):
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
                # While the held token still works, somebody else's trouble never reaches the caller.
                if refresh.fallback and not (ends_old_access and await _is_in_doubt(wiring, stored)):
                    return stored, "refresh_failed"
                raise
            return renewed.to_use, None


def _tell_ended(wiring: Wiring, stored: StoredCredential, reason: str) -> None:
    """Tell, once a day, of an access token that ended without a renewal: no row says so, thus nothing else has told it."""
    if stored.state.is_refreshed and first_today(wiring, "ended", stored.integration_id):
        tell_of(wiring, "credential.ended", Subject.named_by(stored), reason=reason)


def _ends_old_access(wiring: Wiring, stored: StoredCredential) -> bool:
    """Whether a renewal ends the access token before it, also one whose answer is lost."""
    method = wiring.providers.require(stored.provider_id).method_named(stored.method_id)
    return method is not None and method.refresh_token.ends_old_access


async def _is_in_doubt(wiring: Wiring, stored: StoredCredential) -> bool:
    """Whether a request went out meanwhile that may have ended the token in hand."""
    try:
        found = await wiring.store.find_credential(stored.tenant_id, stored.provider_id)
    except StorageUnavailableError:
        return False
    return found is not None and (found.in_doubt or found.generation != stored.generation)


async def record_use(wiring: Wiring, stored: StoredCredential, caller: Caller) -> float:
    """Record the use before the secret is returned; one row speaks for a window of uses by one actor (AUD-02, AUD-03).

    Returns for how many seconds it still does: a use that memory answers is not recorded, so memory must forget by then.
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
        # Many callers at once are one window's uses, too; without a window each is recorded by itself.
        ends = await (wiring.single_flight.share(("use", key), record) if window else record())
    return ends - wiring.clock.monotonic()


def _cacheable(wiring: Wiring, token: Credential) -> float:
    """For how many seconds the token may be handed out again without a look at the store."""
    seconds = wiring.settings.token_cache.total_seconds()
    if token.expires_at is not None:
        seconds = min(seconds, (token.expires_at - wiring.clock.now() - wiring.settings.min_ttl).total_seconds())
    return seconds


def _cache_key(name: str | UUID, caller: Caller) -> Hashable:
    return name if caller.actor is SYSTEM else (name, caller.actor.type, caller.actor.id)


def _rules(wiring: Wiring, stored: StoredCredential, parts: Parts) -> tuple[Scopes, Presented]:
    """Say how scopes are compared, and where the parts go, as the check of this credential does."""
    known = find_method(wiring, stored.provider_id, stored.method_id)
    if known is None:
        # The catalogue no longer says.  An access token is a bearer token (RFC 6750); of a key nobody knows.
        return Scopes(), Presented(parts=parts, placement=(Placement(),) if "access_token" in parts else ())
    provider, method = known
    variables = known_variables(wiring, provider, stored.variables)
    return method.scopes, present(method, parts, variables=variables)
