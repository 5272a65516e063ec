"""The keys of checkpoints: local Ed25519 keys, and the RSA keys of a key service."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys, ServiceCheckpointKeys
from cloud_integrations.backends.keys.local_signing import LocalSigningKeys
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signed_note import RS256, NoteKey, read_note
from cloud_integrations.errors import ConfigurationError, KeyringError
from cloud_integrations.testing.contracts.checkpoint_keys import CheckpointKeysContract

NAME = "audit.example.com/test"
OLD, NEW = LocalCheckpointKeys.generate_key(), LocalCheckpointKeys.generate_key()
OLD_RSA, NEW_RSA = LocalSigningKeys.generate_key(), LocalSigningKeys.generate_key()
# The example in the documentation of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SAYS = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


class TestLocalKeys(CheckpointKeysContract):
    @pytest.fixture
    def keys(self):
        return LocalCheckpointKeys([OLD], name=NAME)

    @pytest.fixture
    def rotated_keys(self):
        return LocalCheckpointKeys([NEW, OLD], name=NAME)


class TestLocalKeysOfWhichTheOldIsTrusted(TestLocalKeys):
    @pytest.fixture
    def rotated_keys(self, keys):
        return LocalCheckpointKeys([NEW], name=NAME, trusted=[str(keys.public_keys()[0])])


class TestKeysOfAService(CheckpointKeysContract):
    @pytest.fixture
    def keys(self):
        return ServiceCheckpointKeys(LocalSigningKeys([OLD_RSA]), name=NAME)

    @pytest.fixture
    def rotated_keys(self):
        return ServiceCheckpointKeys(LocalSigningKeys([NEW_RSA, OLD_RSA]), name=NAME)


class TestKeysOfAServiceThatTrustALocalKey(CheckpointKeysContract):
    @pytest.fixture
    def keys(self):
        return LocalCheckpointKeys([OLD], name=NAME)

    @pytest.fixture
    def rotated_keys(self, keys):
        return ServiceCheckpointKeys(LocalSigningKeys([NEW_RSA]), name=NAME, trusted=keys.public_keys())


def test_a_note_that_another_implementation_signed_verifies():
    keys = LocalCheckpointKeys([], name=NAME, trusted=[PETER])
    assert keys.is_signed(read_note("note", PETER_SAYS))
    assert not keys.is_signed(read_note("note", PETER_SAYS.replace("answer", "question")))


def test_an_auditor_without_private_keys_verifies_and_cannot_sign():
    signer = LocalCheckpointKeys([OLD], name=NAME)
    auditor = LocalCheckpointKeys([], name="auditor", trusted=signer.public_keys())
    assert auditor.is_signed(read_note("note", signer.sign("a text\n")))
    with pytest.raises(KeyringError):
        auditor.sign("a text\n")


def test_the_keys_of_a_file_are_read_and_an_open_or_empty_file_is_refused(tmp_path):
    file = tmp_path / "keys.pem"
    file.write_text(f"{NEW.reveal()}{OLD.reveal()}")
    file.chmod(0o600)
    assert LocalCheckpointKeys.from_file(file, name=NAME).public_keys() == LocalCheckpointKeys([NEW, OLD], name=NAME).public_keys()
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        LocalCheckpointKeys.from_file(file, name=NAME)
    file.write_text("")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="has no key"):
        LocalCheckpointKeys.from_file(file, name=NAME)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        LocalCheckpointKeys.from_file(tmp_path / "none.pem", name=NAME)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ([], {}),
        (OLD, {}),
        ([OLD_RSA], {}),
        (["no key"], {}),
        ([OLD], {"name": ""}),
        ([OLD], {"name": "two words"}),
        ([OLD], {"name": "a+b"}),
        ([OLD], {"name": "x" * 101}),
        ([OLD], {"trusted": ["nonsense"]}),
        ([OLD], {"trusted": [PETER.replace("c74f20a3", "c74f20a4")]}),
        ([OLD], {"trusted": [PETER[:-4]]}),
        ([OLD], {"trusted": ["+" + PETER.partition("+")[2]]}),
    ],
)
def test_keys_that_cannot_be_used_are_refused_at_once(keys, named):
    with pytest.raises(ConfigurationError) as caught:
        LocalCheckpointKeys(keys, **{"name": NAME, **named})
    assert "".join(OLD.reveal().splitlines()[1:-1]) not in str(caught.value)


def test_no_private_key_is_shown_or_copied():
    keys = LocalCheckpointKeys([OLD], name=NAME)
    secret = "".join(OLD.reveal().splitlines()[1:-1])
    assert secret not in repr(keys)
    assert str(keys.public_keys()[0]) in repr(keys)
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    assert isinstance(OLD, Secret)
    service = ServiceCheckpointKeys(LocalSigningKeys([OLD_RSA]), name=NAME)
    assert "LocalSigningKeys" in repr(service)
    assert service.waits == LocalSigningKeys([OLD_RSA]).waits


def test_a_key_that_is_no_key_signs_nothing():
    broken = NoteKey(name=NAME, kind=RS256, public=b"no DER")
    service = ServiceCheckpointKeys(LocalSigningKeys([OLD_RSA]), name=NAME)
    note = read_note("note", service.sign("a text\n"))
    signatures = tuple(replace(each, key_id=broken.id) for each in note.signatures)
    assert not LocalCheckpointKeys([], name=NAME, trusted=[broken]).is_signed(replace(note, signatures=signatures))
    # A key of another kind behind the type of RS256.
    edwards = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wrong = replace(broken, public=edwards)
    signatures = tuple(replace(each, key_id=wrong.id) for each in note.signatures)
    assert not LocalCheckpointKeys([], name=NAME, trusted=[wrong]).is_signed(replace(note, signatures=signatures))
