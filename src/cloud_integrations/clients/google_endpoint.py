"""Google's libraries and tools in another process: to them the tenant's access is an external account, whose token is exchanged here.

Source: https://google.aip.dev/auth/4117 (the file), RFC 8693 §2 (the exchange).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from .endpoint import Asked, Document, seconds_left
from .source import CredentialSource

LEAST_LIFE: Final = timedelta(minutes=5)
"""How long a token should still work: Google's libraries ask for another 225 seconds before the end (`google.auth._helpers`)."""
_REMOVED: Final = (
    "CLOUDSDK_ACTIVE_CONFIG_NAME",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    "CLOUDSDK_CORE_ACCOUNT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "GCLOUD_KEYFILE_JSON",
    "GOOGLE_BACKEND_CREDENTIALS",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
)
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_ISSUED: Final = "urn:ietf:params:oauth:token-type:access_token"
_SECRET: Final = "secret"  # noqa: S105  # the name of a parameter
_ACCOUNT: Final = "cloud-integrations"
"""What gcloud calls the account."""
_AUDIENCE: Final = "//cloud-integrations.invalid/loopback"
"""Only this endpoint reads it; of a workload identity pool, libraries would ask Google for the name of the pool's project."""


class GoogleExternalAccount:
    """The dialect of Google's token exchange: the random secret is the token that is exchanged.

    The access token that came can be looked up as well (RFC 7662), with the secret in the query.
    """

    http_method = "POST"
    path = "/token"

    def variables(self, url: str, secret: str, folder: Callable[[], Path], /) -> dict[str, str]:
        """Write the file of an external account, and return the variables that lead the libraries and gcloud to it."""
        home = folder()
        token, account = home / "subject-token", home / "credentials.json"
        token.write_text(secret, encoding="ascii")
        facts = {
            "type": "external_account",
            "audience": _AUDIENCE,
            "subject_token_type": _JWT,
            "token_url": url,
            # gcloud asks for the name of the account here, in place of Google.
            "token_info_url": f"{url}?{_SECRET}={secret}",
            "credential_source": {"file": str(token)},
        }
        account.write_text(json.dumps(facts), encoding="utf-8")
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(account),
            "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": str(account),
            # gcloud keeps accounts, tokens and logs there: the user's own would be used, and the tenant's would stay.
            "CLOUDSDK_CONFIG": str(home / "gcloud"),
            # Its log files have what it prints, and `gcloud auth print-access-token` prints the token.
            "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "true",
        }

    def removes(self, name: str, /) -> bool:
        """Return whether a program could find another credential by the variable."""
        return name in _REMOVED

    def secret_in(self, asked: Asked, /) -> str:
        """Return the token that is exchanged, or what stands in the query."""
        return asked.form.get("subject_token") or asked.query.get(_SECRET, "")

    def answer(self, source: CredentialSource, asked: Asked, /) -> Document:
        """Return the access token, whose scopes are those of the grant.  Raises as `IntegrationManager.credential`."""
        credential = source.credential(min_ttl=LEAST_LIFE)
        if "token" in asked.form:
            active = hmac.compare_digest(asked.form["token"].encode(), credential.value.reveal().encode())
            return {"active": active, "username": _ACCOUNT}
        return {
            "access_token": credential.value.reveal(),
            "issued_token_type": _ISSUED,
            "token_type": "Bearer",
            "expires_in": seconds_left(credential),
        }

    def refusal(self, code: str, message: str, /, *, status: int) -> Document:  # noqa: ARG002  # the document does not repeat it
        """Return an error (RFC 6749 §5.2)."""
        return {"error": code, "error_description": message}
