"""OVHcloud's signature of requests, version 1.

Source: https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api and the client libraries of OVHcloud.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .canonical import read_url, replace_headers
from .needs import Needs

_NEEDS = Needs(name="ovh1", parts=("application_key", "application_secret", "consumer_key"))


class Ovh1:
    """Signs with SHA-1 over both secrets, the method, the URL, the body and the time.  Implements `Signer`."""

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url = str(read_url(request.url))
        timestamp = str(int(now.timestamp()))
        before = f"{values['application_secret']}+{values['consumer_key']}+{request.method.upper()}+{url}+"
        digest = hashlib.sha1(before.encode() + request.body + f"+{timestamp}".encode())  # noqa: S324  # OVHcloud accepts no other
        own = {
            "X-Ovh-Application": values["application_key"],
            "X-Ovh-Consumer": values["consumer_key"],
            "X-Ovh-Timestamp": timestamp,
            "X-Ovh-Signature": f"$1${digest.hexdigest()}",
        }
        return Signed(url=url, headers=replace_headers(request.headers, own))
