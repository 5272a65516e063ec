"""Mints with the client credentials grant (RFC 6749 §4.4) against an authorization server that is not ours, through both managers."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    Provider,
    Settings,
)
from cloud_integrations.errors import InvalidCredentialsError

from .authorization_server import KEY_CLIENT, AuthorizationServer
from .real_server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TENANT = "acme"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = (
    json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())) | {"kid": "rsa", "use": "sig"},
    json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())) | {"kid": "ec", "use": "sig"},
)
KEYS = {"RS256": RSA_KEY, "PS256": RSA_KEY, "ES256": EC_KEY}
FIELDS = {"grant_type": "client_credentials", "scope": "read"}
CLIENT_ID = {"name": "client_id", "secret": False, "label": "Client ID"}
over_both = pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])


def pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server(client_keys=JWKS) as running:
        yield running


def provider_of(server: AuthorizationServer, method: dict[str, Any], step: dict[str, Any]) -> Provider:
    """Describe the server as an operator would, with a key method whose credential is minted."""
    mint = {"url": server.endpoints.token, "fields": FIELDS, **step}
    return Provider.model_validate({
        "id": "real_server",
        "name": "A real server",
        "loopback": True,
        "methods": [{"id": "client", "kind": "key", "application": "owner", "mint": [mint], **method}],
        "verifications": [{"url": server.endpoints.resource, "identity": ["json:client_id"], "label": ["json:client_id"]}],
    })  # fmt: skip


def with_secret(server: AuthorizationServer, way: str) -> Provider:
    secret = {"name": "client_secret", "label": "Client secret"}
    return provider_of(server, {"inputs": [CLIENT_ID, secret]}, {"client_auth": [way]})


def with_key(server: AuthorizationServer, alg: str, audience: str) -> Provider:
    key = {"name": "private_key", "form": "pem", "label": "Private key"}
    proof = {"jwt": "{private_key}", "alg": alg, "iss": "{client_id}", "sub": "{client_id}", "aud": audience}
    method = {"inputs": [CLIENT_ID, key], "proofs": {"client": proof}}
    return provider_of(server, method, {"client_auth": ["proof:client"]})


class Door:
    """One of the managers."""

    def __init__(self, provider: Provider, *, blocking: bool) -> None:
        common: dict[str, Any] = {
            "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(provider),
            "settings": Settings(loopback=True, token_cache=timedelta()),
        }
        self.manager: IntegrationManager | AsyncIntegrationManager = (
            IntegrationManager(store=MemoryStore(), transport=HttpxTransport(), **common)
            if blocking
            else AsyncIntegrationManager(store=AsyncMemoryStore(), transport=AsyncHttpxTransport(), **common)
        )

    async def call(self, name: str, /, *arguments: Any, **named: Any) -> Any:
        answer = getattr(self.manager.acting_as("ada"), name)(*arguments, **named)
        return await answer if inspect.isawaitable(answer) else answer

    async def add(self, **inputs: str) -> Any:
        return await self.call("add", TENANT, "real_server", name="Robot", inputs=inputs)

    async def close(self) -> None:
        closing = self.manager.close()
        if inspect.isawaitable(closing):
            await closing


async def require_a_token_that_works(door: Door, server: AuthorizationServer, client_id: str) -> None:
    headers = (await door.call("credential", TENANT, "real_server")).headers()
    async with httpx.AsyncClient(trust_env=False) as client:
        shown = await client.get(server.endpoints.resource, headers=headers)
    assert shown.json() == {"client_id": client_id, "scope": "read"}


@over_both
@pytest.mark.parametrize("way", ["basic", "post"])
async def test_a_secret_is_exchanged_for_a_token_that_the_server_takes(server: AuthorizationServer, way: str, blocking: bool) -> None:
    door = Door(with_secret(server, way), blocking=blocking)
    client = server.client if way == "basic" else server.post_client
    integration = await door.add(client_id=client.id, client_secret=client.secret)
    assert integration.account.account_id == client.id
    await require_a_token_that_works(door, server, client.id)
    assert (await door.call("verify", TENANT, integration.id)).outcome == "alive"
    await door.close()


@over_both
async def test_a_wrong_secret_connects_nothing(server: AuthorizationServer, blocking: bool) -> None:
    door = Door(with_secret(server, "basic"), blocking=blocking)
    with pytest.raises(InvalidCredentialsError):
        await door.add(client_id=server.client_id, client_secret="fake-secret-that-is-wrong")
    assert list(await door.call("list_integrations", TENANT)) == []
    await door.close()


@pytest.mark.requirement("OAU-064")
@over_both
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
async def test_the_server_takes_our_assertion_by_its_registered_keys(server: AuthorizationServer, alg: str, blocking: bool) -> None:
    door = Door(with_key(server, alg, server.issuer), blocking=blocking)
    await door.add(client_id=KEY_CLIENT, private_key=pem(KEYS[alg]))
    await require_a_token_that_works(door, server, KEY_CLIENT)
    await door.close()


@pytest.mark.requirement("OAU-064")
async def test_a_key_that_is_not_registered_or_another_audience_is_refused(server: AuthorizationServer) -> None:
    """The server really checks the assertion, so the test before was not a matter of luck."""
    stranger = pem(ec.generate_private_key(ec.SECP256R1()))
    for private_key, audience in ((stranger, server.issuer), (pem(EC_KEY), "https://elsewhere.example")):
        door = Door(with_key(server, "ES256", audience), blocking=True)
        with pytest.raises(InvalidCredentialsError):
            await door.add(client_id=KEY_CLIENT, private_key=private_key)
        await door.close()
