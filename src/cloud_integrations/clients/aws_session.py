"""What `boto3_session` is made of; it needs boto3.

Sources: `botocore/credentials.py` (`RefreshableCredentials`, `CredentialResolver`), `botocore/signers.py` (`RequestSigner.sign`) and
`botocore/endpoint.py` (`Endpoint._needs_retry`), and https://docs.aws.amazon.com/boto3/latest/guide/events.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import boto3
import botocore.session
from botocore.credentials import CredentialResolver, Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.tokens import TokenProviderChain

from cloud_integrations.domain.credential import Credential

from .aws_keys import LEAST_LIFE, AwsKeys
from .source import CredentialSource, Named

_METHOD: Final = "cloud-integrations"
_SIGNED_WITH: Final = "cloud_integrations_credential"
_REPLACED: Final = "cloud_integrations_replaced"
_REFUSALS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException"}
)
"""The codes by which AWS says that it does not know a key, or no longer (its common errors, and those of S3 and STS)."""


def make_session(source: CredentialSource, *, region_name: str | None, options: Mapping[str, Any]) -> boto3.Session:
    """Return a session that signs with the credential of *source*; see `boto3_session`."""
    core = options.get("botocore_session") or botocore.session.Session()
    core.register_component("credential_provider", CredentialResolver([_Provider(source)]))
    # Otherwise a bearer token of this process would stand in the place of the tenant's keys.
    core.register_component("token_provider", TokenProviderChain())
    healing = _Healing(source)
    core.register("before-sign", healing.sign_with)
    core.register("needs-retry", healing.replace)
    return boto3.Session(**{**options, "botocore_session": core, "region_name": region_name})


class ManagedCredentials(Named, RefreshableCredentials):  # type: ignore[misc]  # botocore ships no types
    """Asks the manager for keys whenever botocore wants some, and holds none.

    So a key that was replaced, and an integration that was switched off, are seen by the next request.  Its properties cannot be set.
    """

    def __init__(self, source: CredentialSource, /) -> None:
        # The initialiser of botocore's class stores keys.
        self._source = source
        self.method = _METHOD

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return keys to sign with now.  Raises as `CredentialSource.credential`."""
        return _as_botocore(_keys_of(self._source)).get_frozen_credentials()

    def refresh_needed(self, refresh_in: float | None = None) -> bool:  # noqa: ARG002  # botocore's signature
        """Return False: the manager renews."""
        return False

    @property
    def access_key(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The id of a key; for a signature ask `get_frozen_credentials`, whose parts belong together."""
        return str(self.get_frozen_credentials().access_key)

    @property
    def secret_key(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The secret of a key."""
        return str(self.get_frozen_credentials().secret_key)

    @property
    def token(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The session token of a key; None: it has none."""
        token: str | None = self.get_frozen_credentials().token
        return token

    @property
    def account_id(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """None: no endpoint is chosen by the account."""


class _Provider:
    METHOD = CANONICAL_NAME = _METHOD

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    def load(self) -> ManagedCredentials:
        return ManagedCredentials(self._source)


class _Healing:
    """Signs the requests of clients, and replaces a key that AWS refused, once for each request.

    What a request was signed with is in its own context, which botocore keeps until the answer has come.
    """

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    def sign_with(self, request: Any, signature_version: Any, **_: Any) -> None:
        # Unsigned, or with keys that S3 itself gives for a directory bucket.
        if not isinstance(signature_version, str) or "s3express" in signature_version:
            return
        credential = _keys_of(self._source)
        request.context[_SIGNED_WITH] = credential
        request.context["signing"] = {**request.context.get("signing", {}), "request_credentials": _as_botocore(credential)}

    def replace(self, response: Any, request_dict: dict[str, Any], **_: Any) -> int | None:
        """Return 0, which repeats the request at once, if AWS refused its key and another one is there."""
        context = request_dict["context"]
        signed_with = context.get(_SIGNED_WITH)
        if response is None or signed_with is None or _REPLACED in context or not _can_repeat(request_dict["body"]):
            return None
        if response[1].get("Error", {}).get("Code") not in _REFUSALS:
            return None
        context[_REPLACED] = True
        self._source.replace_refused(signed_with)
        return 0


def _keys_of(source: CredentialSource) -> Credential:
    # The manager remembers what it opened for who asks for no certain life.
    credential = source.credential()
    if credential.expires_at is None or credential.expires_at - datetime.now(UTC) > LEAST_LIFE:
        return credential
    return source.credential(min_ttl=LEAST_LIFE)


def _as_botocore(credential: Credential) -> Credentials:
    keys = AwsKeys.of(credential)
    return Credentials(keys.access_key_id, keys.secret.reveal(), None if keys.token is None else keys.token.reveal(), method=_METHOD)


def _can_repeat(body: Any) -> bool:
    # A dict is a form.  `AWSPreparedRequest.reset_stream` seeks in what is neither of these.
    if body is None or isinstance(body, bytes | bytearray | str | dict):
        return True
    return hasattr(body, "seek") and bool(getattr(body, "seekable", lambda: True)())
