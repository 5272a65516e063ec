"""Ask a provider again for every grant that it said has ended, for an operator who doubts the refusals."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from cloud_integrations.domain.arguments import Progress, read_listener, read_provider, read_text_or_none
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.integration import DueIntegration
from cloud_integrations.domain.renewal import RenewalRun
from cloud_integrations.flows.shared.wiring import Wiring

from .refresh_due import AT_ONCE, counted, renew_one

_PAGE = 100


async def refresh_refused(
    wiring: Wiring, provider: str | UUID, /, *, reason: str | None, caller: Caller, progress: Progress | None
) -> RenewalRun:
    """Renew the integrations with *provider*, of all tenants, that need a reconnect (for *reason*) and have a refresh token.

    Each is tried once; one that the provider refuses again stays as it was.  *progress* is called after each page with the number of
    integrations tried so far.  Raises `ProviderNotFoundError` or `ValidationFailedError`.
    """
    progress = read_listener("progress", progress)
    reason = read_text_or_none("reason", reason)
    provider_id = wiring.providers.require(read_provider(provider)).provider_id
    counts: Counter[str] = Counter()

    async def one(found: DueIntegration) -> None:
        counts[await renew_one(wiring, found, caller=caller, asks_again=True)] += 1

    after = None
    while page := await wiring.store.list_unrenewed(provider_id, reason=reason, after=after, limit=_PAGE):
        await wiring.concurrency.for_each(page, one, key=lambda found: found.provider_id, at_once=AT_ONCE)
        after = page[-1].tenant_id, page[-1].integration_id
        if progress is not None:
            progress(counts.total())
    return counted(counts)
