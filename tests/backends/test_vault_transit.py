from __future__ import annotations

import base64
import logging
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backends.named_keys import NamedKeysContract, wrap
from tests.backends.stand_ins.vault import TransitKey, VaultServer
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.backends.keys.vault_transit import VaultTransitKeys
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.domain.envelope import encode_context, wrap_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

TOKEN = "hvs.fake-token-canary"
CANARIES = [TOKEN, *(form for key in (DATA_KEY,) for form in (key.decode(), key.hex(), base64.b64encode(key).decode()))]


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture(scope="module")
def no_tls():
    return ssl.create_default_context()  # reading the machine's certificates for each test would take long


@pytest.fixture
def transport(no_tls):
    transport = HttpxTransport(ssl_context=no_tls)
    yield transport
    transport.close()


@pytest.fixture
def vault(transport):
    with VaultServer() as vault:
        vault.tokens = {TOKEN: {"update"}}
        vault.keys = {f"transit/{name}": TransitKey() for name in ("ci", "old", "strange")}
        yield vault
        transport.close()


@pytest.fixture
def make(vault, transport):
    def make(*names, **options):
        return VaultTransitKeys(
            *(names or ("ci",)), **({"address": vault.address, "token": Secret(TOKEN), "transport": transport} | options)
        )

    return make


@pytest.fixture
def keys(make):
    return make()


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    """With real AES-GCM behind the documented API."""


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContractWithAVaultThatIgnoresAssociatedData(NamedKeysContract):
    @pytest.fixture
    def keys(self, make, vault):
        vault.knows_associated_data = False
        return make("ci")


def test_it_waits_and_names_its_keys(make):
    keys = make("ci", "old")
    assert keys.waits
    assert [ref.kek_uri for ref in keys.keks()] == ["vault:transit/ci", "vault:transit/old"]
    assert keys.primary("acme").kek_uri == "vault:transit/ci"


def test_the_request_is_what_the_api_reference_says(keys, vault):
    row = wrap_for_test(keys)
    keys.unwrap(row)
    context = encode_context(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=1, kek_uri="vault:transit/ci"))
    assert [(method, path) for method, path, _, _ in vault.requests] == [
        ("POST", "/v1/transit/encrypt/ci"),
        ("POST", "/v1/transit/decrypt/ci"),
    ]
    for _, _, headers, body in vault.requests:
        assert headers["X-Vault-Token"] == TOKEN
        assert "X-Vault-Namespace" not in headers
        assert base64.b64encode(context) in body


def test_a_wrapped_key_keeps_the_prefix_that_says_its_version(keys, vault):
    before = wrap_for_test(keys)
    vault.keys["transit/ci"].rotate()
    after = wrap_for_test(keys)
    assert before.wrapped.startswith(b"vault:v1:")
    assert after.wrapped.startswith(b"vault:v2:")
    assert keys.unwrap(before) == keys.unwrap(after) == DATA_KEY


def test_a_mount_and_a_namespace_lead_to_the_key(make, vault):
    vault.mounts = {"team/a/kms/transit"}
    vault.keys = {"team/a/kms/transit/ci": TransitKey()}
    keys = make(mount="kms/transit", namespace="team/a/")
    row = wrap_for_test(keys)
    assert row.kek_uri == "vault:kms/transit/ci"
    assert keys.unwrap(row) == DATA_KEY
    assert vault.requests[0][2]["X-Vault-Namespace"] == "team/a"


def test_a_namespace_may_stand_before_the_mount(make, vault):
    vault.mounts = {"team/a/transit"}
    vault.keys = {"team/a/transit/ci": TransitKey()}
    assert wrap_for_test(make(mount="team/a/transit")).kek_uri == "vault:team/a/transit/ci"


# The token


def test_a_token_in_a_file_is_read_for_each_call(make, vault, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    keys = make(token=file)
    row = wrap_for_test(keys)
    vault.tokens = {"hvs.fake-renewed": {"update"}}
    with pytest.raises(KeyringError, match="may not be used with this token"):
        keys.unwrap(row)
    file.write_text("hvs.fake-renewed")
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two words", b"hvs.f\xc3\xa4ke", b"hvs.fake\x00"])
def test_without_a_usable_token_nothing_is_asked(make, vault, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeyringError, match="key vault:transit/ci cannot be used: there is no token for Vault"):
        wrap_for_test(make(token=file))
    assert vault.requests == []


@pytest.mark.requirement("ENC-18")
def test_a_token_with_a_line_break_is_neither_sent_nor_shown(make, vault):
    with pytest.raises(KeyringError) as caught:
        wrap(make(token=Secret(f"{TOKEN}\r\nX-Other: 1")))
    assert vault.requests == []
    assert not shows_a_canary(shown_by(caught.value))


# What Vault may answer


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(403, "may not be used with this token"), (404, "is not there"), (405, "is not there")],
)
def test_a_key_that_may_not_be_used_is_named_without_the_servers_words(keys, vault, status, sentence):
    row = wrap_for_test(keys)
    vault.instead = (status, b'{"errors":["the server\'s words"]}')
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key vault:transit/ci {sentence}") as caught:
            call()
        assert "words" not in shown_by(caught.value)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("status", [204, 307, 412, 413, 429, 472, 473, 500, 502, 503, 504])
