from __future__ import annotations

import json
from dataclasses import replace

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError
from tests.backends.named_keys import NamedKeysContract, wrap
from tests.backends.stand_ins.azure_key_vault import TENANT, FixedCredential, KeyVaultServer, Rerouted, decode, encode
from tests.tracebacks import shown_by

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys import azure_key_vault
from cloud_integrations.backends.keys.azure_key_vault import AzureKeyVaultKeys
from cloud_integrations.domain.envelope import wrap_context
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import TOKEN, VERSIONS, WRAPPING_KEY, shows_a_canary


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    """With real RSA-OAEP behind the documented API."""


def test_the_requests_are_what_the_api_reference_says(keys, vault, known_wrapping_key):
    row = wrap_for_test(keys)
    keys.unwrap(row)
    path = f"/keys/ci/{VERSIONS['ci']}"
    assert [(method, where) for method, where, _, _ in vault.requests] == [
        ("POST", f"{path}/wrapkey"),
        ("POST", f"{path}/unwrapkey"),
        ("POST", f"{path}/unwrapkey"),
    ]
    assert all(query.startswith("api-version=") for _, _, query, _ in vault.requests)
    bodies = [json.loads(body) for *_, body in vault.requests]
    assert bodies[0] == {"alg": "RSA-OAEP-256", "value": encode(WRAPPING_KEY)}
    assert bodies[1] == bodies[2] == {"alg": "RSA-OAEP-256", "value": encode(row.wrapped[2:258])}


def test_the_data_key_never_goes_to_azure(keys, vault):
    keys.unwrap(wrap_for_test(keys))
    assert not any(form.encode() in body for *_, body in vault.requests for form in (DATA_KEY.hex(), encode(DATA_KEY)))


@pytest.mark.parametrize(("name", "length"), [("ci", 256), ("old", 384), ("strange", 512)])
def test_a_wrapped_key_is_two_bytes_of_length_then_azures_bytes_then_ci1(make, vault, known_wrapping_key, name, length):
    row = wrap_for_test(make(name))
    assert row.wrapped[:2] == length.to_bytes(2, "big")
    assert row.wrapped[2 + length :][:2] == b"CI"
    assert len(row.wrapped) == 2 + length + 101 + 32
    context = wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=1, kek_uri=row.kek_uri)
    opened = AesGcmCipher().open(row.wrapped[2 + length :], key=WRAPPING_KEY, key_id=row.kek_key_id, context=context)
    assert opened == DATA_KEY


def test_each_data_key_has_a_wrapping_key_of_its_own(keys, vault):
    wrap_for_test(keys)
    wrap_for_test(keys)
    sent = {json.loads(body)["value"] for _, path, _, body in vault.requests if path.endswith("/wrapkey")}
    assert {len(decode(value)) for value in sent} == {32}
    assert len(sent) == 2


@pytest.mark.requirement("ENC-09")
def test_the_two_halves_of_two_wrapped_keys_do_not_go_together(keys):
    row, other = wrap_for_test(keys), wrap_for_test(keys)
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=other.wrapped[:258] + row.wrapped[258:]))


def test_only_the_listed_keys_are_ever_asked(make, vault, uri):
    row = wrap_for_test(make("strange"))
    vault.requests.clear()
    keys = make("ci", "old")
    with pytest.raises(KeyringError, match=f"{uri('strange')} is not among the keys of Azure Key Vault that are set up"):
        keys.unwrap(row)
    assert vault.requests == []
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, kek_key_id=keys.keks()[1].kek_key_id))
    assert {path.split("/")[2] for _, path, _, _ in vault.requests} == {"old"}


# Who asks


def test_the_challenge_is_answered_before_any_key_is_sent(make, vault):
    credential = FixedCredential(TOKEN)
    wrap_for_test(make(credential=credential))
    assert vault.challenged == [b""]
    assert credential.asked == [(("https://vault.azure.net/.default",), TENANT)]


def test_a_challenge_for_somebody_elses_resource_is_not_answered(make, vault):
    vault.resource = "https://vault.example.com"
    credential = FixedCredential(TOKEN)
    with pytest.raises(KeyServiceUnavailableError) as caught:
        wrap(make(credential=credential))
    assert credential.asked == []
    assert "example" not in shown_by(caught.value)


def test_a_token_that_is_refused_is_named(make, vault, uri):
    row = wrap_for_test(make())
    vault.tokens = set()
    keys = make()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key azure-kv:{uri('ci')} may not be used with these credentials"):
            call()


