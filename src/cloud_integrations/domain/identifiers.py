"""The ids of tenants, providers, integrations and contexts."""

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
SessionId = NewType("SessionId", UUID)
ConnectSessionId = NewType("ConnectSessionId", UUID)
FreezeId = NewType("FreezeId", UUID)
IncidentId = NewType("IncidentId", UUID)
ContextId = NewType("ContextId", UUID)
"""The id of one configured authorization server: a provider, its endpoints and a client id."""

PROVIDER_NAMESPACE = UUID("6d0f4a55-3b0e-5f0a-9c66-0c7f6d2b8e11")
CONTEXT_NAMESPACE = UUID("b1b6f7d2-58d7-5d1f-8a36-9b6a6d1c4f20")

_SLUG = re.compile(r"[a-z0-9_]{1,64}\Z")


def tenant_id(text: str, /) -> TenantId:
    """Return *text* as a tenant id: 1 to 255 visible characters without spaces.

    Raises `ValidationFailedError` for any other value.
    """
    if not isinstance(text, str) or not 1 <= len(text) <= 255 or not text.isprintable() or any(c.isspace() for c in text):
        raise ValidationFailedError(field="tenantId", problem="must be 1 to 255 visible characters")
    return TenantId(text)


@lru_cache(maxsize=1_024)
def provider_id(slug: str, /) -> ProviderId:
    """Return the id of the provider with this slug: a UUIDv5 in a fixed namespace, so it never changes.

    Raises `ValidationFailedError` if *slug* is no slug.
    """
    if not _SLUG.match(slug):
        raise ValidationFailedError(field="provider", problem="must be a slug of a-z, 0-9 and _ (1 to 64 characters), or a UUID")
    return ProviderId(uuid5(PROVIDER_NAMESPACE, slug))


def context_id(provider: ProviderId, /, *, authorize_url: str, token_url: str, client_id: str, owner: TenantId | None = None) -> ContextId:
    """Return the id of one configured authorization server; its redirect URI ends in it, so that no two servers share one.

    *owner* is the tenant that registered the application, None for the operator: what a provider says of one tenant's application says
    nothing about another's with the same client id.

    That is the defence against mix-up attacks (RFC 9700 §4.4.2.2; COAT in draft-ietf-oauth-security-topics-update).
    """
    parts = (str(provider), authorize_url, token_url, client_id)
    return ContextId(uuid5(CONTEXT_NAMESPACE, "\n".join(parts if owner is None else (*parts, owner))))


def uuid7(at: datetime, chance: bytes, /) -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7) made from a time and 10 random bytes; such ids sort by time.

    Raises `ValueError` for another number of bytes.
    """
    if len(chance) != 10:
        raise ValueError("a UUIDv7 takes 10 random bytes")
    milliseconds = int(at.timestamp() * 1000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(chance, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
