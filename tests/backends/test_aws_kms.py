"""Wrapping keys in AWS KMS, against moto's server over HTTP."""

from __future__ import annotations

import logging
from dataclasses import replace
from unittest.mock import patch

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto.server import ThreadedMotoServer
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.aws_kms import AwsKmsKeys
from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.domain.envelope import wrap_context
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, KeyServiceContract, wrap_for_test

ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def aws():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()

    def client(region):
        return boto3.client(
            "kms",
            region_name=region,
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="fake-access-key",
            aws_secret_access_key="fake-secret-key",
            config=Config(retries={"total_max_attempts": 1}),
        )

    yield client
    server.stop()


@pytest.fixture
def make_key(aws):
    return lambda region="eu-central-1": aws(region).create_key()["KeyMetadata"]["Arn"]


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestAwsKmsKeys(KeyServiceContract):
    @pytest.fixture
    def keys(self, aws, make_key):
        return AwsKmsKeys(make_key(), make_key("us-east-1"), client=aws)

    @pytest.fixture
    def strange_arn(self, make_key):
        return make_key()

    @pytest.fixture
    def strange_keys(self, aws, strange_arn):
        return AwsKmsKeys(strange_arn, client=aws)

    @pytest.fixture
    def rotated_keys(self, aws, make_key, strange_arn):
        return AwsKmsKeys(make_key(), strange_arn, client=aws)

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


class Answering:
    """A client whose every call ends in the same way, and which notes what it was asked."""

    def __init__(self, code=None, /, *, error=None, answer=None):
        self.code, self.error, self.answer = code, error, answer
        self.asked = []

    def __call__(self, region):
        self.client = boto3.client("kms", region_name=region, aws_access_key_id="fake", aws_secret_access_key="fake-secret")
        self.client.meta.events.register("before-send", self._answer)
        return self.client

    def _answer(self, request, **_):
        self.asked.append(request.body)
        if self.error is not None:
            raise self.error
        body = self.answer if self.code is None else b'{"__type": "%s", "message": "prose of the service"}' % self.code.encode()

        class Raw:
            def stream(self, **_):
                yield body

        status = 200 if self.code is None else 500 if self.code == "KMSInternalException" else 400
        return AWSResponse(request.url, status, {}, Raw())


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


def test_the_context_goes_along_whole(aws, make_key):
    keys = AwsKmsKeys(make_key(), client=aws)
    row = wrap_for_test(keys)
    arn = row.kek_uri.removeprefix("aws-kms:")
    context = dict(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=row.version, kek_uri=row.kek_uri))
    opened = aws("eu-central-1").decrypt(KeyId=arn, CiphertextBlob=row.wrapped, EncryptionContext=context)
    assert opened["Plaintext"] == DATA_KEY


def test_a_key_of_nobody_does_not_open_for_a_tenant_of_that_name(aws, make_key):
    keys = AwsKmsKeys(make_key(), client=aws)
    row = wrap_for_test(keys, tenant_id="")
    assert keys.unwrap(row) == DATA_KEY
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, tenant_id="-"))


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("NotFoundException", KeyringError, "is not there"),
        ("DisabledException", KeyringError, "is switched off"),
        ("KMSInvalidStateException", KeyringError, "scheduled for deletion"),
        ("AccessDeniedException", KeyringError, "may not be used"),
        ("ExpiredTokenException", KeyringError, "have expired"),
        ("InvalidCiphertextException", DecryptError, "does not open"),
        ("IncorrectKeyException", DecryptError, "does not open"),
        ("ThrottlingException", KeyServiceUnavailableError, "right now"),
        ("DependencyTimeoutException", KeyServiceUnavailableError, "right now"),
        ("KMSInternalException", KeyServiceUnavailableError, "right now"),
        ("SomethingNew", KeyServiceUnavailableError, "right now"),
    ],
)
def test_each_answer_of_the_service_has_its_meaning(code, kind, says):
    keys = AwsKmsKeys(ARN, client=Answering(code))
    row = replace(
        wrap_for_test(LocalKeyring([LocalKeyring.generate_key("x")])), kek_uri=f"aws-kms:{ARN}", kek_key_id=keys.keks()[0].kek_key_id
    )
    with patch("time.sleep"), pytest.raises(kind) as caught:
        keys.unwrap(row)
    assert says in str(caught.value)
    assert "prose of the service" not in shown_by(caught.value)
    if kind is not DecryptError:
        with patch("time.sleep"), pytest.raises(kind):
            keys.wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


