"""HTTP Digest (RFC 7616): the challenge of a server is read, and its answer computed; nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5, sha256
from typing import Final
from urllib.parse import urlsplit

from cloud_integrations.domain.secret import Secret

_LONGEST: Final = 4 * 1024
"""The longest header with challenges that is read, in characters."""
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_PARAMETER: Final = re.compile(rf"[\s,]*({_WORD})\s*=\s*({_QUOTED}|{_WORD})")
# A quoted text is passed over, because it may contain the word.
_SCHEME: Final = re.compile(rf"{_QUOTED}|(?<![^\s,])(digest)\s+", re.IGNORECASE)
_ALGORITHMS: Final = ("sha-256", "sha-256-sess", "md5", "md5-sess")
"""The supported algorithms, the preferred one first."""
_COUNT: Final = "00000001"
"""How often the server's nonce was used: each nonce is used once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a server asks for (RFC 7616 §3.3), with `auth` as the quality of protection."""

    realm: str = field(repr=False)
    nonce: str = field(repr=False)
    algorithm: str
    """As the server wrote it; empty: the server named none, which means MD5."""
    opaque: str | None = field(default=None, repr=False)
    stale: bool = False
    """Whether the server refused the last answer because of its nonce alone."""

    def answer(self, *, http_method: str, url: str, user: str, password: Secret, cnonce: str) -> str:
        """Return the value of `Authorization` for a request (RFC 7616 §3.4).

        *url* is the URL as it is sent, in ASCII.  *cnonce* is random text, without quotes.
        """
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        secret = self._hash(f"{user}:{self.realm}:{password.reveal()}")
        if self.algorithm.lower().endswith("-sess"):
            secret = self._hash(f"{secret}:{self.nonce}:{cnonce}")
        proof = self._hash(f"{secret}:{self.nonce}:{_COUNT}:{cnonce}:auth:{self._hash(f'{http_method}:{target}')}")
        quoted = {"username": user, "realm": self.realm, "nonce": self.nonce, "uri": target, "response": proof, "cnonce": cnonce}
        if self.opaque is not None:
            quoted["opaque"] = self.opaque
        plain = {"qop": "auth", "nc": _COUNT} | ({"algorithm": self.algorithm} if self.algorithm else {})
        written = [f"{name}={_quote(text)}" for name, text in quoted.items()] + [f"{name}={text}" for name, text in plain.items()]
        return "Digest " + ", ".join(written)

    def _hash(self, text: str) -> str:
        if self.algorithm.lower().startswith("sha-256"):
            return sha256(text.encode()).hexdigest()
        # The provider chose it; the request goes over TLS.
        return md5(text.encode(), usedforsecurity=False).hexdigest()


def find_challenge(header: str, /) -> Challenge | None:
    """Return the challenge to answer among those in *header*, the value of `WWW-Authenticate`; None: there is none that is supported.

    Supported are SHA-256 and MD5, also with `-sess`, and the quality of protection `auth`.  SHA-256 is preferred.
    """
    if len(header) > _LONGEST or not (header.isascii() and header.isprintable()):
        return None
    found = [challenge for begin in _SCHEME.finditer(header) if begin[1] and (challenge := _read(header, begin.end())) is not None]
    return min(found, key=lambda challenge: _ALGORITHMS.index(challenge.algorithm.lower() or "md5"), default=None)


def _read(header: str, at: int) -> Challenge | None:
    parameters: dict[str, str] = {}
    for name, value in _parameters(header, at):
        # A parameter that is there twice may mean either value.
        if name in parameters:
            return None
        parameters[name] = value
    return _challenge(parameters)


def _parameters(header: str, at: int) -> Iterator[tuple[str, str]]:
    while found := _PARAMETER.match(header, at):
        value = found[2]
        yield found[1].lower(), re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = found.end()


def _challenge(parameters: Mapping[str, str]) -> Challenge | None:
    qualities = {quality.strip().lower() for quality in parameters.get("qop", "").split(",")}
    algorithm = parameters.get("algorithm", "")
    known = algorithm.lower() in {"", *_ALGORITHMS} and "auth" in qualities
    if not known or "realm" not in parameters or not parameters.get("nonce"):
        return None
    return Challenge(
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        algorithm=algorithm,
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
    )


def _quote(text: str) -> str:
    escaped = re.sub(r'([\\"])', r"\\\1", text)
    return f'"{escaped}"'
