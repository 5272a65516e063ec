from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import logging
import os
import pickle
from dataclasses import replace

import keyring.backend
import keyring.backends.fail
import keyring.errors
import pydantic
import pydantic_core
import pytest
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.backends import aes_gcm
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, SealingError
from cloud_integrations.ports.key_service import KeyService
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, KeyServiceContract, wrap_for_test


def entry(kid: str, key: bytes) -> str:
    return f"{kid}:{base64.b64encode(key).decode()}"


KEY_A = b"fake-kek-canary-a-32-test-bytes."
KEY_B = b"fake-kek-canary-b-32-test-bytes."
A = entry("a", KEY_A)
B = entry("b", KEY_B)
CANARIES = [form for key in (KEY_A, KEY_B, DATA_KEY) for form in (key.decode(), key.hex(), base64.b64encode(key).decode())]


def shows_a_canary(shown: object) -> bool:
    return any(canary in str(shown) for canary in CANARIES)


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(KeyServiceContract):
    @pytest.fixture
    def keys(self) -> KeyService:
        return LocalKeyring([A])

    @pytest.fixture
    def strange_keys(self) -> KeyService:
        return LocalKeyring([B])

    @pytest.fixture
    def rotated_keys(self) -> KeyService:
        return LocalKeyring([A, B])


def test_it_computes_and_never_waits():
    assert not LocalKeyring([A]).waits


def test_a_key_id_is_16_bytes_of_the_hash_of_its_uri():
    reference = hashlib.sha256(b"cloud_integrations/1/KEKID\x00local:a").digest()[:16]
    assert LocalKeyring([A]).primary("acme").kek_key_id == reference


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


# The operating system's keyring


class FakeSystem(keyring.backend.KeyringBackend):
    """The operating system's keyring, in memory."""

    priority = 0  # never chosen by itself

    def __init__(self, passwords=(), error=None):
        super().__init__()
        self.passwords = dict(passwords)
        self.error = error

    def get_password(self, service, username):
        if self.error is not None:
            raise self.error
        return self.passwords.get((service, username))

    def set_password(self, service, username, password):
        self.passwords[service, username] = password


@pytest.fixture
def system():
    yield lambda *arguments, **options: keyring.set_keyring(FakeSystem(*arguments, **options))
    keyring.set_keyring(keyring.backends.fail.Keyring())  # never the real one of whoever runs the tests


def test_the_systems_keyring_has_one_entry_a_line(system):
    system({("cloud-integrations", "keys"): f"# newest first\r\n{B}\n\n  {A}  ", ("mine", "other"): A})
    assert LocalKeyring.from_system().kids == ("b", "a")
    assert LocalKeyring.from_system(service="mine", account="other").kids == ("a",)


@pytest.mark.parametrize("passwords", [{}, {("cloud-integrations", "keys"): ""}, {("cloud-integrations", "keys"): "# nothing\n"}])
def test_an_entry_that_is_not_in_the_systems_keyring_is_named(system, passwords):
    system(passwords)
    with pytest.raises(ConfigurationError, match="cloud-integrations/keys of the system's keyring is not there"):
        LocalKeyring.from_system()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (keyring.errors.NoKeyringError(), "this system has no keyring"),
        (keyring.errors.KeyringLocked(), "is locked, or refused"),
        (keyring.errors.InitError(A), "is locked, or refused"),
    ],
)
def test_a_system_whose_keyring_cannot_be_read_is_told(system, error, sentence):
    system(error=error)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        LocalKeyring.from_system()
    assert not shows_a_canary(shown_by(caught.value))


def test_a_system_without_a_keyring_is_told(system):
    keyring.set_keyring(keyring.backends.fail.Keyring())
    with pytest.raises(ConfigurationError, match="this system has no keyring"):
        LocalKeyring.from_system()


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("content", [KEY_A.decode(), f"{B}\n{A[2:]}"], ids=["no kid", "second line"])
def test_the_systems_keyring_is_never_shown(system, content, caplog):
    caplog.set_level(logging.DEBUG)
    system({("cloud-integrations", "keys"): content})
    with pytest.raises(ConfigurationError, match=r"system's keyring entry [12] is not kid:base64") as caught:
        LocalKeyring.from_system()
    assert "from_system {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))
    assert not shows_a_canary(caplog.text)


@pytest.mark.requirement("ENC-18")
def test_a_keyring_shows_its_kids_and_never_a_key():
    keys = LocalKeyring([A, B])

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
        dataclasses.asdict(Holder(keys)),
        Model(keys=keys).model_dump(),
    ):
        assert "('a', 'b')" in str(shown)
        assert not shows_a_canary(shown)
    assert not shows_a_canary(shown_by_copies(keys))
    with pytest.raises(pydantic_core.PydanticSerializationError) as refused:
        Model(keys=keys).model_dump_json()
    assert not shows_a_canary(shown_by(refused.value))
    with pytest.raises(pydantic.PydanticSchemaGenerationError):
        pydantic.TypeAdapter(LocalKeyring)


@pytest.mark.requirement("ENC-18")
def test_what_a_keyring_holds_inside_shows_no_key_either():
    inside = LocalKeyring([A])._by_id

    @dataclasses.dataclass
    class Holder:
        inside: object

    kek = next(iter(inside.values()))
    with pytest.raises(TypeError):
        dataclasses.asdict(kek)
    with pytest.raises(TypeError):
        vars(kek)
    for shown in (repr(inside), str(kek), f"{kek!r:>80}", dataclasses.asdict(Holder(inside)), copy.copy(kek), copy.deepcopy(inside)):
        assert "'a'" in str(shown)
        assert not shows_a_canary(shown)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(inside, protocol)
        assert not shows_a_canary(shown_by(caught.value))


@pytest.mark.requirement("ENC-18")
def test_no_failed_wrap_or_unwrap_shows_a_key():
    keys = LocalKeyring([A])
    row = wrap_for_test(keys)
    too_long = DATA_KEY + b"."
    errors = []
    with pytest.raises(SealingError) as caught:
        keys.wrap(too_long, tenant_id="t", key_id=KEY_ID, version=1)
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
