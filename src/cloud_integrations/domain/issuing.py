"""Our own issuer of tokens: its address, the public keys of its tokens, their subjects, and the documents that it publishes.

Sources: OpenID Connect Discovery 1.0 §3, RFC 7517 (JWK), RFC 7518 §6.3.1 (RSA), RFC 7638 (thumbprint).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .identifiers import TenantId

ALGORITHM: Final = "RS256"
"""The signature of our tokens (RFC 7518 §3.3): the only one that AWS, Google Cloud and Azure all accept."""
LEAST_BITS: Final = 2048
CONFIGURATION_PATH: Final = "/.well-known/openid-configuration"
KEY_SET_PATH: Final = "/.well-known/jwks.json"
LONGEST_SUBJECT: Final = 255
"""The longest subject, in characters: AWS, which takes the least of those without a limit of their own, refuses a longer one."""
_LONGEST_URL = 255
_URL = re.compile(r"(?P<scheme>https?)://(?P<host>\[::1\]|[a-z0-9.-]+)(?::\d{1,5})?(?P<path>(?:/[A-Za-z0-9._~-]+)*)")
_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})
_PREFIX = "tenant:"

IssuerProblem = Literal[
    "loopback",
    "configuration_unreachable",
    "configuration_unusable",
    "other_issuer",
    "other_key_set",
    "keys_unreachable",
    "keys_unusable",
    "key_missing",
    "key_unknown",
]
"""What is wrong with the documents of an issuer, as they are read from its address.

`loopback`: no provider reaches the address.  `configuration_unreachable`, `keys_unreachable`: no answer with the status 200.
`configuration_unusable`, `keys_unusable`: the answer is no such document.  `other_issuer`, `other_key_set`: the document names another
address than the configured one.  `key_missing`: one of our keys is not published.  `key_unknown`: a key is published that is not ours.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSigningKey:
    """The public part of an RSA key that signs tokens."""

    modulus: int
    exponent: int

    @property
    def bits(self) -> int:
        """The size of the key."""
        return self.modulus.bit_length()

    @property
    def key_id(self) -> str:
        """Its thumbprint (RFC 7638): 43 characters, made from the key alone, so that it never names another key."""
        members = {"e": _number(self.exponent), "kty": "RSA", "n": _number(self.modulus)}
        return _base64(sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())

    def as_jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517); it has nothing but public members."""
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": self.key_id,
            "n": _number(self.modulus),
            "e": _number(self.exponent),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerReport:
    """What a check of an issuer found; see `IssuerProblem`."""

    url: str
    key_ids: tuple[str, ...]
    """The ids of its keys; the first one signs."""
    problems: tuple[IssuerProblem, ...]


def check_issuer_url(url: str, /) -> str:
    """Return *url* if providers can compare it and read from it: https, a host in lower case, no query, no slash at the end.

    http is allowed for a loopback address, for development.  Raises `ConfigurationError`, which names `issuer.url`.
    """
    found = _URL.fullmatch(url) if isinstance(url, str) and len(url) <= _LONGEST_URL else None
    if found is None or {".", ".."} & set(found["path"].split("/")):
        problem = "must be an https URL with its host in lower case, without query, fragment, user name and a slash at its end"
        raise ConfigurationError(setting="issuer.url", problem=problem)
    if found["scheme"] == "http" and found["host"] not in _LOOPBACK:
        raise ConfigurationError(setting="issuer.url", problem="must be https: who can change its keys can sign in as any tenant")
    return url


def is_local(url: str, /) -> bool:
    """Return whether *url* is a loopback address, which no provider can reach."""
    return f"[{host}]" in _LOOPBACK if ":" in (host := urlsplit(url).hostname or "") else host in _LOOPBACK


def subject_of(tenant_id: TenantId, /, *, longest: int | None = None) -> str:
    """Return the subject of a tenant's tokens: `tenant:` and the whole tenant id, so no two tenants have the same one.

    *longest* is the most bytes that the provider takes, if that is less than 255.
    Raises `ValidationFailedError` for a tenant id that is too long for that, or is not ASCII: a subject is never shortened, and
    characters that look alike are never left to a provider to tell apart.
    """
    most = min(longest or LONGEST_SUBJECT, LONGEST_SUBJECT)
    if not tenant_id.isascii():
        raise ValidationFailedError(field="tenantId", problem="must be ASCII for a connection by our own tokens")
    if len(_PREFIX) + len(tenant_id) > most:
        raise ValidationFailedError(
            field="tenantId",
            problem=f"must be at most {most - len(_PREFIX)} characters for a connection by our own tokens to this provider",
        )
    return f"{_PREFIX}{tenant_id}"


def another_tenant(tenant_id: TenantId, /, *, made: str, longest: int | None = None) -> TenantId:
    """Return the id of no tenant, to try whether a trust takes another subject; it fits into what `subject_of` allows.

    It begins with *tenant_id* and ends with *made*, random characters, so that a trust that compares no more than the beginning takes it.
    """
    room = min(longest or LONGEST_SUBJECT, LONGEST_SUBJECT) - len(_PREFIX)
    return TenantId((tenant_id[: max(room - len(made), 0)] + made)[:room])


def configuration_document(url: str, /) -> dict[str, Any]:
    """Return the discovery document of the issuer at *url* (OpenID Connect Discovery 1.0 §3).

    There is no authorization endpoint: nobody signs in here.
    """
    return {
        "issuer": url,
        "jwks_uri": f"{url}{KEY_SET_PATH}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "jti"],
    }


def key_set_document(keys: Iterable[PublicSigningKey], /) -> dict[str, Any]:
    """Return *keys* as a JWK Set (RFC 7517 §5)."""
    return {"keys": [key.as_jwk() for key in keys]}


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
