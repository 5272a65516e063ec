"""Retry revocations that wait in the outbox, end rotations of keys, delete what has expired, and tell of methods that end."""

from __future__ import annotations

from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.domain.removal import API_KEY, REVOCATION, Revocation, RevocationOutcome, RevocationRun
from cloud_integrations.domain.session import KEPT_SESSION
from cloud_integrations.errors import CloudIntegrationsError, DecryptError, ProviderInactiveError
from cloud_integrations.flows.renew.refresh_due import MOST_AT_ONCE
from cloud_integrations.flows.shared.clients import find_client
from cloud_integrations.flows.shared.key_revocation import attempt_key_revocation
from cloud_integrations.flows.shared.lookup import read_entry, tell_damaged
from cloud_integrations.flows.shared.revocation import Attempt, attempt_revocation, settle
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import find_consent_method
from cloud_integrations.ports.store import DamagedRow
from cloud_integrations.protocol.client import Client

from .announce_ends import announce_ends
from .end_key_rotations import end_key_rotations

SWEPT = 1_000
"""The largest number of expired authorizations, of ended sessions, and of ended connect sessions, that one round deletes."""


async def retry_revocations(wiring: Wiring, /, *, limit: int, caller: Caller) -> RevocationRun:
    """Delete what has expired, end up to *limit* due rotations of keys, try up to *limit* due revocations, and return the counts.

    Once a day, the first process also tells the observer of methods in use that their providers have announced to end.
    Any number of processes may do so at once.  Raises `ValidationFailedError` for *limit*.
    """
    limit = read_count("limit", limit, most=MOST_AT_ONCE)
    # For all tenants: a new authorization deletes the tenant's expired ones, but a tenant may never begin another.
    await wiring.store.sweep_pending(limit=SWEPT)
    await wiring.store.sweep_sessions(ended_for=KEPT_SESSION, limit=SWEPT)
    await wiring.store.sweep_connect_sessions(limit=SWEPT)
    # First, because keys that have come to their end are then revoked in the same round.
    await end_key_rotations(wiring, limit=limit, caller=caller)
    counts = {"revoked": 0, "kept": 0, "delayed": 0, "abandoned": 0}
    # Claimed one by one, so that a slow provider does not delay an entry until its hold is over.
    for _ in range(limit):
        claimed = await wiring.store.claim_entries(REVOCATION, limit=1, hold=wiring.settings.lease)
        if not claimed:
            break
        entry = read_entry(claimed[0], Revocation.of)
        if isinstance(entry, DamagedRow):
            tell_damaged(wiring, entry)
            counts["delayed"] += 1
        else:
            counts[await retry(wiring, entry, caller)] += 1
    # Last, because it must not hold up a revocation.
    await announce_ends(wiring)
    return RevocationRun(**counts, waiting=await wiring.store.count_entries(REVOCATION))


async def retry(wiring: Wiring, entry: Revocation, caller: Caller, /) -> str:
    """Try one entry of the outbox and return the result, the name of a count in `RevocationRun`."""
    return await settle(wiring, entry, await _attempt(wiring, entry), caller=caller)


async def _attempt(wiring: Wiring, entry: Revocation) -> Attempt:
    try:
        client = None if entry.kind == API_KEY else await _client(wiring, entry)
        token = await wiring.sealer.open(entry.tenant_id, entry.sealed_token, table=OUTBOX_TABLE, row=str(entry.id), field="payload")
    except DecryptError:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="does_not_open")
    except CloudIntegrationsError:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="not_configured")
    if entry.kind == API_KEY:
        return await attempt_key_revocation(wiring, entry, token)
    if client is None:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="application_changed")
    return await attempt_revocation(wiring, client, entry, token)


async def _client(wiring: Wiring, entry: Revocation) -> Client | None:
    provider = wiring.providers.require(entry.provider_id)
    if find_consent_method(provider, entry.method_id) is None:
        raise ProviderInactiveError(provider_id=str(entry.provider_id))
    return await find_client(wiring, entry.tenant_id, provider, entry.context_id, entry.variables, method_id=entry.method_id)
