"""Alibaba Cloud's signature of requests, ACS3-HMAC-SHA256.

Source: https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import canonical_headers, canonical_query, hmac_sha256, lower_names, read_url, replace_headers, sha256_hex
from .needs import Needs

_NEEDS = Needs(name="acs3", parts=("access_key_id", "access_key_secret"), optional_parts=("security_token",))
_OWN = frozenset({"authorization", "x-acs-content-sha256", "x-acs-date", "x-acs-security-token", "x-acs-signature-nonce"})
_ALGORITHM = "ACS3-HMAC-SHA256"


class Acs3:
    """Signs the method, the URL, the body, and the headers `host`, `content-type` and `x-acs-…`.  Implements `Signer`."""

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = read_url(request.url).encoded(slashes=False)
        digest = sha256_hex(request.body)
        own = {
            "Host": url.host,
            "X-Acs-Content-Sha256": digest,
            "X-Acs-Date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "X-Acs-Signature-Nonce": nonce.hex(),
        }
        if values["security_token"]:
            own["X-Acs-Security-Token"] = values["security_token"]
        headers = replace_headers(request.headers, own, without=_OWN)

        covered = {name: value for name, value in lower_names(headers).items() if name in {"content-type", "host"} or name[:6] == "x-acs-"}
        names = ";".join(covered)
        method, query = request.method.upper(), canonical_query(url.query)
        canonical = "\n".join((method, url.path, query, canonical_headers(covered), names, digest))
        signature = hmac_sha256(values["access_key_secret"], f"{_ALGORITHM}\n{sha256_hex(canonical)}").hex()
        headers["Authorization"] = f"{_ALGORITHM} Credential={values['access_key_id']},SignedHeaders={names},Signature={signature}"
        return Signed(url=str(url), headers=headers)
