"""Damaged and costly keys in PEM: each is refused in time, as an error of ours."""

from __future__ import annotations

import base64
import time
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.keys import OLD, PASSPHRASE, block, certificate_pem, key, pem, refused

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.proofs import LONGEST_PEM, check_pem, find_certificate

PBKDF2, SCRYPT = bytes.fromhex("2a864886f70d01050c"), bytes.fromhex("2b06010401da47040b")


def _sequence(*parts):
    body = b"".join(parts)
    size = len(body)
    return b"\x30" + (bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)) + body


def _number(value):
    body = value.to_bytes(value.bit_length() // 8 + 1)
    return b"\x02" + bytes([len(body)]) + body


def _oid(body):
    return b"\x06" + bytes([len(body)]) + body


def derived(oid, *numbers, content=b"c" * 16):
    """Return a key under PBES2 (RFC 8018 §6.2) with these numbers in its key derivation; by default nothing is inside."""
    kdf = _sequence(_oid(oid), _sequence(b"\x04\x08saltsalt", *map(_number, numbers)))
    cipher = _sequence(_oid(bytes.fromhex("60864801650304012a")), b"\x04\x10" + b"i" * 16)
    algorithm = _sequence(_oid(bytes.fromhex("2a864886f70d01050d")), _sequence(kdf, cipher))
    der = _sequence(algorithm, b"\x04\x82" + len(content).to_bytes(2) + content if len(content) > 127 else b"\x04\x10" + content)
    return block("ENCRYPTED PRIVATE KEY", base64.b64encode(der).decode())


def enciphered(derivation):
    padder = PKCS7(128).padder()
    plain = padder.update(key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())) + padder.finalize()
    encryptor = Cipher(AES(derivation.derive(PASSPHRASE.encode())), CBC(b"i" * 16)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


@pytest.mark.parametrize(
    ("text", "costly"),
    [
        (derived(PBKDF2, 2048), False),
        (derived(PBKDF2, 600_000, 32), False),
        (derived(PBKDF2, 2_000_001), True),
        (derived(PBKDF2, 2**31 - 1), True),
        (derived(PBKDF2, 2**200), True),
        (derived(PBKDF2, 2048, 2**30), True),
        (derived(SCRYPT, 16_384, 8, 1), False),
        (derived(SCRYPT, 16_384, 8, 1, 32), False),
        (derived(SCRYPT, 16_384, 8, 1, 2**20), True),
        (derived(SCRYPT, 2**20, 8, 1), True),
        (derived(SCRYPT, 16, 2**20, 1), True),
        (derived(SCRYPT, 16, 8, 2**20), True),
        (derived(PBKDF2), True),
        (block("ENCRYPTED PRIVATE KEY", "MA=="), True),
        (block("ENCRYPTED PRIVATE KEY", "*"), True),
        (block("ENCRYPTED PRIVATE KEY", ""), True),
    ],
)
def test_a_key_that_takes_too_long_to_open_is_refused_unopened(text, costly) -> None:
    began = time.monotonic()
    problem = refused(text, passphrase=Secret(PASSPHRASE))
    assert ("is not supported" in problem) is costly
    assert time.monotonic() - began < 5


def test_a_key_with_more_rounds_than_openssl_writes_is_opened() -> None:
    rounds = derived(PBKDF2, 500_000, content=enciphered(PBKDF2HMAC(SHA1(), 32, b"saltsalt", 500_000)))
    scrypt = derived(SCRYPT, 16_384, 8, 1, content=enciphered(Scrypt(b"saltsalt", 32, 16_384, 8, 1)))
    for text in (rounds, scrypt):
        check_pem(Secret(text), name="private_key", passphrase=Secret(PASSPHRASE), alg="RS256")


def test_a_text_of_many_beginnings_is_read_in_one_pass() -> None:
    began = time.monotonic()
    assert "no private key" in refused("-----BEGIN PRIVATE KEY-----\n" * (LONGEST_PEM // 30))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("cut", [1, 8, 15])
def test_a_key_whose_initial_vector_is_too_short_is_refused(cut) -> None:
    """The parser of cryptography breaks off on it with an error that is no `Exception`."""
    text = pem(form=OLD, passphrase=PASSPHRASE)
    before, comma, after = text.partition("AES-256-CBC,")
    assert comma
    assert refused(before + comma + after[2 * cut :], passphrase=Secret(PASSPHRASE)) == "cannot be opened with this passphrase"


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        ("cryptography.hazmat.primitives.serialization.load_pem_private_key", pem()),
        ("cryptography.x509.load_pem_x509_certificate", certificate_pem() + pem()),
    ],
)
def test_an_interrupted_parser_is_not_taken_for_a_damaged_text(monkeypatch, parser, text) -> None:
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(parser, interrupted)
    with pytest.raises(KeyboardInterrupt):
        refused(text, certificate=True)


@given(data=st.data())
def test_a_damaged_key_is_refused_and_never_an_error_of_another_kind(data) -> None:
    text = data.draw(st.sampled_from([pem(), pem("ec"), pem(passphrase=PASSPHRASE), pem(form=OLD, passphrase=PASSPHRASE)]))
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.text(max_size=8)) + text[at + data.draw(st.integers(0, 40)) :]
    with suppress(ValidationFailedError):
        check_pem(Secret(damaged), name="private_key", passphrase=Secret(PASSPHRASE), alg="RS256", certificate=True)


@given(der=st.binary(max_size=200))
def test_no_bytes_in_an_encrypted_key_are_an_error_of_another_kind(der) -> None:
    refused(block("ENCRYPTED PRIVATE KEY", base64.b64encode(der).decode()), passphrase=Secret(PASSPHRASE))


@pytest.mark.parametrize("version", [3, 66, 255])
def test_a_certificate_of_a_version_that_there_is_not_is_refused(version) -> None:
    der = base64.b64decode("".join(certificate_pem().splitlines()[1:-1]))
    # [0] EXPLICIT INTEGER 2, which means version 3 (RFC 5280 §4.1.2.1)
    other = block("CERTIFICATE", base64.b64encode(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version]), 1)).decode())
    assert refused(other + pem(), certificate=True) == "holds a certificate that cannot be read"


# A serial number that is negative.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(data=st.data())
def test_a_damaged_certificate_is_refused_and_never_an_error_of_another_kind(data) -> None:
    der = bytearray(base64.b64decode("".join(certificate_pem().splitlines()[1:-1])))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    found = find_certificate(Secret(block("CERTIFICATE", base64.b64encode(der).decode())), None)
    assert isinstance(found, str) or found.not_valid_after_utc
