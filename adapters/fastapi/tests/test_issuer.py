"""The documents of our own issuer, over HTTP."""

from __future__ import annotations

import httpx
import jwt as pyjwt
import pytest
from fastapi import FastAPI
from tests.protocol.keys import pem

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    IntegrationManager,
    Issuer,
    LocalKeyring,
    LocalSigningKeys,
    MemoryStore,
)
from cloud_integrations.errors import ConfigurationError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider, SimulatedTransport
from cloud_integrations_fastapi import create_issuer_router

URL = "https://app.example/identity"


class BrokenKeys:
    waits = False

    def __init__(self, error):
        self.error = error

    def public_keys(self):
        raise self.error

    def sign(self, key_id, message, /):
        raise self.error


@pytest.fixture(params=["blocking", "awaiting"])
def manage(request):
    """Make a manager over no database at all."""
    blocks = request.param == "blocking"

    def make(keys=None, url=URL):
        provider = SimulatedProvider()
        return (IntegrationManager if blocks else AsyncIntegrationManager)(
            store=MemoryStore() if blocks else AsyncMemoryStore(),
            transport=(SimulatedTransport if blocks else AsyncSimulatedTransport)(provider),
            keys=LocalKeyring([LocalKeyring.generate_key("test")]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(),
            issuer=None if url is None else Issuer(url=url, keys=keys or LocalSigningKeys([pem(), pem("other rsa")])),
        )

    return make


def client_of(manager, **more):
    app = FastAPI()
    app.include_router(create_issuer_router(manager, **more))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example")


async def test_anybody_reads_both_documents(manage):
    client = client_of(manage())
    configuration = await client.get("/identity/.well-known/openid-configuration")
    assert configuration.headers["content-type"] == "application/json"
    assert configuration.headers["cache-control"] == "public, max-age=300"
    assert configuration.json()["issuer"] == URL
    assert configuration.json()["jwks_uri"] == f"{URL}/.well-known/jwks.json"
    keys = await client.get("/identity/.well-known/jwks.json")
    assert keys.headers["cache-control"] == "public, max-age=300"
    assert [key["kid"] for key in keys.json()["keys"]] == [key.key_id for key in LocalSigningKeys([pem(), pem("other rsa")]).public_keys()]
    assert all("d" not in key for key in keys.json()["keys"])


async def test_an_independent_library_reads_the_keys(manage):
    answer = await client_of(manage()).get("/identity/.well-known/jwks.json")
    keys = pyjwt.PyJWKSet.from_dict(answer.json())
    signing = LocalSigningKeys([pem()])
    [public] = signing.public_keys()
    signed = pyjwt.utils.base64url_encode(b'{"alg":"RS256"}') + b"." + pyjwt.utils.base64url_encode(b'{"sub":"tenant:acme"}')
    token = signed + b"." + pyjwt.utils.base64url_encode(signing.sign(public.key_id, signed))
    assert pyjwt.decode(token, keys[public.key_id], algorithms=["RS256"]) == {"sub": "tenant:acme"}


async def test_a_proxy_may_change_the_path(manage):
    client = client_of(manage(), prefix="")
    assert (await client.get("/.well-known/jwks.json")).status_code == 200
    assert (await client.get("/identity/.well-known/jwks.json")).status_code == 404
    other = await client_of(manage(url="https://app.example")).get("/.well-known/openid-configuration")
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("error", "status"), [(KeyServiceUnavailableError(reason="Throttling"), 503), (KeyringError(key_id="fake-key", problem="is gone"), 500)]
)
async def test_keys_that_cannot_be_read_are_an_error_that_is_not_kept(manage, error, status):
    client = client_of(manage(BrokenKeys(error)))
    answer = await client.get("/identity/.well-known/jwks.json")
    assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
    assert "fake-key" not in answer.text
    assert (await client.get("/identity/.well-known/openid-configuration")).status_code == 200


def test_a_router_needs_a_manager_with_an_issuer(manage):
    with pytest.raises(ConfigurationError, match="issuer is not set"):
        create_issuer_router(manage(url=None))
    with pytest.raises(TypeError, match="must be an AsyncIntegrationManager"):
        create_issuer_router(object())
