from __future__ import annotations

import copy
import hmac
import importlib.util
import inspect
import json
import os
import pickle
import re
import traceback
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.aes_gcm import AesGcmCipher, hkdf_expand, hkdf_extract
from cloud_integrations.domain.envelope import PREFIX_LENGTH, build_header, encode_context
from cloud_integrations.errors import DecryptError, SealingError
from cloud_integrations.testing.cipher_contract import CONTEXT, KEY, KEY_ID, OTHER_KEY, PAIRS, PLAINTEXT, CipherContract

VECTORS = json.loads(Path(__file__).with_name("ci1_vectors.json").read_text(encoding="utf-8"))
NONCE = bytes(12)


def pairs_of(vector):
    return [(key, value) for key, value in vector["context"]]


def field_bytes(vector, *names):
    return [bytes.fromhex(vector[name]) for name in names]


# The two-key ciphertext ("salamander"): GHASH is linear in the ciphertext, so one free block makes two tags meet.


def gf_multiply(x: int, y: int) -> int:
    """Multiply in GF(2^128) with GCM's bit order (NIST SP 800-38D §6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        product ^= x * (y >> bit & 1)
        x = x >> 1 ^ (x & 1) * (0xE1 << 120)
    return product


def gf_power(x: int, exponent: int) -> int:
    result = 1 << 127  # the one of this field
    while exponent:
        if exponent & 1:
            result = gf_multiply(result, x)
        x = gf_multiply(x, x)
        exponent >>= 1
    return result


def aes_block(key: bytes, block: bytes) -> int:
    return int.from_bytes(Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(block), "big")


def ghash(secret: int, blocks: list[int]) -> int:
    total = 0
    for block in blocks:
        total = gf_multiply(total ^ block, secret)
    return total


def two_key_ciphertext(one: bytes, other: bytes, associated: bytes) -> bytes:
    """Return a 48-byte ciphertext and its tag that AES-256-GCM accepts under both keys."""
    padded = associated + bytes(-len(associated) % 16)
    front = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    lengths = len(associated) * 8 << 64 | 48 * 8
    blocks = [*front, 0x11 << 64, 0, 0x22 << 64, lengths]  # the 0 is the block to find
    hashes_of = [aes_block(key, bytes(16)) for key in (one, other)]
    masks = [aes_block(key, NONCE + b"\x00\x00\x00\x01") for key in (one, other)]
    gap = ghash(hashes_of[0], blocks) ^ ghash(hashes_of[1], blocks) ^ masks[0] ^ masks[1]
    factor = gf_power(hashes_of[0], 3) ^ gf_power(hashes_of[1], 3)  # the block is third from the end
    blocks[-3] = gf_multiply(gap, gf_power(factor, 2**128 - 2))
    tag = ghash(hashes_of[0], blocks) ^ masks[0]
    return b"".join(block.to_bytes(16, "big") for block in [*blocks[-4:-1], tag])


@pytest.mark.requirement("ENC-02", "ENC-03", "ENC-04", "ENC-06", "ENC-07", "ENC-16", "ENC-19")
class TestContract(CipherContract):
    @pytest.fixture
    def cipher(self):
        return AesGcmCipher()

    def forge(self, cipher, /, *, keys, key_id):
        bound = build_header(key_id) + bytes(32)
        message_keys, commitments = zip(*(aes_gcm._derive(key, bound, encode_context(PAIRS)) for key in keys), strict=True)
        prefix = bound + commitments[0]
        return prefix + two_key_ciphertext(*message_keys, prefix)


@pytest.mark.requirement("ENC-16")
def test_the_two_key_ciphertext_opens_under_raw_aes_gcm_with_either_key():
    forged = two_key_ciphertext(KEY, OTHER_KEY, b"associated")
    opened = {AESGCM(key).decrypt(NONCE, forged, b"associated") for key in (KEY, OTHER_KEY)}
    assert len(opened) == 2
    with pytest.raises(InvalidTag):
        AESGCM(bytes(32)).decrypt(NONCE, forged, b"associated")


@pytest.mark.requirement("ENC-16")
def test_the_tag_of_the_two_key_envelope_is_valid_under_both_and_only_the_commitment_refuses():
    forged = TestContract().forge(AesGcmCipher(), keys=(KEY, OTHER_KEY), key_id=KEY_ID)
    for key, opens in ((KEY, True), (OTHER_KEY, False)):
        message_key, commitment = aes_gcm._derive(key, forged[:53], encode_context(PAIRS))
        assert len(AESGCM(message_key).decrypt(NONCE, forged[PREFIX_LENGTH:], forged[:PREFIX_LENGTH])) == 48
        assert (commitment == forged[53:85]) is opens


@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_published_values_open(vector):
    sealed, key, key_id, plaintext = field_bytes(vector, "sealed", "key", "key_id", "plaintext")
    assert encode_context(pairs_of(vector)).hex() == vector["context_bytes"]
    assert AesGcmCipher().open(sealed, key=key, key_id=key_id, context=pairs_of(vector)) == plaintext
    assert AesGcmCipher().key_id_of(sealed) == key_id


@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_with_the_published_salt_the_published_bytes_are_written(vector, monkeypatch):
    sealed, key, key_id, plaintext, salt = field_bytes(vector, "sealed", "key", "key_id", "plaintext", "salt")
    monkeypatch.setattr(aes_gcm, "urandom", lambda size: salt[:size])
    assert AesGcmCipher().seal(plaintext, key=key, key_id=key_id, context=pairs_of(vector)) == sealed


@pytest.mark.requirement("ENC-02", "ENC-03", "ENC-04")
@pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])
def test_published_wrong_values_are_refused_for_their_reason(vector):
    sealed, key, key_id = field_bytes(vector, "sealed", "key", "key_id")
    with pytest.raises(DecryptError):
        AesGcmCipher().open(sealed, key=key, key_id=key_id, context=pairs_of(vector))
    assert reason_to_refuse(sealed, key, key_id, pairs_of(vector)) == vector["reason"]


def reason_to_refuse(sealed, key, key_id, pairs):
    """Say why, in the order of the format's specification; the product never says."""
    reasons = {
        "shorter than an envelope": lambda: len(sealed) < 101,
        "unknown magic": lambda: sealed[:2] != b"CI",
        "unknown version": lambda: sealed[2:3] != b"\x01",
        "unknown suite": lambda: sealed[3:5] != b"\x00\x01",
        "another key id": lambda: sealed[5:21] != key_id,
        "ambiguous context": lambda: len({name for name, _ in pairs}) < len(pairs),
        "context cannot be encoded": lambda: any("\ud800" in value for _, value in pairs),
        "not a key": lambda: len(key) != 32,
        "commitment differs": lambda: aes_gcm._derive(key, sealed[:53], encode_context(pairs))[1] != sealed[53:85],
        "tag differs": lambda: True,
    }
    return next(reason for reason, holds in reasons.items() if holds())


