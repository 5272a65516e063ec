"""Wrapping keys in AWS KMS, against moto's server over HTTP."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace

import boto3
import pytest
from tests.backends.key_service_answers import Answers, AnswersContract, NothingIsShownContract
from tests.backends.named_keys import NamedKeysContract

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.aws_kms import AwsKmsKeys
from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.domain.envelope import wrap_context
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    @pytest.fixture
    def keys(self, make):
        return make("ci", "old")  # of two regions

    def test_a_wrapped_key_is_bound_to_its_wrapping_key(self, rotated_keys):
        # Asked to open with another key, moto answers as if permission were missing; KMS itself answers IncorrectKeyException.
        row, other = wrap_for_test(rotated_keys), rotated_keys.keks()[1]
        with pytest.raises(DecryptError):
            rotated_keys.unwrap(replace(row, kek_uri=other.kek_uri))
        for changes in ({}, {"kek_uri": other.kek_uri}):
            with pytest.raises((DecryptError, KeyringError)):
                rotated_keys.unwrap(replace(row, kek_key_id=other.kek_key_id, **changes))

    def test_a_tampered_key_does_not_unwrap(self, keys):
        # moto writes the key's id in clear before the ciphertext, and for a changed one answers as if permission were missing;
        # KMS itself answers InvalidCiphertextException.
        row = wrap_for_test(keys)
        for position in (len(row.wrapped) // 2, len(row.wrapped) - 1):
            changed = bytearray(row.wrapped)
            changed[position] ^= 1
            with pytest.raises(DecryptError):
                keys.unwrap(replace(row, wrapped=bytes(changed)))


class TestAnswers(AnswersContract):
    answers = Answers(
        refusals={
            code: ((code,), sentence)
            for code, sentence in {
                "NotFoundException": "is not there",
                "DisabledException": "is switched off",
                "KMSInvalidStateException": "scheduled for deletion",
                "AccessDeniedException": "may not be used",
                "ExpiredTokenException": "have expired",
            }.items()
        },
        outages={
            code: ((code,), 1) for code in ("ThrottlingException", "DependencyTimeoutException", "KMSInternalException", "SomethingNew")
        },
        not_of_the_row={code: (code,) for code in ("InvalidCiphertextException", "IncorrectKeyException")},
        impossible={"nothing": lambda wrapped: b"", "too long": lambda wrapped: bytes(4097)},
    )


class TestNothingIsShown(NothingIsShownContract):
    type_name = "AwsKmsKeys"
    failing_answers = (("AccessDeniedException",), ("ThrottlingException",), ("SomethingNew",))


@pytest.mark.parametrize("arn", ["", "alias/ci", ARN.replace("key/", "alias/"), ARN + "/x", ARN.replace(":kms:", ":s3:"), "fake-secret"])
def test_only_the_arn_of_a_key_names_one(arn):
    with pytest.raises(ConfigurationError) as caught:
        AwsKmsKeys(arn)
    assert caught.value.setting == "key_arn"
    assert arn == "" or arn not in str(caught.value)


def test_one_key_is_named_once():
    with pytest.raises(ConfigurationError, match="twice"):
        AwsKmsKeys(ARN, ARN)
    assert AwsKmsKeys(ARN.replace("00000000-0000-4000-8000-000000000001", "mrk-" + "0" * 32)).keks()[0].kek_uri.endswith("mrk-" + "0" * 32)


def test_the_context_goes_along_whole(keys, service):
    row = wrap_for_test(keys)
    arn = row.kek_uri.removeprefix("aws-kms:")
    context = dict(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=row.version, kek_uri=row.kek_uri))
    opened = service.client("eu-central-1").decrypt(KeyId=arn, CiphertextBlob=row.wrapped, EncryptionContext=context)
    assert opened["Plaintext"] == DATA_KEY


def test_a_key_of_nobody_does_not_open_for_a_tenant_of_that_name(keys, service):
    row = wrap_for_test(keys, tenant_id="")
    assert keys.unwrap(row) == DATA_KEY
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, tenant_id="-"))


def test_without_credentials_the_operator_is_told(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(KeyringError, match="no credentials for AWS"):
        AwsKmsKeys(ARN).wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


@pytest.mark.parametrize("how", ["a profile that is not there", "a file that is none", "nobody is signed in"])
def test_credentials_that_are_set_up_wrongly_are_no_outage(monkeypatch, tmp_path, how):
    config = tmp_path / "config"
    texts = {
        "a profile that is not there": "",
        "a file that is none": "no section",
        "nobody is signed in": "[default]\nsso_start_url = https://sso.example\nsso_region = eu-central-1\n"
        "sso_account_id = 123456789012\nsso_role_name = fake\n",
    }
    config.write_text(texts[how], encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    if how == "a profile that is not there":
        monkeypatch.setenv("AWS_PROFILE", "mistyped")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(KeyringError, match="no credentials for AWS"):
        AwsKmsKeys(ARN).wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


def test_what_another_key_has_wrapped_is_not_stored(keys, service):
    service.answer(b'{"KeyId": "%s", "CiphertextBlob": "ZmFrZQ=="}' % ARN.encode())
    with pytest.raises(KeyringError, match="another key answered"):
        keys.wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


def test_an_answer_of_another_length_is_no_data_key(keys, service):
    arn = service.arn("ci")
    row = wrap_for_test(keys)
    context = dict(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=row.version, kek_uri=row.kek_uri))
    short = service.client("eu-central-1").encrypt(KeyId=arn, Plaintext=b"short", EncryptionContext=context)["CiphertextBlob"]
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=short))


@pytest.mark.requirement("ENC-18")
def test_only_the_call_itself_is_left_out_of_the_logs(keys, caplog):
    caplog.set_level(logging.DEBUG)
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY
    # Other threads, and the same one afterwards, log as before.
    logging.getLogger("botocore.endpoint").debug("heard again")
    assert "heard again" in caplog.text


def test_a_whole_life_and_a_move_from_local_keys_to_kms_and_back(keys):
    provider, store = SimulatedProvider(), MemoryStore()
    local = LocalKeyring([LocalKeyring.generate_key("local")])

    @contextmanager
    def open_manager(keys_of_it):
        with IntegrationManager(
            store=store,
            transport=SimulatedTransport(provider),
            keys=keys_of_it,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
        ) as manager:
            yield manager.acting_as("ada")

    with open_manager(local) as manager:
        manager.add_api_key("acme", "simulated_keys", name="A key", api_key=provider.valid_api_key)
    with open_manager(CombinedKeys(keys, local)) as manager:
        # The tenant's key, and the one for fingerprints.
        assert manager.keys.rewrap().changed == 2
    with open_manager(keys) as manager:
        assert manager.credential("acme", "simulated_keys").value == provider.valid_api_key
        manager.add_api_key("globex", "simulated_keys", name="A key", api_key=provider.valid_api_key)
    with open_manager(CombinedKeys(local, keys)) as manager:
        assert manager.keys.rewrap().changed == 3
    with open_manager(local) as manager:
        assert manager.credential("globex", "simulated_keys").value == provider.valid_api_key
