"""boto3: a session whose requests are signed with the credential of an integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .source import CredentialSource, Manager

if TYPE_CHECKING:
    import boto3


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
    `ConfigurationError` for an awaiting manager and where boto3 is not installed.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    for name in options:
        if name.startswith("aws_"):
            raise ValidationFailedError(field=name, problem="names credentials beside those of the integration")
    try:
        from .aws_session import make_session  # noqa: PLC0415  # an extra
    except ImportError as error:
        problem = "needs the extra boto3: pip install 'cloud-integrations[boto3]'"
        raise ConfigurationError(setting="boto3_session", problem=problem) from error
    return make_session(source, region_name=region_name, options=options)
