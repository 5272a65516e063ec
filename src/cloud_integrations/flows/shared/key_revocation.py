"""Revoking a key that the tenant pasted, if that was asked for, through the outbox as tokens are."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.parts import Parts, pack, unpack
from cloud_integrations.domain.provider import IDENTITY, KeyRevocation, Method, Provider
from cloud_integrations.domain.removal import API_KEY, Revocation, RevocationOutcome
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import find_json_object
from cloud_integrations.protocol.key_revocation import build_key_revocation, read_key_revocation
from cloud_integrations.protocol.rate_limit import read_wait

from .applications import find_method, known_variables
from .measuring import measured
from .revocation import Attempt, find_spared
from .revocation_entries import new_entry
from .verification import find_account_id, shown
from .wiring import Wiring


def new_key_entry(wiring: Wiring, key: DataKey, stored: StoredIntegration, parts: Parts, /) -> Revocation:
    """Return a new outbox entry with the key of *stored* sealed under *key*, due as those of tokens."""
    facts = stored.facts
    account_id = find_account_id(facts.account)
    known = {} if account_id is None else {IDENTITY: account_id}
    return new_entry(
        wiring,
        key,
        API_KEY,
        pack(parts),
        tenant_id=facts.tenant_id,
        integration_id=facts.id,
        provider_id=facts.provider_id,
        method_id=facts.method_id,
        variables={**facts.variables, **known},
    )


async def attempt_key_revocation(wiring: Wiring, entry: Revocation, packed: Secret, /) -> Attempt:
    """Ask the provider once to revoke a key, unless a stored credential still needs it."""
    known = find_method(wiring, entry.provider_id, entry.method_id)
    facts = None if known is None else known[1].key_revocation
    if known is None or facts is None:
        return Attempt(outcome=RevocationOutcome.FAILED, reason="not_configured")
    provider, method = known
    parts = unpack(packed)
    try:
        spared = await find_spared(wiring, entry.provider_id, entry.tenant_id, next(iter(parts.values())))
    except (StorageUnavailableError, KeyringError, KeyServiceUnavailableError) as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.code)
    if spared is not None:
        return spared
    with measured(wiring, "revoke", entry.tenant_id, entry.provider_id) as running:
        attempt = await _send(wiring, provider, method, facts, parts=parts, stored=entry.variables)
        running.outcome = attempt.outcome.value
        return attempt


async def _send(
    wiring: Wiring, provider: Provider, method: Method, facts: KeyRevocation, *, parts: Parts, stored: Mapping[str, str]
) -> Attempt:
    variables = known_variables(wiring, provider, {name: value for name, value in stored.items() if name != IDENTITY})
    try:
        request = build_key_revocation(
            provider,
            method,
            facts,
            presented=await shown(wiring, provider, method, parts, variables=variables),
            variables=variables,
            identity=stored.get(IDENTITY),
            private_servers=wiring.settings.private_servers,
        )
        if request is None:
            return Attempt(outcome=RevocationOutcome.UNSUPPORTED, reason="unsupported")
        response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    except ValidationFailedError:
        # The provider's file has changed since this key was entered.
        return Attempt(outcome=RevocationOutcome.UNSUPPORTED, reason="unsupported")
    except ProviderUnavailableError as error:
        return Attempt(outcome=RevocationOutcome.FAILED, reason=error.reason)
    reason = f"status_{response.status}"
    match read_key_revocation(provider, facts, response):
        case "revoked":
            return Attempt(outcome=RevocationOutcome.REVOKED)
        case "unsupported":
            return Attempt(outcome=RevocationOutcome.UNSUPPORTED, reason=reason)
        case "failed":
            wait = read_wait(provider.rate_limit, response, find_json_object(response.body), now=wiring.clock.now())
            return Attempt(outcome=RevocationOutcome.FAILED, reason=reason, retry_after=wait)
