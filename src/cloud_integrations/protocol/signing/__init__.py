"""Signatures of requests, one file each, and the table of them.

A provider file names a signature in `present.sign`; docs/reference/signatures.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Protocol

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.errors import ConfigurationError

__all__ = ["Signer", "find_signer", "register", "require_signer"]

_NAME = re.compile(r"[a-z0-9_]{1,64}")
# The name of a signature, which is also its module's, and the class in that module.
_CLASSES: Mapping[str, str] = {
    "acs3": "Acs3",
    "aws4": "Aws4",
    "dpop": "Dpop",
    "eg1": "Eg1",
    "exo2": "Exo2",
    "http_signature": "HttpSignature",
    "ovh1": "Ovh1",
    "sdk_hmac": "SdkHmac",
    "tc3": "Tc3",
}


class Signer(Protocol):
    """Signs requests with the inputs of a tenant.  It has no state, and reads neither a clock nor a source of randomness."""

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """Return what a provider file lacks for this signature, as sentences that go on from `present.options`.

        *options* are the options of the file, whose templates are not filled yet.  *parts* are the names of the parts that a
        credential of this method can have.
        """
        ...

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:
        """Return *request* with its signature.

        *options* are filled templates; an option with the name of a part is used in place of that part.  *now* is aware.  *nonce* are
        16 random bytes.  Headers of the request that the signature sets are replaced, in any letter case.

        Raises `ConfigurationError` if a part, an option or an extra of this library is missing, and `ValidationFailedError` if a part
        cannot be used; neither repeats a value.
        """
        ...


_ADDED: dict[str, Signer] = {}


def register(name: str, signer: Signer, /) -> None:
    """Add a signature, for the whole process; before the catalogue is made that has a provider with it.

    Raises `ValueError` if the name is not 1 to 64 of a-z, 0-9 and _, or taken.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a signature is 1 to 64 of a-z, 0-9 and _")
    if name in _CLASSES or name in _ADDED:
        raise ValueError(f"there is a signature {name} already")
    _ADDED[name] = signer


def require_signer(name: str, /) -> Signer:
    """Return the signer that a provider file calls *name*.  Raises `ConfigurationError` if there is none."""
    found = find_signer(name)
    if found is None:
        raise ConfigurationError(setting=f"the signature {name}", problem="is not known in this process")
    return found


def find_signer(name: str, /) -> Signer | None:
    """Return the signer that a provider file calls *name*; None if there is none."""
    if name not in _CLASSES:
        return _ADDED.get(name)
    signer: Signer = getattr(import_module(f"{__name__}.{name}"), _CLASSES[name])()
    return signer
