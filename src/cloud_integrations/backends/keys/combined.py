"""Several key services as one, to move from one service to another, and for tenants with a wrapping key of their own."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations.domain.conformance import require_part
from cloud_integrations.domain.envelope import WrappedKey
from cloud_integrations.domain.secret import NeverCopied
from cloud_integrations.errors import ConfigurationError, KeyringError
from cloud_integrations.ports.key_service import KekRef, KeyService


class CombinedKeys(NeverCopied):
    """The first service wraps, all unwrap; a tenant in *tenants* has a service of its own.  Implements `KeyService`.

    A tenant's own service unwraps only that tenant's data keys.  The common services still unwrap the data keys that they have wrapped
    for it, so `rewrap_keys` can move a tenant to a wrapping key of its own and back.

    Raises `ConfigurationError` if two services have a key of the same URI.
    """

    __slots__ = ("_by_id", "_common", "_of_tenants", "_services")

    def __init__(self, first: KeyService, /, *others: KeyService, tenants: Mapping[str, KeyService] | None = None) -> None:
        self._common = (first, *others)
        self._of_tenants = dict(tenants or {})
        self._by_id: dict[bytes, KeyService] = {}
        # One service may serve several tenants, and may also be one of the common services.
        self._services = tuple({id(service): service for service in (*self._common, *self._of_tenants.values())}.values())
        for service in self._services:
            require_part("keys", service, KeyService)
            for kek in service.keks():
                if kek.kek_key_id in self._by_id:
                    raise ConfigurationError(setting="keys", problem=f"have {kek.kek_uri} in two services")
                self._by_id[kek.kek_key_id] = service

    @property
    def waits(self) -> bool:
        """True if any of the services may wait."""
        return any(service.waits for service in self._services)

    def keks(self) -> tuple[KekRef, ...]:
        """Return every key of every service, the first service's primary first."""
        return tuple(kek for service in self._services for kek in service.keks())

    def primary(self, tenant_id: str, /) -> KekRef:
        """Return the key that wraps this tenant's data keys from now on."""
        return self._of(tenant_id).primary(tenant_id)

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Wrap with the tenant's own service, otherwise with the first; see `KeyService.wrap`."""
        try:
            return self._of(tenant_id).wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)
        finally:
            data_key = b""  # a traceback may be shown with the local variables of its frames

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Unwrap with the service that has the key; see `KeyService.unwrap`."""
        service = self._by_id.get(wrapped.kek_key_id)
        if service is None:
            raise KeyringError(key_id=wrapped.kek_uri, problem="is in none of the key services that are set up")
        # The owner of a wrapping key can make data keys under it, so a tenant's wrapping key is accepted for that tenant only.
        if all(service is not common for common in self._common) and service is not self._of_tenants.get(wrapped.tenant_id):
            raise KeyringError(key_id=wrapped.kek_uri, problem="belongs to another tenant")
        return service.unwrap(wrapped)

    def _of(self, tenant_id: str) -> KeyService:
        return self._of_tenants.get(tenant_id, self._common[0])

    def __repr__(self) -> str:
        own = f", tenants={self._of_tenants!r}" if self._of_tenants else ""
        return f"CombinedKeys({', '.join(map(repr, self._common))}{own})"
