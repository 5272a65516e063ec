"""Key-encryption keys that the operator holds: a list, the first wraps, all unwrap."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cloud_integrations.domain.envelope import KEY_ID_LENGTH, KEY_LENGTH, KeyCheck, wrap_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, SealingError
from cloud_integrations.ports.keys import KekRef

from .aes_gcm import AesGcmCipher, hkdf_expand, hkdf_extract

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from cloud_integrations.domain.envelope import WrappedKey

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

    __slots__ = ("_by_id", "_cipher", "_keks")

    def __init__(self, keys: Sequence[str | Secret], /, *, setting: str = "keys") -> None:
        # From here on nothing but `Secret`s is a local variable, which a traceback may show.
        entries = [entry if isinstance(entry, Secret) else _read_entry(entry) for entry in ([keys] if isinstance(keys, str) else keys)]
        del keys
        if not entries:
            raise ConfigurationError(setting=setting, problem="has no key")
        keks: list[_Kek] = []
        for position, entry in enumerate(entries, start=1):
            kek = entry and _read_kek(entry)
            # The kid is not named: in a malformed entry it may be the key, written in the wrong place.
            if kek is None:
                raise ConfigurationError(setting=setting, problem=f"entry {position} is not kid:base64 of {KEY_LENGTH} bytes")
            if any(kek.kid == other.kid for other in keks):
                raise ConfigurationError(setting=setting, problem=f"entry {position} uses the kid {kek.kid} again")
            keks.append(kek)
        self._keks = tuple(keks)
        self._by_id = {kek.ref.kek_key_id: kek for kek in keks}
        self._cipher = AesGcmCipher()
