"""The kinds of access."""

from __future__ import annotations

from enum import StrEnum


class AuthType(StrEnum):
    """How an integration authenticates: by an OAuth2 grant, or by a key that the tenant entered."""

    OAUTH2 = "oauth2"
    API_KEY = "apikey"
