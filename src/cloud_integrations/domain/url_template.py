"""URLs of a provider file, filled with values that may be any text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from cloud_integrations.domain.provider import fill, find_origin, places
from cloud_integrations.errors import ValidationFailedError

_AUTHORITY: Final = re.compile(r"[^:/?#]+://[^/?#]*")


def fill_url(template: str, find: Callable[[str], str], /) -> str:
    """Return *template* with what *find* gives for each of its names.

    A value in the host goes in as it is: only variables may be there, and they have a pattern.  So does a value at the beginning, the
    origin of a tenant's server, which was checked when it was entered.  Any other is percent-encoded, so it changes neither path nor
    query (RFC 3986 §2.1).
    Raises `ValidationFailedError` for a value that makes `.` or `..` of a segment of the path, which servers take out (RFC 3986 §5.2.4).
    """
    found = {name: find(name) for name in places(template)}
    origin = find_origin(template)
    authority = f"{{{origin}}}" if origin else (_AUTHORITY.match(template) or [""])[0]
    encoded = {name: quote(text, safe="@", errors="surrogatepass") for name, text in found.items()}
    rest = fill(template[len(authority) :], encoded)
    if {".", ".."} & set(rest.partition("?")[0].split("/")):
        raise ValidationFailedError(field="variables", problem="do not make a usable address")
    return fill(authority, found) + rest
