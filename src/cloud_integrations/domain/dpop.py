"""DPoP (RFC 9449): the names that stand for it, and the nonces that servers ask for; nothing is signed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

DPOP: Final = "dpop"
"""What a provider file calls the signature (`present.sign`)."""
DPOP_KEY: Final = "dpop_key"
"""The part of a credential that is the private key to which its tokens are bound: an elliptic curve key, P-256, in PEM."""
USE_NONCE: Final = "use_dpop_nonce"
"""The error of an answer that asks for the request once more, with a nonce (RFC 9449 §8, §9)."""

_LONGEST: Final = 1024
_NONCE: Final = re.compile(r"[!#-\[\]-~]+\Z")
_ASKED: Final = re.compile(r"\bdpop\b.*\berror\s*=\s*\"?use_dpop_nonce\b", re.IGNORECASE)


def find_nonce(headers: Mapping[str, str], /) -> str | None:
    """Return the nonce that a server gives with its answer (RFC 9449 §8.1); None: there is none that can be sent back.

    *headers* are those of the answer, by lower-case names or in a mapping that ignores case.
    """
    nonce = headers.get("dpop-nonce", "")
    return nonce if len(nonce) <= _LONGEST and _NONCE.match(nonce) else None


def asked_nonce(headers: Mapping[str, str], /) -> str | None:
    """Return the nonce that an API's 401 asks for (RFC 9449 §9); None: it asks for none.  *headers* are as in `find_nonce`."""
    challenge = headers.get("www-authenticate", "")
    return find_nonce(headers) if len(challenge) <= 4 * _LONGEST and _ASKED.search(challenge) else None
