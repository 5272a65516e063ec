"""Azure's SDKs and tools in another process: they ask for a token as in App Service.

Source: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from cloud_integrations.errors import ValidationFailedError

from .azure_audience import MANAGEMENT, require_audience
from .endpoint import Asked, Document, end_of, seconds_left
from .source import CredentialSource

LEAST_LIFE: Final = timedelta(minutes=10)
"""How long a token should still work: Azure's SDKs ask for another 5 minutes before the end (`azure.core`, `msal`)."""
_REMOVED: Final = (
    "ARM_ACCESS_KEY",
    "ARM_CLIENT_CERTIFICATE",
    "ARM_CLIENT_CERTIFICATE_PASSWORD",
    "ARM_CLIENT_CERTIFICATE_PATH",
    "ARM_CLIENT_ID",
    "ARM_CLIENT_ID_FILE_PATH",
    "ARM_CLIENT_SECRET",
    "ARM_CLIENT_SECRET_FILE_PATH",
    "ARM_OIDC_REQUEST_TOKEN",
    "ARM_OIDC_TOKEN",
    "ARM_OIDC_TOKEN_FILE_PATH",
    "ARM_SAS_TOKEN",
    "ARM_USE_AKS_WORKLOAD_IDENTITY",
    "ARM_USE_OIDC",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_USERNAME",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
)
_OTHERS: Final = ("client_id", "mi_res_id", "msi_res_id", "object_id", "principal_id")
"""What names one of several identities."""


class AzureAppService:
    """The dialect of App Service's managed identities: the random secret is the value of `X-IDENTITY-HEADER`."""

    http_method = "GET"
    path = "/msi/token"

    def variables(self, url: str, secret: str, folder: Callable[[], Path], /) -> dict[str, str]:
        """Return the variables that lead SDKs to the endpoint, and away from the accounts of the user."""
        return {
            "IDENTITY_ENDPOINT": url,
            "IDENTITY_HEADER": secret,
            # Otherwise an SDK that gets no token from the endpoint would go on to the user's own accounts.
            "AZURE_TOKEN_CREDENTIALS": "prod",  # later versions would take this one credential by its name
            "AZURE_CONFIG_DIR": str(folder()),
        }

    def removes(self, name: str, /) -> bool:
        """Return whether a program could find another credential by the variable."""
        return name in _REMOVED

    def secret_in(self, asked: Asked, /) -> str:
        """Return the value of `X-IDENTITY-HEADER`."""
        return asked.headers.get("x-identity-header", "")

    def answer(self, source: CredentialSource, asked: Asked, /) -> Document:
        """Return the access token.

        Raises as `IntegrationManager.credential`, and `ValidationFailedError` for another resource than the token's and for an identity
        that is named: there is one only.
        """
        if any(name in asked.query for name in _OTHERS):
            raise ValidationFailedError(field="identity", problem="must not be named: there is only that of the tenant")
        resource = asked.query.get("resource", "")
        credential = source.credential(min_ttl=LEAST_LIFE)
        known = credential.programs.audience if credential.programs is not None else None
        require_audience(credential, (f"{resource}/.default",), MANAGEMENT if known is None else credential.fill_in(known))
        return {
            "access_token": credential.value.reveal(),
            "expires_on": str(int(end_of(credential).timestamp())),
            "expires_in": str(seconds_left(credential)),
            "resource": resource,
            "token_type": "Bearer",
        }

    def refusal(self, code: str, message: str, /, *, status: int) -> Document:
        """Return an error as SDKs show it."""
        return {"statusCode": status, "message": f"{message} ({code})"}
