"""What could not be revoked is tried again."""

from __future__ import annotations

from datetime import timedelta

from cloud_integrations.domain.audit import Caller, Outcome
from cloud_integrations.domain.provider import AuthType
from cloud_integrations.domain.removal import Revocation, RevocationRun, TokenFate
from cloud_integrations.errors import CloudIntegrationsError, DecryptError, ProviderInactiveError
from cloud_integrations.messages.client import Client
from cloud_integrations.ports.store import DelayRevocation, FinishRevocation
from cloud_integrations.ports.wiring import Wiring

from .applications import client_of
from .disconnect import REVOCATION_TABLE
from .recording import recorded, resource_of
from .revoking import Attempt, Kind, revoke_token
from .sealing import open_sealed

KEEP_TRYING = timedelta(days=30)
"""Then the entry is abandoned, and that is recorded."""
_BACKOFF_CAP = timedelta(hours=1)


async def retry_revocations(wiring: Wiring, /, *, limit: int) -> RevocationRun:
    """Make one round over the outbox; any number of processes may do so at once."""
    counts = {"revoked": 0, "delayed": 0, "abandoned": 0}
    # One by one, so that no entry waits behind a slow provider longer than it is held.
    for _ in range(limit):
        claimed = await wiring.store.claim_revocations(limit=1, hold=wiring.settings.lease)
        if not claimed:
            break
        counts[await _retry(wiring, claimed[0])] += 1
    return RevocationRun(**counts, waiting=await wiring.store.count_revocations())


async def _retry(wiring: Wiring, entry: Revocation) -> str:
    attempt = await _attempt(wiring, entry)
    finish = FinishRevocation(tenant_id=entry.tenant_id, revocation_id=entry.id)
    resource = resource_of(entry.integration_id)
    if attempt.fate is TokenFate.REVOKED:
        await wiring.store.apply(finish, recorded(wiring, entry.tenant_id, Caller(), "token.revoked", resource, token=entry.kind))
        return "revoked"
    now = wiring.clock.now()
    if attempt.fate is TokenFate.UNSUPPORTED or now - entry.created_at > KEEP_TRYING:
        record = recorded(
            wiring, entry.tenant_id, Caller(), "token.abandoned", resource, outcome=Outcome.FAILURE, reason=attempt.error, token=entry.kind
        )
        await wiring.store.apply(finish, record)
        return "abandoned"
    backoff = min(timedelta(seconds=30) * 2 ** min(entry.attempts, 8), _BACKOFF_CAP) * (0.75 + wiring.entropy.fraction() / 2)
    await wiring.store.apply(
        DelayRevocation(
            tenant_id=entry.tenant_id,
            revocation_id=entry.id,
            next_attempt_at=now + max(backoff, attempt.retry_after or timedelta()),
            error=attempt.error or "failed",
        )
    )
    return "delayed"


async def _attempt(wiring: Wiring, entry: Revocation) -> Attempt:
    try:
        client = _client(wiring, entry)
        token = await open_sealed(wiring, entry.tenant_id, entry.sealed_token, table=REVOCATION_TABLE, row=str(entry.id), field="token")
    except DecryptError:
        return Attempt(fate=TokenFate.FAILED, error="does_not_open")
    except CloudIntegrationsError:
        return Attempt(fate=TokenFate.FAILED, error="not_configured")
    if client.context_id != entry.context_id:
        return Attempt(fate=TokenFate.FAILED, error="application_changed")
    kind: Kind = "refresh" if entry.kind == "refresh" else "access"
    return await revoke_token(wiring, client, token, kind)


def _client(wiring: Wiring, entry: Revocation) -> Client:
    provider = wiring.providers.require(entry.provider_id)
    method = provider.find_method(AuthType.OAUTH2, method_id=entry.method_id)
    if method is None or provider.id not in wiring.applications:
        raise ProviderInactiveError(provider_id=str(entry.provider_id))
    return client_of(wiring, provider, method, entry.variables)
