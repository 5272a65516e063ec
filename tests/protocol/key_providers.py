"""Providers whose access is a key of one or several parts: what is sent to each, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, Any, str, str | None, str | None]
"""Status and body of an answer, and the outcome, the account and the label that it means."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One method of one provider."""

    slug: str
    method: str
    inputs: Mapping[str, str]
    """Values of the form that the provider publishes."""
    variables: Mapping[str, str] = field(default_factory=dict)
    request: str
    """Method and URL of the check."""
    headers: Mapping[str, str]
    """The headers that carry the credential; `{name}` is an input."""
    answers: tuple[Answer, ...]


HOST = "acme-main.snowflakecomputing.com"

KEYS: tuple[Key, ...] = (
    Key(
        slug="datadog",
        method="keys",
        inputs={"api_key": "0" * 32, "app_key": "1" * 40},
        variables={"site": "datadoghq.eu"},
        request="GET https://api.datadoghq.eu/api/v2/validate_keys",
        headers={"DD-API-KEY": "{api_key}", "DD-APPLICATION-KEY": "{app_key}"},
        answers=(
            (200, {"status": "ok"}, "alive", None, None),
            (403, {"errors": ["Forbidden"]}, "dead", None, None),
            (429, {}, "unknown", None, None),
            (502, b"<html>", "unknown", None, None),
        ),
    ),
    Key(
        slug="snowflake",
        method="key_pair",
        inputs={"account": "ACME-MAIN", "user": "ADA", "key": "fake.jwt.value"},
        variables={"account_host": HOST},
        request=f"POST https://{HOST}/api/v2/statements",
        headers={"Authorization": "Bearer {key}", "X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"},
        answers=(
            (200, {"data": [["AB12345", "ADA"]]}, "alive", "AB12345/ADA", "ADA"),
            (401, {"code": "390144", "message": "JWT token is invalid."}, "dead", None, None),
            (403, {}, "alive_but_denied", None, None),
            (422, {"code": "000606"}, "alive_but_denied", None, None),
            (503, {}, "unknown", None, None),
        ),
    ),
    Key(
        slug="snowflake",
        method="programmatic_access_token",
        inputs={"token": "fake-programmatic-token"},
        variables={"account_host": HOST},
        request=f"POST https://{HOST}/api/v2/statements",
        headers={"Authorization": "Bearer {token}", "X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN"},
        answers=(
            (200, {"data": [["AB12345", "ADA"]]}, "alive", "AB12345/ADA", "ADA"),
            (401, {}, "dead", None, None),
            # The token is alive; a network policy must let this service in.
            (401, {"code": "390432", "message": "Network policy is required."}, "alive_but_denied", None, None),
            (
                401,
                {"code": "390422", "message": "Incoming request with IP/Token is not allowed to access Snowflake."},
                "alive_but_denied",
                None,
                None,
            ),
        ),
    ),
)
