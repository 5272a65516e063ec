"""Applications that authenticate by a client certificate (RFC 8705): over real TLS, through both managers."""

from __future__ import annotations

import ssl
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from tests.authorities import BEGIN, TlsServer, authority

from cloud_integrations import OAuthApplication, Secret
from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import AppMisconfiguredError, ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE, GLOBEX, OWN_REDIRECT_URI
from .test_server_metadata import DAY, open_with_metadata
from .transports import Before

pytestmark = pytest.mark.requirement("OAU-069")
CLIENT = "fake-client"


def issued(name="ours", **options):
    """A client certificate with its private key, as one text."""
    return "".join(authority("Clients").issue(name, **options))


def provider(url, **changes):
    method = {
        "id": "code",
        "kind": "code",
        "authorize_url": f"{url}/authorize",
        "token_url": f"{url}/token",
        "client_auth": ["tls", "post"],
        "revoke": {"url": f"{url}/revoke"},
        **changes,
    }
    return Provider.model_validate({"id": "acme", "name": "Acme", "loopback": True, "methods": [method]})


def application(*secrets, **changes):
    named = {"provider": "acme", "client_id": CLIENT, "redirect_uris": (OWN_REDIRECT_URI,), **changes}
    return OAuthApplication(client_secret=[Secret(secret) for secret in secrets], **named)


@pytest.fixture
def server(world, tmp_path):
    """A token endpoint that knows the certificates in `known`, and takes no secret."""
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(cadata=authority().pem)
    world.transport = (HttpxTransport if world.blocking else AsyncHttpxTransport)(ssl_context=trusted)
    with TlsServer(*authority().issue("127.0.0.1"), clients=authority("Clients").pem, tmp_path=tmp_path) as found:
        found.known = {"ours"}
        drawn = iter(range(100))

        def answer(name, _authorization):
            if name not in found.known:
                return 401, {"error": "invalid_client"}
            number = next(drawn)
            given = {"access_token": f"fake-access-{number}", "refresh_token": f"fake-refresh-{number}"}
            return 200, {**given, "token_type": "Bearer", "expires_in": 60}

        found.answer = answer
        yield found


def open_door(world, server, *secrets, **changes):
    world.secrets += [line for secret in secrets for line in secret.splitlines() if not line.startswith("-")][-8:]
    world.door = world.open(providers=[provider(server.url)], applications=[application(*secrets, **changes)])


def open_for_tenants(world, server):
    operators = application("fake-operators-secret", client_id="fake-operator")
    world.door = world.open(providers=[provider(server.url)], applications=[operators])


async def connect(world):
    named = {"name": "Files of Acme", "code": Secret("fake-code"), "redirect_uri": OWN_REDIRECT_URI}
    return await world.door.add_oauth_code(ACME, "acme", **named)


async def test_every_request_shows_the_certificate_and_no_secret(world, server):
    open_door(world, server, issued())
    integration = await connect(world)
    await world.door.refresh(ACME, integration.id)
    await world.door.delete(ACME, integration.id)
    assert [(name, authorization) for _, name, authorization in server.seen] == [("ours", None)] * len(server.seen)
    paths = [path for _, path, _, _ in server.asked]
    assert paths[:2] == ["/token", "/token"]
    assert set(paths[2:]) == {"/revoke"}
    for *_, body in server.asked:
        form = parse_qs(body.decode())
        assert form["client_id"] == [CLIENT]
        assert "client_secret" not in form
        assert b"PRIVATE" not in body
    assert world.leaks_in(world.raw_dump()) == []


async def test_a_refused_certificate_is_followed_by_the_next_one_and_never_by_a_secret(world, server):
    server.known = {"newer"}
    open_door(world, server, issued(), issued("newer"))
    await connect(world)
    assert [name for _, name, _ in server.seen] == ["ours", "newer"]
    server.known = set()
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.refresh(ACME, "acme")
    assert caught.value.reason == "invalid_client"
    assert {authorization for _, _, authorization in server.seen} == {None}


@pytest.mark.parametrize("auth", ["client_basic", "client_post"])
async def test_a_revocation_that_is_authenticated_shows_the_certificate_too(world, server, auth):
    world.door = world.open(
        providers=[provider(server.url, revoke={"url": f"{server.url}/revoke", "auth": auth})], applications=[application(issued())]
    )
    await connect(world)
    await world.door.delete(ACME, "acme")
    assert {(name, authorization) for _, name, authorization in server.seen} == {("ours", None)}


