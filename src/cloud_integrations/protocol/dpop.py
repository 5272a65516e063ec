"""Keys and proofs of DPoP (RFC 9449), by which a token is of no use to anybody without the key."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri

from cloud_integrations.domain.dpop import DPOP_KEY, USE_NONCE, find_nonce
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .http import HttpResponse, find_json_object
from .proofs import check_pem, load_private_key

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

KEY_BYTES: Final = 40
"""How many random bytes make a key: 64 bits more than it has, so that every key is as likely (FIPS 186-5 A.2.1)."""
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (SEC 2 §2.4.2)."""


def make_key(random: bytes, /) -> Secret:
    """Make a private key of the elliptic curve P-256, in PEM, from `KEY_BYTES` random bytes."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key  # noqa: PLC0415  # few methods need a key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    if len(random) != KEY_BYTES:
        raise ValueError(f"a key is made from {KEY_BYTES} random bytes")
    key = derive_private_key(int.from_bytes(random) % (_ORDER - 1) + 1, SECP256R1())
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def check_dpop_key(key: Secret, /, *, field: str) -> None:
    """Raise `ValidationFailedError` naming *field* unless *key* is a private key of the curve P-256, in PEM and not encrypted."""
    try:
        check_pem(key, name=DPOP_KEY, alg="ES256")
    except ValidationFailedError as error:
        problem = error.problem
    else:
        return
    raise ValidationFailedError(field=field, problem=problem)


def name_key(url: str, key: Secret, /) -> str:
    """Return the authorization request *url* with the thumbprint of the public key (RFC 7638): the code is bound to it (RFC 9449 §10)."""
    return str(add_params_to_uri(url, [("dpop_jkt", _load(key).thumbprint())]))


def make_dpop_proof(
    key: Secret,
    /,
    *,
    http_method: str,
    url: str,
    now: datetime,
    jti: str,
    nonce: str | None = None,
    access_token: Secret | None = None,
) -> Secret:
    """Return the value of the header `DPoP` for one request (RFC 9449 §4.2).

    *url* is the URL as it is sent; its query and fragment are left out.  *now* is aware, *jti* differs for each request.  *nonce* is the
    server's, if it gave one, and *access_token* is the token that an API is shown beside the proof.
    Raises `ValidationFailedError` if the key cannot be read.
    """
    from joserfc import jwt  # noqa: PLC0415  # loaded only to sign

    loaded = _load(key)
    claims = {"htm": http_method, "htu": urlsplit(url)._replace(query="", fragment="").geturl(), "iat": int(now.timestamp()), "jti": jti}
    if nonce is not None:
        claims["nonce"] = nonce
    if access_token is not None:
        claims["ath"] = urlsafe_b64encode(sha256(access_token.reveal().encode()).digest()).rstrip(b"=").decode()
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": loaded.as_dict(private=False)}
    return Secret(jwt.encode(header, claims, loaded, algorithms=["ES256"]))


def demanded_nonce(response: HttpResponse, /) -> str | None:
    """Return the nonce with which a token endpoint asks for the request once more (RFC 9449 §8); None: it does not.

    Such an answer says that nothing was processed.
    """
    if response.status not in {400, 401}:
        return None
    body = find_json_object(response.body)
    return find_nonce(response.headers) if body is not None and body.get("error") == USE_NONCE else None


def _load(key: Secret) -> ECKey:
    from joserfc.jwk import ECKey  # noqa: PLC0415  # loaded only to sign

    loaded = load_private_key(key, name=DPOP_KEY)
    return ECKey(loaded, loaded)  # type: ignore[arg-type]  # it is a key of this curve, as made or as checked when it was imported
