"""A host with one provider, and the life of an integration through its router."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import httpx
from fastapi import FastAPI
from tests.protocol.keys import pem

from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    Issuer,
    LocalKeyring,
    LocalSigningKeys,
    Settings,
)
from cloud_integrations.domain.provider import fill, places
from cloud_integrations.testing import AsyncAdvancingPause, FixedClock
from cloud_integrations_fastapi import create_router

from .authorizing import LIFE
from .file_provider import FileProvider
from .tenants import SERVER, Tenant

BASE = "https://app.acme.example/api/v1"
INTEGRATIONS = "/tenants/acme/integrations"
CATALOGUE = Catalogue.builtin()
ISSUER = Issuer(url="https://app.acme.example/identity", keys=LocalSigningKeys([pem()]))
KEYRING = LocalKeyring([LocalKeyring.generate_key("test")])


async def everybody(request, permission, tenant_id):
    return Actor(id="alice")


class Current(AsyncIntegrationManager):
    """The manager of the host that is under test: one router serves all of them, because making one takes longer than a whole life."""

    manager = None

    def __init__(self):
        pass

    def __getattribute__(self, name):
        return getattr(Current.manager, name)


@cache
def router():
    app = FastAPI()
    app.include_router(create_router(Current(), authorize=everybody, token_route=True))
    return app


class Host:
    """A host with one provider, whose servers are those of its file; *read* is what the library reads in place of that file."""

    def __init__(self, provider, method, way, *, read=None):
        # An operator may have switched on what is no longer offered.
        self.provider, self.method, self.way = provider.model_copy(update={"active": True}), method, way
        self.clock = FixedClock()
        self.tenant = Tenant(provider=self.provider, method=method, way=way)
        application = self.tenant.application
        self.manager = AsyncIntegrationManager(
            store=AsyncMemoryStore(self.clock),
            transport=self,
            keys=KEYRING,
            cipher=AesGcmCipher(),
            providers=CATALOGUE.with_(providers=[read or self.provider]),
            applications=[] if application is None else [application],
            platform=self.tenant.platform,
            issuer=ISSUER if any(proof.by_platform for proof in method.proofs.values()) else None,
            settings=Settings(callback_url=f"{BASE}/oauth/callback", private_servers=(SERVER,)),
            clock=self.clock,
            pause=AsyncAdvancingPause(self.clock),
        )
        (summary,) = [one for one in self.manager.list_providers() if one.slug == provider.id]
        self.servers = FileProvider(self.tenant, self.clock, issuer=ISSUER, redirect_uri=summary.redirect_uri)
        Current.manager = self.manager
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(router()), base_url=BASE)

    async def send(self, request, *, deadline):
        return await self.servers.send(request, deadline=deadline)

    async def close(self):
        return None

    async def call(self, verb, path, /, *, status=200, **body):
        """Send one request to the router, and return its answer."""
        return self.read(await self.http.request(verb, path, json=body or None), status=status)

    def read(self, response, *, status=200):
        assert not self.servers.problems, self.servers.problems
        assert response.status_code == status, (response.text, [f"{sent.method} {sent.url}" for sent in self.servers.requests])
        return response.json()

    @property
    def body(self):
        named = {"providerId": str(self.provider.provider_id), "name": "Production", "method": self.method.id}
        return named | ({"variables": self.tenant.variables} if self.tenant.variables else {})

    async def connect(self):
        """Connect, and return the id of the integration."""
        if self.method.kind != "key":
            return (await self.consent())["id"]
        await self.set_up()
        return (await self.add_key())["data"]["id"]

    async def set_up(self):
        """Begin the setup, if the method needs one; then the provider knows the tenant's key and what the library made."""
        if self.method.made_inputs:
            setup = (await self.call("POST", "/tenants/acme/authorizations", status=201, **self.body))["data"]
            assert setup["made"].keys() == {each.name for each in self.method.made_inputs}
            self.servers.mint.made = dict(setup["made"])
        self.servers.allow_key()

    async def add_key(self, *, inputs=None, status=201):
        entered = self.tenant.inputs if inputs is None else inputs
        return await self.call("POST", INTEGRATIONS, status=status, **self.body, credentials={"inputs": entered})

    async def consent(self):
        """Authorize as a person does, through the router, and return the integration."""
        begin = self.body | ({"device": True} if self.way == "device" else {})
        begun = (await self.call("POST", "/tenants/acme/authorizations", status=201, **begin))["data"]
        server = self.servers.authorization
        if self.way == "device":
            polling = f"/tenants/acme/authorizations/{begun['authorizationId']}/poll"
            assert (await self.call("POST", polling))["data"]["pending"]
            server.enter_code()
            self.clock.advance(timedelta(seconds=begun["interval"]))
            return (await self.call("POST", polling))["data"]
        back = server.open(begun["authorizationUrl"], scopes=self.method.scopes.default)
        if self.method.callback.response_mode == "form_post":
            return self.read(await self.http.post(server.redirect_uri, data=back))["data"]
        return self.read(await self.http.get(server.redirect_uri, params=back))["data"]

    async def verify(self, integration, outcome="alive"):
        """Verify, and compare the account with what the file reads in the answer."""
        report = (await self.call("POST", f"{INTEGRATIONS}/{integration}/verify"))["data"]
        assert report["outcome"] == outcome
        if outcome != "alive":
            return
        account = (await self.call("GET", f"{INTEGRATIONS}/{integration}"))["data"]["account"]
        expected = self.servers.account
        if expected["id"] is None and self.method.kind == "key":
            # Without an id the provider gives, it is a fingerprint of the key.
            assert account["id"].startswith("key:")
            account["id"] = None
        assert account == expected

    async def reveal(self, integration, *, status=200):
        """Reveal the credential, and compare it with those that the provider knows."""
        answer = await self.call("POST", f"{INTEGRATIONS}/{integration}/token", status=status)
        if status != 200:
            return answer["error"]["code"]
        shown, shower = answer["data"], self.servers.shower
        assert any(
            shower.headers(parts).items() <= shown["headers"].items() and shower.query(parts).items() <= shown["params"].items()
            for parts in self.servers.checks.live
        ), f"shown in {sorted(shown['headers'])}, which is not what the file says"
        return shown["value"]

    async def renew(self, integration):
        """Let the access end in time: it is made or refreshed once more if the provider can do that, and only then."""
        server, facts = self.servers.authorization, self.method.access_token
        before = await self.reveal(integration)
        if self.method.mint:
            minted = len(self.servers.mint.minted)
            self.servers.pass_time(timedelta(hours=2))
            assert await self.reveal(integration) != before
            assert (len(self.servers.mint.minted), server.refreshes) == (minted + 1, 0)
            return
        later = max(LIFE, facts.assumed_lifetime or LIFE) + timedelta(hours=1)
        if self.needs_reconnect:
            self.clock.advance(later)
            assert await self.reveal(integration, status=409) == "integration/reconnect-required"
            return
        if not server.refreshing:
            self.clock.advance(timedelta(days=30))
            # A proof is made anew each time.
            assert await self.reveal(integration) == before or self.method.shown_proofs
            return
        self.servers.pass_time(later)
        assert await self.reveal(integration) != before
        assert server.refreshes == 1

    async def remove(self, integration):
        """Delete with the wish to end the key, too; what the file says of that has arrived at the provider."""
        server, facts = self.servers.authorization, self.method.revoke
        revoked, ended = len(server.revoked), len(self.servers.checks.ended)
        removed = await self.call("DELETE", f"{INTEGRATIONS}/{integration}?revokeKey=true")
        assert (await self.call("GET", INTEGRATIONS))["data"] == []
        if self.method.kind == "key":
            can = self.method.key_revocation is not None
            assert (removed["apiKey"], len(self.servers.checks.ended) - ended) == (("revoked", 1) if can else ("unsupported", 0))
            assert removed["manualUrl"] == (None if can else self.manual_url)
        elif facts is None or facts.url is None:
            assert len(server.revoked) == revoked
            assert removed["manualUrl"] == self.manual_url is not None
        else:
            assert len(server.revoked) > revoked
            assert not server.refreshing or facts.which == "access"
            assert not self.servers.checks.live or facts.which == "refresh"

    @property
    def needs_reconnect(self):
        """Whether the access has ended for good: it ends, and the provider gives nothing to renew it by."""
        facts = self.method.access_token
        ends = facts.expires_in in {"always", "conditional"} or facts.assumed_lifetime is not None
        return self.method.kind != "key" and not self.method.mint and ends and not self.servers.authorization.refreshing

    @property
    def manual_url(self):
        """The page where a person ends the access; None: the file has none, or one that needs what is not known."""
        facts = self.method.revoke
        if facts is None or facts.manual_url is None:
            return None
        known = {**self.tenant.filled, **self.tenant.parts}
        return fill(facts.manual_url, known) if all(known.get(name) for name in places(facts.manual_url)) else None
