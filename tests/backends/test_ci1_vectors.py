"""The published vectors: written by the program that is said to write them, and read by the product as they say."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tests.ci1 import REFERENCE, VECTORS, WRITER, bytes_of, pairs_of

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import encode_context, kek_key_id, wrap_context
from cloud_integrations.errors import DecryptError
from cloud_integrations.flows.operate.prepare import _CANARY, _NO_KEY, _NOBODY

POSITIVE = pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
NEGATIVE = pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])


@pytest.mark.requirement("TST-09")
def test_the_published_file_is_what_its_program_writes():
    published = (REFERENCE / "ci1-vectors.json").read_text(encoding="utf-8")
    # Not compared by pytest, which would print half a megabyte.
    same = WRITER.text() == published
    assert same, "run tools/ci1_vectors.py"


def test_the_program_shares_no_code_with_the_product():
    source = Path(WRITER.__file__).read_text(encoding="utf-8")
    assert re.findall(r"^\s*(?:from|import)\s+cloud_integrations", source, re.MULTILINE) == []


def test_every_vector_has_a_name_of_its_own():
    names = [vector["name"] for vector in [*VECTORS["positive"], *VECTORS["negative"]]]
    assert len(set(names)) == len(names)


@pytest.mark.requirement("TST-09")
@POSITIVE
def test_published_values_open(vector):
    sealed, key, key_id, plaintext = bytes_of(vector, "sealed", "key", "key_id", "plaintext")
    assert encode_context(pairs_of(vector)).hex() == vector["context_bytes"]
    assert AesGcmCipher().open(sealed, key=key, key_id=key_id, context=pairs_of(vector)) == plaintext
    assert AesGcmCipher().key_id_of(sealed) == key_id


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS["positive"] if "two-key" not in vector["name"]], ids=lambda vector: vector["name"]
)
def test_with_the_published_salt_the_published_bytes_are_written(vector, monkeypatch):
    sealed, key, key_id, plaintext, salt = bytes_of(vector, "sealed", "key", "key_id", "plaintext", "salt")
    monkeypatch.setattr(aes_gcm, "urandom", lambda size: salt[:size])
    assert AesGcmCipher().seal(plaintext, key=key, key_id=key_id, context=pairs_of(vector)) == sealed


@pytest.mark.requirement("ENC-02", "ENC-03", "ENC-04", "TST-09", "B21")
@NEGATIVE
def test_published_wrong_values_are_refused_for_their_reason(vector):
    sealed, key, key_id = bytes_of(vector, "sealed", "key", "key_id")
    with pytest.raises(DecryptError) as caught:
        AesGcmCipher().open(sealed, key=key, key_id=key_id, context=pairs_of(vector))
    assert str(caught.value) == str(DecryptError())
    assert reason_to_refuse(sealed, key, key_id, pairs_of(vector)) == vector["reason"]


def reason_to_refuse(sealed, key, key_id, pairs):
    """Say why, in the order of the page; the product never says."""
    checks = {
        "too short": lambda: len(sealed) < 101,
        "too long": lambda: len(sealed) > 101 + 48 * 1024,
        "unknown magic": lambda: sealed[:2] != b"CI",
        "unknown version": lambda: sealed[2:3] != b"\x01",
        "unknown suite": lambda: sealed[3:5] != b"\x00\x01",
        "another key id": lambda: sealed[5:21] != key_id,
        "not a key": lambda: len(key) != 32,
        "not Unicode": lambda: any("\ud800" <= character <= "\udfff" for pair in pairs for text in pair for character in text),
        "too long to encode": lambda: any(len(name.encode()) > 0xFFFF for name, _ in pairs),
        "key twice": lambda: len({name for name, _ in pairs}) < len(pairs),
        "commitment differs": lambda: derived()[1] != sealed[53:85],
        "tag differs": lambda: not opens(),
    }

    def derived():
        return WRITER.derive(key, sealed[:53], WRITER.write_context(WRITER.ordered(pairs)))

    def opens():
        try:
            AESGCM(derived()[0]).decrypt(bytes(12), sealed[85:], sealed[:85])
        except InvalidTag:
            return False
        return True

    return next(reason for reason, holds in checks.items() if holds())


@pytest.mark.parametrize(
    "reason",
    [
        "too short",
        "too long",
        "unknown magic",
        "unknown version",
        "unknown suite",
        "another key id",
        "not a key",
        "not Unicode",
        "too long to encode",
        "key twice",
        "commitment differs",
        "tag differs",
    ],
)
def test_every_reason_of_the_page_has_a_vector(reason):
    assert any(vector["reason"] == reason for vector in VECTORS["negative"])
    assert f"`{reason}`" in (REFERENCE / "ci1.md").read_text(encoding="utf-8")


@pytest.mark.requirement("ENC-16")
def test_the_published_two_key_ciphertext_opens_under_aes_gcm_with_both_keys():
    attack = VECTORS["two_keys"]
    nonce, associated, sealed = bytes_of(attack, "nonce", "associated", "sealed")
    opened = [AESGCM(bytes.fromhex(key)).decrypt(nonce, sealed, associated).hex() for key in attack["message_keys"]]
    assert opened == attack["plaintexts"]
    assert len(set(opened)) == 2


@given(
    st.binary(max_size=300),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6),
)
def test_another_implementation_writes_the_same_bytes(plaintext, key, key_id, salt, context):
    written = WRITER.write(plaintext, key=key, key_id=key_id, salt=salt, context=WRITER.write_context(WRITER.ordered(context.items())))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aes_gcm, "urandom", lambda size: salt[:size])
        assert AesGcmCipher().seal(plaintext, key=key, key_id=key_id, context=context.items()) == written
    assert AesGcmCipher().open(written, key=key, key_id=key_id, context=context.items()) == plaintext


def test_the_contexts_of_wrapped_keys_are_the_published_ones():
    vectors = {vector["name"]: vector for vector in VECTORS["positive"]}
    wrapped, canary = vectors["wrapped data key"], vectors["canary of a wrapping key"]
    assert sorted(pairs_of(wrapped)) == sorted(
        wrap_context(tenant_id="t-1", key_id=UUID(bytes=WRITER.KEY_ID), version=1, kek_uri="local:test")
    )
    assert sorted(pairs_of(canary)) == sorted(wrap_context(tenant_id=_NOBODY, key_id=_NO_KEY, version=0, kek_uri="local:test"))
    assert bytes.fromhex(canary["plaintext"]) == _CANARY
    assert wrapped["key_id"] == canary["key_id"] == kek_key_id("local:test").hex()
    assert LocalKeyring([LocalKeyring.generate_key("test")]).primary("t-1").kek_key_id.hex() == wrapped["key_id"]