@pytest.mark.requirement("ENC-15")
def test_a_service_that_is_not_there_is_unavailable():
    keys = AwsKmsKeys(
        ARN,
        client=lambda region: boto3.client(
            "kms",
            region_name=region,
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id="fake",
            aws_secret_access_key="fake-secret",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
        ),
    )
    with pytest.raises(KeyServiceUnavailableError):
        keys.wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


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


@pytest.mark.parametrize("wrapped", [b"", bytes(4097)], ids=["nothing", "too long"])
def test_what_kms_cannot_have_made_is_not_sent_there(wrapped):
    service = Answering("ValidationException")
    keys = AwsKmsKeys(ARN, client=service)
    row = wrap_for_test(LocalKeyring([LocalKeyring.generate_key("x")]))
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, kek_uri=f"aws-kms:{ARN}", kek_key_id=keys.keks()[0].kek_key_id, wrapped=wrapped))
    assert service.asked == []


def test_no_key_is_asked_for_but_those_that_were_named(aws):
    service = Answering(answer=b"{}")
    keys = AwsKmsKeys(ARN, client=service)
    with pytest.raises(KeyringError, match="is not among the keys"):
        keys.unwrap(wrap_for_test(LocalKeyring([LocalKeyring.generate_key("x")])))
    assert service.asked == []


def test_what_another_key_has_wrapped_is_not_stored():
    service = Answering(answer=b'{"KeyId": "%s", "CiphertextBlob": "ZmFrZQ=="}' % ARN.replace("1", "2").encode())
    with pytest.raises(KeyringError, match="another key answered"):
        AwsKmsKeys(ARN, client=service).wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)


def test_an_answer_of_another_length_is_no_data_key(aws, make_key):
    arn = make_key()
    keys = AwsKmsKeys(arn, client=aws)
    row = wrap_for_test(keys)
    context = dict(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=row.version, kek_uri=row.kek_uri))
    short = aws("eu-central-1").encrypt(KeyId=arn, Plaintext=b"short", EncryptionContext=context)["CiphertextBlob"]
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=short))


@pytest.mark.requirement("ENC-18")
def test_neither_logs_nor_tracebacks_show_a_data_key(aws, make_key, caplog):
    caplog.set_level(logging.DEBUG)
    keys = AwsKmsKeys(make_key(), client=aws)
    row = wrap_for_test(keys)
    assert keys.unwrap(row) == DATA_KEY
    with pytest.raises(DecryptError) as refused:
        keys.unwrap(replace(row, version=2))
    with pytest.raises(SealingError) as too_long:
        keys.wrap(DATA_KEY + b".", tenant_id="acme", key_id=KEY_ID, version=1)
    with patch("time.sleep"), pytest.raises(KeyServiceUnavailableError) as unavailable:
        AwsKmsKeys(ARN, client=Answering("ThrottlingException")).wrap(DATA_KEY, tenant_id="acme", key_id=KEY_ID, version=1)
    shown = "\n".join([caplog.text, *(shown_by(caught.value) for caught in (refused, too_long, unavailable))])
    for form in (DATA_KEY.decode(), DATA_KEY.hex(), "YSBmYWtlIGRhdGEga2V5"):
        assert form not in shown
    # Other threads, and the same one afterwards, log as before.
    logging.getLogger("botocore.endpoint").debug("heard again")
    assert "heard again" in caplog.text


def test_it_is_not_copied():
    keys = AwsKmsKeys(ARN)
    assert "AwsKmsKeys" in shown_by_copies(keys)
    assert repr(keys) == f"AwsKmsKeys(aws-kms:{ARN})"
    assert keys.waits


def test_a_whole_life_and_a_move_from_local_keys_to_kms_and_back(aws, make_key):
    provider, store = SimulatedProvider(), MemoryStore()
    local, kms = LocalKeyring([LocalKeyring.generate_key("local")]), AwsKmsKeys(make_key(), client=aws)

    def open_manager(keys):
        return IntegrationManager(
            store=store,
            transport=SimulatedTransport(provider),
            keys=keys,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
        ).acting_as("ada")

    with open_manager(local) as manager:
        manager.add_api_key("acme", "simulated_keys", name="A key", api_key=provider.valid_api_key)
    with open_manager(CombinedKeys(kms, local)) as manager:
        assert manager.keys.rewrap().changed == 1
    with open_manager(kms) as manager:
        assert manager.credential("acme", "simulated_keys").value == provider.valid_api_key
        manager.add_api_key("globex", "simulated_keys", name="A key", api_key=provider.valid_api_key)
    with open_manager(CombinedKeys(local, kms)) as manager:
        assert manager.keys.rewrap().changed == 2
    with open_manager(local) as manager:
        assert manager.credential("globex", "simulated_keys").value == provider.valid_api_key
