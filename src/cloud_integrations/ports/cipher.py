"""Sealing and opening values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol


class Cipher(Protocol):
    """Seals values; a sealed value opens under one key and in one context only.

    Its methods do not wait, so both managers call them directly.  It stores no key.  The tests are in
    `cloud_integrations.testing.contracts.cipher`.
    """

    committing: ClassVar[bool]
    """Whether it is impossible to make a sealed value that opens under two keys or in two contexts."""

    def seal(self, plaintext: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Return *plaintext* (at most 48 KiB) sealed under *key* (32 bytes), with *key_id* (16 bytes) in the open.

        *context* are pairs of name and value, in any order.  Sealing the same value twice gives different results.

        Raises `SealingError` if the value, the key or the context cannot be sealed.
        """
        ...

    def open(self, sealed: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Return the plaintext of *sealed*.

        Only *key* is tried.  A value that was sealed under another *key_id* or in another *context* does not open; the order of the
        pairs does not matter.

        Raises `DecryptError`, the same for every reason.
        """
        ...

    def key_id_of(self, sealed: bytes, /) -> bytes:
        """Return the id of the key that *sealed* names, not authenticated.  Raises `DecryptError` if it is no sealed value."""
        ...
