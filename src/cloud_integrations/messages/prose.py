"""What a provider says to developers, made fit for the operator's log (RFC 6749 §5.2; OAU-023, OAU-044)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from cloud_integrations.domain.secret import Secret

from .http import HttpRequest

MAX_PROSE = 512
"""How many characters of it are kept."""

_NOT_PRINTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]+")
_WORD = re.compile(r"[A-Za-z0-9_~+/=%-]{8,}")
_SHORTEST_SECRET = 4
_REMOVED = "[removed]"


def clean_prose(said: Secret | None, /, *, request: HttpRequest, secrets: Iterable[Secret | None]) -> str | None:
    """Return at most `MAX_PROSE` printable characters of what came in answer to *request*, without what was secret in it.

    *secrets* and the request's `Authorization` are removed, whole, percent-encoded, or in pieces of eight characters and
    more.  None where nothing is left.
    """
    if said is None:
        return None
    authorization = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    hidden = [secret.reveal() for secret in secrets if secret is not None] + authorization.split()[-1:]
    forms = {form for text in hidden for form in (text, quote(text, safe="")) if len(form) >= _SHORTEST_SECRET}
    prose = said.reveal()
    for form in sorted(forms, key=len, reverse=True):
        prose = prose.replace(form, _REMOVED)
    prose = _WORD.sub(lambda word: _REMOVED if any(word[0] in form for form in forms) else word[0], prose)
    return " ".join(_NOT_PRINTABLE.sub(" ", prose).split())[:MAX_PROSE] or None
