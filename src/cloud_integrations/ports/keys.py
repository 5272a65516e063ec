"""The keys that wrap data keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.envelope import KeyCheck, WrappedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KekRef:
    """The name of a key-encryption key (KEK)."""

    kek_uri: str
    """Where it is: `local:<kid>`, or the key's own URI in a KMS; never an alias."""
    kek_key_id: bytes
    """16 bytes, the same for ever."""


class KeyService(Protocol):
    """Wraps and unwraps data keys; the wrapping keys never leave it.

    The promises are tests in `cloud_integrations.testing.keys_contract`.
    """

    def primary(self) -> KekRef:
        """Name the key that wraps from now on."""
        ...

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a 32-byte data key under the primary key, bound to its owner, id, version and to the wrapping key.

        Raises `SealingError` when it is not 32 bytes.
        """
        ...

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key.

        Raises `KeyringError` when the wrapping key is not here, and `DecryptError` when it is and
        the value does not open: tampered, or another tenant's, id's or version's.
        """
        ...

    def checks(self) -> tuple[KeyCheck, ...]:
        """Return one check per configured key, the primary's first.

        Equal for the same key under the same id, different for any other key, and useless for
        finding the key.
        """
        ...


class AsyncKeyService(Protocol):
    """`KeyService`, awaited."""

    async def primary(self) -> KekRef:
        """Name the key that wraps from now on."""
        ...

    async def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key; see `KeyService.wrap`."""
        ...

    async def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key; see `KeyService.unwrap`."""
        ...

    async def checks(self) -> tuple[KeyCheck, ...]:
        """Return one check per configured key; see `KeyService.checks`."""
        ...
