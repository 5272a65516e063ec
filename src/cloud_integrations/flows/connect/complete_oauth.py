"""Complete an authorization when the browser comes back: everything is checked before the code is sent (RFC 6749 §4.1.2)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import CallbackParameters, read_callback, read_id, read_secret_or_none
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import ContextId
from cloud_integrations.domain.integration import State, StoredIntegration
from cloud_integrations.domain.pending import Connected, PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderNotFoundError
from cloud_integrations.flows.shared.applications import client_with
from cloud_integrations.flows.shared.clients import find_client
from cloud_integrations.flows.shared.events import backend_failures_told, failures_recorded, record_denied
from cloud_integrations.flows.shared.lookup import require_unconnected
from cloud_integrations.flows.shared.server_metadata import located
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.authorize import find_state
from cloud_integrations.protocol.client import Client

from .begin_oauth import VERIFIER, find_by_state, hash_of
from .exchange import NewGrant
from .grants import connect


async def complete_oauth(
    wiring: Wiring, context_id: UUID | str, params: CallbackParameters, /, *, browser_token: Secret | str | None, caller: Caller
) -> Connected:
    """Turn the provider's callback into a stored integration.

    *params* are the query parameters of the callback.  Once the state is consumed, cancelling or interrupting the caller does not
    end the work.  Raises `GrantRefusedError`, `IntegrationExistsError`, `AppMisconfiguredError` or `ProviderUnavailableError`.
    """
    pairs = read_callback(params)
    # An empty cookie is refused and recorded like a missing one.
    browser_secret = read_secret_or_none("browserToken", browser_token or None)
    own = await _find_own(wiring, ContextId(read_id("contextId", context_id)), pairs, browser_token=browser_secret, caller=caller)
    subject = Subject.named_by(own)

    async def work() -> Connected:
        begun_under = await wiring.data_keys.id_at_start(own.tenant_id)
        pending = await take_own(wiring, own)
        # From here on the state is consumed, whatever happens (RFC 9700 §4.2.4).
        async with failures_recorded(wiring, "authorization.not_completed", subject, caller):
            client, stored = await check_pending(wiring, pending)
            with backend_failures_told(wiring, replace(subject, integration_id=None if stored is None else pending.integration_id)):
                answer = client.backend.read_callback(client, pairs, issuer=pending.issuer)
            if answer.code is None:
                raise GrantRefusedError(reason=answer.error or "code_missing")
            if answer.site is not None:
                client = _at_site(wiring, pending, client, answer.site)
            return await finish(
                wiring, pending, client, stored, code=answer.code, begun_under=begun_under, caller=caller, installation=answer.installation
            )

    return await wiring.single_flight.shield(work)


async def take_own(wiring: Wiring, pending: PendingAuthorization, /) -> PendingAuthorization:
    """Consume the caller's authorization.

    Raises `GrantRefusedError` if another call has consumed it; of two concurrent calls, one succeeds.
    """
    consumed = await wiring.store.take_pending(pending.state_hash)
    if consumed is None:
        raise GrantRefusedError(reason="state_not_valid")
    return consumed


async def check_pending(wiring: Wiring, pending: PendingAuthorization, /) -> tuple[Client, StoredIntegration | None]:
    """Return the authorization server and, when reconnecting, the stored integration.

    Raises `GrantRefusedError` if the application or an endpoint has changed since the authorization began, or if the integration to
    reconnect was removed or disabled; `IntegrationExistsError` if the tenant has connected this provider in this slot since (OAU-029).
    """
    try:
        provider = wiring.providers.require(pending.provider_id)
        client = await find_client(wiring, pending.tenant_id, provider, pending.context_id, pending.variables, method_id=pending.method_id)
    except ProviderNotFoundError:
        raise GrantRefusedError(reason="provider_removed") from None
    if client is None:
        raise GrantRefusedError(reason="application_changed")
    if pending.reconnects_generation is None:
        await require_unconnected(wiring, pending.tenant_id, pending.provider_id, slot=pending.slot)
        return client, None
    stored = await wiring.store.find_integration(pending.tenant_id, pending.integration_id)
    if stored is None or stored.facts.state is State.DISABLED:
        raise GrantRefusedError(reason="integration_closed")
    return client, stored


def _at_site(wiring: Wiring, pending: PendingAuthorization, client: Client, site: str) -> Client:
    """Return the authorization server of the *site* that the callback names.

    Raises `GrantRefusedError` if the provider's data does not list the site.
    """
    variables = client.provider.sites.get(site)
    if variables is None:
        raise GrantRefusedError(reason="site_unknown")
    filled = {**pending.variables, **variables}
    return client_with(wiring, client.provider, client.method, client.application, filled, owner=client.owner)


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
    installation: str | None = None,
) -> Connected:
    """Exchange the code of an authorization that passed every check, and store the grant.

    *installation* is the id of an installation that the callback claims.
    """
    assert pending.redirect_uri is not None  # noqa: S101  # it awaits a callback
    client = await located(wiring, pending.tenant_id, client)
    parts = await wiring.sealer.open_pending(pending)
    wanted = NewGrant.of(pending, client, stored, begun_under=begun_under)
    connected = await connect(
        wiring,
        wanted,
        code=code,
        redirect_uri=pending.redirect_uri,
        verifier=parts.get(VERIFIER),
        dpop_key=parts.get(DPOP_KEY),
        caller=caller,
        installation=installation,
    )
    return replace(connected, return_to=pending.return_to)


async def _find_own(
    wiring: Wiring, context_id: ContextId, params: tuple[tuple[str, str], ...], *, browser_token: Secret | None, caller: Caller
) -> PendingAuthorization:
    """Return the caller's own authorization, or raise the same `GrantRefusedError` in every other case (OAU-014)."""
    refusal = GrantRefusedError(reason="state_not_valid")
    state = find_state(params)
    pending = await find_by_state(wiring, state) if state is not None else None
    if pending is None:
        raise refusal
    foreign = _mismatch(pending, context_id, browser_token, caller)
    if foreign is not None:
        # It is not consumed, so that only the caller who began it can use it up.
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
