"""Decide which requests a session of an agent may send, and with whose credential."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.session import SessionAccess
from cloud_integrations.errors import SessionRefusal, ValidationFailedError

from .egress import LOOPBACK_HOSTS, EndpointRefusedError, find_address, read_origin, read_target

_BELOW: Final = "*."
_SHARED: Final = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})
"""Before a country's two letters, these make a suffix under which strangers have names."""
_OVERRIDES: Final = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})
"""Headers that some servers obey in place of the method of the request."""
_SCHEME: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*:")
_WORD: Final = re.compile(r"[A-Z]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A request that is to get a credential of a session.

    `provider` is a name of an integration or a provider of the session; None: whichever the host belongs to.
    """

    http_method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    provider: str | None = None

    @property
    def host(self) -> str | None:
        """The host, with its port unless that is 443; None: the URL has none that could be allowed."""
        try:
            # Only the scheme may be wrong: `decide` looks at it.
            read_target(_SCHEME.sub("https:", self.url, count=1), private_host=True)
            return _host_of(urlsplit(self.url).netloc)
        except (EndpointRefusedError, ValueError):
            return None

    @property
    def word(self) -> str | None:
        """The HTTP method, if it looks like one."""
        return self.http_method if _WORD.fullmatch(self.http_method) else None


def read_host(text: str, /) -> str:
    """Return a host of a session in its one notation: a name or an address with its port unless that is 443, or `*.` before a name.

    Raises `ValidationFailedError`, which never repeats the value.
    """
    below = text.startswith(_BELOW)
    try:
        host = _host_of(text.removeprefix(_BELOW))
    except ValueError:
        raise ValidationFailedError(
            field="hosts", problem="must be names such as api.example.com, with a port unless that is 443, or *.example.com"
        ) from None
    if not below:
        return host
    labels = host.partition(":")[0].split(".")
    if find_address(host.partition(":")[0]) is not None or len(labels) < 2:
        raise ValidationFailedError(field="hosts", problem='must have two labels or more after "*.", as *.example.com has')
    if len(labels) == 2 and labels[0] in _SHARED and len(labels[1]) == 2:
        raise ValidationFailedError(field="hosts", problem='must have a name of one owner after "*.": below a public suffix are strangers')
    return f"{_BELOW}{host}"


def overlap(one: Iterable[str], other: Iterable[str], /) -> bool:
    """Return whether a host could be of both; each is as `read_host` returns it."""
    others = tuple(other)
    return any(_matches(a, b) or _matches(b, a) for a in one for b in others)


def decide(
    candidates: Collection[SessionAccess], methods: Collection[str], request: SessionRequest, /, *, local: Collection[ProviderId]
) -> SessionAccess | SessionRefusal:
    """Return whose credential *request* gets, of those that it may mean, or why it gets none.

    *local* are the providers that may be spoken to with http on a loopback address, because they are simulated.
    """
    if not candidates:
        return "provider"
    host = request.host
    if host is not None and (candidates := _with_scheme(request.url, candidates, local)) == []:
        return "scheme"
    found = [access for access in candidates if host is not None and any(_matches(pattern, host) for pattern in access.hosts)]
    if host is None or not found or not _names(request.headers, host):
        return "host"
    if not {request.http_method, *_overriding(request.headers)} <= set(methods):
        return "method"
    return found[0] if len(found) == 1 else "provider"


def _with_scheme(url: str, candidates: Collection[SessionAccess], local: Collection[ProviderId]) -> Collection[SessionAccess]:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return candidates
    return [access for access in candidates if parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and access.provider_id in local]


def _host_of(netloc: str) -> str:
    return read_origin(f"https://{netloc}").removeprefix("https://")


def _names(headers: Mapping[str, str], host: str) -> bool:
    """Return whether the header Host, if there is one, names *host*: a server may go by it (RFC 9110 §7.2)."""
    for name, value in headers.items():
        if name.lower() == "host":
            try:
                if _host_of(value) != host:
                    return False
            except ValueError:
                return False
    return True


def _overriding(headers: Mapping[str, str]) -> list[str]:
    # To a server behind CGI or WSGI, an underscore is a hyphen (RFC 3875 §4.1.18).
    return [value.strip().upper() for name, value in headers.items() if name.lower().replace("_", "-") in _OVERRIDES]


def _matches(pattern: str, host: str) -> bool:
    """Return whether *host*, or every name below it where it begins with `*.`, is one of *pattern*."""
    if pattern == host:
        return True
    return pattern.startswith(_BELOW) and host.endswith(pattern[1:])
