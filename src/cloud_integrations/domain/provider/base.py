"""The base of all tables of a provider file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, ValidationInfo

from .patterns import find_slowness


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError("must not be negative")
    return value


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Check the names and the values of *headers* (RFC 9110 §5.1, §5.5).  Raises `ValueError` for one that no request may have."""
    for name, value in headers.items():
        if _HEADER.fullmatch(name) is None or not value.isprintable():
            raise ValueError("needs a name and a value of visible characters, in one line")
        if name.lower() in _FRAMING:
            raise ValueError(f"may not set {name}, which is of the connection")
    return headers


def check_pattern(pattern: str, info: ValidationInfo) -> None:
    """Check that *pattern* is a regular expression that takes no text long to match, unless the file is `BUILT_IN`.

    Raises `ValueError` if it is not.
    """
    if info.context is BUILT_IN:
        return
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError("is no regular expression") from None
    if (slowness := find_slowness(pattern)) is not None:
        raise ValueError(f"{slowness}, so some texts would take it too long")


BUILT_IN: Final = "built in"
"""The context in which a built-in file is validated: the lint has compiled its patterns, a fifth of what reading all files would cost."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})
JsonScalar = str | int | float | bool
Headers = Annotated[dict[str, str], AfterValidator(check_headers)]
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

    def __deepcopy__(self, memo: object = None) -> Self:
        """Return the table itself, as nobody changes it; pydantic copies each default table, a fifth of the time that files take."""
        return self
