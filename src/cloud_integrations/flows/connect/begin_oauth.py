"""Begin an authorization: everything that its callback is compared with is stored before the browser leaves (RFC 6749 §4.1.1)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote
from uuid import UUID

from cloud_integrations.domain.arguments import (
    LONGEST_URL,
    read_secret,
    read_text,
)
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.pending import Authorization, PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.applications import redirect_uri_of
from cloud_integrations.flows.shared.events import apply, backend_failures_told, happened
from cloud_integrations.flows.shared.minting import require_platform
from cloud_integrations.flows.shared.sending import key_to_bind
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddPending
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.dpop import name_key
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.par import PushedRequest, build_pushed_request, build_reference_url, read_pushed
from cloud_integrations.protocol.pkce import make_verifier

from .beginning import Beginning, held_key, read_connection, read_reconnection
from .exchange import ask_for

VERIFIER: Final = "verifier"
"""The name of the PKCE verifier among the sealed parts of an authorization."""


async def begin_oauth(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str,
    slot: str,
    scopes: Sequence[str],
    return_to: str | None,
    method: str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Authorization:
    """Begin an authorization for a provider with which the tenant has no integration in this slot yet.

    *scopes* are those to ask for, empty for the provider's defaults; *return_to* is a path on the host's site; *method* is the id of
    a method, None for that of the configured application.  Raises
    `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError` or `IntegrationExistsError`, and if the request is pushed
    (RFC 9126) `GrantRefusedError`, `AppMisconfiguredError` or `ProviderUnavailableError`.
    """
    check_return_to(return_to)
    beginning = await read_connection(wiring, tenant, provider_ref, name=name, slot=slot, scopes=scopes, method=method, variables=variables)
    return await _begin(wiring, beginning, return_to=return_to, caller=caller)


async def begin_reconnect(
    wiring: Wiring,
    tenant: str,
    integration: UUID | str,
    /,
    *,
    slot: str,
    scopes: Sequence[str],
    return_to: str | None,
    method: str | None,
    caller: Caller,
) -> Authorization:
    """Begin a new authorization for an existing integration, whose credential stays in use until the new grant is stored.

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ValidationFailedError` or `ProviderInactiveError`, and as `begin_oauth`
    if the request is pushed.
    """
    check_return_to(return_to)
    beginning = await read_reconnection(wiring, tenant, integration, slot=slot, scopes=scopes, method=method)
    return await _begin(wiring, beginning, return_to=return_to, caller=caller)


async def find_authorization(wiring: Wiring, state: Secret | str, /, *, caller: Caller) -> PendingAuthorization | None:
    """Return the open authorization with this state if *caller* began it, otherwise None."""
    pending = await find_by_state(wiring, read_secret("state", state))
    return pending if pending is not None and pending.actor == caller.actor else None


async def find_by_state(wiring: Wiring, state: Secret, /) -> PendingAuthorization | None:
    """Return the open authorization with this state that a callback can complete, or None."""
    pending = await wiring.store.find_pending(hash_of(state))
    return pending if pending is not None and pending.awaits == "callback" else None


def hash_of(secret: Secret, /) -> bytes:
    """Return the SHA-256 of a state or a browser token, which is stored in its place.

    Both are 256 random bits, so they cannot be found by trying.
    """
    return hashlib.sha256(secret.reveal().encode()).digest()


async def _push(wiring: Wiring, client: Client, subject: Subject, url: str, *, state: Secret, dpop_key: Secret | None) -> PushedRequest:
    """Push the authorization request *url*, so that the browser carries only a reference to it (RFC 9126)."""

    def build(client: Client) -> HttpRequest:
        return build_pushed_request(client, url)

    return await ask_for(wiring, client, subject, build=build, read=read_pushed, hidden=(state,), dpop_key=dpop_key)


async def _begin(wiring: Wiring, beginning: Beginning, *, return_to: str | None, caller: Caller) -> Authorization:
    await require_platform(wiring, beginning.client.provider, beginning.client.method)
    # The first use makes this key: now rather than in the callback, where a failure would cost the grant.
    await wiring.data_keys.index()
    tenant_id, client, asked = beginning.tenant_id, beginning.client, beginning.scopes_to_ask
    integration_id = beginning.integration_id or IntegrationId(wiring.new_id())
    redirect_uri = redirect_uri_of(wiring, client)
    state = random_text(wiring)
    browser_token = random_text(wiring)
    verifier = make_verifier(wiring.entropy.bytes(32)) if client.uses_pkce else None
    subject = Subject(tenant_id=tenant_id, provider_id=client.provider.provider_id, integration_id=integration_id, slot=beginning.slot)
    told_of = replace(subject, integration_id=beginning.integration_id)
    dpop_key = key_to_bind(wiring, client, await held_key(wiring, beginning))
    with backend_failures_told(wiring, told_of):
        url = client.backend.build_authorize(client, state=state, redirect_uri=redirect_uri, scopes=asked, verifier=verifier)
    if dpop_key is not None:
        # RFC 9449 §10: the code is of no use without the key either.
        url = name_key(url, dpop_key)
    pushed = None if client.par_url is None else await _push(wiring, client, told_of, url, state=state, dpop_key=dpop_key)
    now = wiring.clock.now()
    state_hash = hash_of(state)
    pending = PendingAuthorization(
        state_hash=state_hash,
        tenant_id=tenant_id,
        provider_id=client.provider.provider_id,
        slot=beginning.slot,
        method_id=client.method.id,
        context_id=client.context_id,
        integration_id=integration_id,
        reconnects_generation=beginning.generation,
        actor=caller.actor,
        browser_hash=hash_of(browser_token),
        name=beginning.name,
        redirect_uri=redirect_uri,
        scopes=asked,
        issuer=client.issuer,
        variables=client.tenant_variables,
        return_to=return_to,
        created_at=now,
        expires_at=now + wiring.settings.pending_lifetime,
    )
    event = happened(wiring, beginning.event, subject, caller, provider=client.provider.id)
    parts = {name: secret for name, secret in ((VERIFIER, verifier), (DPOP_KEY, dpop_key)) if secret is not None}
    if not parts:
        await apply(wiring, AddPending(pending=pending), event)
    else:
        await apply_sealed(wiring, tenant_id, lambda key: (AddPending(pending=wiring.sealer.seal_pending(key, pending, parts)), event))
    return Authorization(
        url=url if pushed is None else build_reference_url(client, url, request_uri=pushed.request_uri),
        state=state,
        browser_token=browser_token,
        context_id=client.context_id,
        integration_id=integration_id,
        redirect_uri=redirect_uri,
        expires_at=pending.expires_at,
        open_before=None if pushed is None else min(pushed.expires_at, pending.expires_at),
    )


def random_text(wiring: Wiring, /) -> Secret:
    """Return 256 random bits as text that may stand in an address."""
    return Secret(base64.urlsafe_b64encode(wiring.entropy.bytes(32)).rstrip(b"=").decode())


def check_return_to(return_to: str | None) -> None:
    """Raise `ValidationFailedError` unless *return_to* is an absolute path that no browser can read as another site (OAU-025)."""
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
