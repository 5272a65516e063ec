"""The browser comes back: everything is checked before the code is spent."""

from __future__ import annotations

import hmac
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import CallbackParameters, read_callback, read_id, read_secret_or_none
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import ContextId
from cloud_integrations.domain.integration import State, StoredIntegration
from cloud_integrations.domain.pending import Connected, PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderNotFoundError
from cloud_integrations.flows.shared.applications import client_of, require_consent_method
from cloud_integrations.flows.shared.events import backend_failures_told, failures_recorded, record_denied
from cloud_integrations.flows.shared.lookup import require_unconnected
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.authorize import find_state
from cloud_integrations.protocol.client import Client

from .begin_oauth import PENDING_TABLE, hash_of
from .grants import NewGrant, connect


async def complete_oauth(
    wiring: Wiring, context_id: UUID | str, params: CallbackParameters, /, *, browser_token: Secret | str | None, caller: Caller
) -> Connected:
    """Turn the provider's answer into a stored integration.

    From the moment that the state is spent, no caller's cancellation or interruption ends the work.
    """
    pairs = read_callback(params)
    # An empty one is what some browser brought: refused, and recorded, as none is.
    kept = read_secret_or_none("browserToken", browser_token or None)
    own = await _find_own(wiring, ContextId(read_id("contextId", context_id)), pairs, browser_token=kept, caller=caller)
    subject = Subject.named_by(own)

    async def work() -> Connected:
        begun_under = await wiring.data_keys.id_at_start(own.tenant_id)
        pending = await take_own(wiring, own)
        # From here on the state is spent, whatever comes (RFC 9700 §4.2.4).
        async with failures_recorded(wiring, "authorization.not_completed", subject, caller):
            client, stored = await check_pending(wiring, pending)
            with backend_failures_told(wiring, replace(subject, integration_id=None if stored is None else pending.integration_id)):
                answer = client.backend.read_callback(client, pairs, issuer=pending.issuer)
            if answer.code is None:
                raise GrantRefusedError(reason=answer.error or "code_missing")
            if answer.site is not None:
                client = _at_site(wiring, pending, client, answer.site)
            return await finish(wiring, pending, client, stored, code=answer.code, begun_under=begun_under, caller=caller)

    return await wiring.single_flight.shield(work)


async def take_own(wiring: Wiring, pending: PendingAuthorization, /) -> PendingAuthorization:
    """Consume an authorization that is the caller's; one of two at once has it.  Raises `GrantRefusedError`."""
    taken = await wiring.store.take_pending(pending.state_hash)
    if taken is None:
        raise GrantRefusedError(reason="state_not_valid")
    return taken


async def check_pending(wiring: Wiring, pending: PendingAuthorization, /) -> tuple[Client, StoredIntegration | None]:
    """Return the server that the authorization began with and, when reconnecting, the row as it was then.

    Raises `GrantRefusedError` if either changed since, or `IntegrationExistsError` (OAU-029).
    """
    try:
        provider = wiring.providers.require(pending.provider_id)
        client = client_of(wiring, provider, require_consent_method(wiring, provider), pending.variables)
    except ProviderNotFoundError:
        raise GrantRefusedError(reason="provider_removed") from None
    if client.context_id != pending.context_id:
        raise GrantRefusedError(reason="application_changed")
    if pending.reconnects_generation is None:
        await require_unconnected(wiring, pending.tenant_id, pending.provider_id)
        return client, None
    stored = await wiring.store.find_integration(pending.tenant_id, pending.integration_id)
    if stored is None or stored.facts.state is State.DISABLED:
        raise GrantRefusedError(reason="integration_closed")
    return client, stored


def _at_site(wiring: Wiring, pending: PendingAuthorization, client: Client, site: str) -> Client:
    """Return the server of the *site* that the callback names; only one that the provider's data lists."""
    variables = client.provider.sites.get(site)
    if variables is None:
        raise GrantRefusedError(reason="site_unknown")
    return client_of(wiring, client.provider, client.method, {**pending.variables, **variables})


async def finish(
    wiring: Wiring,
    pending: PendingAuthorization,
    client: Client,
    stored: StoredIntegration | None,
    /,
    *,
    code: Secret,
    begun_under: UUID,
    caller: Caller,
) -> Connected:
    """Spend the code of an authorization that passed every check, and store what it gives."""
    verifier = None
    if pending.sealed_verifier is not None:
        verifier = await wiring.sealer.open(
            pending.tenant_id, pending.sealed_verifier, table=PENDING_TABLE, row=pending.state_hash.hex(), field="verifier"
        )
    wanted = NewGrant(
        tenant_id=pending.tenant_id,
        integration_id=pending.integration_id,
        name=pending.name,
        client=client,
        scopes=pending.scopes,
        begun_under=begun_under,
        reconnects=stored,
    )
    connected = await connect(wiring, wanted, code=code, redirect_uri=pending.redirect_uri, verifier=verifier, caller=caller)
    return replace(connected, return_to=pending.return_to)


async def _find_own(
    wiring: Wiring, context_id: ContextId, params: tuple[tuple[str, str], ...], *, browser_token: Secret | None, caller: Caller
) -> PendingAuthorization:
    """Return the caller's own authorization; anything else is one and the same refusal (OAU-014)."""
    refusal = GrantRefusedError(reason="state_not_valid")
    state = find_state(params)
    pending = await wiring.store.find_pending(hash_of(state)) if state is not None else None
    if pending is None:
        raise refusal
    foreign = _mismatch(pending, context_id, browser_token, caller)
    if foreign is not None:
        # The owner's authorization stays open: nobody else can use it up.
        await record_denied(wiring, "authorization.denied", Subject.named_by(pending), caller, reason=foreign)
        raise refusal
    return pending


def _mismatch(pending: PendingAuthorization, context_id: ContextId, browser_token: Secret | None, caller: Caller) -> str | None:
    if pending.actor != caller.actor:
        return "session_mismatch"
    if browser_token is None or pending.browser_hash is None or not hmac.compare_digest(pending.browser_hash, hash_of(browser_token)):
        return "browser_mismatch"
    if pending.context_id != context_id:
        return "context_mismatch"
    return None
