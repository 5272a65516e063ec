"""RSA keys that the operator keeps, in PEM: the first one signs tokens, all are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloud_integrations.domain.issuing import LEAST_BITS, PublicSigningKey
from cloud_integrations.domain.secret import NeverCopied, Secret
from cloud_integrations.errors import ConfigurationError, KeyringError, ValidationFailedError
from cloud_integrations.protocol.proofs import load_private_key

from .pem_file import read_private_blocks

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_NEW_BITS: Final = 3072


class LocalSigningKeys(NeverCopied):
    """Private RSA keys in PEM, each of at least 2048 bits: the first signs, all are published.  Implements `SigningKeys`.

    To rotate, add the new key at the end, put it first when all processes and providers know it, and remove the old one a day later.
    Its `repr` shows the ids of the keys, and it cannot be pickled.

    Raises `ConfigurationError`, which names *setting* and the position of the wrong key.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[str | Secret], /, *, setting: str = "issuer.keys") -> None:
        self._keys: dict[str, _Key] = {}  # first, so that a half-made object can be shown in a traceback
        if isinstance(keys, str | bytes | Secret) or not isinstance(keys, Iterable):
            keys = ()  # the argument may be a key
            raise ConfigurationError(setting=setting, problem="must be a list of private keys in PEM")
        # From here on no local variable, which a traceback may show, has a key as text.
        texts = [Secret(text) if isinstance(text, str) else text for text in keys]
        del keys
        if not texts:
            raise ConfigurationError(setting=setting, problem="has no key")
        for position, text in enumerate(texts, start=1):
            key = _read_key(text)
            if isinstance(key, str):
                raise ConfigurationError(setting=setting, problem=f"has no usable key at position {position}: it {key}")
            if key.public.key_id in self._keys:
                raise ConfigurationError(setting=setting, problem=f"has the same key at position {position} again")
            self._keys[key.public.key_id] = key

    @classmethod
    def from_file(cls, path: str | Path, /) -> LocalSigningKeys:
        """Read the keys from a file with one private key in PEM after the other, and no passphrase.

        Raises `ConfigurationError` if the file cannot be read, if its group or others have any permission on it (POSIX only), and as
        the class does.
        """
        return cls(read_private_blocks(path), setting=str(path))

    @staticmethod
    def generate_key() -> Secret:
        """Return a new private RSA key of 3072 bits, in PEM (PKCS #8).

        Its id begins with no hyphen, so that a command line never takes it for an option.
        """
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key  # noqa: PLC0415  # loaded only to make a key
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

        key = generate_private_key(65537, _NEW_BITS)
        while _Key(key).public.key_id.startswith("-"):
            key = generate_private_key(65537, _NEW_BITS)
        return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @property
    def waits(self) -> bool:
        """False: it computes and never waits for a service."""
        return False

    def public_keys(self) -> tuple[PublicSigningKey, ...]:
        """Return the public part of every key, the one that signs first."""
        return tuple(key.public for key in self._keys.values())

    def sign(self, key_id: str, message: bytes, /) -> bytes:
        """Sign *message* with one of the keys; see `SigningKeys.sign`."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415  # loaded only to sign
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        key = self._keys.get(key_id)
        if key is None:
            raise KeyringError(key_id=key_id, problem="is not among the signing keys")
        return key.private.sign(message, PKCS1v15(), SHA256())

    def __repr__(self) -> str:
        return f"LocalSigningKeys({', '.join(self._keys)})"


class _Key(NeverCopied):
    """A key pair; not a dataclass, because `asdict` would copy the key out."""

    __slots__ = ("private", "public")

    def __init__(self, private: RSAPrivateKey, /) -> None:
        numbers = private.public_key().public_numbers()
        self.private = private
        self.public = PublicSigningKey(modulus=numbers.n, exponent=numbers.e)

    def __repr__(self) -> str:
        return f"_Key({self.public.key_id})"


def _read_key(text: Secret) -> _Key | str:
    """Return the key pair, or what is wrong with it."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415  # loaded only to read keys

    try:
        key = load_private_key(text, name="key")
    except ValidationFailedError as error:
        return error.problem
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_BITS:
        return f"must be an RSA key of at least {LEAST_BITS} bits"
    return _Key(key)
