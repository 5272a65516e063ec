"""boto3: a session whose requests are signed with the credential of an integration.

Sources: `botocore/credentials.py` (`RefreshableCredentials`, `CredentialResolver`), and
https://docs.aws.amazon.com/boto3/latest/guide/events.html.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import boto3
import botocore.session
from botocore.credentials import CredentialResolver, ReadOnlyCredentials, RefreshableCredentials
from botocore.tokens import TokenProviderChain

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ValidationFailedError

from .aws_keys import LEAST_LIFE, METHOD, lasts, needs_keys, refused_by, revealed, sign_with
from .source import CredentialSource, Manager, Named


def boto3_session(
    manager: Manager,
    tenant_id: str,
    provider: str | UUID = "aws",
    *,
    slot: str = "",
    region_name: str | None = None,
    **options: Any,
) -> boto3.Session:
    """Return a session of boto3 that signs each request with the credential of an integration, which is renewed by itself.

    *manager* is an `IntegrationManager`; *provider* and *slot* are as in its `credential`.  *region_name* and *options* go to
    `boto3.Session`; without *region_name* boto3 looks for one as usual.  The session and its clients hold no secret, so they may live
    as long as the application.  Each signature is a use in the audit log.  Keys with less than 15 minutes left are renewed first.  When
    AWS says that it does not know a key, the key is replaced once and the request repeated, if its body can be sent again.

    Requests raise as `IntegrationManager.credential` and `replace_refused`, and `ConfigurationError` inside an event loop.
    Raises `ValidationFailedError` for a name that cannot be one and for *options* that name other credentials, and
    `ConfigurationError` for an awaiting manager.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    for name in options:
        if name.startswith("aws_"):
            raise ValidationFailedError(field=name, problem="names credentials beside those of the integration")
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
        self.method = METHOD

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return keys to sign with now.  Raises as `CredentialSource.credential`."""
        return _OneKey(_keys_of(self._source)).get_frozen_credentials()

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
    METHOD = CANONICAL_NAME = METHOD

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    def load(self) -> ManagedCredentials:
        return ManagedCredentials(self._source)


class _Healing:
    """Signs the requests of clients, and replaces a key that AWS refused, once for each request."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    def sign_with(self, request: Any, signature_version: Any, **_: Any) -> None:
        if needs_keys(signature_version):
            credential = _keys_of(self._source)
            sign_with(request, credential, _OneKey(credential))

    def replace(self, response: Any, request_dict: dict[str, Any], **_: Any) -> int | None:
        """Return 0, which repeats the request at once, if AWS refused its key and another one is there."""
        refused = refused_by(response, request_dict)
        if refused is None:
            return None
        self._source.replace_refused(refused)
        return 0


class _OneKey:
    """The keys of one signature, in the open when botocore asks for them."""

    __slots__ = ("_credential",)

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(*revealed(self._credential))


def _keys_of(source: CredentialSource) -> Credential:
    credential = source.credential()
    return credential if lasts(credential) else source.credential(min_ttl=LEAST_LIFE)
