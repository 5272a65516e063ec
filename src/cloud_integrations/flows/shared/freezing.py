"""Freezes: what is stopped, as this process knows it, and the guard before each hand-out and each renewal."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freezing import Freeze
from cloud_integrations.domain.integration import StoredCredential, StoredIntegration
from cloud_integrations.errors import DamagedRowError, IntegrationFrozenError
from cloud_integrations.ports.store import DamagedRow

from .events import record_denied
from .wiring import Wiring


async def current_freezes(wiring: Wiring, /) -> tuple[Freeze, ...]:
    """Return the freezes that are in force; they were read at most `token_cache` ago, or after the last change in this process.

    Where they have changed, the tokens in memory are forgotten first, so a token that is found there afterwards may be handed out.
    Raises `StorageUnavailableError`, and `DamagedRowError` for a freeze whose row was edited: nobody knows what it stops.
    """
    memory = wiring.freezes
    while memory.until <= wiring.clock.monotonic():
        # Callers share one read, which begins after each of them has asked.
        if await wiring.single_flight.share_afresh("freezes", partial(_read, wiring)):
            break
    return memory.active


async def _read(wiring: Wiring) -> bool:
    """Read the freezes, and return whether none was changed in this process meanwhile."""
    changes, began = wiring.freezes.changes, wiring.clock.monotonic()
    found: list[Freeze] = []
    for row in await wiring.store.list_freezes():
        if isinstance(row, DamagedRow):
            raise DamagedRowError(table=row.table, row=row.row)
        found.append(row)
    return wiring.freezes.learn(tuple(found), until=began + wiring.settings.token_cache.total_seconds(), changes=changes)


async def require_unfrozen(wiring: Wiring, stored: StoredCredential, caller: Caller, /) -> None:
    """Raise `IntegrationFrozenError` if *caller* may not have or use this credential now; recorded as denied."""
    for freeze in await current_freezes(wiring):
        if freeze.selection.names(caller) and _covers(freeze, stored):
            await _deny(wiring, freeze, stored, caller)


async def require_unfrozen_actor(wiring: Wiring, stored: StoredCredential, caller: Caller, /) -> None:
    """Raise `IntegrationFrozenError` if a freeze names *caller*; for what mends an integration, and so goes on in any other freeze."""
    for freeze in await current_freezes(wiring):
        if freeze.selection.actor is not None and freeze.selection.names(caller) and _covers(freeze, stored):
            await _deny(wiring, freeze, stored, caller)


async def _deny(wiring: Wiring, freeze: Freeze, stored: StoredCredential, caller: Caller) -> NoReturn:
    await record_denied(wiring, "credential.frozen", Subject.named_by(stored), caller, reason="frozen", freeze=str(freeze.id))
    raise IntegrationFrozenError(integration_id=str(stored.integration_id), freeze_id=str(freeze.id))


async def require_renewals(wiring: Wiring, stored: StoredIntegration, /) -> None:
    """Raise `IntegrationFrozenError` if a freeze stops the renewals of this integration, too."""
    for freeze in await current_freezes(wiring):
        # One of an actor never does: a renewal serves all who use the integration.
        if not freeze.renewals and freeze.selection.actor is None and _covers(freeze, stored.to_use):
            raise IntegrationFrozenError(integration_id=str(stored.facts.id), freeze_id=str(freeze.id))


def _covers(freeze: Freeze, stored: StoredCredential) -> bool:
    return freeze.selection.covers(
        tenant_id=stored.tenant_id,
        provider_id=stored.provider_id,
        application_id=stored.context_id,
        integration_id=stored.integration_id,
    )
