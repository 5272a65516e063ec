"""The primitives under format CI1 give the answers that others published.

Vectors that are not part of this repository are skipped where they are absent, and the skip says how to get them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.aes_gcm import hkdf_extract


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
    assert HKDF(hashes.SHA512(), 32, salt, info).derive(secret).hex() == okm


@pytest.mark.requirement("ENC-20")
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=53, max_size=53), st.binary(max_size=200))
def test_message_key_and_commitment_are_what_another_hkdf_derives(secret, bound, context):
    transcript = hashes.Hash(hashes.SHA512())
    transcript.update(bound + context)
    bound_to = transcript.finalize()
    assert aes_gcm._derive(secret, bound, context) == tuple(
        HKDF(hashes.SHA512(), 32, bound[21:], b"cloud_integrations/1/" + label + b"\x00" + bound_to).derive(secret)
        for label in (b"DERIVEKEY", b"COMMITKEY")
    )


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


@pytest.mark.requirement("ENC-20")
def test_aes_gcm_refuses_what_nist_says_is_forged():
    records = [one for one in third_party_vectors("ciphers/AES/GCM/gcmDecrypt256.rsp") if len(one["IV"]) == 12 and len(one["Tag"]) == 16]
    forged = [one for one in records if "PT" not in one]
    assert len(forged) > 100
    for one in records:
        opening = aes_gcm.AESGCM(one["Key"])
        if "PT" in one:
            assert opening.decrypt(one["IV"], one["CT"] + one["Tag"], one["AAD"]) == one["PT"]
        else:
            with pytest.raises(InvalidTag):
                opening.decrypt(one["IV"], one["CT"] + one["Tag"], one["AAD"])


def wycheproof(name):
    """Return (group, test) pairs of one file of Project Wycheproof, or skip and say where it is looked for."""
    where = os.environ.get("CI_TEST_WYCHEPROOF")
    if not where:
        pytest.skip("Wycheproof was not run: set CI_TEST_WYCHEPROOF to its folder testvectors_v1")
    groups = json.loads(Path(where, name).read_text(encoding="utf-8"))["testGroups"]
    found = [(group, test) for group in groups for test in group["tests"]]
    assert len(found) > 50
    return found


@pytest.mark.requirement("ENC-20")
def test_aes_gcm_passes_wycheproof():
    # CI1 has one shape of AES-GCM; the other key and nonce sizes of the file are not used here.
    cases = [one for one in wycheproof("aes_gcm_test.json") if (one[0]["keySize"], one[0]["ivSize"], one[0]["tagSize"]) == (256, 96, 128)]
    assert len(cases) > 20
    for _, test in cases:
        key, nonce, associated, plaintext, ciphertext, tag = (
            bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        if test["result"] == "invalid":
            with pytest.raises(InvalidTag):
                aes_gcm.AESGCM(key).decrypt(nonce, ciphertext + tag, associated)
        else:
            assert aes_gcm.AESGCM(key).encrypt(nonce, plaintext, associated) == ciphertext + tag
            assert aes_gcm.AESGCM(key).decrypt(nonce, ciphertext + tag, associated) == plaintext


@pytest.mark.requirement("ENC-20")
def test_hkdf_passes_wycheproof():
    for _, test in wycheproof("hkdf_sha512_test.json"):
        if test["result"] == "invalid":
            continue  # asks for more than 255 blocks; CI1 takes 32 bytes
        secret, salt, info, okm = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info", "okm"))
        assert HKDF(hashes.SHA512(), test["size"], salt, info).derive(secret) == okm


@pytest.mark.requirement("ENC-20")
def test_hkdf_extract_passes_wycheproof():
    """It is one HMAC."""
    for group, test in wycheproof("hmac_sha512_test.json"):
        key, message, tag = (bytes.fromhex(test[name]) for name in ("key", "msg", "tag"))
        assert (hkdf_extract(key, message)[: group["tagSize"] // 8] == tag) is (test["result"] == "valid")