@pytest.mark.requirement("ENC-04")
@pytest.mark.parametrize("sealed", ["Q0kB", None, bytearray(200), 7], ids=lambda sealed: type(sealed).__name__)
def test_only_bytes_are_opened(sealed):
    with pytest.raises(DecryptError):
        AesGcmCipher().open(sealed, key=KEY, key_id=KEY_ID, context=PAIRS)


@pytest.mark.parametrize(("plaintext", "key"), [("text", KEY), (bytearray(4), KEY), (b"", "k" * 32), (b"", bytearray(32))])
def test_only_bytes_are_sealed(plaintext, key):
    with pytest.raises(SealingError):
        AesGcmCipher().seal(plaintext, key=key, key_id=KEY_ID, context=PAIRS)


@pytest.mark.requirement("ENC-05")
def test_one_key_is_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(aes_gcm, "hkdf_extract", lambda salt, key: tried.append(key) or hkdf_extract(salt, key))
    cipher = AesGcmCipher()
    sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
    tried.clear()
    cipher.open(sealed, key=KEY, key_id=KEY_ID, context=PAIRS)
    assert tried == [KEY]
    tried.clear()
    with pytest.raises(DecryptError):
        cipher.open(sealed, key=OTHER_KEY, key_id=KEY_ID, context=PAIRS)
    assert tried == [OTHER_KEY]
    tried.clear()
    with pytest.raises(DecryptError):
        cipher.open(sealed, key=KEY, key_id=bytes(16), context=PAIRS)
    assert tried == []


@pytest.mark.requirement("ENC-06")
def test_the_commitment_is_compared_in_constant_time_and_before_anything_is_decrypted(monkeypatch):
    compared = []
    sealed = AesGcmCipher().seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
    real = hmac.compare_digest
    monkeypatch.setattr(aes_gcm.hmac, "compare_digest", lambda one, other: compared.append(other) or real(one, other))
    assert AesGcmCipher().open(sealed, key=KEY, key_id=KEY_ID, context=PAIRS) == PLAINTEXT
    assert compared == [sealed[53:85]]
    monkeypatch.setattr(aes_gcm, "AESGCM", None)
    with pytest.raises(DecryptError):
        AesGcmCipher().open(sealed, key=OTHER_KEY, key_id=KEY_ID, context=PAIRS)
    # The comparison is the only thing that stands between this and the decryption.
    monkeypatch.setattr(aes_gcm.hmac, "compare_digest", lambda one, other: True)
    with pytest.raises(TypeError):
        AesGcmCipher().open(sealed, key=OTHER_KEY, key_id=KEY_ID, context=PAIRS)


