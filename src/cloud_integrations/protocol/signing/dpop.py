"""The access token with the proof that its key is held (DPoP, RFC 9449 §7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from cloud_integrations.domain.dpop import DPOP, DPOP_KEY
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.protocol.dpop import make_dpop_proof

from .canonical import read_url, replace_headers
from .needs import Needs

_NEEDS = Needs(name=DPOP, parts=("access_token", DPOP_KEY), optional_options=("nonce",))


class Dpop:
    """Shows the token in `Authorization`, and in `DPoP` a proof for the method and the URL.

    The option `nonce` is what the server asks for; `auth()` of a credential answers that by itself.  Implements `Signer`.
    """

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        url, token = str(read_url(request.url)), Secret(values["access_token"])
        proof = make_dpop_proof(
            Secret(values[DPOP_KEY]),
            http_method=request.method.upper(),
            url=url,
            now=now,
            jti=nonce.hex(),
            nonce=values["nonce"] or None,
            access_token=token,
        )
        shown = {"Authorization": f"DPoP {token.reveal()}", "DPoP": proof.reveal()}
        return Signed(url=url, headers=replace_headers(request.headers, shown))