def test_an_answer_of_not_now_is_an_outage(keys, vault, status):
    row = wrap_for_test(keys)
    vault.instead = (status, b"")
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()
    vault.instead = None
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_a_vault_that_is_gone_is_an_outage(keys, vault, transport):
    row = wrap_for_test(keys)
    transport.close()
    vault.stop()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


USELESS = {
    "nothing": b"",
    "not JSON": b"<html>",
    "no data": b"{}",
    "data is text": b'{"data":"x"}',
    "a number": b'{"data":{"ciphertext":1,"plaintext":1}}',
    "no prefix": b'{"data":{"ciphertext":"QUJD","plaintext":"!"}}',
    "not ASCII": '{"data":{"ciphertext":"vault:v1:ü","plaintext":"ü"}}'.encode(),
    "too long": b'{"data":{"ciphertext":"vault:v1:' + b"A" * 4096 + b'","plaintext":""}}',
}


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_an_answer_that_cannot_be_read_is_an_outage(keys, vault, body):
    row = wrap_for_test(keys)
    vault.instead = (200, body)
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


@pytest.mark.requirement("ENC-09")
@pytest.mark.parametrize("plaintext", [DATA_KEY, bytes(64), bytes(32) + DATA_KEY, DATA_KEY * 3])
def test_an_answer_that_is_not_of_this_row_does_not_unwrap(keys, vault, plaintext):
    row = wrap_for_test(keys)
    vault.instead = (200, b'{"data":{"plaintext":"' + base64.b64encode(plaintext) + b'"}}')
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(row)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_wrong_version_of_the_key_does_not_unwrap(keys, vault):
    row = wrap_for_test(keys)
    vault.keys["transit/ci"].rotate()
    for version in (b"2", b"9"):
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, wrapped=row.wrapped.replace(b":v1:", b":v" + version + b":")))


@pytest.mark.parametrize("body", [b"", b"no JSON", b'{"errors":["cipher: message authentication failed"]}', b'{"errors":null}'])
def test_a_value_that_vault_refuses_does_not_unwrap(keys, vault, body):
    row = wrap_for_test(keys)
    vault.instead = (400, body)
    with pytest.raises(DecryptError):
        keys.unwrap(row)


def test_a_version_that_was_switched_off_is_told_from_a_bad_value(keys, vault):
    row = wrap_for_test(keys)
    vault.keys["transit/ci"].rotate()
    vault.keys["transit/ci"].min_decryption_version = 2
    with pytest.raises(KeyringError, match="min_decryption_version"):
        keys.unwrap(row)


def test_a_key_that_was_deleted_is_told_from_a_bad_value(keys, vault):
    row = wrap_for_test(keys)
    del vault.keys["transit/ci"]
    with pytest.raises(KeyringError, match="key vault:transit/ci is not there"):
        keys.unwrap(row)


def test_a_missing_key_is_not_made_by_a_token_that_may_only_update(keys, vault):
    vault.keys = {}
    with pytest.raises(KeyringError):
        wrap_for_test(keys)
    assert vault.keys == {}


@pytest.mark.parametrize("key", [TransitKey(type="rsa-4096"), TransitKey(derived=True)], ids=["rsa", "derived"])
def test_a_key_of_the_wrong_kind_is_refused(keys, vault, key):
    vault.keys = {"transit/ci": key}
    with pytest.raises(KeyringError, match="not of a type that takes associated data"):
        wrap_for_test(keys)


@pytest.mark.parametrize("wrapped", [b"", b"vault:v1:", b"vault:v0:QUJD", b"vault:v1:QUJD\n", b"vault:v1:" + b"A" * 4096, b"vault:v1:\xff"])
def test_what_vault_cannot_have_made_is_not_sent_there(keys, vault, wrapped):
    row = wrap_for_test(keys)
    asked = len(vault.requests)
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=wrapped))
    assert len(vault.requests) == asked


