"""Tencent Cloud's signature of requests, TC3-HMAC-SHA256.

Source: https://www.tencentcloud.com/document/product/1154/48911 (Signature v3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import canonical_headers, hmac_sha256, lower_names, read_url, replace_headers, sha256_hex
from .needs import Needs

_NEEDS = Needs(
    name="tc3", parts=("secret_id", "secret_key"), optional_parts=("token",), options=("service",), optional_options=("headers",)
)
_OWN = frozenset({"authorization", "x-tc-timestamp", "x-tc-token", "x-tc-content-sha256"})
_ALGORITHM = "TC3-HMAC-SHA256"


class Tc3:
    """Signs the method, the URL, the body, the headers `content-type` and `host`, and those in the option `headers`.

    Without a `Content-Type`, a GET gets the type of a form and every other method that of JSON.  Implements `Signer`.
    """

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url)
        method = request.method.upper()
        timestamp = str(int(now.timestamp()))
        date = now.astimezone(UTC).strftime("%Y-%m-%d")
        own = {"Host": url.host, "X-TC-Timestamp": timestamp}
        if values["token"]:
            own["X-TC-Token"] = values["token"]
        typed = {"Content-Type": "application/x-www-form-urlencoded" if method == "GET" else "application/json"}
        headers = replace_headers(request.headers, own, without=_OWN, defaults=typed)

        names = {"content-type", "host", *values["headers"].lower().split()}
        # Values are in lower case too, as the page above says.
        covered = {name: value.lower() for name, value in lower_names(headers).items() if name in names}
        canonical = "\n".join((method, url.path, url.query, canonical_headers(covered), ";".join(covered), sha256_hex(request.body)))
        scope = f"{date}/{values['service']}/tc3_request"
        text = "\n".join((_ALGORITHM, timestamp, scope, sha256_hex(canonical)))
        key = f"TC3{values['secret_key']}".encode()
        for step in (date, values["service"], "tc3_request"):
            key = hmac_sha256(key, step)
        signature = hmac_sha256(key, text).hex()
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={values['secret_id']}/{scope}, SignedHeaders={';'.join(covered)}, Signature={signature}"
        )
        return Signed(url=str(url), headers=headers)
