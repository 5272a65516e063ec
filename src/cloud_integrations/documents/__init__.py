"""The JSON documents that the HTTP API sends and the command line prints.

`of` makes a document.  `as_json` returns its plain values.  Pydantic knows its schema, and so FastAPI does.
"""

from __future__ import annotations

from .audit import ActorOut, AuditOut
from .credentials import CheckOut, CredentialOut, TokenOut
from .integrations import (
    AccountOut,
    ApplicationOut,
    AuthorizationOut,
    DeviceAuthorizationOut,
    DevicePendingOut,
    HealthOut,
    IntegrationDetailOut,
    IntegrationOut,
    PushedAuthorizationOut,
    SetupOut,
    SlottedIntegrationDetailOut,
    SlottedIntegrationOut,
)
from .offers import GuideDocumentOut, GuideLinkOut, GuideOut, InputOut, MethodOut, ProviderOut, VariableOut

__all__ = [
    "AccountOut",
    "ActorOut",
    "ApplicationOut",
    "AuditOut",
    "AuthorizationOut",
    "CheckOut",
    "CredentialOut",
    "DeviceAuthorizationOut",
    "DevicePendingOut",
    "GuideDocumentOut",
    "GuideLinkOut",
    "GuideOut",
    "HealthOut",
    "InputOut",
    "IntegrationDetailOut",
    "IntegrationOut",
    "MethodOut",
    "ProviderOut",
    "PushedAuthorizationOut",
    "SetupOut",
    "SlottedIntegrationDetailOut",
    "SlottedIntegrationOut",
    "TokenOut",
    "VariableOut",
]
