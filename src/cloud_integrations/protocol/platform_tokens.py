"""Tokens of our own issuer (RFC 7515, 7519): their text before and after the signature, which is made elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.issuing import ALGORITHM, subject_of
from cloud_integrations.domain.provider import fill, places
from cloud_integrations.domain.provider.minting import Proof
from cloud_integrations.domain.secret import Secret

from .proofs import find_value


def write_claims(
    proof: Proof, /, *, issuer: str, tenant_id: TenantId, values: Mapping[str, Secret | str], now: datetime, jti: str
) -> dict[str, Any]:
    """Return the claims of the token that *proof*, one of `jwt = "platform"`, describes.

    *values* are the public inputs and variables by name; *now* is aware; *jti* differs for each token.
    Raises `ValidationFailedError` naming an input that is missing, or `tenantId` if it cannot be a subject at this provider.
    """
    template = proof.aud or ""
    audience = fill(template, {name: find_value(name, values).reveal() for name in places(template)})
    issued_at = int(now.timestamp()) - int(proof.backdate.total_seconds())
    return {
        "iss": issuer,
        "sub": subject_of(tenant_id, longest=proof.longest_sub),
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + int(proof.lifetime.total_seconds()),
        "jti": jti,
    }


def signing_input(claims: Mapping[str, Any], /, *, key_id: str) -> bytes:
    """Return what is signed: header and claims (RFC 7515 §5.1)."""
    header = {"typ": "JWT", "alg": ALGORITHM, "kid": key_id}
    return b".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def finish_token(signed: bytes, signature: bytes, /) -> Secret:
    """Return the token: what was signed, with its signature (RFC 7515 §3.1)."""
    return Secret(b".".join((signed, _base64(signature))).decode())


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
