from __future__ import annotations

import copy
import hmac
import inspect
import os
import pickle

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.ci1 import WRITER
from tests.tracebacks import shown_by

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.aes_gcm import AesGcmCipher, hkdf_extract
from cloud_integrations.domain.envelope import PREFIX_LENGTH, encode_context
from cloud_integrations.errors import DecryptError, SealingError
from cloud_integrations.testing.contracts.cipher import CONTEXT, KEY, KEY_ID, OTHER_KEY, PAIRS, PLAINTEXT, CipherContract

NONCE = bytes(12)


@pytest.mark.requirement("ENC-02", "ENC-03", "ENC-04", "ENC-06", "ENC-07", "ENC-16", "ENC-19")
class TestContract(CipherContract):
    @pytest.fixture
    def cipher(self):
        return AesGcmCipher()

    def forge(self, cipher, /, *, keys, key_id):
        return WRITER.write_for_two_keys(keys, key_id=key_id, context=encode_context(PAIRS))


@pytest.mark.requirement("ENC-16")
def test_the_two_key_ciphertext_opens_under_raw_aes_gcm_with_either_key():
    forged = WRITER.two_key_ciphertext(KEY, OTHER_KEY, b"associated")
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


CANARY_KEY = b"fake-key-canary-of-32-test-bytes"
CANARY_TEXT = b"fake-plaintext-canary"


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
