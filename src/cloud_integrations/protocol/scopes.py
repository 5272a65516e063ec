"""Which scopes are asked for, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cloud_integrations.errors import ValidationFailedError

from .client import Client

_SCOPE = re.compile(r"[!#-\[\]-~]+\Z")
"""RFC 6749 §3.3."""


def scopes_to_request(client: Client, scopes: Sequence[str] | None = None, /) -> tuple[str, ...]:
    """Return what an authorization asks for: *scopes*, else the application's, else the provider's default.

    Scopes that the provider's checks need are added; where the application's registration fixes
    the scopes there are none.  These are the scopes to record as requested.
    """
    facts = client.method.scopes
    if facts.fixed:
        return ()
    wanted = next((given for given in (scopes, client.application.scopes) if given is not None), facts.default)
    return _unique((*wanted, *facts.always))


def join_scopes(client: Client, scopes: Iterable[str], /) -> str:
    """Write *scopes* as the provider wants them; empty where they are fixed.

    Raises `ValidationFailedError` for characters outside RFC 6749 §3.3, or the provider's separator.
    """
    facts = client.method.scopes
    wanted = _unique(scopes)
    if any(not is_scope(scope) or facts.separator in scope for scope in wanted):
        raise ValidationFailedError(field="scopes", problem="hold a character that no scope may have")
    return "" if facts.fixed else facts.separator.join(wanted)


def is_scope(text: str, /) -> bool:
    """Say whether *text* is one scope by RFC 6749 §3.3."""
    return _SCOPE.match(text) is not None


def _unique(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scopes))
