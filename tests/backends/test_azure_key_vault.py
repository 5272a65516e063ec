from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError
from tests.backends.named_keys import NamedKeysContract, wrap
from tests.backends.stand_ins.azure_key_vault import (
    TENANT,
    FixedCredential,
    KeyVaultServer,
    Rerouted,
    VaultKey,
    decode,
    encode,
    padding,
    private_key,
)
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys import azure_key_vault
from cloud_integrations.backends.keys.azure_key_vault import AzureKeyVaultKeys
from cloud_integrations.domain.envelope import wrap_context
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

TOKEN = "fake-azure-token-canary"
WRAPPING_KEY = b"a fake key for the key, 32 bytes"
CANARIES = [
    TOKEN,
    *(form for key in (DATA_KEY, WRAPPING_KEY) for form in (key.decode(), key.hex(), base64.b64encode(key).decode(), encode(key))),
]
VERSIONS = {"ci": "a" * 32, "old": "b" * 32, "strange": "c" * 32}


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture
def vault():
    with KeyVaultServer({TOKEN}) as vault:
        vault.keys = {f"{name}/{version}": VaultKey(private_key(number)) for number, (name, version) in enumerate(VERSIONS.items())}
        yield vault


@pytest.fixture
def transport(vault):
    transport = Rerouted(vault)
    yield transport
    transport.close()


@pytest.fixture
def uri(vault):
    return lambda name: f"https://{vault.host}/keys/{name}/{VERSIONS[name]}"


@pytest.fixture
def make(uri, transport):
    def make(*names, **options):
        return AzureKeyVaultKeys(
            *(uri(name) for name in names or ("ci",)), **({"credential": FixedCredential(TOKEN), "transport": transport} | options)
        )

    return make


@pytest.fixture
def keys(make):
    return make()


@pytest.fixture
def known_wrapping_key(monkeypatch):
    """Make the random key a known one, to look for it in what is shown."""
    monkeypatch.setattr(azure_key_vault, "os", SimpleNamespace(urandom=lambda length: WRAPPING_KEY))


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    """With real RSA-OAEP behind the documented API."""


def test_it_waits_and_names_its_keys(make, uri):
    keys = make("ci", "old")
    assert keys.waits
    assert [ref.kek_uri for ref in keys.keks()] == [f"azure-kv:{uri('ci')}", f"azure-kv:{uri('old')}"]
    assert keys.primary("acme").kek_uri == f"azure-kv:{uri('ci')}"


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


NOT_OURS = {
    "nothing": lambda wrapped: b"",
    "half a length": lambda wrapped: wrapped[:1],
    "no CI1": lambda wrapped: wrapped[:258],
    "one byte less": lambda wrapped: wrapped[:-1],
    "one byte more": lambda wrapped: wrapped + b"\x00",
    "length 0": lambda wrapped: b"\x00\x00" + wrapped[2:],
    "length 384": lambda wrapped: b"\x01\x80" + wrapped[2:],
    "length 65535": lambda wrapped: b"\xff\xff" + wrapped[2:],
}


@pytest.mark.parametrize("change", NOT_OURS.values(), ids=NOT_OURS)
def test_what_was_not_written_here_is_not_sent_to_azure(keys, vault, change):
    row = wrap_for_test(keys)
    vault.requests.clear()
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=change(row.wrapped)))
    assert vault.requests == []


def test_a_row_whose_tenant_is_no_text_does_not_unwrap(keys):
    with pytest.raises(DecryptError):
        keys.unwrap(replace(wrap_for_test(keys), tenant_id="\ud800"))


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


# What Azure may answer


def test_a_key_that_is_gone_is_named(keys, vault, uri):
    row = wrap_for_test(keys)
    vault.keys = {}
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key azure-kv:{uri('ci')} is not there"):
            call()


def test_a_key_that_is_switched_off_wraps_nothing_though_azure_would(keys, vault):
    row = wrap_for_test(keys)
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = False
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match="is switched off"):
            call()
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = True
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.parametrize("operation", ["wrapkey", "unwrapkey"])
def test_a_key_that_may_do_only_half_wraps_nothing(keys, vault, operation):
    vault.keys[f"ci/{VERSIONS['ci']}"].operations = {operation}
    with pytest.raises(KeyringError, match="may not be used with these credentials"):
        wrap_for_test(keys)


def test_a_key_of_the_wrong_kind_is_refused(keys, vault):
    vault.keys[f"ci/{VERSIONS['ci']}"].kty = "EC"
    with pytest.raises(KeyringError, match="is not an RSA key that wraps"):
        wrap_for_test(keys)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "may not be used"), (403, "may not be used"), (404, "is not there"), (409, "is not there, or was deleted")],
)
def test_the_services_words_are_not_repeated(keys, vault, status, sentence):
    row = wrap_for_test(keys)
    vault.instead, vault.for_ever = [(status, {}, b'{"error":{"code":"x","message":"the service\'s words"}}')], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=sentence) as caught:
            call()
        assert "words" not in shown_by(caught.value)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(
    ("status", "tries"), [(500, 3), (502, 3), (503, 3), (504, 3), (429, 1), (408, 1), (204, 1), (302, 1), (307, 1), (405, 1)]
)
def test_an_answer_of_not_now_is_an_outage_after_few_tries(keys, vault, status, tries):
    row = wrap_for_test(keys)
    # Whoever slept as long as this says would not come back within the test's time limit.
    headers = {"Retry-After": "3600", "Location": f"https://{vault.host}/keys/other"}
    vault.instead, vault.for_ever = [(status, headers, b"")], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        vault.requests.clear()
        with pytest.raises(KeyServiceUnavailableError):
            call()
        assert len(vault.requests) == tries
    vault.instead, vault.for_ever = [], False
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_a_short_outage_is_not_noticed(keys, vault):
    vault.instead = [(503, {}, b""), (500, {}, b"")]
    row = wrap_for_test(keys)
    vault.instead = [(503, {}, b""), (500, {}, b"")]
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_each_try_has_a_deadline(keys, transport):
    keys.unwrap(wrap_for_test(keys))
    assert set(transport.timeouts) == {(3.0, 3.0)}


