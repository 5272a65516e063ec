"""The keys that wrap data keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.envelope import WrappedKey, kek_key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class KekRef:
    """The name of a key-encryption key (KEK)."""

    kek_uri: str
    """Where it is: `local:<kid>`, or the key's own URI in a key service; never an alias, which could be pointed elsewhere."""

    @property
    def kek_key_id(self) -> bytes:
        """16 bytes, the same for ever."""
        return kek_key_id(self.kek_uri)


class KeyService(Protocol):
    """Wraps and unwraps data keys; the wrapping keys never leave it.

    It unwraps with the keys it was set up with and with no other, whatever a row of the database names.
    The promises are tests in `cloud_integrations.testing.contracts.key_service`.
    """

    @property
    def waits(self) -> bool:
        """Whether a call may wait for a network or a device; the awaiting door then makes it in a thread."""
        ...

    def keks(self) -> tuple[KekRef, ...]:
        """Name every key it can unwrap with, the primary first.  Asks nobody and never fails."""
        ...

    def primary(self, tenant_id: str, /) -> KekRef:
        """Name the key that wraps this tenant's data keys from now on.  Asks nobody and never fails."""
        ...

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a 32-byte data key under the tenant's primary key, bound to its owner, id, version and to the wrapping key.

        The wrapped key has at most 4,096 bytes.  Raises `SealingError` when the data key is not 32 bytes, `KeyringError` when the
        wrapping key may not be used (gone, switched off, no permission), `KeyServiceUnavailableError` when the service does not answer.
        """
        ...

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key.

        Raises `KeyringError` when the wrapping key is not here or may not be used, `DecryptError` when it is and the value does not
        open (tampered, or another tenant's, id's or version's), and `KeyServiceUnavailableError` when the service does not answer.
        """
        ...


class AsyncKeyService(Protocol):
    """`KeyService` as flows see it."""

    @property
    def waits(self) -> bool: ...

    def keks(self) -> tuple[KekRef, ...]: ...

    def primary(self, tenant_id: str, /) -> KekRef: ...

    async def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]: ...

    async def unwrap(self, wrapped: WrappedKey, /) -> bytes: ...
