"""Exoscale's signature of requests, EXO2-HMAC-SHA256.

Source: https://openapi-v2.exoscale.com/topic/topic-api-request-signature and the client libraries of Exoscale.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import hmac_sha256, read_query, read_url, replace_headers
from .needs import Needs

_NEEDS = Needs(name="exo2", parts=("api_key", "api_secret"))
_LIFETIME = timedelta(minutes=10)
_NAME = re.compile(rb"[A-Za-z0-9._~-]+")


class Exo2:
    """Signs the method, the path, the body, the time when the signature ends, and the query.

    A parameter that is there more than once is not signed, and neither is one whose name the header cannot hold: the scheme has no form
    for them.  Implements `Signer`.
    """

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url)
        expires = str(int((now + _LIFETIME).timestamp()))
        query = read_query(url.query)
        times = Counter(name for name, _ in query)
        covered = {name: value for name, value in query if times[name] == 1 and _NAME.fullmatch(name)}
        text = b"\n".join(
            (f"{request.method.upper()} {url.path}".encode(), request.body, b"".join(covered.values()), b"", expires.encode())
        )
        fields = [f"EXO2-HMAC-SHA256 credential={values['api_key']}"]
        if covered:
            fields.append(f"signed-query-args={b';'.join(covered).decode()}")
        fields += [f"expires={expires}", f"signature={b64encode(hmac_sha256(values['api_secret'], text)).decode()}"]
        return Signed(url=str(url), headers=replace_headers(request.headers, {"Authorization": ",".join(fields)}))
