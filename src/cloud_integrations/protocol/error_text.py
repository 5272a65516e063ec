"""Make a provider's error text (`error_description`, RFC 6749 §5.2) fit for the operator's log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from cloud_integrations.domain.secret import Secret

from .http import HttpRequest

MAX_PROSE = 512
"""The longest text that is returned, in characters."""

_NOT_PRINTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]+")
_SIGNED = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""A JWT (RFC 7519 §3): a proof that was signed for the request alone."""
_SHORTEST_SECRET = 4
_TELLING = 8
"""Shorter secrets are not looked for, because they occur in other text by chance."""
_PIECE = 8
"""The shortest piece of a secret that is removed, in characters."""
_READ = 16 * MAX_PROSE
_REMOVED = "[removed]"


def clean_prose(said: Secret | None, /, *, request: HttpRequest, secrets: Iterable[Secret | None]) -> str | None:
    """Return at most `MAX_PROSE` printable characters of the text *said* that answered *request*, without secrets.

    *secrets*, the request's `Authorization` and its JWTs are removed: whole, percent-encoded, and in pieces of eight or more characters.
    None if nothing is left.
    """
    if said is None:
        return None
    authorization = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    hidden = [secret.reveal() for secret in secrets if secret is not None] + authorization.split()[-1:]
    hidden += [found for text in (*request.headers.values(), request.body.decode("latin-1")) for found in _SIGNED.findall(text)]
    forms = {form for text in hidden for form in (text, quote(text, safe="")) if len(form) >= _SHORTEST_SECRET}
    prose = said.reveal()[:_READ]
    for form in sorted(forms, key=len, reverse=True):
        prose = prose.replace(form, _REMOVED)
    prose = _without_pieces(prose, {form[at : at + _PIECE] for form in forms for at in range(len(form) - _PIECE + 1)})
    return " ".join(_NOT_PRINTABLE.sub(" ", prose).split())[:MAX_PROSE] or None


def shows_secret(text: str, secrets: Iterable[Secret | None], /) -> bool:
    """Return whether *text* contains one of *secrets*, plain or percent-encoded; secrets under eight characters are ignored."""
    hidden = [secret.reveal() for secret in secrets if secret is not None]
    return any(form in text for secret in hidden if len(secret) >= _TELLING for form in (secret, quote(secret, safe="")))


def _without_pieces(prose: str, pieces: set[str]) -> str:
    shown: list[str] = []
    end = 0
    for at in range(len(prose)):
        if prose[at : at + _PIECE] in pieces:
            if at >= end:
                shown.append(_REMOVED)
            end = at + _PIECE
        elif at >= end:
            shown.append(prose[at])
    return "".join(shown)
