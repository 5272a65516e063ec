"""The paths of the router, filled."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

_OF_NOTHING = ("integrationId", "contextId", "applicationId", "authorizationId", "webhookId")


def fill(path: str, **known: Any) -> str:
    """Return *path* for the tenant acme and the provider AWS; every other id that is not *known* is that of nothing."""
    return path.format(**{"tenantId": "acme", "provider": "aws", **{name: uuid4() for name in _OF_NOTHING}, **known})
