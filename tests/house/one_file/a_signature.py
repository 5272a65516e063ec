"""A signature that this library does not know: HMAC-SHA-256 over method, path and time, in two headers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from cloud_integrations import Provider
from cloud_integrations.signing import Secret, Signed, Unsigned, register


class Acme:
    """`X-Acme-Time` and `X-Acme-Signature`."""

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterator[str]:
        """See `Signer.problems`."""
        if "secret" not in parts:
            yield "need an input secret"

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:
        """See `Signer.sign`."""
        time = str(int(now.timestamp()))
        text = f"{request.method} {urlsplit(request.url).path} {time}"
        signature = hmac.new(parts["secret"].reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
        return Signed(url=request.url, headers={**request.headers, "X-Acme-Time": time, "X-Acme-Signature": signature})


register("acme_hmac", Acme())
PROVIDER = Provider.model_validate(
    {
        "id": "acme",
        "name": "Acme",
        "methods": [{"id": "secret", "kind": "key", "inputs": [{"name": "secret"}], "present": {"sign": "acme_hmac"}}],
        "verifications": [{"url": "https://api.acme.example/me", "identity": ["json:id"]}],
    }
)
