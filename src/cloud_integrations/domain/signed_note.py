"""Signed notes: a text with the signatures of named keys under it (C2SP signed-note v1.0.0), so that other tools can verify it too.

Nothing is signed or verified here; see `ports.checkpoint_keys`.
"""

from __future__ import annotations

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

ED25519: Final = b"\x01"
"""The type of Ed25519 signatures (RFC 8032)."""
RS256: Final = b"\xffRS256\n"
"""Our type for RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2), in the space that the specification leaves for others."""
LONGEST_NAME: Final = 100
_TYPES: Final = (ED25519, RS256)
_DASH: Final = "\u2014 "
_ID_LENGTH: Final = 4
_MOST_SIGNATURES: Final = 16
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey(Serialisable):
    """A public key that verifies notes.

    `public` has 32 bytes for Ed25519; for RS256 it is a SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
    """

    name: str
    kind: bytes
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)

    @property
    def id(self) -> bytes:
        """The four bytes that name the key in a signature, beside its name."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:_ID_LENGTH]

    def __str__(self) -> str:
        """Return the key as text, as `read` takes it: its name, its id, its type and public part."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.kind + self.public).decode()}"

    @classmethod
    def read(cls, text: str, /) -> Self:
        """Return the key of a text.  Raises `ConfigurationError`."""
        name, _, rest = text.partition("+")
        digest, _, encoded = rest.partition("+")
        try:
            whole = base64.b64decode(encoded, validate=True)
        except (Base64Error, ValueError):
            whole = b""
        kind = next((each for each in _TYPES if whole.startswith(each)), None)
        if kind is not None and name:
            key = cls(name=name, kind=kind, public=whole.removeprefix(kind))
            if key.id.hex() == digest and (kind != ED25519 or len(key.public) == 32):
                return key
        raise ConfigurationError(setting="a checkpoint key", problem="must be name+id+key, as `audit keys` shows it")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """A signature under a note, and the key that it says it is of."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """A text that ends with a line break, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]


def check_key_name(name: object, /) -> None:
    """Raise `ConfigurationError` for a name that no key of notes may have."""
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or re.search(r"[\s+]", name):
        problem = f"must have 1 to {LONGEST_NAME} printable characters without spaces and +, such as audit.example.com/production"
        raise ConfigurationError(setting="the name of the checkpoint keys", problem=problem)


def write_note(text: str, signed: Sequence[tuple[NoteKey, bytes]], /) -> str:
    """Return *text* with these signatures under it."""
    lines = [f"{_DASH}{key.name} {base64.b64encode(key.id + signature).decode()}\n" for key, signature in signed]
    return f"{text}\n{''.join(lines)}"


def read_note(field: str, note: object, /) -> SignedNote:
    """Return the parts of a note; whether its signatures are true is not looked at.

    Raises `ValidationFailedError`, which names *field* and repeats nothing.
    """
    if isinstance(note, str) and not _CONTROL.search(note):
        text, blank, under = note.rpartition("\n\n")
        signatures = [_read_signature(line) for line in under.removesuffix("\n").split("\n")]
        if blank and under.endswith("\n") and len(signatures) <= _MOST_SIGNATURES and None not in signatures:
            return SignedNote(text=f"{text}\n", signatures=tuple(each for each in signatures if each is not None))
    raise ValidationFailedError(field=field, problem="is not a signed note")


def _read_signature(line: str) -> NoteSignature | None:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        whole = base64.b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return None
    if not line.startswith(_DASH) or not name or len(whole) <= _ID_LENGTH:
        return None
    return NoteSignature(name=name, key_id=whole[:_ID_LENGTH], signature=whole[_ID_LENGTH:])
