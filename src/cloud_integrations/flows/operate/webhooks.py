"""Webhooks: add, change and remove them, rotate their secrets, and send a test."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.arguments import LONGEST_URL, read_duration, read_flag, read_id, read_text, read_texts
from cloud_integrations.domain.audit import OPERATOR, Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import MESSAGE_KEYS, Event, find_message
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.parts import pack
from cloud_integrations.domain.webhook import (
    FORMATS,
    MOST_WEBHOOKS,
    PING,
    WEBHOOK_TABLE,
    NewWebhook,
    StoredWebhook,
    Target,
    Webhook,
    WebhookTest,
)
from cloud_integrations.errors import ConfigurationError, StaleWriteError, ValidationFailedError, WebhookNotFoundError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant, tell_damaged
from cloud_integrations.flows.shared.receivers import OpenWebhook, is_private, key_of, open_target, send, subject_of, wake
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow, RemoveWebhook, SaveWebhook
from cloud_integrations.protocol.egress import EndpointRefusedError, read_target
from cloud_integrations.protocol.webhook import SECRET_BYTES, make_secret

OVERLAP: Final = timedelta(days=1)
"""How long the secret before signs beside a new one, if nobody says."""


async def add_webhook(
    wiring: Wiring,
    tenant: str | None,
    url: str,
    /,
    *,
    events: Sequence[str],
    providers: Sequence[str | UUID],
    body_format: str,
    caller: Caller,
) -> NewWebhook:
    """Store a webhook of the tenant, or of the installation (None), and return it with its secret.

    Raises `ConfigurationError` while no events are delivered, `ValidationFailedError`, `TenantNotFoundError` or `ProviderNotFoundError`.
    """
    owner = _read_owner(tenant)
    address = _read_url(wiring, owner, url)
    wanted, named = _read_events(events), _read_providers(providers)
    if not isinstance(body_format, str) or body_format not in FORMATS:
        raise ValidationFailedError(field="format", problem=f"must be one of {', '.join(FORMATS)}")
    if not wiring.settings.events:
        raise ConfigurationError(setting="events", problem="must be on, and a worker must run, before webhooks get anything")
    await _require_owner(wiring, owner)
    about = _find_providers(wiring, named)
    if len(await wiring.store.list_webhooks(owner)) >= MOST_WEBHOOKS:
        raise ValidationFailedError(field="url", problem=f"is one too many: there are {MOST_WEBHOOKS} webhooks already")
    webhook_id, now = wiring.new_id(), wiring.clock.now()
    target = Target(url=address, secret=make_secret(wiring.entropy.bytes(SECRET_BYTES)))
    saved: list[StoredWebhook] = []

    def changes(key: DataKey) -> tuple[SaveWebhook, Event]:
        stored = StoredWebhook(
            id=webhook_id,
            tenant_id=owner,
            events=wanted,
            providers=about,
            format=FORMATS[body_format],
            generation=1,
            key_id=key.key_id,
            sealed_parts=_sealed(wiring, key, webhook_id, target, generation=1),
            created_at=now,
            updated_at=now,
        )
        saved[:] = [stored]
        return SaveWebhook(webhook=stored), happened(wiring, "webhook.added", subject_of(stored), caller, format=body_format)

    await apply_sealed(wiring, owner, changes)
    return NewWebhook(webhook=_shown(saved[0], target), secret=target.secret)


async def list_webhooks(wiring: Wiring, tenant: str | None, /) -> tuple[Webhook, ...]:
    """Return the webhooks of the tenant, or of the installation (None), without their secrets.

    One whose row was edited is left out, and the observer is told.
    """
    owner, found = _read_owner(tenant), []
    await _require_owner(wiring, owner)
    for stored in await wiring.store.list_webhooks(owner):
        if isinstance(stored, DamagedRow):
            tell_damaged(wiring, stored)
        else:
            found.append(_shown(stored, await open_target(wiring, stored)))
    return tuple(found)


async def edit_webhook(
    wiring: Wiring,
    tenant: str | None,
    webhook: UUID | str,
    /,
    *,
    url: str | None,
    events: Sequence[str] | None,
    providers: Sequence[str | UUID] | None,
    enabled: bool | None,
    caller: Caller,
) -> Webhook:
    """Change what is given, and return the webhook; what waits for it goes to the new address.

    Raises `WebhookNotFoundError`, and as `add_webhook`.
    """
    owner, webhook_id = _read_owner(tenant), read_id("webhookId", webhook)
    address = None if url is None else _read_url(wiring, owner, url)
    wanted = None if events is None else _read_events(events)
    named = None if providers is None else _read_providers(providers)
    is_on = None if enabled is None else read_flag("enabled", enabled)
    await _require_owner(wiring, owner)
    about = None if named is None else _find_providers(wiring, named)

    async def edit() -> Webhook:
        stored = await _require(wiring, owner, webhook_id)
        target = await open_target(wiring, stored)
        after = replace(
            stored,
            events=stored.events if wanted is None else wanted,
            providers=stored.providers if about is None else about,
            off_reason=stored.off_reason if is_on is None else None if is_on else stored.off_reason or "asked",
            failing_since=None if is_on else stored.failing_since,
        )
        moved = target if address is None else replace(target, url=address)
        changed = [field for field in ("events", "providers", "off_reason") if getattr(after, field) != getattr(stored, field)]
        changed += ["url"] if moved != target else []
        if not changed:
            return _shown(stored, target)
        wake(wiring, key_of(stored))
        return await _save(wiring, after, moved, "webhook.changed", caller, fields=",".join(changed))

    return await again(edit, subject="webhook")


async def rotate_webhook_secret(
    wiring: Wiring, tenant: str | None, webhook: UUID | str, /, *, overlap: timedelta | float, caller: Caller
) -> NewWebhook:
    """Give a webhook a new secret, and return it; the one before signs beside it for *overlap*, in seconds or as a timedelta.

    Raises `WebhookNotFoundError` or `ValidationFailedError`.
    """
    owner, webhook_id = _read_owner(tenant), read_id("webhookId", webhook)
    until = wiring.clock.now() + read_duration("overlap", overlap)
    await _require_owner(wiring, owner)
    secret = make_secret(wiring.entropy.bytes(SECRET_BYTES))

    async def rotate() -> Webhook:
        stored = await _require(wiring, owner, webhook_id)
        target = (await open_target(wiring, stored)).with_secret(secret, now=wiring.clock.now(), until=until)
        return await _save(wiring, stored, target, "webhook.secret_rotated", caller, until=until.isoformat())

    return NewWebhook(webhook=await again(rotate, subject="webhook"), secret=secret)


async def remove_webhook(wiring: Wiring, tenant: str | None, webhook: UUID | str, /, *, caller: Caller) -> None:
    """Delete a webhook with its secrets; what waits for it is not delivered.  Raises `WebhookNotFoundError`."""
    owner, webhook_id = _read_owner(tenant), read_id("webhookId", webhook)
    await _require_owner(wiring, owner)
    stored = await _require(wiring, owner, webhook_id)
    try:
        change = RemoveWebhook(tenant_id=owner, webhook_id=webhook_id)
        await apply(wiring, change, happened(wiring, "webhook.removed", subject_of(stored), caller))
    except StaleWriteError:
        raise WebhookNotFoundError from None


async def ping_webhook(wiring: Wiring, tenant: str | None, webhook: UUID | str, /) -> WebhookTest:
    """Send the event `webhook.test` to a webhook now, on or off, and return whether it was taken.  Raises `WebhookNotFoundError`."""
    owner, webhook_id = _read_owner(tenant), read_id("webhookId", webhook)
    await _require_owner(wiring, owner)
    stored = await _require(wiring, owner, webhook_id)
    message = EventMessage(id=wiring.new_id(), name=PING, tenant_id=None if owner == OPERATOR else owner, occurred_at=wiring.clock.now())
    untaken = await send(wiring, OpenWebhook(stored=stored, target=await open_target(wiring, stored)), message)
    return WebhookTest(webhook_id=stored.id, message_id=message.id, reason=None if untaken is None else untaken.reason)


async def _save(wiring: Wiring, stored: StoredWebhook, target: Target, name: RecordedName, caller: Caller, **said: str) -> Webhook:
    """Store the next generation of a webhook.  Raises `StaleWriteError` if it has changed since."""
    now, generation = wiring.clock.now(), stored.generation + 1
    secrets = len(target.signing(now))
    after = replace(stored, generation=generation, secrets=secrets, updated_at=now)
    saved: list[StoredWebhook] = []

    def changes(key: DataKey) -> tuple[SaveWebhook, Event]:
        sealed = _sealed(wiring, key, stored.id, target, generation=generation)
        saved[:] = [replace(after, key_id=key.key_id, sealed_parts=sealed)]
        return SaveWebhook(webhook=saved[0]), happened(wiring, name, subject_of(stored), caller, **said)

    await apply_sealed(wiring, stored.tenant_id, changes)
    return _shown(saved[0], target)


def _sealed(wiring: Wiring, key: DataKey, webhook_id: UUID, target: Target, *, generation: int) -> bytes:
    return wiring.sealer.seal(key, pack(target.parts()), table=WEBHOOK_TABLE, row=str(webhook_id), field="parts", generation=generation)


def _shown(stored: StoredWebhook, target: Target) -> Webhook:
    return Webhook(
        id=stored.id,
        tenant_id=None if stored.tenant_id == OPERATOR else stored.tenant_id,
        url=target.url,
        events=stored.events,
        providers=stored.providers,
        format=stored.format,
        off_reason=stored.off_reason,
        failing_since=stored.failing_since,
        secrets=stored.secrets,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _read_owner(tenant: str | None) -> TenantId:
    return OPERATOR if tenant is None else read_tenant_id(tenant)


async def _require_owner(wiring: Wiring, owner: TenantId) -> None:
    """Ask the host for the tenant; arguments that are wrong have been refused by then."""
    if owner != OPERATOR:
        await known_tenant(wiring, owner)


async def _require(wiring: Wiring, owner: TenantId, webhook_id: UUID) -> StoredWebhook:
    stored = await wiring.store.find_webhook(owner, webhook_id)
    if stored is None:
        raise WebhookNotFoundError
    return stored


def _read_url(wiring: Wiring, owner: TenantId, url: object) -> str:
    text = read_text("url", url, most=LONGEST_URL)
    try:
        read_target(
            text,
            loopback=wiring.settings.loopback,
            private_host=is_private(wiring, owner, text),
            tenant_server=owner != OPERATOR,
        )
    except EndpointRefusedError:
        raise ValidationFailedError(
            field="url", problem="must be an https address with a public host, without user name and fragment"
        ) from None
    return text


def _read_events(events: Sequence[str] | None) -> tuple[str, ...]:
    if events is None:
        raise ValidationFailedError(field="events", problem="must be a list of events; an empty one means all")
    names = tuple(dict.fromkeys(read_texts("events", events)))
    if any(name not in MESSAGE_KEYS and find_message(name) is None for name in names):
        raise ValidationFailedError(field="events", problem="has a name that no event has; the reference lists them")
    return names


def _read_providers(providers: Collection[str | UUID]) -> tuple[str | UUID, ...]:
    if isinstance(providers, str | bytes | Mapping | UUID) or not isinstance(providers, Collection):
        raise ValidationFailedError(field="providers", problem="must be a list of providers' slugs or UUIDs")
    return tuple([provider if isinstance(provider, UUID) else read_text("providers", provider) for provider in providers])


def _find_providers(wiring: Wiring, named: tuple[str | UUID, ...]) -> tuple[ProviderId, ...]:
    return tuple(dict.fromkeys(wiring.providers.require(provider).provider_id for provider in named))
