"""What could not be revoked is tried again, and authorizations that nobody finished are swept."""

from __future__ import annotations

from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.domain.removal import REVOCATION, Revocation, RevocationOutcome, RevocationRun
from cloud_integrations.errors import CloudIntegrationsError, DecryptError, ProviderInactiveError
from cloud_integrations.flows.renew.refresh_due import MOST_AT_ONCE
from cloud_integrations.flows.shared.applications import client_of
from cloud_integrations.flows.shared.lookup import tell_damaged
from cloud_integrations.flows.shared.revocation import Attempt, attempt_revocation, read_entry, settle
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import find_consent_method
from cloud_integrations.ports.store import DamagedRow
from cloud_integrations.protocol.client import Client

SWEPT = 1_000
"""Expired authorizations that one round deletes at the most."""


async def retry_revocations(wiring: Wiring, /, *, limit: int, caller: Caller) -> RevocationRun:
    """Delete expired authorizations and make one round over the outbox; any number of processes may do so at once."""
    limit = read_count("limit", limit, most=MOST_AT_ONCE)
    # Of all tenants: one that never begins another authorization would keep its last ones for ever.
    await wiring.store.sweep_pending(limit=SWEPT)
    counts = {"revoked": 0, "kept": 0, "delayed": 0, "abandoned": 0}
    # One by one, so that no entry waits behind a slow provider longer than it is held.
    for _ in range(limit):
        claimed = await wiring.store.claim_entries(REVOCATION, limit=1, hold=wiring.settings.lease)
        if not claimed:
            break
        entry = read_entry(claimed[0])
        if isinstance(entry, DamagedRow):
            tell_damaged(wiring, entry)
            counts["delayed"] += 1
        else:
            counts[await retry(wiring, entry, caller)] += 1
    return RevocationRun(**counts, waiting=await wiring.store.count_entries(REVOCATION))


async def retry(wiring: Wiring, entry: Revocation, caller: Caller, /) -> str:
    """Try one entry of the outbox, and return what became of it: a name of a count in `RevocationRun`."""
    return await settle(wiring, entry, await _attempt(wiring, entry), caller=caller)


async def _attempt(wiring: Wiring, entry: Revocation) -> Attempt:
    try:
        client = _client(wiring, entry)
        token = await wiring.sealer.open(entry.tenant_id, entry.sealed_token, table=OUTBOX_TABLE, row=str(entry.id), field="payload")
    except DecryptError:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="does_not_open")
    except CloudIntegrationsError:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="not_configured")
    if client.context_id != entry.context_id:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="application_changed")
    return await attempt_revocation(wiring, client, entry, token)


def _client(wiring: Wiring, entry: Revocation) -> Client:
    provider = wiring.providers.require(entry.provider_id)
    method = find_consent_method(provider, entry.method_id)
    if method is None or provider.id not in wiring.applications:
        raise ProviderInactiveError(provider_id=str(entry.provider_id))
    return client_of(wiring, provider, method, entry.variables)
