"""What is not renewed and ends by disuse is checked before that: the provider counts the check as a use."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.integration import DueIntegration, StoredIntegration
from cloud_integrations.errors import (
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
)
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.events import apply, forecast
from cloud_integrations.flows.shared.freezing import require_renewals
from cloud_integrations.flows.shared.next_check import next_keep_alive
from cloud_integrations.flows.shared.verification import check_credential, conclude, shown
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SetDue

_PART: Final = 100
"""A check without a verdict is repeated after this part of the time in which a credential ends by disuse: twenty times before its end."""
_UNKNOWN: Final = timedelta(days=1)
"""When to look again at what the catalogue does not say anything about any more."""


async def keep_alive(wiring: Wiring, due: DueIntegration, /, *, caller: Caller) -> None:
    """Check a credential that would end by disuse, and set when it is due again.

    If the provider refuses it, the tenant must reconnect, as after `verify`.  An answer without a verdict changes nothing.
    Raises `IntegrationNotFoundError`, `IntegrationFrozenError`, `ReconnectRequiredError`, `ProviderUnavailableError`, or what opening the
    credential raises.
    """
    stored = await wiring.store.find_integration(due.tenant_id, due.integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    if stored.credential.generation != due.generation or not stored.facts.state.is_refreshed:
        return  # somebody has just replaced it or switched it off, and said when it is due
    found = find_method(wiring, due.provider_id, stored.facts.method_id)
    idle = None if found is None else found[1].idle
    if found is None or idle is None:
        await _set_due(wiring, stored, wiring.clock.now() + _UNKNOWN)
        return
    provider, method = found
    # Whatever happens now, even the end of this process: the next check is not left to the hold of the claim.
    await _set_due(wiring, stored, wiring.clock.now() + idle / _PART)
    await require_renewals(wiring, stored)
    parts = await wiring.sealer.open_column(stored, "presented")
    variables = known_variables(wiring, provider, stored.facts.variables)
    show = partial(shown, wiring, provider, method, parts, variables=variables)
    result = await check_credential(wiring, provider, method, presented=await show(), variables=variables, again=show)
    if result is None or not (result.accepted or result.outcome == "dead"):
        raise ProviderUnavailableError(provider_id=str(due.provider_id), retry_after=None if result is None else result.retry_after)
    # What a proof shows is another value each time, so it identifies nobody.
    value = None if method.shown_proofs else next(iter(parts.values()))
    await conclude(wiring, stored, method, result=result, value=value, caller=caller)
    if not result.accepted:
        raise ReconnectRequiredError(integration_id=str(due.integration_id), reason="refused")
    forecast(wiring, stored.facts, result.expires_at)
    await _set_due(wiring, stored, next_keep_alive(wiring, idle))


async def _set_due(wiring: Wiring, stored: StoredIntegration, at: datetime) -> None:
    facts = stored.facts
    change = SetDue(tenant_id=facts.tenant_id, integration_id=facts.id, expected_generation=stored.credential.generation, due_at=at)
    # Whoever has changed it meanwhile has also said when it is due.
    with suppress(StaleWriteError):
        await apply(wiring, change)
