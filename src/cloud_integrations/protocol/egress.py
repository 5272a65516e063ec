"""Decide to which URLs requests may be sent and to which addresses a connection may be opened; nothing here connects.

A host that a tenant names may have public addresses only; a host that the operator names may also have private ones.
`ipaddress.is_global` alone is not enough: it accepts multicast, the metadata services of several clouds, and IPv6 addresses that
contain an IPv4 address.
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
# A host whose last label is a number, in any base, is read as an IPv4 address (WHATWG URL, "ends in a number").
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")

_NO_ORIGIN = "must be an https address such as https://server.example:6443, without user name, path and query"
_HTTPS_PORT = 443

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
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which contains an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


class EndpointRefusedError(ValueError):
    """Requests to this URL, or to its address, are not allowed; the text names neither, so it cannot be used to scan a network."""

    def __str__(self) -> str:
        return "endpoint not allowed"


class Reach(Enum):
    """The addresses that a request may be sent to."""

    PUBLIC = auto()
    PRIVATE = auto()
    """Public addresses and private networks, for a host that the operator named."""
    LOOPBACK = auto()
    """This machine only, for a simulated provider."""

    def allows(self, address: Address, /) -> bool:
        """Return whether a connection to *address* may be opened."""
        if self is Reach.LOOPBACK:
            return address.is_loopback
        return is_public_address(address) or (self is Reach.PRIVATE and is_private_address(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The host of an allowed URL, and the addresses that it may have."""

    host: str
    reach: Reach


def read_target(url: str, /, *, loopback: bool = False, private_host: bool = False, tenant_server: bool = False) -> Target:
    """Check *url*, and return its host and the addresses that the host may have.

    It must be https with a host name in ASCII: no user name, no fragment, no backslash, no trailing dot, and no IP address in any
    notation.  With *loopback*, http and https to 127.0.0.1, [::1] and localhost are allowed too; with *private_host*, an IP address
    and a name without a dot; with *tenant_server*, a public IP address.

    Raises `EndpointRefusedError` for any other URL.
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
    if parts.scheme != "https" or not _is_allowed_host(host, private_host=private_host, tenant_server=tenant_server):
        raise EndpointRefusedError
    return Target(host=host, reach=Reach.PRIVATE if private_host else Reach.PUBLIC)


def read_origin(text: str, /) -> str:
    """Return the address of a server that somebody entered as an origin (RFC 6454 §4): `https://host`, with its port unless that is 443.

    One server has one origin: letter case, a slash at the end, the usual port and the notation of an address make no difference.
    Whether the server may be reached is decided with each request, by `read_target`.

    Raises `ValueError` whose text is the end of a sentence, and never repeats the value.
    """
    if not text.isascii():
        raise ValueError("must be in ASCII; an international name is written with xn-- (RFC 5890)")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(_NO_ORIGIN) from None
    address = find_address(host)
    # Only an IPv6 address stands in brackets (RFC 3986 §3.2.2).
    usual = ("[" in text) is isinstance(address, IPv6Address) and not _UNUSUAL.search(text) and not set("@%?#") & set(text)
    if not usual or parts.scheme != "https" or parts.path not in {"", "/"} or port == 0:
        raise ValueError(_NO_ORIGIN)
    if not _is_allowed_host(host, private_host=True, tenant_server=False):
        raise ValueError(_NO_ORIGIN)
    if isinstance(address, IPv6Address):
        # Versions of Python write an IPv4 address inside an IPv6 one in different ways.
        host = f"[{address}]" if address.ipv4_mapped is None else str(address.ipv4_mapped)
    return f"https://{host}" if port in {None, _HTTPS_PORT} else f"https://{host}:{port}"


def find_address(host: str, /) -> Address | None:
    """Return the IP address that *host* is; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public_address(address: Address | str, /) -> bool:
    """Return whether *address* is a public unicast address, and no special one.

    For an IPv4-mapped or NAT64 address, the IPv4 address inside it decides.
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
    """Return whether *address* is in a private network, and neither a cloud's metadata service nor this machine."""
    return _is_one_of(address, _PRIVATE) and not _is_one_of(address, _NEVER)


def _is_one_of(address: Address, networks: tuple[IPv4Network | IPv6Network, ...], /) -> bool:
    return any(address in network for network in networks)


def _is_allowed_host(host: str, /, *, private_host: bool, tenant_server: bool) -> bool:
    if (address := find_address(host)) is not None:
        return private_host or (tenant_server and is_public_address(address))
    if len(host) > 253 or not _NAME.fullmatch(host) or _NUMBER_LAST.fullmatch(host):
        return False
    return private_host or "." in host