@pytest.mark.parametrize(
    ("secrets", "changes"),
    [
        (("fake-secret", issued()), {}),
        ((issued(), "fake-secret"), {}),
        ((issued(),), {"client_auth": "post"}),
        (("fake-secret",), {"client_auth": "tls"}),
    ],
)
def test_a_private_key_is_never_sent_as_a_secret(world, secrets, changes):
    with pytest.raises(ConfigurationError, match="cannot authenticate") as caught:
        world.open(providers=[provider("https://acme.example")], applications=[application(*secrets, **changes)])
    assert "PRIVATE" not in str(caught.value)
    assert "fake-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "pem",
    [
        authority("Clients").issue("ours")[0],
        authority("Clients").issue("ours")[1],
        authority("Clients").issue("ours")[0] + authority("Clients").issue("other")[1],
    ],
    ids=["no key", "no certificate", "another key"],
)
async def test_what_makes_no_connection_is_refused_before_it_is_used(world, pem):
    with pytest.raises(ConfigurationError, match="client_secret"):
        world.open(providers=[provider("https://acme.example")], applications=[application(pem)])
    world.door = world.open(providers=[provider("https://acme.example")], applications=[])
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.applications.save(ACME, "acme", client_id=CLIENT, client_secret=Secret(pem), actor=ALICE)
    assert caught.value.field == "clientSecret"


async def test_a_tenants_own_certificate_is_sealed_and_used(world, server):
    pem = issued()
    world.secrets += [line for line in pem.splitlines() if not line.startswith("-")][-8:]
    open_for_tenants(world, server)
    await world.door.applications.save(ACME, "acme", client_id=CLIENT, client_secret=Secret(pem), actor=ALICE)
    await connect(world)
    assert [(name, authorization) for _, name, authorization in server.seen] == [("ours", None)]
    assert world.leaks_in(world.raw_dump()) == []


async def test_a_tenants_certificate_that_has_ended_is_refused(world, server):
    open_for_tenants(world, server)
    with pytest.raises(ValidationFailedError, match="has ended"):
        await world.door.applications.save(ACME, "acme", client_id=CLIENT, client_secret=Secret(issued(end=BEGIN + DAY)), actor=ALICE)


class Aliases(Before):
    """Lets the provider's endpoints be asked under `/mtls` too, and takes a certificate for the client's secret."""

    def find(self, request):
        path = request.url.removeprefix(self._world.provider.base_url)
        if "/.well-known/" in path or request.certificate is None:
            return None
        assert path.startswith("/mtls/")
        secret = self._world.provider.application().client_secret.reveal()
        sent = self._world.provider.handle(
            request.method, path.removeprefix("/mtls"), headers=request.headers, body=request.body + f"&client_secret={secret}".encode()
        )
        return HttpResponse(status=sent.status, headers=sent.headers, body=sent.body)


async def test_the_servers_own_addresses_for_certificates_are_preferred(world):
    """RFC 8705 §5: `mtls_endpoint_aliases`."""
    metadata = open_with_metadata(world, client_auth=["tls", "post"])
    base = world.provider.base_url
    metadata.changes = {"mtls_endpoint_aliases": {"token_endpoint": f"{base}/mtls/token", "revocation_endpoint": f"{base}/mtls/revoke"}}
    world.transport = Aliases(world)
    operators = world.provider.application()
    world.door = world.open(applications=[replace(operators, client_secret=Secret(issued()), client_secrets=())])
    integration = await world.connect()
    await world.door.refresh(ACME, integration.id)
    assert world.provider.refresh_count == 1


async def test_an_application_with_a_secret_does_not_decide_where_a_certificate_is_shown(world):
    metadata = open_with_metadata(world, client_auth=["tls", "post"])
    base = world.provider.base_url
    metadata.changes = {"mtls_endpoint_aliases": {"token_endpoint": f"{base}/mtls/token", "revocation_endpoint": f"{base}/mtls/revoke"}}
    world.transport = Aliases(world)
    world.door = world.open()
    # The operator's application, with a secret, reads the metadata first.
    await world.connect(GLOBEX)
    mine = world.provider.application().client_id
    await world.door.applications.save(ACME, "simulated", client_id=mine, client_secret=Secret(issued()), actor=ALICE)
    await world.connect()
    asked = [request for request in metadata.others if request.url.endswith("/token")]
    assert [request.certificate is None for request in asked] == [True]


async def test_an_address_for_certificates_at_another_host_is_not_asked(world):
    metadata = open_with_metadata(world, client_auth=["tls", "post"])
    metadata.changes = {"mtls_endpoint_aliases": {"token_endpoint": "https://elsewhere.example/token"}}
    operators = world.provider.application()
    world.door = world.open(applications=[replace(operators, client_secret=Secret(issued()), client_secrets=())])
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.begin()
    assert caught.value.reason == "server_metadata"
