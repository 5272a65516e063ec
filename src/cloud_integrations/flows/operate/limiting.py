"""Limit how often a door is used, for principals and tenants, and for addresses of strangers."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from cloud_integrations.domain.arguments import read_text_or_none
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId, tenant_id
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.limits import TENANT_SHARE, LimitedUse, Quota, Rate, quota, read_client
from cloud_integrations.errors import TooManyRequestsError, ValidationFailedError
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.settings import Settings

_AWAY: Final = "the shared rate limiter does not answer"
_ASK_AGAIN: Final = timedelta(seconds=10)
_TELL_AGAIN: Final = timedelta(minutes=1)


async def count_use(wiring: Wiring, use: LimitedUse, tenant: str, caller: Caller, /) -> None:
    """Count a use by an actor in a tenant.  Raises `TooManyRequestsError` if that is too often for the actor, or for the tenant."""
    within = tenant_id(tenant)
    count = _per_minute(wiring.settings, use)
    if count == 0:
        return
    # Under both or under none, so that an actor who may not go on uses up nothing of what the tenant's others have.
    quotas = [
        quota(use, Rate(count=count), "actor", within, caller.actor.type, caller.actor.id),
        quota(use, Rate(count=count * TENANT_SHARE), "tenant", within),
    ]
    await _count(wiring, use, quotas, within)


async def count_address(wiring: Wiring, address: str | None, /) -> None:
    """Count a browser that comes back from a provider, by the address of the client; None, which is not known, is not counted.

    Raises `TooManyRequestsError` and `ValidationFailedError`.
    """
    client = read_text_or_none("address", address)
    count = wiring.settings.callback_per_minute
    if count and client is not None:
        await _count(wiring, "callback", [quota("callback", Rate(count=count), "address", read_client(client))], None)


def _per_minute(settings: Settings, use: LimitedUse) -> int:
    match use:
        case "begin":
            return settings.begin_per_minute
        case "reveal":
            return settings.reveal_per_minute
        case "verify":
            return settings.verify_per_minute
        case _:
            raise ValidationFailedError(field="use", problem="must be begin, reveal or verify")


async def _count(wiring: Wiring, use: LimitedUse | Literal["callback"], quotas: list[Quota], within: TenantId | None) -> None:
    wait = await _take(wiring, quotas)
    if wait is None:
        return
    said = ("rate limit", use, within)
    if wiring.uses.find(said) is None:
        wiring.uses.put(said, "told", seconds=_TELL_AGAIN.total_seconds())
        tell_of(wiring, "rate_limit.reached", None if within is None else Subject(tenant_id=within), use=use)
    raise TooManyRequestsError(use=use, retry_after=min(wait, max(each.rate.per for each in quotas)))


async def _take(wiring: Wiring, quotas: list[Quota]) -> timedelta | None:
    """Ask the shared limiter; while it does not answer, this process counts alone: nobody is locked out, and nobody is without limit."""
    shared = wiring.rate_limiter
    if shared is not None and wiring.uses.find(_AWAY) is None:
        try:
            wait = await shared.take(quotas)
            return None if wait is None else max(wait, timedelta())
        except Exception as error:  # whatever a host's limiter raises: it must not lock tenants out
            if is_interruption(error):
                raise
            wiring.uses.put(_AWAY, "told", seconds=_ASK_AGAIN.total_seconds())
            tell_of(wiring, "rate_limit.unshared", None, error=type(error).__name__)
    return await wiring.token_buckets.take(quotas)
