"""Tokens are renewed before they end, whether anybody asks for them or not."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.integration import DueIntegration
from cloud_integrations.domain.renewal import RenewalRun
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CredentialError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
)
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.flows.shared.lookup import tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow

from .renew import renew

HOLD = timedelta(minutes=5)
"""How long a claimed row is out of every other worker's sight; a worker that dies gives it back after this."""
AT_ONCE = 8
"""Requests to one provider at the same time, in this process."""
MOST_AT_ONCE = 10_000
"""What one round takes at the most."""
_PATIENCE = timedelta(seconds=1)


async def refresh_due(wiring: Wiring, /, *, limit: int, caller: Caller) -> RenewalRun:
    """Claim up to *limit* integrations whose time has come and renew them; any number of processes may do so at once.

    A tenant has one integration per provider at the most, so no tenant can crowd out another.
    """
    counts: Counter[str] = Counter()
    found = await wiring.store.claim_due(limit=read_count("limit", limit, most=MOST_AT_ONCE), hold=HOLD)
    claimed = [due for due in found if isinstance(due, DueIntegration)]
    for row in found:
        if isinstance(row, DamagedRow):
            counts["failed"] += 1
            tell_damaged(wiring, row)

    async def one(due: DueIntegration) -> None:
        counts[await renew_one(wiring, due, caller=caller)] += 1

    await wiring.concurrency.for_each(claimed, one, key=lambda due: due.provider_id, at_once=AT_ONCE)
    return counted(counts)


def counted(counts: Counter[str]) -> RenewalRun:
    """Make a report of what `renew_one` said, one word for each integration."""
    return RenewalRun(
        claimed=counts.total(),
        renewed=counts["renewed"],
        postponed=counts["postponed"],
        reconnect_required=counts["reconnect_required"],
        gone=counts["gone"],
        failed=counts["failed"],
    )


async def renew_one(wiring: Wiring, due: DueIntegration, /, *, caller: Caller, asks_again: bool = False) -> str:
    """Renew one of many and say in a word how it went; raises nothing that would end the round of the others."""
    try:
        await renew(
            wiring,
            due.tenant_id,
            due.integration_id,
            seen_generation=due.generation,
            caller=caller,
            patience=_PATIENCE,
            forced=asks_again,
            asks_again=asks_again,
        )
    except ReconnectRequiredError:
        return "reconnect_required"
    except IntegrationNotFoundError:
        return "gone"
    except (ProviderUnavailableError, AppMisconfiguredError, CredentialError):
        # Its next time is in the row.
        return "postponed"
    except Exception as error:  # noqa: BLE001  # one integration's trouble must not end the round of the others
        # Usually the store's or the keyring's: the row comes back when its hold is over.
        tell_of(wiring, "credential.refresh_broken_off", Subject.named_by(due), reason=type(error).__name__)
        return "failed"
    return "renewed"
