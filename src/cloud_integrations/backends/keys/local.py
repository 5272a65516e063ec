"""Key-encryption keys that the operator keeps, in a list: the first key wraps, all unwrap."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey, wrap_context
from cloud_integrations.domain.secret import NeverCopied, Secret
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.key_service import KekRef

from .key_list import KeyList, require_data_key

_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class LocalKeyring(KeyList["_Kek"]):
    """Keys written `kid:base64`, newest first: the first is the primary, the others only unwrap.

    A kid is 1 to 64 of `A-Z a-z 0-9 . _ -` and must never name another key; the base64 encodes 32 random
    bytes, as `generate_key` makes them.  To rotate, put a new entry in front.  Implements
    `KeyService`; its `repr` shows the kids and never a key, and it cannot be pickled.

    Raises `ConfigurationError`, which names *setting* and the position of the wrong entry.
    """

    __slots__ = ("_cipher",)

    _place = "in the keyring"

    def __init__(self, keys: Sequence[str | Secret], /, *, setting: str = "keys") -> None:
        super().__init__()  # first, so that a half-made keyring can be shown in a traceback
        if isinstance(keys, str | bytes | Secret) or not isinstance(keys, Iterable):
            keys = ()  # the argument may be a key
            raise ConfigurationError(setting=setting, problem="must be a list of entries, each kid:base64")
        # From here on no local variable, which a traceback may show, has a key as text.
        entries = [_hide(entry) for entry in keys]
        del keys
        if not entries:
            raise ConfigurationError(setting=setting, problem="has no key")
        for position, entry in enumerate(entries, start=1):
            kek = _read_entry(entry)
            # The kid is not named here: in a malformed entry it may be the key, written in the wrong place.
            if kek is None:
                raise ConfigurationError(setting=setting, problem=f"entry {position} is not kid:base64 of {KEY_LENGTH} bytes")
            self._add(kek, setting=setting, again=f"entry {position} uses the kid {kek.kid} again")
        self._cipher = AesGcmCipher()

    @classmethod
    def from_file(cls, path: str | Path, /) -> LocalKeyring:
        """Read a keyring from a file with one entry per line; lines that start with `#` are comments.

        Raises `ConfigurationError` if the file cannot be read, if its group or others have any permission on it
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
                    entries = _read_lines(file)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem:
            raise ConfigurationError(setting=setting, problem=problem)
        return cls(entries, setting=setting)

    @classmethod
    def from_system(cls, *, service: str = "cloud-integrations", account: str = "keys") -> LocalKeyring:
        """Read a keyring from one entry of the operating system's keyring, which has the same lines as a file.

        For programs on a person's own machine.  Needs the extra `keyring`.  Raises `ConfigurationError` if the system has no keyring
        or it is locked, if it does not have the entry, and as the class does.
        """
        import keyring  # noqa: PLC0415  # an optional extra, used only here
        from keyring.errors import KeyringError as SystemKeyringError  # noqa: PLC0415
        from keyring.errors import NoKeyringError  # noqa: PLC0415

        setting = f"{service}/{account} of the system's keyring"
        problem = "is not there"
        entries: list[Secret] = []
        try:
            entries = _read_lines((keyring.get_password(service, account) or "").splitlines())
        except NoKeyringError:
            problem = "cannot be read: this system has no keyring"
        except SystemKeyringError:
            problem = "cannot be read: the keyring is locked, or refused"
        if not entries:
            raise ConfigurationError(setting=setting, problem=problem)
        return cls(entries, setting=setting)

    @staticmethod
    def generate_key(kid: str, /) -> Secret:
        """Return a new entry with a random key under *kid*.  Raises `ConfigurationError` if *kid* is not valid."""
        if not _KID.match(kid):
            raise ConfigurationError(setting="kid", problem="must be 1 to 64 of A-Z a-z 0-9 . _ -")
        return Secret(f"{kid}:{base64.b64encode(os.urandom(KEY_LENGTH)).decode()}")

    @property
    def kids(self) -> tuple[str, ...]:
        """The names of the keys, the primary's first."""
        return tuple(kek.kid for kek in self._by_id.values())

    @property
    def waits(self) -> bool:
        """False: it computes and never waits for a service."""
        return False

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key under the primary key; see `KeyService.wrap`."""
        kek = self._first
        context = wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri)
        try:
            require_data_key(data_key)
            return kek.ref, self._cipher.seal(data_key, key=kek.key, key_id=kek.ref.kek_key_id, context=context)
        finally:
            data_key = b""

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        context = wrap_context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        return self._cipher.open(wrapped.wrapped, key=kek.key, key_id=wrapped.kek_key_id, context=context)

    def __repr__(self) -> str:
        return f"LocalKeyring(kids={self.kids!r})"


class _Kek(NeverCopied):
    """A wrapping key; not a dataclass, because `asdict` would copy the key out."""

    __slots__ = ("key", "kid", "ref")

    def __init__(self, *, kid: str, ref: KekRef, key: bytes) -> None:
        self.kid = kid
        self.ref = ref
        self.key = key

    def __repr__(self) -> str:
        return f"_Kek(kid={self.kid!r}, key=…)"


def _read_lines(lines: Iterable[str], /) -> list[Secret]:
    """Return the entries, one per line, without empty lines and comments."""
    return [Secret(line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _hide(entry: object, /) -> Secret:
    """Return an entry as a `Secret`; anything but text becomes an empty, malformed entry."""
    if isinstance(entry, Secret):
        return entry
    return Secret(entry if isinstance(entry, str) else "")


def _read_entry(entry: Secret, /) -> _Kek | None:
    """Read `kid:base64`; return None instead of raising, because the traceback of an error would contain the text."""
    kid, _, encoded = entry.reveal().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    canonical = base64.b64encode(key).decode() == encoded
    if not canonical or len(key) != KEY_LENGTH or not _KID.match(kid):
        return None
    return _Kek(kid=kid, ref=KekRef(kek_uri=f"local:{kid}"), key=key)
