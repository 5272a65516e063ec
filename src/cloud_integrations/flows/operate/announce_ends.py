"""Tell the observer, once a day, which methods that integrations use their providers have announced to end."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.flows.shared.applications import announced_end
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry

from .readiness import count_endings

KIND: Final = "announced_ends"
_EVERY: Final = timedelta(days=1)
_NOBODY: Final = TenantId("")
"""No tenant has this id: the entry belongs to the whole installation."""
_ENTRY: Final = UUID("5f0d52cf-6c0b-5a57-8a3b-2b8d6c1f4a10")
"""The only entry of this kind.  It is never finished: its next time is that of the next day's telling."""


async def announce_ends(wiring: Wiring, /) -> None:
    """Tell of each method that ends and that stored integrations use; any number of processes may call it, one a day tells.

    If that process is ended before it has told, the next day's telling is the next.  Raises `StorageUnavailableError`.
    """
    ending = {provider.provider_id: provider for provider in wiring.providers.list_providers() if provider.deprecations}
    if not ending or not await _is_first_today(wiring):
        return
    for (provider_id, method_id), found in (await count_endings(wiring)).items():
        provider = ending.get(provider_id)
        announced = None if provider is None else provider.deprecation_of(method_id)
        if provider is None or announced is None:
            continue
        tell_of(
            wiring,
            "method.ends",
            None,
            provider=provider.id,
            provider_id=str(provider_id),
            method=method_id,
            ends=announced_end(provider, method_id),
            instead=announced.instead,
            source=announced.source,
            integrations=str(found.total),
        )


async def _is_first_today(wiring: Wiring) -> bool:
    """Return True in one process a day: the claim of the entry holds it for everybody until the next day."""
    if await wiring.store.claim_entries(KIND, limit=1, hold=_EVERY):
        return True
    if wiring.uses.find(KIND) is not None:
        return False
    now = wiring.clock.now()
    entry = OutboxEntry(
        id=_ENTRY, tenant_id=_NOBODY, integration_id=IntegrationId(_ENTRY), kind=KIND, next_attempt_at=now + _EVERY, created_at=now
    )
    try:
        await wiring.store.apply(AddEntry(entry=entry))
    except StaleWriteError:
        # Another process has told today.
        wiring.uses.put(KIND, "told", seconds=_EVERY.total_seconds())
        return False
    return True
