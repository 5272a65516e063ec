"""Bearer tokens, which the server knows only by their SHA-256, and what each may do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cloud_integrations import Actor
from cloud_integrations_fastapi import Permission

_PREFIX = "cit_"
"""So that scanners for secrets recognise a leaked token."""
_OF_ALL_TENANTS = frozenset({Permission.OPERATE, Permission.INCIDENTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the bearer of a token may do, and for which tenants."""

    actor: Actor
    tenants: frozenset[str] | None
    """None: every tenant."""
    permissions: frozenset[Permission]

    def may(self, permission: Permission, tenant_id: str | None, /) -> bool:
        """Say whether this allows *permission*, in *tenant_id* if that is not None; `operate` and `incidents` need every tenant."""
        if permission in _OF_ALL_TENANTS and self.tenants is not None:
            return False
        return permission in self.permissions and (tenant_id is None or self.tenants is None or tenant_id in self.tenants)


class Tokens:
    """The bearer tokens that are accepted, by their SHA-256 in hexadecimal (`token_hash`)."""

    def __init__(self, known: Mapping[str, Access], /) -> None:
        self._known = [(bytes.fromhex(sha256), access) for sha256, access in known.items()]

    def find(self, token: str, /) -> Access | None:
        """Return what *token* allows, or None.  The time does not depend on which token matches."""
        presented = bytes.fromhex(token_hash(token))
        found = None
        for sha256, access in self._known:
            if hmac.compare_digest(presented, sha256):
                found = access
        return found


def new_token() -> str:
    """Return a new bearer token: 256 random bits as text, after a fixed prefix."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str, /) -> str:
    """Return the SHA-256 by which a token is known, in hexadecimal.  A token has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
