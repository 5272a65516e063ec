"""What every `SigningKeys` promises, as tests.

Inherit the class and provide the fixtures it asks for:

    class TestMySigningKeys(SigningKeysContract):
        @pytest.fixture
        def keys(self):
            return MySigningKeys(...)

        @pytest.fixture
        def rotated_keys(self):
            return MySigningKeys(...)  # over two: another one, which signs, and that of `keys`
"""

from __future__ import annotations

import pickle

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from cloud_integrations.domain.issuing import LEAST_BITS, PublicSigningKey
from cloud_integrations.errors import KeyringError
from cloud_integrations.ports.signing_keys import SigningKeys

_MESSAGE = b"fake header.fake claims"
_PUBLIC_MEMBERS = {"alg", "e", "kid", "kty", "n", "use"}


def verify_signature(key: PublicSigningKey, signature: bytes, message: bytes, /) -> None:
    """Raise `InvalidSignature` unless *signature* is that of *message* by *key*."""
    RSAPublicNumbers(key.exponent, key.modulus).public_key().verify(signature, message, PKCS1v15(), SHA256())


class SigningKeysContract:
    """Inherit, and provide the fixtures `keys` and `rotated_keys`."""

    def test_a_signature_is_verified_by_the_public_key(self, keys: SigningKeys) -> None:
        key = keys.public_keys()[0]
        verify_signature(key, keys.sign(key.key_id, _MESSAGE), _MESSAGE)

    def test_a_signature_is_of_its_message_only(self, keys: SigningKeys) -> None:
        key = keys.public_keys()[0]
        signature = keys.sign(key.key_id, _MESSAGE)
        with pytest.raises(InvalidSignature):
            verify_signature(key, signature, _MESSAGE + b".")

    @pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
    def test_a_message_of_any_length_is_signed(self, keys: SigningKeys, size: int) -> None:
        key = keys.public_keys()[0]
        verify_signature(key, keys.sign(key.key_id, bytes(size)), bytes(size))

    def test_a_key_is_long_enough(self, keys: SigningKeys) -> None:
        assert all(key.bits >= LEAST_BITS for key in keys.public_keys())

    def test_the_published_keys_have_no_private_member(self, rotated_keys: SigningKeys) -> None:
        assert [set(key.as_jwk()) for key in rotated_keys.public_keys()] == [_PUBLIC_MEMBERS] * 2

    def test_the_keys_are_the_same_each_time(self, keys: SigningKeys) -> None:
        assert keys.public_keys() == keys.public_keys()

    def test_the_old_key_is_published_behind_the_new_one(self, keys: SigningKeys, rotated_keys: SigningKeys) -> None:
        new, old = rotated_keys.public_keys()
        assert (old,) == keys.public_keys()
        assert new.key_id != old.key_id

    def test_each_of_the_keys_signs(self, rotated_keys: SigningKeys) -> None:
        for key in rotated_keys.public_keys():
            verify_signature(key, rotated_keys.sign(key.key_id, _MESSAGE), _MESSAGE)

    @pytest.mark.parametrize("key_id", ["", "fake-key-id", "x" * 43])
    def test_an_unknown_key_does_not_sign(self, keys: SigningKeys, key_id: str) -> None:
        with pytest.raises(KeyringError):
            keys.sign(key_id, _MESSAGE)

    def test_it_is_not_pickled(self, keys: SigningKeys) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(keys)
