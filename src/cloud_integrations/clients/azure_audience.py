"""Which resource of Azure a token is for."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ValidationFailedError

MANAGEMENT: Final = "https://management.azure.com"
"""The resource of a token whose scopes name none."""


def require_audience(credential: Credential, scopes: tuple[str, ...], audience: str) -> None:
    """Raise `ValidationFailedError` where *scopes* name another resource than the one that the token is for.

    That is the one that the token's own scopes name, else *audience*.
    """
    granted = {resource for scope in credential.scopes if (resource := _resource_of(scope))} or {_resource_of(f"{audience}/.default")}
    wanted = {_resource_of(scope) for scope in scopes}
    if not wanted <= granted:
        named = [" ".join(sorted(resource or "none" for resource in resources)) for resources in (wanted, granted)]
        raise ValidationFailedError(field="scopes", problem=f"name the resource {named[0]}, but the token is for {named[1]}")


@lru_cache(maxsize=256)
def _resource_of(scope: str) -> str:
    """Return the resource that *scope* belongs to, such as `https://management.azure.com`; empty for a scope that names none."""
    parts = urlsplit(scope)
    # A resource may end with a slash: `https://management.core.windows.net//.default`.
    return scope.rpartition("/")[0].rstrip("/").lower() if parts.scheme and parts.netloc else ""
