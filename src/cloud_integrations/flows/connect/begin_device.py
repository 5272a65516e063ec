"""Begin an authorization by device code: ask the provider for a code, and keep it sealed (RFC 8628 §3.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.device import DeviceAuthorization, Polling
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.sending import key_to_bind
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddPending
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.device import build_device_request, read_device_code
from cloud_integrations.protocol.http import HttpRequest

from .beginning import Beginning, held_key, read_connection, read_reconnection
from .exchange import ask_for

DEVICE_CODE: Final = "device_code"
"""The name of the device code among the sealed parts of an authorization."""


async def begin_device(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str,
    slot: str,
    scopes: Sequence[str],
    method: str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> DeviceAuthorization:
    """Begin an authorization for a provider with which the tenant has no integration in this slot yet.

    Raises as `begin_oauth`, and `GrantRefusedError`, `AppMisconfiguredError` or `ProviderUnavailableError` if the provider gives no code.
    """
    beginning = await read_connection(wiring, tenant, provider_ref, name=name, slot=slot, scopes=scopes, method=method, variables=variables)
    return await _begin(wiring, beginning, caller=caller)


async def begin_device_reconnect(
    wiring: Wiring,
    tenant: str,
    integration: UUID | str,
    /,
    *,
    slot: str,
    scopes: Sequence[str],
    method: str | None,
    caller: Caller,
) -> DeviceAuthorization:
    """Begin a new authorization for an existing integration, whose credential stays in use until the new grant is stored.

    Raises as `begin_reconnect` and `begin_device`.
    """
    beginning = await read_reconnection(wiring, tenant, integration, slot=slot, scopes=scopes, method=method)
    return await _begin(wiring, beginning, caller=caller)


def hash_of_id(authorization_id: UUID, /) -> bytes:
    """Return the SHA-256 by which an authorization by device code is stored; no state of a callback has the same."""
    return hashlib.sha256(b"device " + authorization_id.bytes).digest()


async def _begin(wiring: Wiring, beginning: Beginning, *, caller: Caller) -> DeviceAuthorization:
    # The first use makes this key: now rather than after the consent, where a failure would cost the grant.
    await wiring.data_keys.index()
    tenant_id, client, asked = beginning.tenant_id, beginning.client, beginning.scopes_to_ask
    provider = client.provider
    authorization_id = wiring.new_id()
    # A new integration gets the id of its authorization, by which a poll finds it after it was connected.
    integration_id = beginning.integration_id or IntegrationId(authorization_id)
    subject = Subject(tenant_id=tenant_id, provider_id=provider.provider_id, integration_id=integration_id, slot=beginning.slot)

    def build(client: Client) -> HttpRequest:
        return build_device_request(client, scopes=asked)

    told_of = replace(subject, integration_id=beginning.integration_id)
    code = await ask_for(wiring, client, told_of, build=build, read=read_device_code)
    now = wiring.clock.now()
    pending = PendingAuthorization(
        state_hash=hash_of_id(authorization_id),
        awaits="device",
        tenant_id=tenant_id,
        provider_id=provider.provider_id,
        slot=beginning.slot,
        method_id=client.method.id,
        context_id=client.context_id,
        integration_id=integration_id,
        reconnects_generation=beginning.generation,
        actor=caller.actor,
        browser_hash=None,
        name=beginning.name,
        scopes=asked,
        variables=client.tenant_variables,
        polling=Polling(interval=code.interval, next_at=now + code.interval),
        created_at=now,
        expires_at=code.expires_at,
    )
    event = happened(wiring, beginning.event, subject, caller, provider=provider.id)
    dpop_key = key_to_bind(wiring, client, await held_key(wiring, beginning))
    parts = {DEVICE_CODE: code.device_code} | ({} if dpop_key is None else {DPOP_KEY: dpop_key})
    await apply_sealed(wiring, tenant_id, lambda key: (AddPending(pending=wiring.sealer.seal_pending(key, pending, parts)), event))
    return DeviceAuthorization(
        authorization_id=authorization_id,
        user_code=code.user_code,
        verification_uri=code.verification_uri,
        verification_uri_complete=code.verification_uri_complete,
        integration_id=integration_id,
        scopes=asked,
        interval=code.interval,
        expires_at=code.expires_at,
    )
