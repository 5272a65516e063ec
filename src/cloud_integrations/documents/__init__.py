"""The JSON documents that the HTTP API sends and the command line prints.

`of` makes a document.  `as_json` returns its plain values.  Pydantic knows its schema, and so FastAPI does.
"""

from __future__ import annotations

from .audit import ActorOut, AuditOut
from .credentials import CheckOut, CredentialOut, TokenOut
from .events import EventDeliveryOut, NewWebhookOut, WebhookOut, WebhookTestOut
from .freezes import FreezeOut, SelectionOut
from .incidents import IncidentItemOut, IncidentOut, IncidentReportOut, ScopeOut, UseOut
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
    ResourceOut,
    ResourcesOut,
    SetupOut,
    SlottedIntegrationDetailOut,
    SlottedIntegrationOut,
)
from .offers import DeprecationOut, GuideDocumentOut, GuideLinkOut, GuideOut, IconOut, InputOut, MethodOut, ProviderOut, VariableOut
from .readiness import ApplicationReadinessOut, MethodReadinessOut, MissingPartOut, ProviderReadinessOut
from .sessions import ConnectSessionOut, SessionAccessOut, SessionOut

__all__ = [
    "AccountOut",
    "ActorOut",
    "ApplicationOut",
    "ApplicationReadinessOut",
    "AuditOut",
    "AuthorizationOut",
    "CheckOut",
    "ConnectSessionOut",
    "CredentialOut",
    "DeprecationOut",
    "DeviceAuthorizationOut",
    "DevicePendingOut",
    "EventDeliveryOut",
    "FreezeOut",
    "GuideDocumentOut",
    "GuideLinkOut",
    "GuideOut",
    "HealthOut",
    "IconOut",
    "IncidentItemOut",
    "IncidentOut",
    "IncidentReportOut",
    "InputOut",
    "IntegrationDetailOut",
    "IntegrationOut",
    "MethodOut",
    "MethodReadinessOut",
    "MissingPartOut",
    "NewWebhookOut",
    "ProviderOut",
    "ProviderReadinessOut",
    "PushedAuthorizationOut",
    "ResourceOut",
    "ResourcesOut",
    "ScopeOut",
    "SelectionOut",
    "SessionAccessOut",
    "SessionOut",
    "SetupOut",
    "SlottedIntegrationDetailOut",
    "SlottedIntegrationOut",
    "TokenOut",
    "UseOut",
    "VariableOut",
    "WebhookOut",
    "WebhookTestOut",
]
