"""Return a credential: from the cache, from the store, or after a refresh; the whole one, or a narrowed one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from cloud_integrations.domain.arguments import find_id, read_duration, read_provider, read_scopes
from cloud_integrations.domain.audit import SYSTEM, Caller
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import StoredCredential
from cloud_integrations.domain.narrowing import read_narrow
from cloud_integrations.errors import IntegrationNotFoundError, ProviderNotFoundError
from cloud_integrations.flows.shared.freezing import current_freezes, require_unfrozen
from cloud_integrations.flows.shared.lookup import read_chosen_slot, refuse_slot_of_id
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.wiring import Wiring

from .handing_out import cacheable, fresh, opened, record_use
from .narrowed import narrowed


async def get_token(
    wiring: Wiring,
    tenant: str,
    provider: str | UUID,
    /,
    *,
    slot: str,
    min_ttl: timedelta | float | None,
    scopes: Sequence[str],
    narrow: Mapping[str, Any] | None,
    caller: Caller,
) -> Credential:
    """Return a credential that works, renewed first if it has expired or soon will.

    *provider* and *slot* name an integration with a provider, or *provider* is the integration's id.  The credential should live for
    *min_ttl* (seconds or a timedelta) more; *scopes* are compared with those granted; *narrow* is what it is narrowed to.
    Raises `ValidationFailedError`, `IntegrationNotFoundError`, `IntegrationInactiveError`, `IntegrationFrozenError`,
    `ReconnectRequiredError`, `ProviderNotFoundError`, `ProviderUnavailableError`, `RefreshInProgressError` or `AppMisconfiguredError`.
    """
    tenant_id = read_tenant_id(tenant)
    name = read_provider(provider)
    slot = read_chosen_slot(wiring, slot)
    key = _cache_key(name, slot, caller)
    wanted_life = wiring.settings.min_ttl if min_ttl is None else read_duration("minTtl", min_ttl)
    wanted_scopes = read_scopes(scopes)
    less = read_narrow(narrow)
    usual = min_ttl is None and not wanted_scopes and less is None
    # First: it forgets the tokens in memory where the freezes have changed.
    await current_freezes(wiring)
    if usual and (known := wiring.tokens.find(tenant_id, key)) is not None:
        return known
    row, read = _row_of(wiring, tenant_id, name, slot)
    tenant_tokens = wiring.tokens.for_tenant(tenant_id)
    # When a token expires, all its users ask at once: they share one read, which begins after each of them has asked.
    stored = await wiring.single_flight.share_afresh(("read", tenant_id, row), read)
    if stored is None:
        raise IntegrationNotFoundError
    with measured(wiring, "credential", tenant_id, stored.provider_id):
        await require_unfrozen(wiring, stored, caller)
        if less is not None:
            return await narrowed(wiring, stored, less, scopes=wanted_scopes, min_ttl=wanted_life, caller=caller)
        stored, warning = await fresh(wiring, stored, min_ttl=wanted_life, caller=caller)
        # A renewal takes a while, in which an operator may have frozen what it renews.
        await require_unfrozen(wiring, stored, caller)
        if usual and (known := wiring.tokens.find(tenant_id, key)) is not None and known.generation == stored.generation:
            # Another of these callers has opened it already.
            return known
        token = await opened(wiring, stored, scopes=wanted_scopes, warning=warning, min_ttl=wanted_life)
        recorded_for = await record_use(wiring, stored, caller)
        if usual and warning is None and (seconds := min(cacheable(wiring, stored, token), recorded_for)) > 0:
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


def _cache_key(name: str | UUID, slot: str, caller: Caller) -> Hashable:
    # The managers look for the first and the second form themselves.
    row = (name, slot) if slot else name
    return row if caller.actor is SYSTEM else (row, caller.actor.type, caller.actor.id, caller.session_id)
