"""The service that wraps data keys with key-encryption keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.envelope import WrappedKey, kek_key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class KekRef:
    """The name of a key-encryption key (KEK)."""

    kek_uri: str
    """`local:<kid>`, or the key's own URI in a key service; never an alias, because an alias can be changed to another key."""

    @property
    def kek_key_id(self) -> bytes:
        """The id of the key: 16 bytes, made from the URI."""
        return kek_key_id(self.kek_uri)


class KeyService(Protocol):
    """Wraps and unwraps data keys; the key-encryption keys never leave it.

    It unwraps only with the keys that it is configured with, even if a row of the database names another one.
    The tests are in `cloud_integrations.testing.contracts.key_service`.
    """

    @property
    def waits(self) -> bool:
        """Whether a call may wait for a network or a device; `AsyncIntegrationManager` then makes it in a thread."""
        ...

    def keks(self) -> tuple[KekRef, ...]:
        """Return every key that it can unwrap with, the primary first.  Makes no request and never fails."""
        ...

    def primary(self, tenant_id: str, /) -> KekRef:
        """Return the key that wraps new data keys of this tenant.  Makes no request and never fails."""
        ...

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Wrap *data_key* (32 bytes) with the tenant's primary key; return that key and the wrapped key (at most 4,096 bytes).

        The wrapped key is bound to the tenant, the id, the version and the key-encryption key.

        Raises `SealingError` if the data key is not 32 bytes, `KeyringError` if the key-encryption key may not be used (deleted,
        disabled, no permission), and `KeyServiceUnavailableError` if the service does not answer.
        """
        ...

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key, 32 bytes.

        Raises `KeyringError` if the key-encryption key is not configured or may not be used, `DecryptError` if the wrapped key does not
        open (it was changed, or is bound to another tenant, id or version), and `KeyServiceUnavailableError` if the service does not
        answer.
        """
        ...


class AsyncKeyService(Protocol):
    """`KeyService` as flows use it, with methods that are awaited."""

    @property
    def waits(self) -> bool: ...

    def keks(self) -> tuple[KekRef, ...]: ...

    def primary(self, tenant_id: str, /) -> KekRef: ...

    async def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]: ...

    async def unwrap(self, wrapped: WrappedKey, /) -> bytes: ...
