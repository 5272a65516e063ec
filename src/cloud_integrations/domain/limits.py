"""How often a door may be used: the rates, and under which names uses are counted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

LimitedUse = Literal["begin", "reveal", "verify"]
"""What an actor does through a door: a sign-in begins, a credential is shown, a provider is asked whether one works."""

TENANT_SHARE: Final = 10
"""How many times the rate of one actor all actors of a tenant have together."""

_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` uses at once, and `count` more in each `per`, evenly: a token bucket of `count` tokens."""

    count: int
    per: timedelta = timedelta(minutes=1)

    def take(self, full_at: int, now: int, /) -> tuple[int, int]:
        """Return when the bucket is full again after one more use, and how long until that use is allowed; all in microseconds.

        A bucket is kept as one time, *full_at*: that at which it is full again.  A use that must wait is not to be counted.
        """
        per = self.per // timedelta(microseconds=1)
        after = max(full_at, now) + per // self.count
        return after, max(0, after - now - per)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A name under which uses are counted, and their rate."""

    key: str
    """What is limited, and 64 hexadecimal digits, from which no tenant, actor or address can be read: `begin:9f86d0…`."""
    rate: Rate


def quota(use: LimitedUse | Literal["callback"], rate: Rate, /, *of: str) -> Quota:
    """Return the quota of *use* by whom *of* names, in printable texts."""
    named = "\0".join(of)
    return Quota(key=f"{use}:{hashlib.sha256(named.encode()).hexdigest()}", rate=rate)


def read_client(address: str, /) -> str:
    """Return the client behind an IP address: an IPv6 address stands for its network of 64 bits, which one client has to itself.

    A text that is no IP address stands for itself.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found.packed, _NETWORK_BITS), strict=False))
