"""Receivers of events: who gets a message, and one attempt to bring it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from cloud_integrations.documents.events import event_body
from cloud_integrations.domain.audit import OPERATOR, Caller
from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.parts import unpack
from cloud_integrations.domain.webhook import FAILING_LIMIT, WEBHOOK_TABLE, OffReason, StoredWebhook, Target
from cloud_integrations.errors import (
    DamagedRowError,
    DecryptError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
)
from cloud_integrations.ports.store import DamagedRow, MarkWebhook
from cloud_integrations.protocol.egress import read_origin
from cloud_integrations.protocol.webhook import Untaken, build_delivery, read_delivery

from .events import apply, happened
from .lookup import tell_damaged
from .wiring import Wiring

HANDLER: Final = "handler:"
"""The beginning of the keys of receivers that are handlers; the name of the handler follows."""
_OF_TENANT: Final = "webhook:"
_OF_OPERATOR: Final = "operator:"
_FIRST_REST: Final = 5.0
_LONGEST_REST: Final = 300.0
_REMEMBERED: Final = 86_400.0
Absence = Literal["removed", "off"]
"""Why a webhook gets nothing: it is removed, or it is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWebhook:
    """A webhook that is on, with what it takes to send to it."""

    stored: StoredWebhook
    target: Target


async def receivers_of(wiring: Wiring, message: EventMessage, /) -> list[str]:
    """Return the keys of all that get *message*."""
    keys = [f"{HANDLER}{name}" for name in wiring.handlers]
    for owner in [OPERATOR] if message.tenant_id is None else [OPERATOR, message.tenant_id]:
        for webhook in await wiring.store.list_webhooks(owner):
            if isinstance(webhook, DamagedRow):
                tell_damaged(wiring, webhook)
            elif webhook.wants(message.name, message.data.get("provider_id")):
                keys.append(key_of(webhook))
    return keys


async def find_webhook(wiring: Wiring, receiver: str, tenant_id: TenantId | None, /) -> OpenWebhook | Absence | Untaken:
    """Return the webhook with this key, for messages of a tenant; a word, if it gets nothing; `Untaken`, if its address does not open."""
    prefix, _, text = receiver.partition(":")
    owner = OPERATOR if f"{prefix}:" == _OF_OPERATOR or tenant_id is None else tenant_id
    try:
        stored = await wiring.store.find_webhook(owner, UUID(text))
    except ValueError:
        return "removed"
    except DamagedRowError as error:
        return Untaken(reason=error.code)
    if stored is None:
        return "removed"
    if stored.off_reason is not None:
        return "off"
    try:
        return OpenWebhook(stored=stored, target=await open_target(wiring, stored))
    except (DecryptError, KeyringError, KeyServiceUnavailableError, DamagedRowError) as error:
        return Untaken(reason=error.code)


async def open_target(wiring: Wiring, stored: StoredWebhook, /) -> Target:
    """Return where a webhook is, and its secrets.

    Raises `DecryptError`, `KeyringError`, `KeyServiceUnavailableError` or `DamagedRowError` if they do not open.
    """
    sealed = await wiring.sealer.open(
        stored.tenant_id, stored.sealed_parts, table=WEBHOOK_TABLE, row=str(stored.id), field="parts", generation=stored.generation
    )
    try:
        return Target.of(unpack(sealed))
    except (KeyError, ValueError):
        raise DamagedRowError(table=WEBHOOK_TABLE, row=str(stored.id)) from None


def is_private(wiring: Wiring, owner: TenantId, url: str, /) -> bool:
    """Whether a webhook of *owner* may have a private address: the operator's may, a tenant's at servers that the operator named."""
    if owner == OPERATOR:
        return True
    try:
        return read_origin("/".join(url.split("/", 3)[:3])) in wiring.settings.private_servers
    except ValueError:
        return False


async def give(wiring: Wiring, name: str, message: EventMessage, /) -> Untaken | None:
    """Give a message to a handler once; return None if it was taken."""
    try:
        await wiring.handlers[name](message)
    except Exception as error:  # whatever a host's handler raises must not end the round
        if is_interruption(error):
            raise
        return Untaken(reason=type(error).__name__[:255])
    return None


async def send(wiring: Wiring, webhook: OpenWebhook, message: EventMessage, /) -> Untaken | None:
    """Send a message to a webhook once; return None if it was taken."""
    stored, target, now = webhook.stored, webhook.target, wiring.clock.now()
    request = build_delivery(
        target.url,
        target.signing(now),
        message.id,
        event_body(message, body_format=stored.format, product=wiring.settings.product),
        body_format=stored.format,
        now=now,
        loopback=wiring.settings.loopback,
        private_host=is_private(wiring, stored.tenant_id, target.url),
        tenant_server=stored.tenant_id != OPERATOR,
    )
    try:
        response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    except ProviderUnavailableError as error:
        return Untaken(reason=error.reason)
    return read_delivery(response, now=now)


async def note(wiring: Wiring, webhook: OpenWebhook, untaken: Untaken | None, /) -> None:
    """Write whether a webhook takes messages, if that has changed, and switch it off if it is gone or has taken nothing for days."""
    stored, now = webhook.stored, wiring.clock.now()
    if untaken is None:
        if stored.failing_since is not None:
            await apply(wiring, _mark(stored, failing_since=None))
        return
    since = stored.failing_since or now
    reason: OffReason | None = "gone" if untaken.gone else "failing" if now - since >= FAILING_LIMIT else None
    change = MarkWebhook(
        tenant_id=stored.tenant_id, webhook_id=stored.id, generation=stored.generation, failing_since=since, off_reason=reason
    )
    if reason is not None:
        await apply(wiring, change, _switched_off(wiring, stored, reason))
    elif stored.failing_since is None:
        await apply(wiring, change)


def rests(wiring: Wiring, receiver: str, /) -> bool:
    """Whether a receiver has just failed in this process, so that it is not asked yet: a dead one must not cost a time limit each round."""
    return wiring.uses.find(("rest", receiver)) is not None


def rest(wiring: Wiring, receiver: str, /) -> None:
    """Let a receiver that failed rest in this process: 5 s, and twice as long after each further failure, up to five minutes."""
    failures = (wiring.uses.find(("failures", receiver)) or 0) + 1
    wiring.uses.put(("failures", receiver), failures, seconds=_REMEMBERED)
    wiring.uses.put(("rest", receiver), "resting", seconds=min(_FIRST_REST * 2 ** min(failures - 1, 10), _LONGEST_REST))


def wake(wiring: Wiring, receiver: str, /) -> None:
    """Ask a receiver again at once, because it works, or somebody has done something about it."""
    wiring.uses.drop(("failures", receiver))
    wiring.uses.drop(("rest", receiver))


def key_of(stored: StoredWebhook, /) -> str:
    """Return the key of a webhook as a receiver."""
    return f"{_OF_OPERATOR if stored.tenant_id == OPERATOR else _OF_TENANT}{stored.id}"


def subject_of(stored: StoredWebhook, /) -> Subject:
    """Return a webhook as the subject of an event."""
    return Subject(tenant_id=stored.tenant_id, other=f"webhook:{stored.id}")


def _mark(stored: StoredWebhook, *, failing_since: None) -> MarkWebhook:
    return MarkWebhook(tenant_id=stored.tenant_id, webhook_id=stored.id, generation=stored.generation, failing_since=failing_since)


def _switched_off(wiring: Wiring, stored: StoredWebhook, reason: OffReason) -> Event:
    return happened(wiring, "webhook.switched_off", subject_of(stored), Caller(), reason=reason, webhook=str(stored.id))
