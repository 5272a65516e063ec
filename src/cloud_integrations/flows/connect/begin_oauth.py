"""An authorization begins: everything that matters is fixed before the browser leaves."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote
from uuid import UUID

from cloud_integrations.domain.arguments import LONGEST_URL, read_provider, read_scopes, read_secret, read_text, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import EventName, Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import State, StoredIntegration, integration_name
from cloud_integrations.domain.pending import Authorization, PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import IntegrationInactiveError, ValidationFailedError
from cloud_integrations.flows.shared.applications import client_of, redirect_uri_of, require_consent_method
from cloud_integrations.flows.shared.events import apply, backend_failures_told, happened
from cloud_integrations.flows.shared.lookup import known_tenant, load_named, require_unconnected
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import AddPending
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.pkce import make_verifier
from cloud_integrations.protocol.scopes import scopes_to_request

PENDING_TABLE = "ci_authorization"


async def begin_oauth(
    wiring: Wiring,
    tenant: str,
    provider: str | UUID,
    /,
    *,
    name: str,
    scopes: Sequence[str],
    return_to: str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Authorization:
    """Begin to connect a provider that the tenant does not have yet."""
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    asked = read_scopes(scopes)
    _check_return_to(return_to)
    filled = read_variables(variables)
    entry = wiring.providers.require(read_provider(provider))
    method = require_consent_method(wiring, entry)
    client = client_of(wiring, entry, method, filled)
    await require_unconnected(wiring, tenant_id, entry.provider_id)
    integration_id = IntegrationId(wiring.new_id())
    return await _begin(
        wiring,
        tenant_id,
        client,
        integration_id=integration_id,
        name=name,
        scopes=asked,
        return_to=return_to,
        caller=caller,
        reconnects=None,
    )


async def begin_reconnect(
    wiring: Wiring, tenant: str, integration: UUID | str, /, *, scopes: Sequence[str], return_to: str | None, caller: Caller
) -> Authorization:
    """Begin to renew a tenant's consent; what is held stays until the new grant is stored."""
    tenant_id = await known_tenant(wiring, tenant)
    asked = read_scopes(scopes)
    _check_return_to(return_to)
    stored = await load_named(wiring, tenant_id, integration)
    if not by_consent(stored.facts.auth_type):
        raise ValidationFailedError(field="credentials", problem="are needed to reconnect an API key")
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(stored.facts.id))
    entry = wiring.providers.require(stored.facts.provider_id)
    client = client_of(wiring, entry, require_consent_method(wiring, entry), stored.facts.variables)
    wanted = asked or stored.facts.requested_scopes
    if client.method.scopes.on_reconnect == "union":
        wanted = tuple(dict.fromkeys((*stored.facts.scopes, *wanted)))
    return await _begin(
        wiring,
        tenant_id,
        client,
        integration_id=stored.facts.id,
        name=stored.facts.name,
        scopes=wanted,
        return_to=return_to,
        caller=caller,
        reconnects=stored,
    )


async def find_authorization(wiring: Wiring, state: Secret | str, /, *, caller: Caller) -> PendingAuthorization | None:
    """Return the open authorization with this state if the caller began it."""
    pending = await wiring.store.find_pending(hash_of(read_secret("state", state)))
    return pending if pending is not None and pending.actor == caller.actor else None


def hash_of(secret: Secret, /) -> bytes:
    """Return the SHA-256 under which a state or browser token is kept; both are 256 random bits, so it cannot be searched."""
    return hashlib.sha256(secret.reveal().encode()).digest()


async def _begin(
    wiring: Wiring,
    tenant_id: TenantId,
    client: Client,
    *,
    integration_id: IntegrationId,
    name: str,
    scopes: tuple[str, ...],
    return_to: str | None,
    caller: Caller,
    reconnects: StoredIntegration | None,
) -> Authorization:
    # Made before the person leaves, where it was never made: what the callback needs to store is there by then.
    await wiring.data_keys.index()
    asked = scopes_to_request(client, scopes or None)
    redirect_uri = redirect_uri_of(wiring, client)
    state = _random_text(wiring)
    browser_token = _random_text(wiring)
    verifier = make_verifier(wiring.entropy.bytes(32)) if client.uses_pkce else None
    subject = Subject(tenant_id=tenant_id, provider_id=client.provider.provider_id, integration_id=integration_id)
    with backend_failures_told(wiring, replace(subject, integration_id=None if reconnects is None else integration_id)):
        url = client.backend.build_authorize(client, state=state, redirect_uri=redirect_uri, scopes=asked, verifier=verifier)
    now = wiring.clock.now()
    state_hash = hash_of(state)
    pending = PendingAuthorization(
        state_hash=state_hash,
        tenant_id=tenant_id,
        provider_id=client.provider.provider_id,
        method_id=client.method.id,
        context_id=client.context_id,
        integration_id=integration_id,
        reconnects_generation=None if reconnects is None else reconnects.credential.generation,
        actor=caller.actor,
        browser_hash=hash_of(browser_token),
        name=name,
        redirect_uri=redirect_uri,
        scopes=asked,
        issuer=client.issuer,
        variables=client.tenant_variables,
        return_to=return_to,
        created_at=now,
        expires_at=now + wiring.settings.pending_lifetime,
    )
    begun: EventName = "authorization.begun" if reconnects is None else "authorization.reconnect_begun"
    event = happened(wiring, begun, subject, caller, provider=client.provider.id)
    if verifier is None:
        await apply(wiring, AddPending(pending=pending), event)
    else:
        await apply_sealed(wiring, tenant_id, lambda key: (AddPending(pending=_with_verifier(wiring, key, pending, verifier)), event))
    return Authorization(
        url=url,
        state=state,
        browser_token=browser_token,
        context_id=client.context_id,
        integration_id=integration_id,
        redirect_uri=redirect_uri,
        expires_at=pending.expires_at,
    )


def _with_verifier(wiring: Wiring, key: DataKey, pending: PendingAuthorization, verifier: Secret) -> PendingAuthorization:
    sealed = wiring.sealer.seal(key, verifier, table=PENDING_TABLE, row=pending.state_hash.hex(), field="verifier")
    return replace(pending, sealed_verifier=sealed, key_id=key.key_id)


def _random_text(wiring: Wiring) -> Secret:
    return Secret(base64.urlsafe_b64encode(wiring.entropy.bytes(32)).rstrip(b"=").decode())


def _check_return_to(return_to: str | None) -> None:
    """Accept a same-origin absolute path and nothing that a browser could read as another site (OAU-025)."""
    if return_to is None:
        return
    seen = read_text("returnTo", return_to, most=LONGEST_URL)
    for _ in range(3):
        path = seen.split("?", 1)[0]
        if (
            not seen.startswith("/")
            or seen.startswith(("//", "/\\"))
            or "\\" in path
            or not seen.isprintable()
            or ":" in path.split("/", 2)[1]
        ):
            raise ValidationFailedError(field="returnTo", problem="must be a path on this site, beginning with one slash")
        seen = unquote(seen)
