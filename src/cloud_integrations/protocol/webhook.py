"""Deliveries to webhooks: the signed request (Standard Webhooks), and what an answer means; nothing is sent here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cloud_integrations.domain.provider import RateLimit
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.webhook import SECRET_PREFIX

from .http import HttpRequest, HttpResponse
from .rate_limit import read_wait

SECRET_BYTES: Final = 32
"""The length of a new secret; the specification asks for 24 to 64 bytes."""
_CONTENT_TYPES: Final = {"standard": "application/json", "cloudevents": "application/cloudevents+json"}
_GONE: Final = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Untaken:
    """Why a receiver did not take a message."""

    reason: str
    """A word, without anything that the receiver said."""
    retry_after: timedelta | None = None
    """How long the receiver asks to wait."""
    gone: bool = False
    """Whether the receiver does not exist any more (410), so that it gets nothing else."""


def make_secret(chance: bytes, /) -> Secret:
    """Return a new secret, made from random bytes."""
    return Secret(SECRET_PREFIX + base64.b64encode(chance).decode())


def sign(secret: Secret, message_id: UUID, body: bytes, /, *, now: datetime) -> str:
    """Return the signature `v1,…` of one secret over id, time and body (Standard Webhooks, "Signature scheme")."""
    key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{_seconds(now)}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def build_delivery(
    url: str,
    secrets: Sequence[Secret],
    message_id: UUID,
    document: Mapping[str, Any],
    /,
    *,
    body_format: str,
    now: datetime,
    loopback: bool,
    private_host: bool,
    tenant_server: bool,
) -> HttpRequest:
    """Return the request that brings a message to a webhook, signed with each secret.

    *document* is the body; *loopback*, *private_host* and *tenant_server* say where it may go, as in `HttpRequest`.
    """
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return HttpRequest(
        method="POST",
        url=url,
        headers={
            "Content-Type": _CONTENT_TYPES[body_format],
            "webhook-id": str(message_id),
            "webhook-timestamp": str(_seconds(now)),
            "webhook-signature": " ".join(sign(secret, message_id, body, now=now) for secret in secrets),
        },
        body=body,
        provider_id="webhook",
        loopback=loopback,
        private_host=private_host,
        tenant_server=tenant_server,
    )


def read_delivery(response: HttpResponse, /, *, now: datetime) -> Untaken | None:
    """Return None if the receiver took the message, which any status from 200 to 299 says.

    A redirect is not followed: the message would go where nobody has looked.
    """
    if 200 <= response.status <= 299:
        return None
    wait = read_wait(RateLimit(), response, None, now=now)
    return Untaken(reason=f"status_{response.status}", retry_after=wait, gone=response.status == _GONE)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
