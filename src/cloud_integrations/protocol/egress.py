"""Which URL may be asked, and which address may be connected to; nothing here resolves or connects.

Trust follows who named the host, not what its name resolves to: a tenant's word reaches public
addresses only.  `ipaddress.is_global` alone is not the test; it passes multicast, several clouds'
metadata services and addresses that wrap others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

_UNUSUAL = re.compile(r"[^\x21-\x7e]|\\")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What a resolver reads as an address, in whatever base, ends in a number (WHATWG URL, "ends in a number").
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's host
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service among them
            "192.88.99.0/24",  # 6to4 relays
            "100.100.100.200/32",  # Alibaba's metadata service
            "fd00:ec2::/32",  # Amazon's metadata service
            "fd20:ce::254/128",  # Google's metadata service
            "2001::/23",  # Teredo and other protocol assignments
            "2001:db8::/32",
            "2002::/16",  # 6to4 wraps an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


class EndpointRefusedError(ValueError):
    """The URL, or the address behind it, may not be asked; the text tells neither (no port scanner)."""

    def __str__(self) -> str:
        return "endpoint not allowed"


class Reach(Enum):
    """How far a request may go."""

    PUBLIC = auto()
    PRIVATE = auto()
    """Also private networks: the operator named the host."""
    LOOPBACK = auto()
    """This machine alone: a simulated provider."""

    def allows(self, address: Address, /) -> bool:
        """Say whether a connection to *address* may be opened."""
        if self is Reach.LOOPBACK:
            return address.is_loopback
        return is_public_address(address) or (self is Reach.PRIVATE and is_private_address(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an allowed URL leads."""

    host: str
    reach: Reach


def read_target(url: str, /, *, loopback: bool = False, private_host: bool = False) -> Target:
    """Check *url* and say where it leads.

    It must be https with a host name in ASCII: no user name, no fragment, no backslash, no trailing dot,
    no address in any notation.  With *loopback*, http and 127.0.0.1, [::1] and localhost are allowed too;
    with *private_host*, a plain address and a name without a dot.  Raises `EndpointRefusedError`.
    """
    if _UNUSUAL.search(url):
        raise EndpointRefusedError
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise EndpointRefusedError from None
    if "@" in parts.netloc or "#" in url or port == 0:
        raise EndpointRefusedError
    if loopback and host in LOOPBACK_HOSTS and parts.scheme in {"http", "https"}:
        return Target(host=host, reach=Reach.LOOPBACK)
    if parts.scheme != "https" or not _is_allowed_host(host, private_host=private_host):
        raise EndpointRefusedError
    return Target(host=host, reach=Reach.PRIVATE if private_host else Reach.PUBLIC)


def is_public_address(address: Address | str, /) -> bool:
    """Say whether *address* is one that the whole internet can reach; anything special is not.

    IPv4-mapped and NAT64 addresses are judged by the IPv4 address inside them.
    """
    ip = ip_address(address) if isinstance(address, str) else address
    if isinstance(ip, IPv6Address):
        if (inside := ip.ipv4_mapped) is not None:
            return is_public_address(inside)
        if ip in _NAT64:
            return is_public_address(IPv4Address(int(ip) & 0xFFFF_FFFF))
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not _is_one_of(ip, _NEVER)


def is_private_address(address: Address, /) -> bool:
    """Say whether *address* belongs to a private network, no cloud's metadata service, and not this machine."""
    return _is_one_of(address, _PRIVATE) and not _is_one_of(address, _NEVER)


def _is_one_of(address: Address, networks: tuple[IPv4Network | IPv6Network, ...], /) -> bool:
    return any(address in network for network in networks)


def _is_allowed_host(host: str, /, *, private_host: bool) -> bool:
    if private_host:
        try:
            ip_address(host)
        except ValueError:
            pass
        else:
            return True
    if len(host) > 253 or not _NAME.fullmatch(host) or _NUMBER_LAST.fullmatch(host):
        return False
    return private_host or "." in host
