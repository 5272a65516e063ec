"""How an integration proves itself."""

from __future__ import annotations

from enum import StrEnum


class AuthType(StrEnum):
    """How an integration proves itself, as the public API says it."""

    OAUTH2 = "oauth2"
    API_KEY = "apikey"
