"""A client certificate and an authority of the tenant's own: entered, checked over real TLS, sealed and handed out."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from pydantic import ValidationError
from tests.authorities import BEGIN, TlsServer, authority

from cloud_integrations import Catalogue, ImportedKey
from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import CredentialFormError, InvalidCredentialsError, ProviderUnreachableError, ValidationFailedError

from .conftest import ACME

pytestmark = pytest.mark.requirement("Q69")
CA = {"name": "ca", "form": "pem", "secret": False, "required": False}
PAIR = [{"name": "certificate", "form": "pem", "secret": False}, {"name": "private_key", "form": "pem"}, CA]
METHODS = {
    "one": {"inputs": [{"name": "bundle", "form": "pem"}, CA], "present": {"certificate": "{bundle}", "trust": "{ca}"}},
    "two": {"inputs": PAIR, "present": {"certificate": "{certificate}{private_key}", "trust": "{ca}"}},
    "token": {"inputs": [{"name": "token"}, CA], "present": {"headers": {"Authorization": "Bearer {token}"}, "trust": "{ca}"}},
}


def provider(url="https://127.0.0.1:1", **changes):
    methods = [{"id": name, "kind": "key", **method, **changes} for name, method in METHODS.items()]
    check = {"url": f"{url}/me", "identity": ["json:name"]}
    return {"id": "acme", "name": "Acme", "loopback": True, "methods": methods, "verifications": [check]}


@pytest.fixture
def server(world, tmp_path):
    with TlsServer(*authority().issue("127.0.0.1"), clients=authority("Clients").pem, tmp_path=tmp_path) as found:

        def answer(name, authorization):
            known = name in {"ada", "bob"} or authorization == "Bearer fake-token"
            return (200, {"name": name or "token"}) if known else (401, {})

        found.answer = answer
        world.transport = HttpxTransport() if world.blocking else AsyncHttpxTransport()
        world.door = world.open(providers=[Provider.model_validate(provider(found.url))], applications=[])
        yield found


def entered(method, name="ada", *, ca=True, end=None):
    certificate, key = authority("Clients").issue(name, **({} if end is None else {"end": end}))
    inputs = {
        "one": {"bundle": certificate + key},
        "two": {"certificate": certificate, "private_key": key},
        "token": {"token": "fake-token"},
    }[method]
    return inputs | ({"ca": authority().pem} if ca else {})


async def add(world, method, **inputs):
    world.secrets += [line for text in inputs.values() for line in text.splitlines() if "PRIVATE" in text and not line.startswith("-")]
    return await world.door.add(ACME, "acme", name="Ours", method=method, inputs=inputs)


@pytest.mark.parametrize(("method", "account"), [("one", "ada"), ("two", "ada"), ("token", "token")])
async def test_it_is_connected_verified_and_handed_out_as_a_tls_context(world, server, method, account):
    held = await add(world, method, **entered(method))
    assert held.account.account_id == account
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    shown = await world.door.credential(ACME, "acme")
    assert shown.forms == (("headers", "ssl_context") if method == "token" else ("ssl_context",))
    async with httpx.AsyncClient(verify=shown.ssl_context(), trust_env=False) as client:
        headers = shown.headers() if method == "token" else {}
        assert (await client.get(f"{server.url}/me", headers=headers)).json() == {"name": account}
    if method != "token":
        with pytest.raises(CredentialFormError, match="ssl_context"):
            shown.headers()
        with pytest.raises(CredentialFormError, match="ssl_context"):
            shown.auth()
    assert not world.leaks_in(world.raw_dump() + repr(shown).encode())


async def test_without_the_authority_the_servers_certificate_is_not_believed(world, server):
    with pytest.raises(ProviderUnreachableError):
        await add(world, "one", **entered("one", ca=False))
    assert server.seen == []


async def test_a_certificate_that_the_provider_refuses_is_invalid(world, server):
    with pytest.raises(InvalidCredentialsError):
        await add(world, "two", **entered("two", "eve"))


async def test_a_certificate_is_imported_without_asking(world, server):
    imported = ImportedKey(provider="acme", inputs=entered("two"), method="two", name="Ours")
    held = await world.door.import_credential(ACME, imported, verify=False)
    assert server.seen == []
    assert (await world.door.verify(ACME, held.id)).account.account_id == "ada"


MINE, THEIRS, ENDED = entered("two"), entered("two", "bob"), entered("two", end=BEGIN + timedelta(days=1))
ENCRYPTED = authority("Clients").issue("ada", password=b"fake-password")
OLD = authority("Clients").issue("old", end=BEGIN + timedelta(days=1))[0]


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"private_key": THEIRS["private_key"]}, "certificate", "does not belong to its private key"),
        (ENDED, "certificate", "has ended"),
        ({"certificate": ENCRYPTED[0], "private_key": ENCRYPTED[1]}, "private_key", "without a passphrase"),
        ({"certificate": MINE["certificate"] + MINE["private_key"]}, "certificate", "looks like a private key"),
        ({"private_key": MINE["certificate"]}, "private_key", "is a certificate without its private key"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----"}, "certificate", "cannot be read"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----"}, "ca", "cannot be read"),
        ({"ca": "-----BEGIN PUBLIC KEY-----\nZmFrZQ==\n-----END PUBLIC KEY-----"}, "ca", "holds no certificate"),
        ({"ca": authority().pem + MINE["private_key"]}, "ca", "looks like a private key"),
        ({"ca": "fake"}, "ca", "must be in PEM"),
        ({"ca": OLD}, "ca", "have ended"),
    ],
)
async def test_what_cannot_work_is_refused_by_its_field_before_anything_is_sent(world, server, changes, field, problem):
    with pytest.raises(ValidationFailedError) as caught:
        await add(world, "two", **MINE | changes)
    assert (caught.value.field, problem in caught.value.problem) == (f"credentials.inputs.{field}", True)
    assert server.seen == []
    assert not world.leaks_in(str(caught.value).encode())


async def test_an_old_authority_beside_the_new_one_is_no_reason_to_refuse(world, server):
    assert await add(world, "two", **MINE | {"ca": OLD + authority().pem})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"present": {"certificate": "{ca}"}}, "certificate uses {ca}, which is no input in PEM that is a secret"),
        ({"present": {"certificate": "{bundle}{bundle}"}}, "certificate uses {bundle}, which is no input in PEM that is no secret"),
        ({"present": {"certificate": "{bundle}", "trust": "{bundle}"}}, "trust uses {bundle}, which is no input in PEM that is no secret"),
        ({"present": {"certificate": "{bundle}", "trust": "{missing}"}}, "trust uses {missing}"),
        ({"mint": [{"url": "https://127.0.0.1/t", "reply": {"gives": {"key": "json:k"}}}]}, "which the requests of a mint do not use"),
    ],
)
def test_a_file_names_inputs_that_can_make_a_connection(changes, said):
    file = provider()
    file["methods"] = [{"id": "one", "kind": "key", **METHODS["one"], **changes}]
    with pytest.raises(Exception, match=said.replace("{", r"\{").replace("}", r"\}")):
        Catalogue.of(Provider.model_validate(file))


@pytest.mark.parametrize("present", [{"certificate": "bundle"}, {"certificate": "{a}{b}{c}"}, {"trust": "{a}{b}"}, {"trust": "x{a}"}])
def test_a_file_names_inputs_in_braces_and_nothing_else(present):
    file = provider()
    file["methods"] = [{"id": "one", "kind": "key", **METHODS["one"], "present": present}]
    with pytest.raises(ValidationError):
        Provider.model_validate(file)
