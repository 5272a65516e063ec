"""Keep tenants' access to cloud providers, and hand out credentials that work.

Each name is loaded when it is first used, so importing the package is cheap.  If the extra of a name is not installed, importing
the name raises `ImportError`; `hasattr`, `inspect` and `from cloud_integrations import *` do not find it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_integrations.backends.aes_gcm import AesGcmCipher
    from cloud_integrations.backends.keys.aws_kms import AwsKmsKeys
    from cloud_integrations.backends.keys.aws_kms_signing import AwsKmsSigningKeys
    from cloud_integrations.backends.keys.azure_key_vault import AzureKeyVaultKeys
    from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys, ServiceCheckpointKeys
    from cloud_integrations.backends.keys.combined import CombinedKeys
    from cloud_integrations.backends.keys.gcp_kms import GcpKmsKeys
    from cloud_integrations.backends.keys.local import LocalKeyring
    from cloud_integrations.backends.keys.local_signing import LocalSigningKeys
    from cloud_integrations.backends.keys.pkcs11 import Pkcs11Keys
    from cloud_integrations.backends.keys.vault_transit import VaultTransitKeys
    from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
    from cloud_integrations.backends.sqlalchemy.store import AsyncSqlAlchemyStore, SqlAlchemyStore
    from cloud_integrations.backends.telemetry.open_telemetry import OpenTelemetry
    from cloud_integrations.backends.telemetry.prometheus import PrometheusMetrics
    from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
    from cloud_integrations.domain.application import (
        DeprecationSummary,
        InputSummary,
        MethodSummary,
        OAuthApplication,
        ProviderSummary,
        VariableSummary,
    )
    from cloud_integrations.domain.audit import SYSTEM, Actor, AuditEvent, AuditHead, AuditRecord, Outcome
    from cloud_integrations.domain.audit_check import AuditReport
    from cloud_integrations.domain.auth_type import AuthType
    from cloud_integrations.domain.check import CheckReport
    from cloud_integrations.domain.connect_session import ConnectSession, NewConnectSession, OpenedConnectSession
    from cloud_integrations.domain.credential import Credential
    from cloud_integrations.domain.device import DeviceAuthorization, DevicePending
    from cloud_integrations.domain.event_message import DeliveryRun, EventDelivery, EventMessage
    from cloud_integrations.domain.events import Fact
    from cloud_integrations.domain.freezing import Freeze, Selection
    from cloud_integrations.domain.guides.values import Guide
    from cloud_integrations.domain.icon import ProviderIcon
    from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
    from cloud_integrations.domain.incident import Incident, IncidentItem, IncidentReport, IncidentRun, Scope, Use
    from cloud_integrations.domain.integration import AccountFacts, Health, Integration, Status
    from cloud_integrations.domain.issuing import IssuerReport
    from cloud_integrations.domain.key_rotation import KeyRotation
    from cloud_integrations.domain.overview import (
        BoundedCount,
        Circuit,
        EndingDay,
        ErrorCount,
        ErrorCounts,
        IntegrationPage,
        ListedIntegration,
        Overview,
        RenewalHistory,
        RenewalHour,
        RenewalReport,
    )
    from cloud_integrations.domain.pending import AccountGrants, Authorization, Connected, PendingAuthorization
    from cloud_integrations.domain.platform import PlatformCredential
    from cloud_integrations.domain.provider import CATEGORIES, Provider
    from cloud_integrations.domain.readiness import ApplicationReadiness, MethodReadiness, MissingPart, ProviderReadiness
    from cloud_integrations.domain.rekeying import Erasure, KeyReport, KeyUsage, RekeyFailure, RekeyRun
    from cloud_integrations.domain.removal import Removal, RevocationOutcome, RevocationRun
    from cloud_integrations.domain.renewal import RenewalRun, RoundFailed
    from cloud_integrations.domain.resources import Resource, ResourceList
    from cloud_integrations.domain.secret import Secret
    from cloud_integrations.domain.session import AgentSession, Approval, ApprovalRequest
    from cloud_integrations.domain.setup import Setup
    from cloud_integrations.domain.signed_note import NoteKey
    from cloud_integrations.domain.tenant_application import TenantApplication
    from cloud_integrations.domain.webhook import NewWebhook, Webhook, WebhookTest
    from cloud_integrations.domain.work_report import DueCount, HealthCount, OutboxCount, WorkReport
    from cloud_integrations.errors import CloudIntegrationsError
    from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
    from cloud_integrations.manager.sessions import AsyncSession, Session
    from cloud_integrations.ports.observer import Observer
    from cloud_integrations.ports.settings import Settings
    from cloud_integrations.ports.signing_keys import Issuer
    from cloud_integrations.providers.catalogue import Catalogue
    from cloud_integrations.redaction import redact

    __all__ = [
        "CATEGORIES",
        "SYSTEM",
        "AccountFacts",
        "AccountGrants",
        "Actor",
        "AesGcmCipher",
        "AgentSession",
        "ApplicationReadiness",
        "Approval",
        "ApprovalRequest",
        "AsyncHttpxTransport",
        "AsyncIntegrationManager",
        "AsyncMemoryStore",
        "AsyncSession",
        "AsyncSqlAlchemyStore",
        "AuditEvent",
        "AuditHead",
        "AuditRecord",
        "AuditReport",
        "AuthType",
        "Authorization",
        "AwsKmsKeys",
        "AwsKmsSigningKeys",
        "AzureKeyVaultKeys",
        "BoundedCount",
        "Catalogue",
        "CheckReport",
        "Circuit",
        "CloudIntegrationsError",
        "CombinedKeys",
        "ConnectSession",
        "Connected",
        "Credential",
        "DeliveryRun",
        "DeprecationSummary",
        "DeviceAuthorization",
        "DevicePending",
        "DueCount",
        "EndingDay",
        "Erasure",
        "ErrorCount",
        "ErrorCounts",
        "EventDelivery",
        "EventMessage",
        "Fact",
        "Freeze",
        "GcpKmsKeys",
        "Guide",
        "Health",
        "HealthCount",
        "HttpxTransport",
        "ImportedGrant",
        "ImportedKey",
        "Incident",
        "IncidentItem",
        "IncidentReport",
        "IncidentRun",
        "InputSummary",
        "Integration",
        "IntegrationManager",
        "IntegrationPage",
        "Issuer",
        "IssuerReport",
        "KeyReport",
        "KeyRotation",
        "KeyUsage",
        "ListedIntegration",
        "LocalCheckpointKeys",
        "LocalKeyring",
        "LocalSigningKeys",
        "MemoryStore",
        "MethodReadiness",
        "MethodSummary",
        "MissingPart",
        "NewConnectSession",
        "NewWebhook",
        "NoteKey",
        "OAuthApplication",
        "Observer",
        "OpenTelemetry",
        "OpenedConnectSession",
        "OutboxCount",
        "Outcome",
        "Overview",
        "PendingAuthorization",
        "Pkcs11Keys",
        "PlatformCredential",
        "PrometheusMetrics",
        "Provider",
        "ProviderIcon",
        "ProviderReadiness",
        "ProviderSummary",
        "RekeyFailure",
        "RekeyRun",
        "Removal",
        "RenewalHistory",
        "RenewalHour",
        "RenewalReport",
        "RenewalRun",
        "Resource",
        "ResourceList",
        "RevocationOutcome",
        "RevocationRun",
        "RoundFailed",
        "Scope",
        "Secret",
        "Selection",
        "ServiceCheckpointKeys",
        "Session",
        "Settings",
        "Setup",
        "SqlAlchemyStore",
        "Status",
        "TenantApplication",
        "Use",
        "VariableSummary",
        "VaultTransitKeys",
        "Webhook",
        "WebhookTest",
        "WorkReport",
        "redact",
    ]

_HOMES = {
    "CATEGORIES": "domain.provider",
    "SYSTEM": "domain.audit",
    "AccountFacts": "domain.integration",
    "AccountGrants": "domain.pending",
    "Actor": "domain.audit",
    "AesGcmCipher": "backends.aes_gcm",
    "AgentSession": "domain.session",
    "ApplicationReadiness": "domain.readiness",
    "Approval": "domain.session",
    "ApprovalRequest": "domain.session",
    "AsyncHttpxTransport": "backends.transport.httpx_transport",
    "AsyncIntegrationManager": "manager",
    "AsyncMemoryStore": "backends.memory.store",
    "AsyncSession": "manager.sessions",
    "AsyncSqlAlchemyStore": "backends.sqlalchemy.store",
    "AuditEvent": "domain.audit",
    "AuditHead": "domain.audit",
    "AuditRecord": "domain.audit",
    "AuditReport": "domain.audit_check",
    "AuthType": "domain.auth_type",
    "Authorization": "domain.pending",
    "AwsKmsKeys": "backends.keys.aws_kms",
    "AwsKmsSigningKeys": "backends.keys.aws_kms_signing",
    "AzureKeyVaultKeys": "backends.keys.azure_key_vault",
    "BoundedCount": "domain.overview",
    "Catalogue": "providers.catalogue",
    "CheckReport": "domain.check",
    "Circuit": "domain.overview",
    "CloudIntegrationsError": "errors",
    "CombinedKeys": "backends.keys.combined",
    "ConnectSession": "domain.connect_session",
    "Connected": "domain.pending",
    "Credential": "domain.credential",
    "DeliveryRun": "domain.event_message",
    "DeprecationSummary": "domain.application",
    "DeviceAuthorization": "domain.device",
    "DevicePending": "domain.device",
    "DueCount": "domain.work_report",
    "EndingDay": "domain.overview",
    "Erasure": "domain.rekeying",
    "ErrorCount": "domain.overview",
    "ErrorCounts": "domain.overview",
    "EventDelivery": "domain.event_message",
    "EventMessage": "domain.event_message",
    "Fact": "domain.events",
    "Freeze": "domain.freezing",
    "GcpKmsKeys": "backends.keys.gcp_kms",
    "Guide": "domain.guides.values",
    "Health": "domain.integration",
    "HealthCount": "domain.work_report",
    "HttpxTransport": "backends.transport.httpx_transport",
    "ImportedGrant": "domain.importing",
    "ImportedKey": "domain.importing",
    "Incident": "domain.incident",
    "IncidentItem": "domain.incident",
    "IncidentReport": "domain.incident",
    "IncidentRun": "domain.incident",
    "InputSummary": "domain.application",
    "Integration": "domain.integration",
    "IntegrationManager": "manager",
    "IntegrationPage": "domain.overview",
    "Issuer": "ports.signing_keys",
    "IssuerReport": "domain.issuing",
    "KeyReport": "domain.rekeying",
    "KeyRotation": "domain.key_rotation",
    "KeyUsage": "domain.rekeying",
    "ListedIntegration": "domain.overview",
    "LocalCheckpointKeys": "backends.keys.checkpoint_keys",
    "LocalKeyring": "backends.keys.local",
    "LocalSigningKeys": "backends.keys.local_signing",
    "MemoryStore": "backends.memory.store",
    "MethodReadiness": "domain.readiness",
    "MethodSummary": "domain.application",
    "MissingPart": "domain.readiness",
    "NewConnectSession": "domain.connect_session",
    "NewWebhook": "domain.webhook",
    "NoteKey": "domain.signed_note",
    "OAuthApplication": "domain.application",
    "Observer": "ports.observer",
    "OpenTelemetry": "backends.telemetry.open_telemetry",
    "OpenedConnectSession": "domain.connect_session",
    "OutboxCount": "domain.work_report",
    "Outcome": "domain.audit",
    "Overview": "domain.overview",
    "PendingAuthorization": "domain.pending",
    "Pkcs11Keys": "backends.keys.pkcs11",
    "PlatformCredential": "domain.platform",
    "PrometheusMetrics": "backends.telemetry.prometheus",
    "Provider": "domain.provider",
    "ProviderIcon": "domain.icon",
    "ProviderReadiness": "domain.readiness",
    "ProviderSummary": "domain.application",
    "RekeyFailure": "domain.rekeying",
    "RekeyRun": "domain.rekeying",
    "Removal": "domain.removal",
    "RenewalHistory": "domain.overview",
    "RenewalHour": "domain.overview",
    "RenewalReport": "domain.overview",
    "RenewalRun": "domain.renewal",
    "Resource": "domain.resources",
    "ResourceList": "domain.resources",
    "RevocationOutcome": "domain.removal",
    "RevocationRun": "domain.removal",
    "RoundFailed": "domain.renewal",
    "Scope": "domain.incident",
    "Secret": "domain.secret",
    "Selection": "domain.freezing",
    "ServiceCheckpointKeys": "backends.keys.checkpoint_keys",
    "Session": "manager.sessions",
    "Settings": "ports.settings",
    "Setup": "domain.setup",
    "SqlAlchemyStore": "backends.sqlalchemy.store",
    "Status": "domain.integration",
    "TenantApplication": "domain.tenant_application",
    "Use": "domain.incident",
    "VariableSummary": "domain.application",
    "VaultTransitKeys": "backends.keys.vault_transit",
    "Webhook": "domain.webhook",
    "WebhookTest": "domain.webhook",
    "WorkReport": "domain.work_report",
    "redact": "redaction",
}

_EXTRAS = {
    "backends.keys.aws_kms": "aws-kms",
    "backends.keys.aws_kms_signing": "aws-kms",
    "backends.keys.azure_key_vault": "azure-kv",
    "backends.keys.gcp_kms": "gcp-kms",
    "backends.transport.httpx_transport": "httpx",
    "backends.keys.pkcs11": "pkcs11",
    "backends.sqlalchemy.store": "sqlalchemy",
    "backends.telemetry.open_telemetry": "otel",
}
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [known for known in _HOMES if hasattr(sys.modules[__name__], known)]
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{home}"), name)
    except ImportError as error:
        if home not in _EXTRAS:
            raise
        from traceback import extract_stack  # noqa: PLC0415  # needed for this error only

        problem = f"{name} needs the extra {_EXTRAS[home]}: pip install 'cloud-integrations[{_EXTRAS[home]}]'"
        # In a `from` import Python would replace the text of an AttributeError with "cannot import name".
        if extract_stack(limit=2)[0].name == "_handle_fromlist":
            raise ImportError(problem, name=error.name) from error
        raise AttributeError(problem, name=name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
