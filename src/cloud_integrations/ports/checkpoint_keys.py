"""The keys that sign the checkpoints of the audit log."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.signed_note import NoteKey, SignedNote

__all__ = ["AsyncCheckpointKeys", "CheckpointKeys", "NoteKey", "SignedNote"]


class CheckpointKeys(Protocol):
    """Signs notes with the first of its keys, and verifies notes by all of them.

    The tests are in `cloud_integrations.testing.contracts.checkpoint_keys`.
    """

    @property
    def waits(self) -> bool:
        """Whether a call may wait for a network or a device; `AsyncIntegrationManager` then makes it in a thread."""
        ...

    def public_keys(self) -> tuple[NoteKey, ...]:
        """Return the keys that are trusted, each once; the first signs, if there is one that signs.

        Raises `KeyringError` or `KeyServiceUnavailableError`, as the keys do.
        """
        ...

    def sign(self, text: str, /) -> str:
        """Return the note of *text*, which ends with a line break, signed by the first key.

        Raises `KeyringError` if there is no key that signs, and `KeyServiceUnavailableError` if the service does not answer.
        """
        ...

    def is_signed(self, note: SignedNote, /) -> bool:
        """Return whether a trusted key has signed *note*, and no signature under the name and id of a trusted key is false."""
        ...


class AsyncCheckpointKeys(Protocol):
    """`CheckpointKeys` as flows use it, with methods that are awaited."""

    @property
    def waits(self) -> bool: ...

    async def public_keys(self) -> tuple[NoteKey, ...]: ...

    async def sign(self, text: str, /) -> str: ...

    async def is_signed(self, note: SignedNote, /) -> bool: ...
