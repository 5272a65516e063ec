"""The format of a sealed value (CI1), the context that it is bound to, and the keys that seal it.

    offset len  field
    0      2    magic "CI"
    2      1    format version 1
    3      2    suite, big-endian
    5      16   id of the key
    21     32   salt, random per value
    53     32   commitment to the key and the context
    85     n    ciphertext
    85+n   16   tag

Every field but the ciphertext has a fixed length, so there is one way to read an envelope.  Nothing
here can seal or open one: that is a `Cipher`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NoReturn
from uuid import UUID

from cloud_integrations.domain.secret import NeverCopied
from cloud_integrations.errors import DecryptError, SealingError

MAGIC: Final = b"CI"
FORMAT_VERSION: Final = 1
SUITE_AES_256_GCM: Final = 0x0001
"""The only suite: HKDF-SHA-512, AES-256-GCM and a commitment of 32 bytes."""

KEY_LENGTH: Final = 32
KEY_ID_LENGTH: Final = 16
SALT_LENGTH: Final = 32
COMMITMENT_LENGTH: Final = 32
TAG_LENGTH: Final = 16

_KEK_ID_LABEL: Final = b"cloud_integrations/1/KEKID\x00"
_PREAMBLE: Final = MAGIC + bytes([FORMAT_VERSION]) + SUITE_AES_256_GCM.to_bytes(2, "big")
HEADER_LENGTH: Final = len(_PREAMBLE) + KEY_ID_LENGTH
PREFIX_LENGTH: Final = HEADER_LENGTH + SALT_LENGTH + COMMITMENT_LENGTH
"""The length of everything before the ciphertext; it is authenticated with the ciphertext."""

OVERHEAD: Final = PREFIX_LENGTH + TAG_LENGTH
PLAINTEXT_LIMIT: Final = 48 * 1024
"""The longest plaintext, in bytes; sealed, it fits into a BLOB of MariaDB (64 KiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingContext:
    """The tenant, table, row, field and generation that a sealed value is bound to; it opens in this context only."""

    tenant: str
    table: str
    row: str
    field: str
    gen: int

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the context as pairs of name and value, for a `Cipher`."""
        return (("field", self.field), ("gen", str(self.gen)), ("row", self.row), ("table", self.table), ("tenant", self.tenant))


def wrap_context(*, tenant_id: str, key_id: UUID, version: int, kek_uri: str) -> tuple[tuple[str, str], ...]:
    """Return the context that a wrapped data key is bound to, as pairs; a cloud KMS gets the same pairs."""
    return (("kek_uri", kek_uri), ("key_id", str(key_id)), ("purpose", "dek"), ("tenant", tenant_id), ("version", str(version)))


def kek_key_id(kek_uri: str, /) -> bytes:
    """Return the 16-byte id of a key-encryption key: the first bytes of a SHA-256 of a label and its URI."""
    return sha256(_KEK_ID_LABEL + kek_uri.encode()).digest()[:KEY_ID_LENGTH]


def encode_context(pairs: Iterable[tuple[str, str]], /) -> bytes:
    """Return a context as bytes; two different contexts never have the same bytes.

    The bytes are: u16 count; then for each pair, sorted by the UTF-8 bytes of its key: u16 length, key, u32 length, value
    (big-endian).  The order of *pairs* does not matter.

    Raises `SealingError` for a repeated key, and for text that is too long or cannot be encoded as UTF-8.
    """
    try:
        ordered = sorted(pairs)  # by code point, which is also the order of the UTF-8 bytes
        parts = [len(ordered).to_bytes(2, "big")]
        previous = None
        for key, value in ordered:
            if key == previous:
                raise SealingError("a context names each key once")
            key_bytes, value_bytes = key.encode(), value.encode()
            parts += (len(key_bytes).to_bytes(2, "big"), key_bytes, len(value_bytes).to_bytes(4, "big"), value_bytes)
            previous = key
    except (UnicodeEncodeError, OverflowError):
        raise SealingError("the context cannot be encoded") from None
    return b"".join(parts)


def build_header(key_id: bytes, /) -> bytes:
    """Return the first 21 bytes of an envelope.  Raises `SealingError` if *key_id* is not 16 bytes."""
    if len(key_id) != KEY_ID_LENGTH:
        raise SealingError("a key id is 16 bytes")
    return _PREAMBLE + key_id


def key_id_of(sealed: bytes, /) -> bytes:
    """Return the id of the key that the envelope names, 16 bytes; nothing has been authenticated yet.

    Raises `DecryptError` for a value that `Cipher.seal` cannot have written: one with another magic, version or suite, one that is
    too short or too long, and one that is not bytes.
    """
    if not isinstance(sealed, bytes) or not OVERHEAD <= len(sealed) <= OVERHEAD + PLAINTEXT_LIMIT or not sealed.startswith(_PREAMBLE):
        raise DecryptError
    return sealed[len(_PREAMBLE) : HEADER_LENGTH]


class KeyState(StrEnum):
    """What a data key may be used for."""

    ACTIVE = "active"
    """Seals and opens."""
    DECRYPT_ONLY = "decrypt_only"
    """Opens."""
    DESTROYED = "destroyed"
    """Overwritten; its row remains, so that a restored backup is noticed."""


class DataKey(NeverCopied):
    """A tenant's data key, unwrapped.

    It is no dataclass, because `dataclasses.asdict` would copy the key into a dump.  It cannot be changed or pickled, and its `repr`
    does not show the key.
    """

    __slots__ = ("key", "key_id", "tenant_id", "version")

    key_id: UUID
    tenant_id: str
    version: int
    key: bytes

    def __init__(self, *, key_id: UUID, tenant_id: str, version: int, key: bytes) -> None:
        for name, value in (("key_id", key_id), ("tenant_id", tenant_id), ("version", version), ("key", key)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to {name} of a DataKey")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name} of a DataKey")

    def __repr__(self) -> str:
        return f"DataKey(key_id={self.key_id!r}, tenant_id={self.tenant_id!r}, version={self.version!r}, key=…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A data key as it is stored: sealed under a key-encryption key (KEK)."""

    key_id: UUID
    tenant_id: str
    version: int
    state: KeyState
    suite: int
    kek_uri: str
    kek_key_id: bytes
    wrapped: bytes = field(repr=False)
    created_at: datetime
    retired_at: datetime | None
    destroyed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """A known value, wrapped by a key-encryption key; if it does not open, another key has the same URI."""

    kek_uri: str
    kek_key_id: bytes
    canary: bytes
    """The known value, wrapped."""


def wrapped_context(wrapped: WrappedKey, /) -> bytes:
    """Return the context that *wrapped* names, as bytes, for key services that take bytes.

    Raises `DecryptError` if the context cannot be encoded.
    """
    try:
        return encode_context(
            wrap_context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        )
    except SealingError:
        raise DecryptError from None
