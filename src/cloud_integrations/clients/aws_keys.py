"""What the clients for AWS hand out: the keys that are in a credential."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

LEAST_LIFE: Final = timedelta(minutes=15)
"""How long keys should still work: AWS's SDKs ask for others that long before the end (`botocore.credentials`, advisory refresh)."""


class AwsKeys(NamedTuple):
    """The keys that sign requests to AWS; *token* is None for those without an end."""

    access_key_id: str
    secret: Secret
    token: Secret | None

    @classmethod
    def of(cls, credential: Credential, /) -> AwsKeys:
        """Return the keys in *credential*.  Raises `ValidationFailedError` if it is of another provider, which has none."""
        parts = credential.parts
        if not {"access_key_id", "secret_access_key"} <= parts.keys():
            raise ValidationFailedError(field="provider", problem="gives no access key of AWS")
        return cls(parts["access_key_id"].reveal(), parts["secret_access_key"], parts.get("session_token"))
