"""The names to write an OAuth backend with: subclass `StandardOAuthBackend`, and override what your provider does differently."""

from __future__ import annotations

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    NotProcessed,
    Refused,
    Rejected,
    TokenFailure,
    TokenOutcome,
    Unknown,
    Unusable,
)
from cloud_integrations.protocol.client import CallbackAnswer, Client, OAuthBackend, resolve_client
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, find_json_object
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend

__all__ = [
    "CallbackAnswer",
    "Client",
    "Grant",
    "Granted",
    "HttpRequest",
    "HttpResponse",
    "Misconfigured",
    "NotProcessed",
    "OAuthBackend",
    "Refused",
    "Rejected",
    "StandardOAuthBackend",
    "TokenFailure",
    "TokenOutcome",
    "Unknown",
    "Unusable",
    "find_json_object",
    "resolve_client",
]
