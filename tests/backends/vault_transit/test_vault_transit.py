from __future__ import annotations

import base64

import pytest
from tests.backends.named_keys import NamedKeysContract, wrap
from tests.backends.stand_ins.vault import TransitKey
from tests.tracebacks import shown_by

from cloud_integrations.domain.envelope import encode_context, wrap_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import TOKEN, shows_a_canary


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    """With real AES-GCM behind the documented API."""


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContractWithAVaultThatIgnoresAssociatedData(NamedKeysContract):
    @pytest.fixture
    def keys(self, make, vault):
        vault.knows_associated_data = False
        return make("ci")


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


class Recorded:
    """Answers nothing of use, and keeps the requests."""

    def __init__(self):
        self.requests = []

    def send(self, request, /, *, deadline):
        self.requests.append(request)
        return HttpResponse(status=503)

    def close(self):
        """Nothing is open."""


# Where it may be


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
