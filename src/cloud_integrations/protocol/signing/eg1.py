"""Akamai's signature of requests, EG1-HMAC-SHA256 (EdgeGrid).

Source: https://techdocs.akamai.com/developer/docs/edgegrid and the client libraries of Akamai.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import Url, hmac_sha256, lower_names, read_url, replace_headers
from .needs import Needs

_NEEDS = Needs(name="eg1", parts=("client_token", "client_secret", "access_token"), optional_options=("headers", "max_body"))
_MAX_BODY = "131072"


class Eg1:
    """Signs the method, the URL, the headers in the option `headers`, and of a POST the first bytes of the body.

    The option `max_body` is how many bytes of the body; 131072 if it is missing.  The body of any other method is not signed: the scheme
    says so.  Implements `Signer`.
    """

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        yield from _NEEDS.problems(options, parts)
        if not _is_number(options.get("max_body", _MAX_BODY)):
            yield "must have a number of bytes as max_body"

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url)
        headers = replace_headers(request.headers, {"Host": url.host})
        prepared = Unsigned(method=request.method.upper(), url=str(url), headers=headers, body=request.body)
        timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H:%M:%S+0000")
        authorization = _authorize(prepared, url, values, timestamp=timestamp, nonce=str(UUID(bytes=nonce)))
        return Signed(url=str(url), headers=replace_headers(headers, {"Authorization": authorization}))


def _authorize(request: Unsigned, url: Url, values: Mapping[str, str], /, *, timestamp: str, nonce: str) -> str:
    max_body = values["max_body"] if _is_number(values["max_body"]) else _MAX_BODY
    body = request.body[: int(max_body)] if request.method == "POST" else b""
    digest = b64encode(hashlib.sha256(body).digest()).decode() if body else ""
    given = lower_names(request.headers)
    covered = "\t".join(f"{name}:{' '.join(given[name].split())}" for name in values["headers"].lower().split() if name in given)
    unsigned = (
        f"EG1-HMAC-SHA256 client_token={values['client_token']};access_token={values['access_token']};timestamp={timestamp};nonce={nonce};"
    )
    text = f"{request.method}\t{url.scheme}\t{url.host}\t{url.target}\t{covered}\t{digest}\t{unsigned}"
    key = b64encode(hmac_sha256(values["client_secret"], timestamp))
    return f"{unsigned}signature={b64encode(hmac_sha256(key, text)).decode()}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
