"""Format CI1, suite 1: HKDF-SHA-512, AES-256-GCM, and a commitment to key and context.

AES-GCM alone lets one ciphertext open under two keys; the commitment ends that.  Each value has
its own key, derived from the data key, a random salt and the context, so the nonce can be
constant and the count of values per data key has no practical limit.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha512
from os import urandom
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

from cloud_integrations.domain.envelope import (
    COMMITMENT_LENGTH,
    KEY_LENGTH,
    PLAINTEXT_LIMIT,
    PREFIX_LENGTH,
    SALT_LENGTH,
    build_header,
    encode_context,
    key_id_of,
)
from cloud_integrations.errors import DecryptError, SealingError

_NONCE: Final = bytes(12)
_SHA512: Final = SHA512()
_DERIVE_KEY: Final = b"cloud_integrations/1/DERIVEKEY\x00"
_COMMIT_KEY: Final = b"cloud_integrations/1/COMMITKEY\x00"


def hkdf_extract(salt: bytes, key: bytes, /) -> bytes:
    """HKDF-Extract with SHA-512 (RFC 5869 §2.2)."""
    extracting = HMAC(salt, _SHA512)
    extracting.update(key)
    return extracting.finalize()


class AesGcmCipher:
    """Seals with AES-256-GCM under a key made for each value.  Implements `Cipher`."""

    __slots__ = ()

    committing: ClassVar[bool] = True

    # A traceback may be shown with the local variables of its frames, so both methods empty the
    # variables with a key or a plaintext before they raise an error.

    def seal(self, plaintext: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Seal up to 48 KiB; see `Cipher.seal`."""
        try:
            if not isinstance(plaintext, bytes) or len(plaintext) > PLAINTEXT_LIMIT:
                raise SealingError("a plaintext is at most 49152 bytes")
            bound = build_header(key_id) + urandom(SALT_LENGTH)
            message_key, commitment = _derive(key, bound, encode_context(context))
            prefix = bound + commitment
            return prefix + AESGCM(message_key).encrypt(_NONCE, plaintext, prefix)
        finally:
            plaintext = key = message_key = b""

    def open(self, sealed: bytes, /, *, key: bytes, key_id: bytes, context: Iterable[tuple[str, str]]) -> bytes:
        """Return the plaintext, or raise `DecryptError`; see `Cipher.open`."""
        try:
            if key_id_of(sealed) != key_id:
                raise DecryptError
            prefix = sealed[:PREFIX_LENGTH]
            message_key, commitment = _derive(key, prefix[:-COMMITMENT_LENGTH], encode_context(context))
            if not hmac.compare_digest(commitment, prefix[-COMMITMENT_LENGTH:]):
                raise DecryptError
            return AESGCM(message_key).decrypt(_NONCE, sealed[PREFIX_LENGTH:], prefix)
        except (SealingError, InvalidTag):
            raise DecryptError from None
        finally:
            key = message_key = b""

    def key_id_of(self, sealed: bytes, /) -> bytes:
        """Return the id of the key that is named in a sealed value, without checking it, or raise `DecryptError`."""
        return key_id_of(sealed)


def _derive(key: bytes, bound: bytes, context: bytes, /) -> tuple[bytes, bytes]:
    """Return the key of one value and the commitment to it; *bound* is the header and the salt."""
    if not isinstance(key, bytes) or len(key) != KEY_LENGTH:
        key = b""
        raise SealingError("a key is 32 bytes")
    transcript = sha512(bound + context).digest()
    # HKDF-Expand (RFC 5869 §2.3), twice; each result is shorter than one block, so it takes one round.  Both are HMAC
    # under one key, so the key is set up once and copied.
    deriving = HMAC(hkdf_extract(bound[-SALT_LENGTH:], key), _SHA512)
    committing = deriving.copy()
    first_round = transcript + b"\x01"
    deriving.update(_DERIVE_KEY + first_round)
    committing.update(_COMMIT_KEY + first_round)
    return deriving.finalize()[:KEY_LENGTH], committing.finalize()[:COMMITMENT_LENGTH]