@pytest.mark.requirement("ENC-15")
def test_a_vault_that_is_gone_is_an_outage(keys, vault, transport):
    row = wrap_for_test(keys)
    transport.session.close()
    vault.stop()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


@pytest.mark.requirement("ENC-15")
def test_a_transport_that_was_closed_is_an_outage(keys, transport, known_wrapping_key):
    row = wrap_for_test(keys)
    transport.close()
    for call in (lambda: wrap(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
        assert not shows_a_canary(shown_by(caught.value))


USELESS = {
    "nothing": b"",
    "not JSON": b"<html>",
    "a list": b"[]",
    "no value": b"{}",
    "a number": b'{"value":1}',
    "empty": b'{"value":""}',
    "not base64url": b'{"value":"!!!!"}',
    "not ASCII": '{"value":"üüüü"}'.encode(),
    "too short to be a wrapped key": b'{"value":"QUJD"}',
    "too long": b'{"value":"' + b"A" * 8192 + b'"}',
}


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_a_wrapping_that_cannot_be_read_is_an_outage(keys, vault, body):
    vault.instead, vault.for_ever = [(200, {}, body)], True
    with pytest.raises(KeyServiceUnavailableError):
        wrap_for_test(keys)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("case", ["nothing", "not JSON", "a list", "no value", "a number", "empty", "not base64url", "not ASCII"])
def test_an_unwrapping_that_cannot_be_read_is_an_outage(keys, vault, case):
    row = wrap_for_test(keys)
    vault.instead, vault.for_ever = [(200, {}, USELESS[case])], True
    with pytest.raises(KeyServiceUnavailableError):
        keys.unwrap(row)


@pytest.mark.requirement("ENC-09")
@pytest.mark.parametrize("value", [bytes(32), bytes(31), bytes(64), WRAPPING_KEY])
def test_an_answer_that_is_not_this_rows_key_does_not_unwrap(keys, vault, value):
    row = wrap_for_test(keys)
    vault.instead = [(200, {}, json.dumps({"value": encode(value)}).encode())]
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(row)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_wrapping_that_does_not_open_again_is_not_returned(keys, vault, known_wrapping_key):
    strange = vault.keys[f"strange/{VERSIONS['strange']}"]
    vault.instead = [
        (200, {}, json.dumps({"value": encode(strange.private.public_key().encrypt(b"x", padding()))}).encode()),
        (200, {}, json.dumps({"value": encode(bytes(32))}).encode()),
    ]
    with pytest.raises(KeyServiceUnavailableError) as caught:
        wrap(keys)
    assert not shows_a_canary(shown_by(caught.value))


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


# Nothing is shown


@pytest.mark.requirement("ENC-18")
def test_it_shows_its_uris_and_is_never_copied_or_pickled(make, uri):
    keys = make("ci", "old")
    assert repr(keys) == str(keys) == f"AzureKeyVaultKeys(azure-kv:{uri('ci')}, azure-kv:{uri('old')})"
    assert not shows_a_canary(shown_by_copies(keys))


@pytest.mark.requirement("ENC-18")
def test_no_failed_call_shows_a_key_or_the_token(keys, make, vault, transport, known_wrapping_key):
    row = wrap_for_test(keys)
    errors = []

    def fails(kind, call):
        with pytest.raises(kind) as caught:
            call()
        errors.append(caught.value)

    fails(SealingError, lambda: keys.wrap(DATA_KEY + b"!", tenant_id="tenant-a", key_id=KEY_ID, version=1))
    fails(SealingError, lambda: keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1))
    fails(DecryptError, lambda: keys.unwrap(replace(row, version=2)))
    fails(KeyringError, lambda: make("strange").unwrap(row))
    vault.for_ever = True
    for answer in ((200, b"{}"), (200, b'{"value":"QUJD"}'), (400, b""), (403, b""), (429, b""), (503, b"")):
        vault.instead = [(answer[0], {}, answer[1])]
        fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
        fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
    vault.instead, vault.for_ever = [], False
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = False
    fails(KeyringError, lambda: wrap(keys))
    transport.session.close()
    vault.stop()
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


@pytest.mark.requirement("ENC-18")
def test_no_log_of_any_library_shows_a_key_or_the_token(keys, vault, caplog, known_wrapping_key):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    row = wrap_for_test(keys)
    keys.unwrap(row)
    vault.keys = {}
    with pytest.raises(KeyringError):
        keys.unwrap(row)
    shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not shows_a_canary(shown)
    assert encode(row.wrapped[2:258]) not in shown
