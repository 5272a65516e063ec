"""The scopes of a method, and what they imply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from .base import FileTable


class Scopes(FileTable):
    """Which scopes are asked for, and how they are written."""

    default: tuple[str, ...] = ()
    """Asked for where neither the caller nor the application names scopes."""
    separator: str = " "
    """Stands between the scopes of a request."""
    reply_separator: str | None = None
    """Stands between the scopes of an answer.  Left out: the same as `separator`."""
    reply_field: str = "scope"
    """Dotted path to the granted scopes in a token answer."""
    fixed: bool = False
    """The scopes are chosen where the application is registered: none are sent or compared."""
    offline: tuple[str, ...] = ()
    """Added so that a refresh token is issued; never reported as missing."""
    extra_lists: dict[str, tuple[str, ...]] = {}
    """Further scope parameters of the authorize request, by name (Slack's `user_scope`)."""
    always: tuple[str, ...] = ()
    """Added to whatever is asked for: the verification needs them."""
    unlisted: tuple[str, ...] = ()
    """Granted, yet never named in the reply; not reported as missing."""
    aliases: dict[str, str] = {}
    """Two names of one scope: short name → full name (Google's `email`)."""
    prefixes: tuple[str, ...] = ()
    """Beginnings that may be left out: a scope with one of them and without it is one scope (Microsoft Graph's)."""
    ignore_case: bool = False
    """Scopes that differ in letter case alone are one scope."""
    includes: dict[str, tuple[str, ...]] = {}
    """Scope → those that it grants as well, and theirs, so that the reply may name it alone (GitHub's `repo`)."""
    everything: str | None = None
    """The scope that grants all the others (Linode's `*`)."""
    on_reconnect: Literal["replace", "union", "incremental"] = "replace"
    """What a new consent does with earlier scopes: it replaces them (`replace`), or the provider adds them itself
    (`incremental`); with `union` the scopes held so far are asked for again, because the provider would drop them.
    """

    def missing(self, *, requested: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
        """Return the *requested* scopes that are not covered by the *granted* ones, in their order.

        The only rule of it: what is stored with an integration and what is said of a token come from here.
        """
        if self.fixed:
            return ()
        covered: set[str] = set()
        found = [self._one_name(scope) for scope in (*granted, *self.offline, *self.unlisted)]
        includes = {self._one_name(scope): included for scope, included in self.includes.items()}
        while found:
            scope = found.pop()
            if scope not in covered:
                covered.add(scope)
                found.extend(map(self._one_name, includes.get(scope, ())))
        if self.everything is not None and self._one_name(self.everything) in covered:
            return ()
        return tuple(scope for scope in dict.fromkeys(requested) if self._one_name(scope) not in covered)

    def _one_name(self, scope: str) -> str:
        name = scope
        for prefix in self.prefixes:
            # Microsoft writes hosts in lower case, people do not.
            if self._cased(name).startswith(self._cased(prefix)) and len(name) > len(prefix):
                name = name[len(prefix) :]
                break
        aliases = {self._cased(short): full for short, full in self.aliases.items()}
        return self._cased(aliases.get(self._cased(name), name))

    def _cased(self, text: str) -> str:
        return text.lower() if self.ignore_case else text
