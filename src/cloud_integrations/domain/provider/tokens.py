"""How a provider's access tokens and refresh tokens behave."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import model_validator

from .base import FileTable, Seconds
from .placement import Placement


class AccessTokenFacts(FileTable):
    """How long an access token lives and how it is sent."""

    expires_in: Literal["always", "absent", "conditional", "never"] = "always"
    """Whether an answer says how long the token lives: `always`, `absent` (it ends all the same), `conditional` (by a setting
    at the provider), or the token ends `never`.
    """
    assumed_lifetime: Seconds | None = None
    """How long the token lives where the answer does not say."""
    expiry_field: str | None = None
    """Dotted path to the lifetime in the answer.  Left out: `expires_in`."""
    expiry_encoding: Literal["seconds", "epoch_s", "epoch_ms", "iso8601"] = "seconds"
    """How that lifetime is written: as seconds from now, or as a point in time."""
    placement: Placement = Placement()
    """Where the token goes in a request; always a header (RFC 9700 §4.3.2)."""

    @model_validator(mode="after")
    def _travels_in_a_header(self) -> Self:
        # RFC 9700 §4.3.2: an access token in a URL ends up in logs and referrers.
        if self.placement.in_ != "header":
            raise ValueError("an access token travels in a header")
        return self


class RefreshTokenFacts(FileTable):
    """How refresh tokens behave; what is not known is read as the strictest."""

    issued: bool = True
    """Expected with every grant.  One that comes unexpected is kept all the same."""
    rotates: Literal["always", "sometimes", "never", "configurable", "unknown"] = "unknown"
    """What the provider does on success; `unknown` is treated as `always`."""
    reuse: Literal["none", "tolerant", "grace", "strict"] | None = None
    """What happens when a spent refresh token is sent again: `none`, it is never replaced; `tolerant`, it still works; `grace`,
    it works for `grace`; `strict`, it never works.  Left out: `grace` where there is one, `none` where `rotates` is `never`,
    else `strict`.
    """
    grace: Seconds = timedelta()
    """How long a spent refresh token still works, counted from its first use."""
    replay_kills_family: bool | None = None
    """Whether sending a spent refresh token ends the whole grant.  Left out: nobody knows, and nothing is risked."""
    ends_old_access: bool = False
    """A refresh ends the access token before it: callers in flight read again."""
    idle: Seconds | None = None
    """Unused this long, it dies; a renewal starts the time again."""
    absolute: Seconds | None = None
    """It dies this long after consent, whatever happens."""
    max_live: int | None = None
    """How many grants of one account the provider keeps alive for one application; another one ends the oldest, silently."""
    lifetime_field: str | None = None
    """Where a reply says how long the refresh token lives."""

    @property
    def reuse_rule(self) -> Literal["none", "tolerant", "grace", "strict"]:
        """`none`: the token is not replaced; `tolerant`: an old one still works; `grace`: for `grace`; `strict`: never."""
        if self.reuse is not None:
            return self.reuse
        if self.grace > timedelta():
            return "grace"
        if self.rotates == "never":
            return "none"
        return "strict"
