"""Which scopes an authorization asks for, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cloud_integrations.errors import ValidationFailedError

from .client import Client

_SCOPE = re.compile(r"[!#-\[\]-~]+\Z")
"""One scope (`scope-token` of RFC 6749 §3.3)."""


def scopes_to_request(client: Client, scopes: Sequence[str] | None = None, /) -> tuple[str, ...]:
    """Return the scopes that an authorization asks for: *scopes*, else the application's, else the provider's default.

    Scopes that the provider's checks need are added.  If the application's registration fixes the scopes, the result is empty.
    These scopes are stored as the requested ones.
    """
    facts = client.method.scopes
    if facts.fixed:
        return ()
    wanted = next((given for given in (scopes, client.application.scopes) if given is not None), facts.default)
    return _unique((*wanted, *facts.always))


def join_scopes(client: Client, scopes: Iterable[str], /) -> str:
    """Return *scopes* as one text, with the provider's separator; empty if the application's registration fixes them.

    Raises `ValidationFailedError` for a scope that contains the separator, or a character that RFC 6749 §3.3 does not allow.
    """
    facts = client.method.scopes
    wanted = _unique(scopes)
    if any(not is_scope(scope) or facts.separator in scope for scope in wanted):
        raise ValidationFailedError(field="scopes", problem="hold a character that no scope may have")
    return "" if facts.fixed else facts.separator.join(wanted)


def is_scope(text: str, /) -> bool:
    """Return whether *text* is one scope by RFC 6749 §3.3."""
    return _SCOPE.match(text) is not None


def _unique(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scopes))
