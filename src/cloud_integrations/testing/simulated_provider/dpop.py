"""The server's side of DPoP (RFC 9449): reading a proof, and nonces."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from cloud_integrations.domain.dpop import USE_NONCE

WRONG_PROOF = "invalid_dpop_proof"
_LIFETIME = 60
"""How far from now a proof may have been made, in seconds."""


class Proofs:
    """Reads the proofs of requests; each is accepted once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def read(
        self, header: str, /, *, http_method: str, url: str, now: float, nonce: str | None, access_token: str | None
    ) -> tuple[str, str]:
        """Return the thumbprint of the key (RFC 7638) and an empty text, or an empty text and the error.

        *now* is in seconds since 1970, *nonce* the one that a proof must have (None: any), and *access_token* the token that is shown.
        """
        try:
            key = ECKey.import_key(_key_in(header))
            token = jwt.decode(header, key, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError, KeyError):
            return "", WRONG_PROOF
        claims: dict[str, Any] = token.claims
        wanted = {"htm": http_method, "htu": url, "ath": None if access_token is None else _hash(access_token)}
        is_right = {name: claims.get(name) for name in wanted} == wanted and abs(now - claims.get("iat", 0)) <= _LIFETIME
        jti = str(claims.get("jti", ""))
        if token.header.get("typ") != "dpop+jwt" or key.is_private or not is_right or jti in self._seen:
            return "", WRONG_PROOF
        if nonce is not None and claims.get("nonce") != nonce:
            return "", USE_NONCE
        self._seen.add(jti)
        return key.thumbprint(), ""


def _key_in(header: str) -> dict[str, Any]:
    encoded = header.partition(".")[0]
    key: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))["jwk"]
    return key


def _hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
