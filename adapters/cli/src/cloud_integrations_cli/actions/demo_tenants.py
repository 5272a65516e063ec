"""The tenants of a demonstration: a few dozen integrations, in every state that the console shows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import Actor, AsyncIntegrationManager, Integration
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import Misbehaviour, SimulatedProvider

_OPERATOR: Final = Actor(id="olga")
_BILLING: Final = Actor(type="service", id="billing")
_TENANTS: Final = (
    "borealis",
    "cobalt-labs",
    "delta-freight",
    "ember.studio",
    "fjord-bank",
    "granite",
    "harbour-and-sons-of-the-old-town",
    "iris-health",
    "juniper",
    "kestrel",
    "lumen",
    "مؤسسة-النور",
)
_NAMES: Final = ("Production", "Build servers", "خوادم الإنتاج", "Reporting warehouse of the whole group, Europe", "数据仓库", "Staging")


@dataclass(frozen=True, slots=True)
class _Cast:
    """The manager, and the provider that does what the story needs."""

    manager: AsyncIntegrationManager
    provider: SimulatedProvider
    oauth: str
    keys: str

    async def by_sign_in(self, tenant: str, name: str) -> Integration:
        begun = await self.manager.begin_oauth(tenant, self.oauth, name=name)
        callback = urlsplit(self.provider.sign_in(begun.url))
        done = await self.manager.complete_oauth(begun.context_id, parse_qsl(callback.query), browser_token=begun.browser_token)
        return done.integration

    async def by_key(self, tenant: str, name: str, *, ends_in: timedelta | None = None) -> Integration:
        ends_at = None if ends_in is None else datetime.now(UTC) + ends_in
        return await self.manager.add_api_key(tenant, self.keys, name=name, api_key=self.provider.issue_api_key(), ends_at=ends_at)

    async def badly(self, what: Misbehaviour, integration: Integration) -> None:
        """Renew *integration* while the provider misbehaves."""
        self.provider.misbehave(what, endpoint="refresh")
        with suppress(CloudIntegrationsError):
            await self.manager.refresh(integration.tenant_id, integration.id)
        self.provider.behave()


async def fill(manager: AsyncIntegrationManager, provider: SimulatedProvider, /, *, oauth: str, keys: str) -> None:
    """Connect the tenants by the two methods of *provider*, whose slugs are *oauth* and *keys*, and bring them into every state."""
    cast = _Cast(manager.acting_as(_OPERATOR, reason="demonstration"), provider, oauth, keys)
    grants = [await cast.by_sign_in(tenant, _NAMES[number % len(_NAMES)]) for number, tenant in enumerate(_TENANTS)]
    # A minute: it ends while somebody looks at it, and not before it is stored, however slow the machine is.
    ends = (None, timedelta(days=5), None, timedelta(days=40), timedelta(minutes=1), None)
    pasted = [
        await cast.by_key(tenant, _NAMES[(number + 2) % len(_NAMES)], ends_in=ends[number % len(ends)])
        for number, tenant in enumerate(_TENANTS)
    ]
    await cast.badly(Misbehaviour.INVALID_GRANT, grants[1])
    await cast.badly(Misbehaviour.RATE_LIMITED, grants[2])
    await cast.badly(Misbehaviour.ANSWER_LOST, grants[3])
    await cast.badly(Misbehaviour.INVALID_CLIENT, grants[4])
    await cast.manager.edit_integration(grants[5].tenant_id, grants[5].id, status="inactive")
    for used in (grants[0], grants[6], grants[7], pasted[0], pasted[2]):
        await cast.manager.credential(used.tenant_id, used.id, actor=_BILLING)
    await cast.manager.refresh(grants[8].tenant_id, grants[8].id)
    await cast.manager.verify(pasted[6].tenant_id, pasted[6].id)
    await cast.manager.keys.rotate(tenant_id=grants[9].tenant_id)
    await _remove(cast, grants[10], erased=grants[11])
    await _respond(cast, frozen=grants[7])


async def _remove(cast: _Cast, removed: Integration, *, erased: Integration) -> None:
    """Remove one integration, whose token waits for its revocation, and erase a tenant, whose token is given up."""
    cast.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await cast.manager.delete(removed.tenant_id, removed.id)
    await cast.manager.erase_tenant(erased.tenant_id)
    cast.provider.behave()


async def _respond(cast: _Cast, *, frozen: Integration) -> None:
    """Freeze a tenant, and open an incident of which a part is done."""
    incidents = cast.manager.incidents
    await incidents.freeze(reason="The tenant reported a break-in", tenant_id=frozen.tenant_id)
    incident = await incidents.open(reason="A log of the billing service was public", used_by=_BILLING)
    await incidents.revoke(incident.id, at_most=1, per_second=1_000)
