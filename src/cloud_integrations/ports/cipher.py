"""Sealing and opening values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol


class Cipher(Protocol):
    """Seals a value so that it opens under one key and in one context only.

    It computes and never waits, so both managers call it directly.  It keeps no key.  The promises
    are tests in `cloud_integrations.testing.contracts.cipher`.
    """

    committing: ClassVar[bool]
    """Whether no sealed value can be made to open under two keys, or in two contexts."""

    def seal(self, plaintext: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Seal up to 48 KiB under a 32-byte *key* whose 16-byte *key_id* is written beside it.

        Two seals of one value differ.  Raises `SealingError` when the value, the key or the context
        is not fit to be sealed.
        """
        ...

    def open(self, sealed: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Return the plaintext, or raise `DecryptError` for every reason there is.

        Tries *key* and no other.  A value sealed under another *key_id*, or in another *context*,
        does not open; the order of the pairs does not matter.
        """
        ...

    def key_id_of(self, sealed: bytes, /) -> bytes:
        """Return the id of the key that claims to have sealed this, or raise `DecryptError`."""
        ...
