"""The common part of key services: a list of keys, of which the first wraps, and each unwraps what it has wrapped."""

from __future__ import annotations

from typing import ClassVar, Generic, Protocol, TypeVar

from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey
from cloud_integrations.domain.secret import NeverCopied
from cloud_integrations.errors import ConfigurationError, KeyringError, SealingError
from cloud_integrations.ports.key_service import KekRef


class Kek(Protocol):
    """A wrapping key of one kind of service."""

    @property
    def ref(self) -> KekRef: ...


K = TypeVar("K", bound=Kek)


class KeyList(NeverCopied, Generic[K]):
    """The part of a `KeyService` that sends no request: the list of its keys."""

    __slots__ = ("_by_id",)

    _place: ClassVar[str]
    """Where a missing key was looked for, in messages: "is not among the keys of AWS KMS", for example."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, K] = {}

    @property
    def waits(self) -> bool:
        """True: it waits for a service."""
        return True

    def keks(self) -> tuple[KekRef, ...]:
        """Return the keys, the primary first."""
        return tuple(kek.ref for kek in self._by_id.values())

    def primary(self, tenant_id: str, /) -> KekRef:  # noqa: ARG002  # one primary for all
        """Return the first key, which wraps the data keys of all tenants from now on."""
        return self._first.ref

    @property
    def _first(self) -> K:
        return next(iter(self._by_id.values()))

    def _add(self, kek: K, *, setting: str, again: str) -> None:
        """Append a key.  Raises `ConfigurationError` with the problem *again* if the list has it already."""
        if kek.ref.kek_key_id in self._by_id:
            raise ConfigurationError(setting=setting, problem=again)
        self._by_id[kek.ref.kek_key_id] = kek

    def _kek_of(self, wrapped: WrappedKey) -> K:
        """Return the key that *wrapped* names, even if another key could unwrap it.  Raises `KeyringError` if it is not in the list."""
        kek = self._by_id.get(wrapped.kek_key_id)
        if kek is None:
            raise KeyringError(key_id=wrapped.kek_uri, problem=f"is not {self._place}")
        return kek

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(ref.kek_uri for ref in self.keks())})"


def require_data_key(data_key: bytes, /) -> None:
    """Raise `SealingError` unless *data_key* has the length of a data key, 32 bytes."""
    try:
        if len(data_key) != KEY_LENGTH:
            raise SealingError("a data key is 32 bytes")
    finally:
        data_key = b""  # a traceback may be shown with the local variables of its frames
