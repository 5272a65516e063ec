"""How many grants of one account a tenant holds, where a provider limits how many live."""

from __future__ import annotations

from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.domain.pending import AccountGrants
from cloud_integrations.domain.provider import Method
from cloud_integrations.flows.shared.wiring import Wiring


async def count_grants(wiring: Wiring, method: Method, facts: Integration, /) -> AccountGrants | None:
    """Return how many the tenant holds with *facts*, which is being stored; None if it is the only one, or nothing is limited.

    Only the tenant's own integrations are looked at: the number says nothing about others, who may hold more.
    Raises `StorageUnavailableError`.
    """
    rule = method.refresh_token
    if rule.max_live is None or facts.account.account_id is None:
        return None
    held = 1
    for other in await wiring.store.list_integrations(facts.tenant_id, provider_id=facts.provider_id):
        if isinstance(other, Integration) and other.id != facts.id and other.state is not State.NEEDS_REAUTH:
            together = (other.account.account_id, other.context_id) == (facts.account.account_id, facts.context_id)
            held += together and (rule.max_live_of == "application" or set(other.scopes) == set(facts.scopes))
    return None if held == 1 else AccountGrants(held=held, most=rule.max_live)
