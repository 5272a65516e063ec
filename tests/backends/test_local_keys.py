from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import os
import pickle
import traceback
from dataclasses import replace

import pydantic
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.local_keys import AsyncLocalKeyring, LocalKeyring
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, SealingError
from cloud_integrations.ports.keys import AsyncKeyService, KeyService
from cloud_integrations.testing.keys_contract import DATA_KEY, KEY_ID, KeyServiceContract, wrap_for_test


def entry(kid: str, key: bytes) -> str:
    return f"{kid}:{base64.b64encode(key).decode()}"


KEY_A = b"fake-kek-canary-a-32-test-bytes."
KEY_B = b"fake-kek-canary-b-32-test-bytes."
A = entry("a", KEY_A)
B = entry("b", KEY_B)
CANARIES = [form for key in (KEY_A, KEY_B, DATA_KEY) for form in (key.decode(), key.hex(), base64.b64encode(key).decode())]


def shows_a_canary(shown: object) -> bool:
    return any(canary in str(shown) for canary in CANARIES)


def shown_by(error: BaseException) -> str:
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts, links = [repr(error.args), repr(vars(error))], [found]
    while links:
        link = links.pop()
        links += [other for other in (link.__cause__, link.__context__) if other]
        texts += [str(link), *(f"{frame.name} {frame.locals}" for frame in link.stack if "cloud_integrations" in frame.filename)]
    return "\n".join(texts)


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(KeyServiceContract):
    @pytest.fixture
    def keys(self) -> KeyService:
        return LocalKeyring([A])

    @pytest.fixture
    def strange_keys(self) -> KeyService:
        return LocalKeyring([B])


def test_the_first_key_wraps_and_all_unwrap():
    old = LocalKeyring([A])
    row = wrap_for_test(old)
    rotated = LocalKeyring([B, A])
    assert rotated.kids == ("b", "a")
    assert rotated.primary().kek_uri == "local:b"
    assert rotated.unwrap(row) == DATA_KEY
    assert wrap_for_test(rotated).kek_uri == "local:b"


def test_a_key_id_is_16_bytes_of_the_hash_of_its_kid():
    reference = hashlib.sha256(b"cloud_integrations/1/KEKID\x00a").digest()[:16]
    assert LocalKeyring([A]).primary().kek_key_id == reference


@pytest.mark.requirement("ENC-09")
@pytest.mark.parametrize("change", ["uri", "id", "both"])
def test_a_wrapped_key_is_bound_to_its_wrapping_key(change):
    keys = LocalKeyring([A, B])
    row = wrap_for_test(keys)
    other = LocalKeyring([B]).primary()
    changes = {"uri": {"kek_uri": other.kek_uri}, "id": {"kek_key_id": other.kek_key_id}}
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, **(changes["uri"] | changes["id"] if change == "both" else changes[change])))


@pytest.mark.requirement("ENC-05")
def test_one_wrapping_key_is_tried(monkeypatch):
    keys = LocalKeyring([B, A])
    row = wrap_for_test(LocalKeyring([A]))
    tried = []
    real = aes_gcm.hkdf_extract
    monkeypatch.setattr(aes_gcm, "hkdf_extract", lambda salt, key: tried.append(key) or real(salt, key))
    keys.unwrap(row)
    assert tried == [KEY_A]
    tampered = replace(row, wrapped=row.wrapped[:-1] + bytes([row.wrapped[-1] ^ 1]))
    with pytest.raises(DecryptError):
        keys.unwrap(tampered)
    assert tried == [KEY_A, KEY_A]


@pytest.mark.requirement("ENC-08")
def test_another_key_under_the_same_kid_has_another_check():
    (right,) = LocalKeyring([A]).checks()
    (wrong,) = LocalKeyring([entry("a", KEY_B)]).checks()
    assert (right.kek_uri, right.kek_key_id) == (wrong.kek_uri, wrong.kek_key_id)
    assert right.check_value != wrong.check_value
    assert LocalKeyring([B, A]).checks()[1] == right


@pytest.mark.requirement("ENC-08")
def test_the_check_is_derived_by_hkdf_under_the_key_id():
    (check,) = LocalKeyring([A]).checks()
    reference = HKDF(hashes.SHA512(), 32, check.kek_key_id, b"cloud_integrations/1/KEYCHECK\x00").derive(KEY_A)
    assert check.check_value == reference
    # The same key under another kid does not show that it is the same.
    assert LocalKeyring([entry("c", KEY_A)]).checks()[0].check_value != check.check_value


@pytest.mark.requirement("ENC-08")
def test_another_key_under_the_same_kid_does_not_unwrap():
    with pytest.raises(DecryptError):
        LocalKeyring([entry("a", KEY_B)]).unwrap(wrap_for_test(LocalKeyring([A])))


