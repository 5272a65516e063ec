"""Keys for checkpoints of the audit log: Ed25519 keys that the operator keeps, in PEM, or the RSA keys of a key service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloud_integrations.domain.issuing import PublicSigningKey
from cloud_integrations.domain.secret import NeverCopied, Secret
from cloud_integrations.domain.signed_note import ED25519, RS256, NoteKey, SignedNote, check_key_name, write_note
from cloud_integrations.errors import ConfigurationError, KeyringError, ValidationFailedError
from cloud_integrations.ports.signing_keys import SigningKeys
from cloud_integrations.protocol.proofs import load_private_key

from .pem_file import read_private_blocks

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SETTING: Final = "checkpoints.keys"


class LocalCheckpointKeys(NeverCopied):
    """Private Ed25519 keys in PEM: the first signs checkpoints, all verify them.  Implements `CheckpointKeys`.

    *name* is the name of this installation in notes, such as `audit.example.com/production`.  *trusted* are public keys, as `str` of a
    `NoteKey` writes them: of keys that are used no more, so that their checkpoints still verify.  To rotate, put the new key first.
    Without private keys it verifies and signs nothing, as an auditor needs it.  It cannot be pickled.

    Raises `ConfigurationError`, which names *setting* and the position of the wrong key.
    """

    __slots__ = ("_name", "_private", "_public")

    def __init__(
        self, keys: Sequence[str | Secret], /, *, name: str, trusted: Sequence[str | NoteKey] = (), setting: str = _SETTING
    ) -> None:
        self._private: list[Ed25519PrivateKey] = []  # first, so that a half-made object can be shown in a traceback
        self._public: tuple[NoteKey, ...] = ()
        self._name = name
        check_key_name(name)
        if isinstance(keys, str | bytes | Secret) or not isinstance(keys, Iterable):
            keys = ()  # the argument may be a key
            raise ConfigurationError(setting=setting, problem="must be a list of private keys in PEM")
        # From here on no local variable, which a traceback may show, has a key as text.
        texts = [Secret(text) if isinstance(text, str) else text for text in keys]
        del keys
        for position, text in enumerate(texts, start=1):
            key = _read_key(text)
            if isinstance(key, str):
                raise ConfigurationError(setting=setting, problem=f"has no usable key at position {position}: it {key}")
            self._private.append(key)
        own = [NoteKey(name=name, kind=ED25519, public=key.public_key().public_bytes_raw()) for key in self._private]
        self._public = _each_once([*own, *_read_trusted(trusted)])
        if not self._public:
            raise ConfigurationError(setting=setting, problem="has no key")

    @classmethod
    def from_file(cls, path: str | Path, /, *, name: str, trusted: Sequence[str | NoteKey] = ()) -> LocalCheckpointKeys:
        """Read the keys from a file with one private key in PEM after the other, and no passphrase.

        Raises `ConfigurationError` if the file cannot be read, if its group or others have any permission on it (POSIX only), and as
        the class does.
        """
        blocks = read_private_blocks(path)
        if not blocks:
            raise ConfigurationError(setting=str(path), problem="has no key")
        return cls(blocks, name=name, trusted=trusted, setting=str(path))

    @staticmethod
    def generate_key() -> Secret:
        """Return a new private Ed25519 key, in PEM (PKCS #8)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # loaded only to make a key
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

        key = Ed25519PrivateKey.generate()
        return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @property
    def waits(self) -> bool:
        """False: it computes and never waits for a service."""
        return False

    def public_keys(self) -> tuple[NoteKey, ...]:
        """Return the keys that are trusted, the one that signs first."""
        return self._public

    def sign(self, text: str, /) -> str:
        """Return the note of *text*; see `CheckpointKeys.sign`."""
        if not self._private:
            raise KeyringError(key_id=self._name, problem="has no private key here, so it verifies and does not sign")
        return write_note(text, [(self._public[0], self._private[0].sign(text.encode()))])

    def is_signed(self, note: SignedNote, /) -> bool:
        """Return whether a trusted key has signed *note*; see `CheckpointKeys.is_signed`."""
        return _is_signed(note, self._public)

    def __repr__(self) -> str:
        return f"LocalCheckpointKeys({', '.join(map(str, self._public))})"


class ServiceCheckpointKeys:
    """Signs checkpoints with `SigningKeys`, whose private RSA keys never leave their service.  Implements `CheckpointKeys`.

    *name* and *trusted* are as those of `LocalCheckpointKeys`.  Raises `ConfigurationError`.
    """

    def __init__(self, keys: SigningKeys, /, *, name: str, trusted: Sequence[str | NoteKey] = ()) -> None:
        check_key_name(name)
        self._keys = keys
        self._name = name
        self._trusted = _read_trusted(trusted)

    @property
    def waits(self) -> bool:
        """Whether the service may wait."""
        return self._keys.waits

    def public_keys(self) -> tuple[NoteKey, ...]:
        """Return the keys that are trusted, the one that signs first."""
        return _each_once([*(self._key(public) for public in self._keys.public_keys()), *self._trusted])

    def sign(self, text: str, /) -> str:
        """Return the note of *text*; see `CheckpointKeys.sign`."""
        first = self._keys.public_keys()[0]
        return write_note(text, [(self._key(first), self._keys.sign(first.key_id, text.encode()))])

    def is_signed(self, note: SignedNote, /) -> bool:
        """Return whether a trusted key has signed *note*; see `CheckpointKeys.is_signed`."""
        return _is_signed(note, self.public_keys())

    def __repr__(self) -> str:
        return f"ServiceCheckpointKeys({self._name}, {self._keys!r})"

    def _key(self, public: PublicSigningKey) -> NoteKey:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers  # noqa: PLC0415  # loaded only to sign and verify
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

        key = RSAPublicNumbers(public.exponent, public.modulus).public_key()
        return NoteKey(name=self._name, kind=RS256, public=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _each_once(keys: Sequence[NoteKey]) -> tuple[NoteKey, ...]:
    return tuple(dict.fromkeys(keys))


def _read_trusted(trusted: Sequence[str | NoteKey]) -> list[NoteKey]:
    return [NoteKey.read(key) if isinstance(key, str) else key for key in trusted]


def _is_signed(note: SignedNote, keys: Sequence[NoteKey]) -> bool:
    known = {(key.name, key.id): key for key in keys}
    signed = [(known[named], each.signature) for each in note.signatures if (named := (each.name, each.key_id)) in known]
    return bool(signed) and all(_is_true(key, signature, note.text.encode()) for key, signature in signed)


def _is_true(key: NoteKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # loaded only to verify
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        if key.kind == ED25519:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
            return True
        public = load_der_public_key(key.public)
        if not isinstance(public, RSAPublicKey):
            return False
        public.verify(signature, message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _read_key(text: Secret) -> Ed25519PrivateKey | str:
    """Return the private key, or what is wrong with it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # loaded only to read keys

    try:
        key = load_private_key(text, name="key")
    except ValidationFailedError as error:
        return error.problem
    return key if isinstance(key, Ed25519PrivateKey) else "must be an Ed25519 key"
