"""The forms of a URL and of headers that signatures are made of (RFC 3986, RFC 9110).

A signer signs the URL that is sent.  `read_url` gives a URL the form that HTTP clients would give it, so that no client changes it after it
was signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from cloud_integrations.protocol.http import merge_headers

_DEFAULT_PORTS = {"http": 80, "https": 443}
_IN_PATH = "!$&'()*+,;=:@/%"
_IN_QUERY = _IN_PATH + "?"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """A URL in ASCII, without user name and fragment."""

    scheme: str
    host: str
    """The value of the `Host` header: with the port, unless it is the default one of the scheme."""
    path: str
    """Begins with a slash, and has no dot segments."""
    query: str
    """Without its question mark."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"

    @property
    def target(self) -> str:
        """The path and the query, as the request line has them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def encoded(self, *, slashes: bool) -> Url:
        """Return this URL with every octet percent-encoded that is not unreserved (RFC 3986 §2.3).

        A `+` in the query is a space, as in HTML forms.  With *slashes*, `%2F` in the path becomes a slash, as servers do that decode
        the whole path.
        """
        segments = (unquote_to_bytes(self.path).split(b"/")) if slashes else [unquote_to_bytes(part) for part in self.path.split("/")]
        pairs = ((name, sign, value) for name, sign, value in (piece.partition("=") for piece in self.query.split("&")) if name or sign)
        query = "&".join(encode(_decode(name)) + sign + encode(_decode(value)) for name, sign, value in pairs)
        return replace(self, path="/".join(map(_encode_segment, segments)), query=query)


def read_url(url: str, /) -> Url:
    """Return *url* with everything percent-encoded that no URL may contain, and without dot segments (RFC 3986 §5.2.4)."""
    parts = urlsplit(url)
    path, query = _make_ascii(parts.path, _IN_PATH), _make_ascii(parts.query, _IN_QUERY)
    return Url(scheme=parts.scheme, host=_read_host(parts), path=_remove_dot_segments(path), query=query)


def encode(raw: bytes, /) -> str:
    """Return *raw* with every octet percent-encoded that is not unreserved (RFC 3986 §2.3)."""
    return quote(raw, safe="")


def read_query(query: str, /) -> list[tuple[bytes, bytes]]:
    """Return the decoded names and values of *query*, sorted; a name without a value has an empty one."""
    pairs = (piece.partition("=") for piece in query.split("&"))
    return sorted((_decode(name), _decode(value)) for name, sign, value in pairs if name or sign)


def canonical_query(query: str, /) -> str:
    """Return *query* sorted by decoded name and value; each parameter has a `=`, and only unreserved characters are not encoded."""
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in read_query(query))


def replace_headers(
    headers: Mapping[str, str],
    own: Mapping[str, str],
    /,
    *,
    without: Collection[str] = (),
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return *headers* with *own* in place of those with the same names, in any letter case.

    Headers with a lower-case name in *without* are left out.  *defaults* are added where *headers* have no header of that name.
    """
    return merge_headers(defaults, {name: value for name, value in headers.items() if name.lower() not in without}, own)


def lower_names(headers: Mapping[str, str], /) -> dict[str, str]:
    """Return the values of *headers* by their lower-case names, sorted, without white space around a value."""
    return dict(sorted((name.lower(), value.strip()) for name, value in headers.items()))


def canonical_headers(headers: Mapping[str, str], /) -> str:
    """Return a line `name:value` for each of *headers*, which `lower_names` has returned."""
    return "".join(f"{name}:{value}\n" for name, value in headers.items())


def sha256_hex(data: bytes | str, /) -> str:
    """Return the SHA-256 of *data*, in lower-case hexadecimal digits."""
    return hashlib.sha256(_raw(data)).hexdigest()


def hmac_sha256(key: bytes | str, data: bytes | str, /) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) of *data* under *key*."""
    return hmac.digest(_raw(key), _raw(data), "sha256")


def _raw(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _decode(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _encode_segment(raw: bytes) -> str:
    # An encoded dot segment stays encoded: as a real one, it would be removed by the HTTP client.
    return encode(raw).replace(".", "%2E") if raw in {b".", b".."} else encode(raw)


def _make_ascii(text: str, allowed: str) -> str:
    return quote(_LONE_PERCENT.sub("%25", text).encode("utf-8", "surrogatepass"), safe=allowed)


def _read_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{parts.port}"


def _remove_dot_segments(path: str) -> str:
    *folders, last = path.removeprefix("/").split("/")
    kept: list[str] = []
    for segment in [*folders, last] if last not in {".", ".."} else [*folders, last, ""]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)
