"""HTTP signatures by RSA keys (draft-cavage-http-signatures), as Oracle Cloud Infrastructure uses them.

Source: https://datatracker.ietf.org/doc/html/draft-cavage-http-signatures-08 and
https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.proofs import load_private_key

from .canonical import Url, lower_names, read_url, replace_headers
from .needs import Needs

_NEEDS = Needs(
    name="http_signature",
    parts=("key_id", "private_key"),
    optional_parts=("passphrase",),
    optional_options=("alg", "headers", "body_headers"),
)
_ALGORITHM = "rsa-sha256"
_HEADERS = "date (request-target) host"
_BODY_HEADERS = "content-length content-type x-content-sha256"
_NAMES = frozenset({"(request-target)", "content-length", "content-type", "date", "digest", "host", "x-content-sha256"})
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class HttpSignature:
    """Signs the headers in the option `headers`, and for POST, PUT, PATCH and a body also those in `body_headers`.

    Without these options they are what Oracle requires.  A `Content-Type` that is signed and missing becomes that of JSON.  Implements
    `Signer`.
    """

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        yield from _NEEDS.problems(options, parts)
        if options.get("alg", _ALGORITHM) != _ALGORITHM:
            yield f"must have {_ALGORITHM} as alg, or no alg"
        for option in ("headers", "body_headers"):
            for name in options.get(option, "").split():
                if name not in _NAMES:
                    yield f"must not have {name} in {option}; what can be signed is {', '.join(sorted(_NAMES))}"

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url)
        names = (values["headers"] or _HEADERS).split()
        if request.body or request.method.upper() in _WITH_BODY:
            names += options.get("body_headers", _BODY_HEADERS).split()
        headers = _set_headers(request, url, names, now)
        covered = {**lower_names(headers), "(request-target)": f"{request.method.lower()} {url.target}"}
        try:
            text = "\n".join(f"{name}: {covered[name]}" for name in names)
        except KeyError as error:
            raise ConfigurationError(setting="the signature http_signature", problem=f"cannot sign {error.args[0]}") from None
        signature = _sign(text, values["private_key"], values["passphrase"])
        fields = {
            "algorithm": _ALGORITHM,
            "headers": " ".join(names),
            "keyId": values["key_id"].replace("\\", "\\\\").replace('"', '\\"'),
            "signature": signature,
            # The version of Oracle's scheme; other verifiers ignore fields that they do not know.
            "version": "1",
        }
        authorization = "Signature " + ",".join(f'{name}="{value}"' for name, value in fields.items())
        return Signed(url=str(url), headers=replace_headers(headers, {"Authorization": authorization}))


def _set_headers(request: Unsigned, url: Url, names: Collection[str], now: datetime) -> dict[str, str]:
    digest = b64encode(hashlib.sha256(request.body).digest()).decode()
    own = {
        "Content-Length": str(len(request.body)),
        "Date": format_datetime(now.astimezone(UTC), usegmt=True),
        "Digest": f"SHA-256={digest}",
        "Host": url.host,
        "X-Content-SHA256": digest,
    }
    typed = {"Content-Type": "application/json"} if "content-type" in names else {}
    return replace_headers(request.headers, {name: value for name, value in own.items() if name.lower() in names}, defaults=typed)


def _sign(text: str, pem: str, passphrase: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415  # loaded only to sign
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    key = load_private_key(Secret(pem), name="private_key", passphrase=Secret(passphrase))
    if not isinstance(key, RSAPrivateKey):
        raise ValidationFailedError(field="credentials.private_key", problem="is not an RSA key")
    return b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
