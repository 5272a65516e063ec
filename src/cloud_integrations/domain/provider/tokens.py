"""How a provider's access tokens and refresh tokens behave."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .base import FileTable, Seconds


class AccessTokenFacts(FileTable):
    """How long an access token lives."""

    expires_in: Literal["always", "absent", "conditional", "never"] = "always"
    """Whether an answer gives the lifetime: `always`, `absent` (the token ends nevertheless), `conditional` (it depends on a setting at
    the provider), or `never` (the token does not end).
    """
    assumed_lifetime: Seconds | None = None
    """The lifetime if the answer gives none."""
    min_remaining: Seconds = timedelta()
    """A token with less life left than this is renewed before it is handed out, because the provider refuses it, or soon will."""
    expiry_field: str | None = None
    """Dotted path to the lifetime in the answer.  Left out: `expires_in`."""
    expiry_encoding: Literal["seconds", "epoch_s", "epoch_ms", "iso8601"] = "seconds"
    """How that lifetime is written: as seconds from now, or as a point in time."""


class RefreshTokenFacts(FileTable):
    """How refresh tokens behave.  What is not known is treated as the strictest behaviour, except for `replay_kills_family`."""

    issued: bool = True
    """Whether every grant has a refresh token.  An unexpected one is stored, too."""
    rotates: Literal["always", "sometimes", "never", "configurable", "unknown"] = "unknown"
    """Whether a refresh replaces the refresh token; `unknown` is treated as `always`."""
    reuse: Literal["none", "tolerant", "grace", "strict"] | None = None
    """What happens when a spent refresh token is sent again: `none`, it is never replaced; `tolerant`, it still works; `grace`,
    it works for the time `grace`; `strict`, it does not work.  Left out: `grace` if `grace` is set, `none` if `rotates` is `never`,
    else `strict`.
    """
    grace: Seconds = timedelta()
    """How long a spent refresh token still works, counted from its first use."""
    replay_kills_family: bool | None = None
    """Whether sending a spent refresh token ends the whole grant.  Left out: not known, and treated as `false`:
    a new refresh token that arrives after a later attempt was refused is then stored and tried, because dropping it would lose the grant.
    """
    ends_old_access: bool = False
    """Whether a refresh ends the access token that was issued before."""
    idle: Seconds | None = None
    """The refresh token ends if it is not used for this long; each refresh starts the time again."""
    absolute: Seconds | None = None
    """The refresh token ends this long after the consent, even if it is used."""
    max_live: Annotated[int, Field(ge=1)] | None = None
    """How many grants of one account an application can have; a further one ends the oldest without notice."""
    max_live_of: Literal["application", "scopes"] = "application"
    """Which grants of the account count together: all of the application, or those of it with the same scopes."""
    lifetime_field: str | None = None
    """Dotted path to the lifetime of the refresh token in an answer."""

    @field_validator("idle", "absolute")
    @classmethod
    def _are_times(cls, value: timedelta | None) -> timedelta | None:
        if value == timedelta():
            raise ValueError("must be more than 0: a token that ends at once would be used without end")
        return value

    @property
    def reuse_rule(self) -> Literal["none", "tolerant", "grace", "strict"]:
        """What happens when a spent refresh token is sent again: `reuse`, or what the other fields imply."""
        if self.reuse is not None:
            return self.reuse
        if self.grace > timedelta():
            return "grace"
        if self.rotates == "never":
            return "none"
        return "strict"
