"""Key-encryption keys that the operator holds: a list, the first wraps, all unwrap."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import UUID

from cloud_integrations.domain.envelope import KEY_ID_LENGTH, KEY_LENGTH, KeyCheck, WrappedKey, wrap_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, KeyringError, SealingError
from cloud_integrations.ports.keys import KekRef

from .aes_gcm import AesGcmCipher, hkdf_expand, hkdf_extract

_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_KEY_ID_LABEL: Final = b"cloud_integrations/1/KEKID\x00"
_CHECK_LABEL: Final = b"cloud_integrations/1/KEYCHECK\x00"


class LocalKeyring:
    """Keys written `kid:base64`, newest first: the first is the primary, the others only unwrap.

    A kid is 1 to 64 of `A-Z a-z 0-9 . _ -` and names its key for ever; the base64 is of 32 random
    bytes, as `generate_key` makes them.  To rotate, put a new entry in front.  Implements
    `KeyService`; it shows its kids, never a key, and cannot be pickled.

    Raises `ConfigurationError`, naming *setting* and the position of the entry at fault.
    """

    __slots__ = ("_by_id", "_cipher", "_primary")

    def __init__(self, keys: Sequence[str | Secret], /, *, setting: str = "keys") -> None:
        self._by_id: dict[bytes, _Kek] = {}  # first, so that a half-made keyring can be shown in a traceback
        # From here on no key is text in a local variable, which a traceback may show.
        entries = [_hide(entry) for entry in keys]
        del keys
        if not entries:
            raise ConfigurationError(setting=setting, problem="has no key")
        for position, entry in enumerate(entries, start=1):
            kek = _read_entry(entry)
            # The kid is not named here: in a malformed entry it may be the key, written in the wrong place.
            if kek is None:
                raise ConfigurationError(setting=setting, problem=f"entry {position} is not kid:base64 of {KEY_LENGTH} bytes")
            if kek.ref.kek_key_id in self._by_id:
                raise ConfigurationError(setting=setting, problem=f"entry {position} uses the kid {kek.kid} again")
            self._by_id[kek.ref.kek_key_id] = kek
        self._primary = next(iter(self._by_id.values()))
        self._cipher = AesGcmCipher()

    @classmethod
    def from_file(cls, path: str | Path, /) -> LocalKeyring:
        """Read a file with one entry a line; `#` starts a comment line.

        Raises `ConfigurationError` when it cannot be read, when its group or others may touch it
        (POSIX only), and as the class does.
        """
        setting = str(path)
        problem = ""
        entries: list[Secret] = []
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                    problem = "is open to others; run chmod 600 on it"
                else:
                    entries = [Secret(line.strip()) for line in file if line.strip() and not line.lstrip().startswith("#")]
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem:
            raise ConfigurationError(setting=setting, problem=problem)
        return cls(entries, setting=setting)

    @staticmethod
    def generate_key(kid: str, /) -> Secret:
        """Make a new entry under *kid*, or raise `ConfigurationError` when that is not a kid."""
        if not _KID.match(kid):
            raise ConfigurationError(setting="kid", problem="must be 1 to 64 of A-Z a-z 0-9 . _ -")
        return Secret(f"{kid}:{base64.b64encode(os.urandom(KEY_LENGTH)).decode()}")

    @property
    def kids(self) -> tuple[str, ...]:
        """The names of the keys, the primary's first."""
        return tuple(kek.kid for kek in self._by_id.values())

    def primary(self) -> KekRef:
        """Name the key that wraps from now on."""
        return self._primary.ref

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key under the primary key; see `KeyService.wrap`."""
        ref = self._primary.ref
        context = wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=ref.kek_uri)
        try:
            if len(data_key) != KEY_LENGTH:
                raise SealingError("a data key is 32 bytes")
            return ref, self._cipher.seal(data_key, key=self._primary.key, key_id=ref.kek_key_id, context=context)
        finally:
            data_key = b""

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key; see `KeyService.unwrap`."""
        kek = self._by_id.get(wrapped.kek_key_id)
        if kek is None:
            raise KeyringError(key_id=wrapped.kek_uri, problem="is not in the keyring")
        context = wrap_context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        return self._cipher.open(wrapped.wrapped, key=kek.key, key_id=wrapped.kek_key_id, context=context)

    def checks(self) -> tuple[KeyCheck, ...]:
        """Return one check per key: HKDF of the key under its id, so neither the key nor a fast hash of it."""
        return tuple(
            KeyCheck(
                kek_uri=kek.ref.kek_uri,
                kek_key_id=kek.ref.kek_key_id,
                check_value=hkdf_expand(hkdf_extract(kek.ref.kek_key_id, kek.key), _CHECK_LABEL),
            )
            for kek in self._by_id.values()
        )

    def __repr__(self) -> str:
        return f"LocalKeyring(kids={self.kids!r})"

    def __copy__(self) -> LocalKeyring:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LocalKeyring:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a LocalKeyring cannot be pickled")


class AsyncLocalKeyring:
    """A `LocalKeyring` behind awaitable methods; it never waits.  Implements `AsyncKeyService`."""

    __slots__ = ("_keyring",)

    def __init__(self, keyring: LocalKeyring, /) -> None:
        self._keyring = keyring

    async def primary(self) -> KekRef:
        """Name the key that wraps from now on."""
        return self._keyring.primary()

    async def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key; see `KeyService.wrap`."""
        try:
            return self._keyring.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)
        finally:
            data_key = b""

    async def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key; see `KeyService.unwrap`."""
        return self._keyring.unwrap(wrapped)

    async def checks(self) -> tuple[KeyCheck, ...]:
        """Return one check per key; see `LocalKeyring.checks`."""
        return self._keyring.checks()

    def __repr__(self) -> str:
        return f"AsyncLocalKeyring({self._keyring!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    kid: str
    ref: KekRef
    key: bytes = field(repr=False)


def _hide(entry: object, /) -> Secret:
    """Wrap text; anything else becomes an entry that is malformed."""
    if isinstance(entry, Secret):
        return entry
    return Secret(entry if isinstance(entry, str) else "")


def _read_entry(entry: Secret, /) -> _Kek | None:
    """Read `kid:base64`, or answer None; it raises nothing, because an error would hold the text."""
    kid, _, encoded = entry.reveal().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    canonical = base64.b64encode(key).decode() == encoded
    if not canonical or len(key) != KEY_LENGTH or not _KID.match(kid):
        return None
    ref = KekRef(kek_uri=f"local:{kid}", kek_key_id=sha256(_KEY_ID_LABEL + kid.encode()).digest()[:KEY_ID_LENGTH])
    return _Kek(kid=kid, ref=ref, key=key)
