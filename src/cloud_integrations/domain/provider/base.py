"""The base of all tables of a provider file."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError("must not be negative")
    return value


def check_pattern(pattern: str) -> None:
    """Check that *pattern* is a regular expression.  Raises `ValueError` if it is not."""
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError("is no regular expression") from None


JsonScalar = str | int | float | bool
Seconds = Annotated[timedelta, AfterValidator(_not_negative), PlainSerializer(_seconds)]
RESERVED_PARAMETERS = frozenset({
    "assertion", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_challenge",
    "code_challenge_method", "code_verifier", "dpop_jkt", "grant_type", "nonce", "redirect_uri", "refresh_token", "request", "request_uri",
    "response_mode", "response_type", "scope", "state",
})  # fmt: skip
"""Parameters of OAuth2 and OpenID Connect that a provider file must not set."""


class FileTable(BaseModel):
    """A table of a provider file; it is frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
