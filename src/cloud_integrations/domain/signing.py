"""A request before and after a signer has signed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A request before its signature; `repr` shows neither URL, headers nor body.

    *url* is one that `protocol.egress.read_target` allows.  Text that is not ASCII is allowed in its path and its query.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What to send in place of an `Unsigned` request with the same method and body; `repr` shows nothing.

    *url* is the URL that was signed, in ASCII: send it unchanged.  *headers* are all headers, and the signature is among them.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
