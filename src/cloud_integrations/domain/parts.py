"""The named secret parts of a credential, packed into one text for sealing."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import DecryptError

Parts = Mapping[str, Secret]
"""Secrets by name, in order; the first is the access token or the key itself."""


def pack(parts: Parts, /) -> Secret:
    """Return the parts as one text, a JSON object; `unpack` reads it."""
    return Secret(json.dumps({name: part.reveal() for name, part in parts.items()}, separators=(",", ":")))


def unpack(packed: Secret, /) -> dict[str, Secret]:
    """Return the parts that `pack` has packed.  Raises `DecryptError` for any other text."""
    try:
        read = json.loads(packed.reveal())
    except ValueError:
        raise DecryptError from None
    if not isinstance(read, dict) or not all(isinstance(part, str) for part in read.values()):
        raise DecryptError
    return {name: Secret(part) for name, part in read.items()}
