"""Signing keys in PEM that the operator keeps."""

from __future__ import annotations

import pickle
from copy import copy

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import RSAKey
from tests.protocol.keys import certificate_pem, pem, public_pem
from tests.tracebacks import shown_by

from cloud_integrations import LocalSigningKeys, Secret
from cloud_integrations.domain.issuing import PublicSigningKey
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.testing.contracts.signing_keys import SigningKeysContract


class TestContract(SigningKeysContract):
    @pytest.fixture
    def keys(self):
        return LocalSigningKeys([pem()])

    @pytest.fixture
    def rotated_keys(self):
        return LocalSigningKeys([Secret(pem("other rsa")), pem()])


def test_a_key_is_named_by_its_thumbprint():
    [key] = LocalSigningKeys([pem()]).public_keys()
    theirs = RSAKey.import_key(public_pem())
    assert key.key_id == theirs.thumbprint()
    assert {name: value for name, value in key.as_jwk().items() if name in {"kty", "n", "e"}} == theirs.as_dict(private=False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "private key"),
        ("fake-private-key", "private key"),
        (pem("rsa 1024"), "at least 2048 bits"),
        (pem("ec"), "must be an RSA key"),
        (pem("ed25519"), "must be an RSA key"),
        (pem(passphrase="fake passphrase"), "encrypted"),
        (public_pem(), "is a public key"),
        (certificate_pem(), "is a certificate"),
        (pem() + pem("other rsa"), "more than one"),
    ],
    ids=["nothing", "no PEM", "short", "EC", "Ed25519", "encrypted", "public", "certificate", "two"],
)
def test_what_cannot_sign_is_refused_by_its_place(text, problem):
    with pytest.raises(ConfigurationError, match=f"position 2: it .*{problem}") as caught:
        LocalSigningKeys([pem("other rsa"), text])
    assert caught.value.setting == "issuer.keys"
    assert "fake-private-key" not in shown_by(caught.value)


@pytest.mark.parametrize("keys", [[], pem(), Secret(pem()), pem().encode(), 5], ids=["none", "text", "secret", "bytes", "number"])
def test_keys_are_a_list(keys):
    with pytest.raises(ConfigurationError) as caught:
        LocalSigningKeys(keys)
    assert "MII" not in shown_by(caught.value)


def test_a_key_is_given_once():
    with pytest.raises(ConfigurationError, match="same key at position 2"):
        LocalSigningKeys([pem(), pem(form="TraditionalOpenSSL")])


def test_a_new_key_is_an_rsa_key_of_3072_bits():
    made = LocalSigningKeys.generate_key()
    assert load_pem_private_key(made.reveal().encode(), None).key_size == 3072
    assert LocalSigningKeys([made]).public_keys()[0].bits == 3072


def test_the_id_of_a_new_key_is_never_taken_for_an_option(monkeypatch):
    ids = iter(["-aB", "-cD", "eF", "eF"])
    monkeypatch.setattr(PublicSigningKey, "key_id", property(lambda _: next(ids)))
    LocalSigningKeys.generate_key()
    assert list(ids) == ["eF"]


def test_a_file_has_one_key_after_the_other(tmp_path):
    file = tmp_path / "signing-keys.pem"
    file.write_text(f"# the new one\n{pem('other rsa')}\n\n{pem()}")
    file.chmod(0o600)
    assert LocalSigningKeys.from_file(file).public_keys() == LocalSigningKeys([pem("other rsa"), pem()]).public_keys()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "signing-keys.pem"
    file.write_text(pem())
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        LocalSigningKeys.from_file(file)


def test_a_file_that_is_not_there_or_holds_no_key_is_named(tmp_path):
    file = tmp_path / "signing-keys.pem"
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        LocalSigningKeys.from_file(file)
    assert caught.value.setting == str(file)
    file.write_text("nothing")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="has no key"):
        LocalSigningKeys.from_file(file)


def test_no_key_is_shown_or_copied():
    keys = LocalSigningKeys([pem()])
    [public] = keys.public_keys()
    assert repr(keys) == f"LocalSigningKeys({public.key_id})"
    [pair] = keys._keys.values()
    assert repr(pair) == f"_Key({public.key_id})"
    assert copy(pair) is pair
    with pytest.raises(TypeError):
        pickle.dumps(pair)
    assert not keys.waits
