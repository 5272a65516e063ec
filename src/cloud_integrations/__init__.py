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
    from cloud_integrations.backends.keys.combined import CombinedKeys
    from cloud_integrations.backends.keys.gcp_kms import GcpKmsKeys
    from cloud_integrations.backends.keys.local import LocalKeyring
    from cloud_integrations.backends.keys.local_signing import LocalSigningKeys
    from cloud_integrations.backends.keys.pkcs11 import Pkcs11Keys
    from cloud_integrations.backends.keys.vault_transit import VaultTransitKeys
    from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
    from cloud_integrations.backends.sqlalchemy.store import AsyncSqlAlchemyStore, SqlAlchemyStore
    from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
    from cloud_integrations.domain.application import InputSummary, MethodSummary, OAuthApplication, ProviderSummary, VariableSummary
    from cloud_integrations.domain.audit import SYSTEM, Actor, AuditEvent, AuditHead, AuditRecord, AuditReport, Outcome
    from cloud_integrations.domain.auth_type import AuthType
    from cloud_integrations.domain.check import CheckReport
    from cloud_integrations.domain.credential import Credential
    from cloud_integrations.domain.device import DeviceAuthorization, DevicePending
    from cloud_integrations.domain.events import Fact
    from cloud_integrations.domain.guides.values import Guide
    from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
    from cloud_integrations.domain.integration import AccountFacts, Health, Integration, Status
    from cloud_integrations.domain.issuing import IssuerReport
    from cloud_integrations.domain.pending import Authorization, Connected, PendingAuthorization
    from cloud_integrations.domain.platform import PlatformCredential
    from cloud_integrations.domain.provider import Provider
    from cloud_integrations.domain.rekeying import Erasure, KeyReport, KeyUsage, RekeyFailure, RekeyRun
    from cloud_integrations.domain.removal import Removal, RevocationOutcome, RevocationRun
    from cloud_integrations.domain.renewal import RenewalRun, RoundFailed
    from cloud_integrations.domain.secret import Secret
    from cloud_integrations.domain.setup import Setup
    from cloud_integrations.domain.tenant_application import TenantApplication
    from cloud_integrations.errors import CloudIntegrationsError
    from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
    from cloud_integrations.ports.observer import Observer
    from cloud_integrations.ports.settings import Settings
    from cloud_integrations.ports.signing_keys import Issuer
    from cloud_integrations.providers.catalogue import Catalogue

    __all__ = [
        "SYSTEM",
        "AccountFacts",
        "Actor",
        "AesGcmCipher",
        "AsyncHttpxTransport",
        "AsyncIntegrationManager",
        "AsyncMemoryStore",
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
        "Catalogue",
        "CheckReport",
        "CloudIntegrationsError",
        "CombinedKeys",
        "Connected",
        "Credential",
        "DeviceAuthorization",
        "DevicePending",
        "Erasure",
        "Fact",
        "GcpKmsKeys",
        "Guide",
        "Health",
        "HttpxTransport",
        "ImportedGrant",
        "ImportedKey",
        "InputSummary",
        "Integration",
        "IntegrationManager",
        "Issuer",
        "IssuerReport",
        "KeyReport",
        "KeyUsage",
        "LocalKeyring",
        "LocalSigningKeys",
        "MemoryStore",
        "MethodSummary",
        "OAuthApplication",
        "Observer",
        "Outcome",
        "PendingAuthorization",
        "Pkcs11Keys",
        "PlatformCredential",
        "Provider",
        "ProviderSummary",
        "RekeyFailure",
        "RekeyRun",
        "Removal",
        "RenewalRun",
        "RevocationOutcome",
        "RevocationRun",
        "RoundFailed",
        "Secret",
        "Settings",
        "Setup",
        "SqlAlchemyStore",
        "Status",
        "TenantApplication",
        "VariableSummary",
        "VaultTransitKeys",
    ]

_HOMES = {
    "SYSTEM": "domain.audit",
    "AccountFacts": "domain.integration",
    "Actor": "domain.audit",
    "AesGcmCipher": "backends.aes_gcm",
    "AsyncHttpxTransport": "backends.transport.httpx_transport",
    "AsyncIntegrationManager": "manager",
    "AsyncMemoryStore": "backends.memory.store",
    "AsyncSqlAlchemyStore": "backends.sqlalchemy.store",
    "AuditEvent": "domain.audit",
    "AuditHead": "domain.audit",
    "AuditRecord": "domain.audit",
    "AuditReport": "domain.audit",
    "AuthType": "domain.auth_type",
    "Authorization": "domain.pending",
    "AwsKmsKeys": "backends.keys.aws_kms",
    "AwsKmsSigningKeys": "backends.keys.aws_kms_signing",
    "AzureKeyVaultKeys": "backends.keys.azure_key_vault",
    "Catalogue": "providers.catalogue",
    "CheckReport": "domain.check",
    "CloudIntegrationsError": "errors",
    "CombinedKeys": "backends.keys.combined",
    "Connected": "domain.pending",
    "Credential": "domain.credential",
    "DeviceAuthorization": "domain.device",
    "DevicePending": "domain.device",
    "Erasure": "domain.rekeying",
    "Fact": "domain.events",
    "GcpKmsKeys": "backends.keys.gcp_kms",
    "Guide": "domain.guides.values",
    "Health": "domain.integration",
    "HttpxTransport": "backends.transport.httpx_transport",
    "ImportedGrant": "domain.importing",
    "ImportedKey": "domain.importing",
    "InputSummary": "domain.application",
    "Integration": "domain.integration",
    "IntegrationManager": "manager",
    "Issuer": "ports.signing_keys",
    "IssuerReport": "domain.issuing",
    "KeyReport": "domain.rekeying",
    "KeyUsage": "domain.rekeying",
    "LocalKeyring": "backends.keys.local",
    "LocalSigningKeys": "backends.keys.local_signing",
    "MemoryStore": "backends.memory.store",
    "MethodSummary": "domain.application",
    "OAuthApplication": "domain.application",
    "Observer": "ports.observer",
    "Outcome": "domain.audit",
    "PendingAuthorization": "domain.pending",
    "Pkcs11Keys": "backends.keys.pkcs11",
    "PlatformCredential": "domain.platform",
    "Provider": "domain.provider",
    "ProviderSummary": "domain.application",
    "RekeyFailure": "domain.rekeying",
    "RekeyRun": "domain.rekeying",
    "Removal": "domain.removal",
    "RenewalRun": "domain.renewal",
    "RevocationOutcome": "domain.removal",
    "RevocationRun": "domain.removal",
    "RoundFailed": "domain.renewal",
    "Secret": "domain.secret",
    "Settings": "ports.settings",
    "Setup": "domain.setup",
    "SqlAlchemyStore": "backends.sqlalchemy.store",
    "Status": "domain.integration",
    "TenantApplication": "domain.tenant_application",
    "VariableSummary": "domain.application",
    "VaultTransitKeys": "backends.keys.vault_transit",
}

_EXTRAS = {
    "backends.keys.aws_kms": "aws-kms",
    "backends.keys.aws_kms_signing": "aws-kms",
    "backends.keys.azure_key_vault": "azure-kv",
    "backends.keys.gcp_kms": "gcp-kms",
    "backends.transport.httpx_transport": "httpx",
    "backends.keys.pkcs11": "pkcs11",
    "backends.sqlalchemy.store": "sqlalchemy",
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
