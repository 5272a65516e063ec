"""What the clients for AWS have in common: the keys that are in a credential, and which of them a request was signed with.

Sources: `botocore/credentials.py` (`RefreshableCredentials`), `botocore/signers.py` (`RequestSigner.sign`) and `botocore/endpoint.py`
(`Endpoint._needs_retry`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ValidationFailedError

LEAST_LIFE: Final = timedelta(minutes=15)
"""How long keys should still work: AWS's SDKs ask for others that long before the end (`botocore.credentials`, advisory refresh)."""
METHOD: Final = "cloud-integrations"
"""How botocore is told where credentials come from."""
_SIGNED_WITH: Final = "cloud_integrations_credential"
_REPLACED: Final = "cloud_integrations_replaced"
_REFUSALS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException"}
)
"""The codes by which AWS says that it does not know a key, or no longer (its common errors, and those of S3 and STS)."""


def revealed(credential: Credential, /) -> tuple[str, str, str | None]:
    """Return the keys in *credential* in the open, as AWS's SDKs take them: id, secret, and session token if the keys have an end.

    Raises `ValidationFailedError` if it is of another provider, which has none.
    """
    parts = credential.parts
    try:
        key_id, secret = parts["access_key_id"], parts["secret_access_key"]
    except KeyError:
        raise ValidationFailedError(field="provider", problem="gives no access key of AWS") from None
    token = parts.get("session_token")
    return key_id.reveal(), secret.reveal(), None if token is None else token.reveal()


def lasts(credential: Credential, /) -> bool:
    """Return whether *credential* works for `LEAST_LIFE`; the manager remembers what it opened for who asks for no certain life."""
    return credential.expires_at is None or credential.expires_at - datetime.now(UTC) > LEAST_LIFE


def needs_keys(signature_version: object, /) -> bool:
    """Return whether a request is signed with the keys of an integration: not unsigned, and not with those of a directory bucket of S3."""
    return isinstance(signature_version, str) and "s3express" not in signature_version


def sign_with(request: Any, credential: Credential, credentials: Any, /) -> None:
    """Let botocore sign *request* with *credentials*, which are of *credential*.

    It is in the request's own context, which botocore keeps until the answer has come.
    """
    context = request.context
    context[_SIGNED_WITH] = credential
    signing = {"request_credentials": credentials}
    # What is there may be shared with other requests.
    context["signing"] = {**context["signing"], **signing} if context.get("signing") else signing


def refused_by(response: Any, request_dict: dict[str, Any], /) -> Credential | None:
    """Return the credential that AWS refused in *response*, if it is to be replaced and the request repeated; once for each request."""
    context = request_dict["context"]
    signed_with: Credential | None = context.get(_SIGNED_WITH)
    if response is None or signed_with is None or _REPLACED in context or not can_repeat(request_dict["body"]):
        return None
    if response[1].get("Error", {}).get("Code") not in _REFUSALS:
        return None
    context[_REPLACED] = True
    return signed_with


def can_repeat(body: Any, /) -> bool:
    """Return whether botocore can send *body* again."""
    # A dict is a form.  `AWSPreparedRequest.reset_stream` seeks in what is neither of these.
    if body is None or isinstance(body, bytes | bytearray | str | dict):
        return True
    return hasattr(body, "seek") and bool(getattr(body, "seekable", lambda: True)())
