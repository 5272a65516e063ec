"""The names of things: tenants, providers, integrations, contexts."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import NewType
from uuid import UUID, uuid5

from cloud_integrations.errors import ValidationFailedError

TenantId = NewType("TenantId", str)
ProviderId = NewType("ProviderId", UUID)
IntegrationId = NewType("IntegrationId", UUID)
ContextId = NewType("ContextId", UUID)
"""One configured authorization server: provider, endpoints and client id together."""

PROVIDER_NAMESPACE = UUID("6d0f4a55-3b0e-5f0a-9c66-0c7f6d2b8e11")
CONTEXT_NAMESPACE = UUID("b1b6f7d2-58d7-5d1f-8a36-9b6a6d1c4f20")

_SLUG = re.compile(r"[a-z0-9_]{1,64}\Z")


def tenant_id(text: str, /) -> TenantId:
    """Read an opaque tenant id: 1 to 255 visible characters (no spaces, no controls).

    Raises `ValidationFailedError`.
    """
    if not isinstance(text, str) or not 1 <= len(text) <= 255 or not text.isprintable() or any(c.isspace() for c in text):
        raise ValidationFailedError(field="tenantId", problem="must be 1 to 255 visible characters")
    return TenantId(text)


@lru_cache(maxsize=1_024)
def provider_id(slug: str, /) -> ProviderId:
    """Return the id of the provider with this slug: `uuid5` of a fixed namespace, the same for ever."""
    if not _SLUG.match(slug):
        raise ValidationFailedError(field="provider", problem="must be a slug of a-z, 0-9 and _ (1 to 64 characters), or a UUID")
    return ProviderId(uuid5(PROVIDER_NAMESPACE, slug))


def context_id(provider: ProviderId, /, *, authorize_url: str, token_url: str, client_id: str) -> ContextId:
    """Name one authorization server as configured, so that its redirect path is its own (OAuth security topics update, COAT)."""
    return ContextId(uuid5(CONTEXT_NAMESPACE, "\n".join((str(provider), authorize_url, token_url, client_id))))


def uuid7(at: datetime, chance: bytes, /) -> UUID:
    """Make a UUIDv7 (RFC 9562 §5.7) from a time and 10 random bytes, so that ids sort by age."""
    if len(chance) != 10:
        raise ValueError("a UUIDv7 takes 10 random bytes")
    milliseconds = int(at.timestamp() * 1000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(chance, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
