"""AWS's SDKs and tools in another process: they ask for keys as in a container.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .aws_keys import LEAST_LIFE, revealed
from .endpoint import Asked, Document, end_of
from .source import CredentialSource

_REMOVED: Final = (
    # Without ID and ACCESS: other names of both for the SDKs for Go and Java.
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_CREDENTIAL_PROFILES_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_BEARER: Final = "AWS_BEARER_TOKEN"
"""How the names of bearer tokens begin; each service has its own."""
_FILES: Final = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG")
"""Files of the user, in which SDKs look for keys before they ask an endpoint."""


class AwsContainer:
    """The dialect of AWS's container credentials: the random secret is the value of `Authorization`."""

    http_method = "GET"
    path = "/credentials"

    def variables(self, url: str, secret: str, folder: Callable[[], Path], /) -> dict[str, str]:  # noqa: ARG002  # nothing is written
        """Return the variables that lead SDKs to the endpoint, and away from the files of the user and the keys of the machine."""
        return dict.fromkeys(_FILES, os.devnull) | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": secret,
            # An SDK that gets no keys from the endpoint would go on to those of the machine.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def removes(self, name: str, /) -> bool:
        """Return whether an SDK could find other keys by the variable."""
        return name in _REMOVED or name.startswith(_BEARER)

    def secret_in(self, asked: Asked, /) -> str:
        """Return the value of `Authorization`."""
        return asked.headers.get("authorization", "")

    def answer(self, source: CredentialSource, asked: Asked, /) -> Document:  # noqa: ARG002  # every request asks for the same
        """Return the keys.  Raises as `IntegrationManager.credential`, and `ValidationFailedError` if the provider has no such keys."""
        return keys_document(source)

    def refusal(self, code: str, message: str, /, *, status: int) -> Document:  # noqa: ARG002  # the document does not repeat it
        """Return an error as SDKs show it."""
        return {"code": code, "message": message}


def keys_document(source: CredentialSource, /) -> dict[str, str]:
    """Return the keys as SDKs read them from an endpoint; they work for 15 minutes at least, if AWS gives such.

    Raises as `IntegrationManager.credential`, and `ValidationFailedError` if the provider has no such keys.
    """
    credential = source.credential(min_ttl=LEAST_LIFE)
    key_id, secret, token = revealed(credential)
    return {
        "AccessKeyId": key_id,
        "SecretAccessKey": secret,
        "Token": token or "",
        "Expiration": f"{end_of(credential):%Y-%m-%dT%H:%M:%SZ}",
    }