def test_without_a_credential_the_default_one_is_made_at_the_first_call_and_once(make, monkeypatch):
    made = []

    def default():
        made.append(True)
        return FixedCredential(TOKEN)

    monkeypatch.setattr(azure_key_vault, "DefaultAzureCredential", default)
    keys = make("ci", "old", credential=None)
    assert made == []
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY
    assert made == [True]


class Failing:
    def __init__(self, error):
        self.error = error
        self.asked = 0

    def get_token(self, *scopes, **options):
        self.asked += 1
        raise self.error


def with_status(status):
    error = ClientAuthenticationError("the library's words")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    "error", [CredentialUnavailableError("the library's words"), *map(with_status, (400, 401, 403))], ids=["none", "400", "401", "403"]
)
def test_credentials_that_are_none_are_named(make, error):
    with pytest.raises(KeyringError, match="cannot be used: there are no credentials that Azure accepts") as caught:
        wrap(make(credential=Failing(error)))
    assert "words" not in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(
    ("error", "tries"), [(ServiceRequestError("words"), 3), (with_status(429), 1), (with_status(503), 1)], ids=["network", "429", "503"]
)
def test_an_outage_where_tokens_come_from_is_an_outage(make, error, tries):
    credential = Failing(error)
    with pytest.raises(KeyServiceUnavailableError) as caught:
        wrap(make(credential=credential))
    assert credential.asked == tries
    assert "words" not in shown_by(caught.value)


# What it is made from


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        "ci",
        "http://v.vault.azure.net/keys/ci/" + "a" * 32,
        "https://v/keys/ci/" + "a" * 32,
        "https://V.vault.azure.net/keys/ci/" + "a" * 32,
        "https://v.vault.azure.net:8443/keys/ci/" + "a" * 32,
        "https://user:secret@v.vault.azure.net/keys/ci/" + "a" * 32,
        "https://v.vault.azure.net/secrets/ci/" + "a" * 32,
        "https://v.vault.azure.net/keys/c_i/" + "a" * 32,
        "https://v.vault.azure.net/keys/ci/latest",
        "https://v.vault.azure.net/keys/ci/" + "a" * 32 + "/wrapkey",
        "https://v.vault.azure.net/keys/ci/" + "a" * 32 + "?x=1",
        "https://v.vault.azure.net/keys/ci/" + "a" * 32 + "\n",
        "azure-kv:https://v.vault.azure.net/keys/ci/" + "a" * 32,
    ],
)
def test_a_name_that_is_none_is_refused_and_not_shown(key_id):
    with pytest.raises(ConfigurationError, match="key_id must be https://<vault>/keys/<name>/<version>") as caught:
        AzureKeyVaultKeys(key_id)
    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_version_is_asked_for(end):
    with pytest.raises(ConfigurationError, match="the version is missing"):
        AzureKeyVaultKeys(f"https://v.vault.azure.net/keys/ci{end}")


def test_a_key_is_named_once(make, uri):
    with pytest.raises(ConfigurationError, match=f"names {uri('ci')} twice"):
        make("ci", "old", "ci")


def test_keys_may_be_of_several_vaults_and_of_a_managed_hsm(make, vault, transport):
    with KeyVaultServer({TOKEN}) as other:
        other.keys = dict(vault.keys)
        there = Rerouted(other)
        elsewhere = f"https://{other.host}/keys/old/{VERSIONS['old']}"
        row = wrap_for_test(AzureKeyVaultKeys(elsewhere, credential=FixedCredential(TOKEN), transport=there))
        here = f"https://{vault.host}/keys/ci/{VERSIONS['ci']}"
        hsm = "https://fake.managedhsm.azure.net/keys/ci/" + "d" * 32
        keys = AzureKeyVaultKeys(here, elsewhere, hsm, credential=FixedCredential(TOKEN), transport=Forking(transport, there))
        assert keys.unwrap(row) == DATA_KEY
        assert wrap_for_test(keys).kek_uri == f"azure-kv:{here}"
        assert len(keys.keks()) == 3
        there.close()


class Forking(Rerouted):
    def __init__(self, *transports):
        super().__init__(None)
        self._transports = {transport._vault.host: transport for transport in transports}

    def send(self, request, **options):
        return self._transports[request.url.split("/")[2]].send(request, **options)
