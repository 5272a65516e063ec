"""Renew tokens before they expire, whether a caller asks for them or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from operator import itemgetter

from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import DueIntegration
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.renewal import RenewalRun
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CredentialError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
)
from cloud_integrations.flows.shared.applications import find_method
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.flows.shared.lookup import tell_damaged
from cloud_integrations.flows.shared.trust import check_trust
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow

from .keep_alive import keep_alive
from .renew import renew

HOLD = timedelta(minutes=5)
"""How long no other worker gets a claimed row; if the worker dies, the row is due again after this time."""
AT_ONCE = 8
"""Requests to one provider at the same time, in this process."""
MOST_AT_ONCE = 10_000
"""The largest number of integrations in one round."""
_PATIENCE = timedelta(seconds=1)


async def refresh_due(wiring: Wiring, /, *, limit: int, caller: Caller) -> RenewalRun:
    """Claim up to *limit* due integrations, renew them, and return the counts; any number of processes may do so at once.

    Those that have been due for longest are claimed first, and among the claimed ones tenants take turns: an integration waits at most
    for those that were due before it, however many slots another tenant has.  Raises `ValidationFailedError` for *limit* and
    `StorageUnavailableError` if nothing can be claimed; a failed renewal is counted and does not raise.
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

    await wiring.concurrency.for_each(_in_turns(claimed), one, key=lambda due: due.provider_id, at_once=AT_ONCE)
    return counted(counts)


def _in_turns(claimed: Iterable[DueIntegration]) -> list[DueIntegration]:
    """Return one integration of each tenant, then a second one of each that has one, and so on."""
    earlier: Counter[TenantId] = Counter()
    turns: list[tuple[int, DueIntegration]] = []
    for due in claimed:
        turns.append((earlier[due.tenant_id], due))
        earlier[due.tenant_id] += 1
    return [due for _, due in sorted(turns, key=itemgetter(0))]


def counted(counts: Counter[str]) -> RenewalRun:
    """Return the report on a round from the counts of the words that `renew_one` returned."""
    return RenewalRun(
        claimed=counts.total(),
        renewed=counts["renewed"],
        postponed=counts["postponed"],
        reconnect_required=counts["reconnect_required"],
        gone=counts["gone"],
        failed=counts["failed"],
    )


async def renew_one(wiring: Wiring, due: DueIntegration, /, *, caller: Caller, asks_again: bool = False) -> str:
    """Renew one integration of a round and return the result, the name of a count in `RenewalRun`.

    What is not renewed is checked, because it would end by disuse.  Raises no `Exception`, because that would end the round for the
    others; but what interrupts the caller ends the round.
    """
    try:
        if not due.renewable:
            await keep_alive(wiring, due, caller=caller)
            return "renewed"
        renewed = await renew(
            wiring,
            due.tenant_id,
            due.integration_id,
            seen_generation=due.generation,
            caller=caller,
            patience=_PATIENCE,
            forced=asks_again,
            asks_again=asks_again,
            scheduled=True,
        )
        found = find_method(wiring, due.provider_id, renewed.facts.method_id)
        if found is not None:
            await check_trust(wiring, renewed, *found, caller=caller)
    except ReconnectRequiredError:
        return "reconnect_required"
    except IntegrationNotFoundError:
        return "gone"
    except (ProviderUnavailableError, AppMisconfiguredError, CredentialError):
        # Its next time is in the row.
        return "postponed"
    except Exception as error:  # one integration's trouble must not end the round of the others
        if is_interruption(error):
            raise
        # Usually an error of the store or the key service: the row is due again when its hold ends.
        tell_of(wiring, "credential.refresh_broken_off", Subject.named_by(due), reason=type(error).__name__)
        return "failed"
    return "renewed"