MALFORMED = {
    "nothing": "",
    "no kid": base64.b64encode(KEY_A).decode(),
    "empty kid": entry("", KEY_A),
    "kid with a space": entry("a b", KEY_A),
    "kid with a newline": entry("a\n", KEY_A),
    "kid too long": entry("k" * 65, KEY_A),
    "kid not ASCII": entry("ä", KEY_A),
    "no key": "a:",
    "31 bytes": entry("a", KEY_A[:-1]),
    "33 bytes": entry("a", KEY_A + b"."),
    "not base64": f"a:{KEY_A.decode()}",
    "hexadecimal": f"a:{KEY_A.hex()}",
    "no padding": A.rstrip("="),
    "spare bits set": A[:-2] + chr(ord(A[-2]) + 1) + "=",
    "trailing space": A + " ",
    "not ASCII": f"a:ü{KEY_A.decode()}",
    "a surrogate": f"a:\ud800{KEY_A.decode()}",
    "two colons": f"a:{A}",
    "written backwards": ":".join(reversed(entry("a", KEY_A).split(":"))),
    "key in hexadecimal where the kid belongs": f"{KEY_A.hex()}:a",
    "bytes": A.encode(),
    "a number": 7,
}


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize(
    "bad",
    [*MALFORMED.values(), *(Secret(bad) for bad in MALFORMED.values() if isinstance(bad, str))],
    ids=[*MALFORMED, *(f"{name}, in a Secret" for name, bad in MALFORMED.items() if isinstance(bad, str))],
)
def test_a_malformed_entry_is_named_by_its_position_and_never_shown(bad):
    with pytest.raises(ConfigurationError) as caught:
        LocalKeyring([B, bad], setting="TEST_KEYS")
    assert "TEST_KEYS entry 2 " in str(caught.value)
    assert caught.value.setting == "TEST_KEYS"
    assert "__init__ {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_keyring_has_a_key():
    with pytest.raises(ConfigurationError, match="has no key"):
        LocalKeyring([])


@pytest.mark.requirement("ENC-18")
def test_a_kid_names_one_key():
    with pytest.raises(ConfigurationError, match="entry 3 uses the kid a again") as caught:
        LocalKeyring([A, B, entry("a", KEY_B)])
    assert not shows_a_canary(shown_by(caught.value))


def test_a_generated_entry_makes_a_keyring():
    entries = [LocalKeyring.generate_key(kid) for kid in ("2026-01", "A.b_c-" + "9" * 58)]
    assert LocalKeyring(entries).kids == ("2026-01", "A.b_c-" + "9" * 58)
    assert LocalKeyring.generate_key("a") != LocalKeyring.generate_key("a")
    assert "2026" not in repr(entries)


@pytest.mark.parametrize("kid", ["", "a:b", "a b", "k" * 65])
def test_a_key_is_not_generated_under_what_is_no_kid(kid):
    with pytest.raises(ConfigurationError, match="kid must be"):
        LocalKeyring.generate_key(kid)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# newest first\n{B}\n\n  # the one before\r\n  {A}  \n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_a_file_has_one_entry_a_line(key_file, kind):
    assert LocalKeyring.from_file(kind(key_file)).kids == ("b", "a")


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_file_that_others_may_touch_is_refused(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600") as caught:
        LocalKeyring.from_file(key_file)
    assert caught.value.setting == str(key_file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        LocalKeyring.from_file(tmp_path / "missing")


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize(
    "content",
    [b"\xff" + KEY_A, KEY_A, B.encode() + b"\n" + A[2:].encode(), b"# nothing\n"],
    ids=["not UTF-8", "no kid", "second line", "no entry"],
)
def test_a_file_at_fault_is_never_shown(key_file, content):
    key_file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        LocalKeyring.from_file(key_file)
    assert str(key_file) in str(caught.value)
    assert "from_file {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("keys", [LocalKeyring([A, B]), AsyncLocalKeyring(LocalKeyring([A, B]))], ids=["blocking", "awaiting"])
def test_a_keyring_shows_its_kids_and_never_a_key(keys):
    @dataclasses.dataclass
    class Holder:
        keys: object

    class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
        keys: object

    for shown in (
        repr(keys),
        str(keys),
        f"{keys}",
        f"{keys!r:>80}",
        copy.copy(keys),
        copy.deepcopy(keys),
        dataclasses.asdict(Holder(keys)),
        Model(keys=keys).model_dump(),
    ):
        assert "('a', 'b')" in str(shown)
        assert not shows_a_canary(shown)
    with pytest.raises(TypeError):
        vars(keys)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(keys, protocol)
        assert not shows_a_canary(shown_by(caught.value))
    local = keys if isinstance(keys, LocalKeyring) else keys._keyring
    assert not shows_a_canary(repr(local._by_id))


def test_copying_a_keyring_makes_no_second_one():
    keys = LocalKeyring([A])
    assert copy.copy(keys) is keys
    assert copy.deepcopy([keys])[0] is keys


@pytest.mark.requirement("ENC-18")
async def test_no_failed_wrap_or_unwrap_shows_a_key():
    keys = LocalKeyring([A])
    awaited = AsyncLocalKeyring(keys)
    row = wrap_for_test(keys)
    too_long = DATA_KEY + b"."
    errors = []
    with pytest.raises(SealingError) as caught:
        keys.wrap(too_long, tenant_id="t", key_id=KEY_ID, version=1)
    errors.append(caught.value)
    with pytest.raises(SealingError) as caught:
        await awaited.wrap(too_long, tenant_id="t", key_id=KEY_ID, version=1)
    errors.append(caught.value)
    with pytest.raises(SealingError) as caught:
        keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1)
    errors.append(caught.value)
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(replace(row, version=2))
    errors.append(caught.value)
    with pytest.raises(KeyringError) as caught:
        LocalKeyring([B]).unwrap(row)
    errors.append(caught.value)
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


async def test_the_awaiting_keyring_answers_as_the_blocking_one():
    keys = LocalKeyring([A, B])
    awaited: AsyncKeyService = AsyncLocalKeyring(keys)
    assert await awaited.primary() == keys.primary()
    assert await awaited.checks() == keys.checks()
    ref, wrapped = await awaited.wrap(DATA_KEY, tenant_id="tenant-a", key_id=KEY_ID, version=1)
    assert ref == keys.primary()
    row = replace(wrap_for_test(keys), wrapped=wrapped)
    assert await awaited.unwrap(row) == DATA_KEY
