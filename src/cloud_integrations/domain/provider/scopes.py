"""The scopes of a method, and which scopes include others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from .base import FileTable


class Scopes(FileTable):
    """Which scopes are asked for, how they are written, and how they are compared."""

    default: tuple[str, ...] = ()
    """The scopes to ask for if neither the caller nor the application names any."""
    separator: str = " "
    """The text between the scopes of a request."""
    reply_separator: str | None = None
    """The text between the scopes of an answer.  Left out: the same as `separator`."""
    reply_field: str = "scope"
    """Dotted path to the granted scopes in a token answer."""
    fixed: bool = False
    """Whether the application's registration fixes the scopes; then none are sent or compared."""
    offline: tuple[str, ...] = ()
    """Scopes that are added so that a refresh token is issued; never reported as missing."""
    extra_lists: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Further scope parameters of the authorization request, by name (Slack's `user_scope`)."""
    always: tuple[str, ...] = ()
    """Scopes that are added to every authorization, because the verification needs them."""
    unlisted: tuple[str, ...] = ()
    """Scopes that are granted but that the answer never names; not reported as missing."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Two names of one scope: short name → full name (Google's `email`)."""
    prefixes: tuple[str, ...] = ()
    """Prefixes that may be left out: a scope with and without one of them is the same scope (Microsoft Graph's)."""
    ignore_case: bool = False
    """Whether scopes that differ only in letter case are the same scope."""
    includes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Scope → the scopes that it includes, and so on, because an answer may name only the widest one (GitHub's `repo`)."""
    everything: str | None = None
    """The scope that grants all the others (Linode's `*`)."""
    on_reconnect: Literal["replace", "union", "incremental"] = "replace"
    """What a reconnect does with the scopes granted before: the new ones replace them (`replace`), the provider adds them itself
    (`incremental`), or they are asked for again, because the provider would drop them (`union`).
    """

    def missing(self, *, requested: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
        """Return the *requested* scopes that the *granted* ones do not cover, in the order of the request.

        This is the only such rule: the missing scopes of an integration and of a credential both come from here.
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
            # Microsoft writes hosts in lower case, but people may not.
            if self._cased(name).startswith(self._cased(prefix)) and len(name) > len(prefix):
                name = name[len(prefix) :]
                break
        aliases = {self._cased(short): full for short, full in self.aliases.items()}
        return self._cased(aliases.get(self._cased(name), name))

    def _cased(self, text: str) -> str:
        return text.lower() if self.ignore_case else text