def test_a_row_whose_tenant_is_no_text_does_not_unwrap(keys):
    with pytest.raises(DecryptError):
        keys.unwrap(replace(wrap_for_test(keys), tenant_id="\ud800"))


# Where it may be


class Recorded:
    """Answers nothing of use, and keeps the requests."""

    def __init__(self):
        self.requests = []

    def send(self, request, /, *, deadline):
        self.requests.append(request)
        return HttpResponse(status=503)

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize(
    "address",
    ["https://vault.example.com", "https://vault:8200/", "https://10.0.0.7:8200", "https://[fd00::7]:8200", "http://127.0.0.1:8200"],
)
def test_vault_may_be_on_a_private_network_or_on_this_machine(make, address):
    recorded = Recorded()
    with pytest.raises(KeyServiceUnavailableError):
        wrap_for_test(make(address=address, transport=recorded))
    (request,) = recorded.requests
    assert request.url == f"{address.removesuffix('/')}/v1/transit/encrypt/ci"
    assert request.private_host
    assert not shows_a_canary(repr(request))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault",
        "http://vault.example.com",
        "http://10.0.0.7:8200",
        "https://user:secret@vault.example.com",
        "https://vault.example.com/v1",
        "https://vault.example.com?x=1",
        "https://vault.example.com#x",
        "unix:///run/vault.sock",
    ],
)
def test_another_address_is_refused_and_not_shown(make, address):
    with pytest.raises(ConfigurationError, match="address must") as caught:
        make(address=address)
    assert "secret" not in str(caught.value)


def test_an_address_that_leads_where_no_request_may_go_is_named(make):
    with pytest.raises(KeyringError, match="leads where no request may go"):
        wrap_for_test(make(address="https://169.254.169.254"))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "../x", "a?b", "-a", "a.", "ä", "a%2fb"])
def test_a_name_that_is_none_is_refused(make, name):
    with pytest.raises(ConfigurationError, match="key must be made of"):
        make(name)
    for setting in ("mount", "namespace"):
        with pytest.raises(ConfigurationError, match=f"{setting} must be made of"):
            make(**{setting: name.replace("/", "//")})


def test_a_key_is_named_once(make):
    with pytest.raises(ConfigurationError, match="names ci twice"):
        make("ci", "old", "ci")


@pytest.mark.requirement("ENC-18")
def test_a_token_is_a_secret_or_a_file(make):
    with pytest.raises(ConfigurationError, match="token must be a Secret, or the Path of a file") as caught:
        make(token=TOKEN)
    assert "__init__ {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


# Nothing is shown


@pytest.mark.requirement("ENC-18")
def test_it_shows_its_uris_and_is_never_copied_or_pickled(make):
    keys = make("ci", "old")
    assert repr(keys) == str(keys) == "VaultTransitKeys(vault:transit/ci, vault:transit/old)"
    assert not shows_a_canary(shown_by_copies(keys))


@pytest.mark.requirement("ENC-18")
def test_no_failed_call_shows_a_key_or_the_token(keys, make, vault, transport):
    row = wrap_for_test(keys)
    errors = []

    def fails(kind, call):
        with pytest.raises(kind) as caught:
            call()
        errors.append(caught.value)

    fails(SealingError, lambda: keys.wrap(DATA_KEY + b".", tenant_id="t", key_id=KEY_ID, version=1))
    fails(SealingError, lambda: keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1))
    fails(KeyringError, lambda: wrap(make(token=Path("missing"))))
    fails(DecryptError, lambda: keys.unwrap(replace(row, version=2)))
    fails(KeyringError, lambda: make("strange").unwrap(row))
    for answer in ((200, b"{}"), (400, b""), (403, b""), (503, b"")):
        vault.instead = answer
        fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
        fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
    vault.instead = (200, b'{"data":{"plaintext":"' + base64.b64encode(DATA_KEY) + b'"}}')
    fails(DecryptError, lambda: keys.unwrap(row))
    transport.close()
    vault.stop()
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


@pytest.mark.requirement("ENC-18")
def test_no_log_of_any_library_shows_a_key_or_the_token(keys, vault, caplog):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    row = wrap_for_test(keys)
    keys.unwrap(row)
    vault.instead = (403, b"")
    with pytest.raises(KeyringError):
        keys.unwrap(row)
    shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not shows_a_canary(shown)
    assert row.wrapped.decode() not in shown