@pytest.mark.requirement("ENC-07")
def test_the_salt_comes_from_the_system_and_nothing_can_fix_it(monkeypatch):
    assert aes_gcm.urandom is os.urandom
    assert not inspect.signature(AesGcmCipher).parameters
    assert set(inspect.signature(AesGcmCipher.seal).parameters) == {"self", "plaintext", "key", "key_id", "context"}
    with pytest.raises(AttributeError):
        AesGcmCipher().salt = bytes(32)
    asked = []
    monkeypatch.setattr(aes_gcm, "urandom", lambda size: asked.append(size) or os.urandom(size))
    seals = [AesGcmCipher().seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS) for _ in range(100)]
    assert asked == [32] * 100
    assert len({sealed[21:53] for sealed in seals}) == 100


@pytest.mark.requirement("ENC-17")
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_with_the_one_error(tail, with_header):
    with pytest.raises(DecryptError) as caught:
        AesGcmCipher().open(build_header(KEY_ID) + tail if with_header else tail, key=KEY, key_id=KEY_ID, context=PAIRS)
    assert str(caught.value) == str(DecryptError())


@pytest.mark.requirement("ENC-17")
@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_any_value_in_any_context_is_opened_or_not_sealed(plaintext, context):
    try:
        sealed = AesGcmCipher().seal(plaintext, key=KEY, key_id=KEY_ID, context=context.items())
    except SealingError:
        assert any("\ud800" <= character <= "\udfff" for text in (*context, *context.values()) for character in text)
    else:
        assert AesGcmCipher().open(sealed, key=KEY, key_id=KEY_ID, context=context.items()) == plaintext


CANARY_KEY = b"fake-key-canary-of-32-test-bytes"
CANARY_TEXT = b"fake-plaintext-canary"


