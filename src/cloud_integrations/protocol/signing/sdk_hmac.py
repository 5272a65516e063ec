"""Huawei Cloud's signature of requests, SDK-HMAC-SHA256.

Source: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import canonical_headers, canonical_query, hmac_sha256, lower_names, read_url, replace_headers, sha256_hex
from .needs import Needs

_NEEDS = Needs(name="sdk_hmac", parts=("access_key", "secret_key"), optional_parts=("security_token",))
_OWN = frozenset({"authorization", "x-sdk-content-sha256", "x-sdk-date", "x-security-token"})
_ALGORITHM = "SDK-HMAC-SHA256"


class SdkHmac:
    """Signs the method, the URL, the body, and the headers `host`, `content-type` and `x-…`.  Implements `Signer`."""

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url).encoded(slashes=True)
        timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        own = {"Host": url.host, "X-Sdk-Date": timestamp}
        if values["security_token"]:
            own["X-Security-Token"] = values["security_token"]
        headers = replace_headers(request.headers, own, without=_OWN)

        covered = {name: value for name, value in lower_names(headers).items() if _is_covered(name)}
        names = ";".join(covered)
        path = url.path if url.path.endswith("/") else f"{url.path}/"
        method, query = request.method.upper(), canonical_query(url.query)
        canonical = "\n".join((method, path, query, canonical_headers(covered), names, sha256_hex(request.body)))
        signature = hmac_sha256(values["secret_key"], f"{_ALGORITHM}\n{timestamp}\n{sha256_hex(canonical)}").hex()
        headers["Authorization"] = f"{_ALGORITHM} Access={values['access_key']}, SignedHeaders={names}, Signature={signature}"
        return Signed(url=str(url), headers=headers)


def _is_covered(name: str) -> bool:
    # Huawei's own library leaves out names with an underscore, which gateways drop.
    return name in {"content-type", "host"} or (name.startswith("x-") and "_" not in name)