def shown_by(error: BaseException) -> str:
    """Return the traceback with the locals of every frame of the product, and every error behind it."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts, links = [], [found]
    while links:
        link = links.pop()
        links += [other for other in (link.__cause__, link.__context__) if other]
        texts += [str(link), *(f"{frame.name} {frame.locals}" for frame in link.stack if "cloud_integrations" in frame.filename)]
    texts.append(repr(error.args))
    return "\n".join(texts)


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize(
    ("plaintext", "key", "key_id", "context"),
    [
        (CANARY_TEXT * 5000, CANARY_KEY, KEY_ID, PAIRS),
        (CANARY_TEXT.decode(), CANARY_KEY, KEY_ID, PAIRS),
        (CANARY_TEXT, CANARY_KEY + b"1", KEY_ID, PAIRS),
        (CANARY_TEXT, CANARY_KEY.decode(), KEY_ID, PAIRS),
        (CANARY_TEXT, CANARY_KEY, b"short", PAIRS),
        (CANARY_TEXT, CANARY_KEY, KEY_ID, (*PAIRS, PAIRS[0])),
        (CANARY_TEXT, CANARY_KEY, KEY_ID, [("a", "\ud800")]),
        (CANARY_TEXT, CANARY_KEY, KEY_ID, [("a", 7)]),
        (CANARY_TEXT, CANARY_KEY, KEY_ID, None),
    ],
    ids=["too long", "text", "key too long", "key as text", "key id", "key twice", "not Unicode", "not text", "no context"],
)
def test_no_failed_seal_shows_a_key_or_a_plaintext(plaintext, key, key_id, context):
    with pytest.raises((SealingError, TypeError, AttributeError)) as caught:
        AesGcmCipher().seal(plaintext, key=key, key_id=key_id, context=context)
    shown = shown_by(caught.value)
    assert "seal {" in shown
    assert "canary" not in shown


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("change", ["tag", "commitment", "magic", "key id", "key", "context", "not text"])
def test_no_failed_open_shows_a_key_or_a_plaintext(change, monkeypatch):
    derived = []
    real = aes_gcm._derive
    monkeypatch.setattr(aes_gcm, "_derive", lambda *facts: derived.append(real(*facts)) or derived[-1])
    sealed = bytearray(AesGcmCipher().seal(CANARY_TEXT, key=CANARY_KEY, key_id=KEY_ID, context=PAIRS))
    message_key, _ = derived[0]
    sealed[{"tag": -1, "commitment": 60, "magic": 0}.get(change, 0)] ^= change in {"tag", "commitment", "magic"}
    with pytest.raises((DecryptError, AttributeError)) as caught:
        AesGcmCipher().open(
            bytes(sealed),
            key=CANARY_KEY + b"1" * (change == "key"),
            key_id=bytes(16) if change == "key id" else KEY_ID,
            context={"context": PAIRS[1:], "not text": [("a", 7)]}.get(change, PAIRS),
        )
    shown = shown_by(caught.value)
    assert "open {" in shown
    assert "canary" not in shown
    assert repr(message_key) not in shown


@pytest.mark.requirement("ENC-18")
def test_the_cipher_holds_nothing_to_show():
    cipher = AesGcmCipher()
    cipher.seal(CANARY_TEXT, key=CANARY_KEY, key_id=KEY_ID, context=PAIRS)
    with pytest.raises(TypeError):
        vars(cipher)
    for shown in (repr(cipher), str(cipher), f"{cipher}", pickle.dumps(cipher), repr(copy.deepcopy(cipher)), repr(CONTEXT)):
        assert "canary" not in str(shown)


# Known answers of others.


@pytest.mark.requirement("ENC-20")
@pytest.mark.parametrize(
    ("key", "nonce", "plaintext", "associated", "sealed"),
    [
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            (
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                "76fc6ece0f4e1768cddf8853bb2d551b"
            ),
        ),
    ],
    ids=["test case 13", "test case 14", "test case 16"],
)
def test_aes_gcm_gives_the_answers_of_its_specification(key, nonce, plaintext, associated, sealed):
    key, nonce, plaintext, associated = map(bytes.fromhex, (key, nonce, plaintext, associated))
    assert aes_gcm.AESGCM(key).encrypt(nonce, plaintext, associated).hex() == sealed


@pytest.mark.requirement("ENC-20")
@pytest.mark.parametrize(
    ("secret", "salt", "info", "prk", "okm"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "665799823737ded04a88e47e54a5890bb2c3d247c7a4254a8e61350723590a26c36238127d8661b88cf80ef802d57e2f7cebcf1e00e083848be19929c61b4237",
            "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c14815793",
        ),
        (
            "0b" * 22,
            "",
            "",
            "fd200c4987ac491313bd4a2a13287121247239e11c9ef82802044b66ef357e5b194498d0682611382348572a7b1611de54764094286320578a863f36562b0df6",
            "f5fa02b18298a72a8c23898a8703472c6eb179dc204c03425c970e3b164bf90f",
        ),
    ],
    ids=["RFC 5869 A.1 with SHA-512", "RFC 5869 A.3 with SHA-512"],
)
def test_hkdf_gives_published_answers(secret, salt, info, prk, okm):
    secret, salt, info = map(bytes.fromhex, (secret, salt, info))
    assert hkdf_extract(salt, secret).hex() == prk
    assert hkdf_expand(hkdf_extract(salt, secret), info).hex() == okm


@pytest.mark.requirement("ENC-20")
@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_hkdf_agrees_with_another_implementation(secret, salt, info):
    assert hkdf_expand(hkdf_extract(salt, secret), info) == HKDF(hashes.SHA512(), 32, salt, info).derive(secret)


def third_party_vectors(path: str) -> list[dict[str, bytes]]:
    """Return the records of a vector file, or skip and say how to get it."""
    found = importlib.util.find_spec("cryptography_vectors")
    if found is None or found.origin is None:
        pytest.skip("third-party vectors were not run: install the package cryptography-vectors")
    text = Path(found.origin).parent.joinpath(path).read_text(encoding="utf-8")
    starts = [match.start() for match in re.finditer(r"^(?:Count|Len) = ", text, re.MULTILINE)] + [len(text)]
    records = []
    for start, end in pairwise(starts):
        lines = re.findall(r"^(\w+) = ?([0-9a-fA-F]*)$", text[start:end], re.MULTILINE)
        records.append({name: bytes.fromhex(value) for name, value in lines if name not in {"Count", "Len"}})
    return records


@pytest.mark.requirement("ENC-20")
def test_aes_gcm_gives_the_answers_of_nist():
    records = [
        one for one in third_party_vectors("ciphers/AES/GCM/gcmEncryptExtIV256.rsp") if len(one["IV"]) == 12 and len(one["Tag"]) == 16
    ]
    assert len(records) > 100
    for one in records:
        sealed = aes_gcm.AESGCM(one["Key"]).encrypt(one["IV"], one["PT"], one["AAD"])
        assert sealed == one["CT"] + one["Tag"]


@pytest.mark.requirement("ENC-20")
def test_hkdf_extract_gives_the_answers_of_rfc_4231():
    records = third_party_vectors("HMAC/rfc-4231-sha512.txt")
    assert len(records) >= 6
    for one in records:
        assert hkdf_extract(one["Key"], one["Msg"]) == one["MD"]
