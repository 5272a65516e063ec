"""Unique secrets go through the host, over HTTP, and are then nowhere but where they belong."""

from __future__ import annotations

import asyncio
import http.client
import json
import tempfile
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
)
from cloud_integrations.testing import Misbehaviour, ProviderServer
from cloud_integrations_cli.listening import Listening, bind
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, new_token, token_hash

from .canaries import GRACE, Canaries, Found, Watched, an_engine, listening_to_everything


class Browser:
    """A client of the standard library, whose own log says nothing, with cookies."""

    def __init__(self, url: str, bearer: str, found: Found) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {bearer}"}
        self._cookies: dict[str, str] = {}
        self._found = found

    def send(self, method: str, path: str, body: Any = None, *, gives: tuple[str, ...] = (), **headers: str) -> Any:
        """Return the document of the answer, which may hold the kinds of secrets that it *gives*."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {**self._headers, "Content-Type": "application/json", "Accept": "application/json", **headers}
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        connection = http.client.HTTPConnection(self._host, timeout=300)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        shown = f"{method} {answer.status} {answer.getheaders()}".encode() + text
        self._found.given.append((f"{method} {path.partition('?')[0]}", shown, set(gives)))
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self._cookies[cookie] = content
        with_document = text.startswith(b"{")
        return json.loads(text) if with_document else {"status": answer.status}

    @property
    def cookies(self) -> list[str]:
        return [value for value in self._cookies.values() if value]


def walk_by_inputs(browser: Browser, api: str, provider: Watched) -> None:
    """Connect with a value of every form, and make every mistake."""
    revealed = {name: value.reveal() if isinstance(value, Secret) else value for name, value in provider.inputs().items()}
    by_cert = {name: value for name, value in revealed.items() if name != "password"} | {"cert": provider.certificate.reveal()}
    body = {"providerId": str(provider.by_inputs().provider_id), "name": "Robot", "method": "file", "variables": {"zone": "us"}}
    secret = provider.password.reveal()
    cut = by_cert | {"file": by_cert["file"][:-3]}
    human = by_cert | {"file": by_cert["file"].replace("robot", "human")}
    for mistake in (
        {"credentials": {"inputs": revealed, "apiKey": secret}},
        {"credentials": {"inputs": revealed | by_cert}},
        {"credentials": {"inputs": cut}},
        {"credentials": {"inputs": human}},
        {"credentials": {"inputs": by_cert | {"file": by_cert["cert"], "cert": by_cert["file"]}}},
        {"credentials": {"inputs": by_cert | {"file": json.loads(by_cert["file"])}}},
        {"credentials": {"inputs": by_cert | {"team": secret + " x"}}},
        {"credentials": {"inputs": {secret: by_cert["file"]}}},
        {"credentials": {"inputs": {secret: [by_cert["file"]]}}},
        {"credentials": {"inputs": by_cert}, "method": secret},
        {"credentials": {"inputs": by_cert}, "variables": {"zone": secret}},
        {"credentials": {"inputs": by_cert}, "variables": {secret: [secret]}},
        {"inputs": by_cert},
    ):
        assert browser.send("POST", f"{api}/integrations", body | mistake)["success"] is False
    added = browser.send("POST", f"{api}/integrations", body | {"credentials": {"inputs": revealed}})["data"]["id"]
    for inputs in (by_cert, cut, human):
        browser.send("POST", f"{api}/integrations/{added}/reconnect", {"credentials": {"inputs": inputs}, "method": "file"})
    browser.send("GET", "/api/v1/providers")


def walk_over_http(browser: Browser, provider: Watched, canaries: Canaries) -> None:
    """Do what a stranger does who has the documentation, and what one does who has not."""
    by_code, by_key = provider.entries()
    api = "/api/v1/tenants/acme"
    browser.send("POST", "/session", gives=("session",))
    canaries.add("session", browser._cookies["ci_session"])
    spoiled = ("&code=twice", f"&access_token={provider.valid_api_key.reveal()}", "&iss=elsewhere", "")
    for more in spoiled:
        wanted = {"providerId": str(by_code.provider_id), "name": "Cloud account"}
        begun = browser.send("POST", f"{api}/authorizations", wanted, gives=("state", "browser token"))["data"]
        canaries.add("browser token", *browser.cookies[1:])
        back = urlsplit(provider.sign_in(begun["authorizationUrl"]))
        held = browser.send("GET", f"{back.path}?{back.query}{more}")
    browser.send("GET", f"{back.path}?{back.query}")
    halves = {"apiKey": provider.valid_api_key.reveal(), "secretKey": provider.second_half.reveal()}
    key = {"providerId": str(by_key.provider_id), "name": "By key"}
    added = browser.send("POST", f"{api}/integrations", {**key, "credentials": halves})["data"]["id"]
    walk_by_inputs(browser, api, provider)
    listed = browser.send("GET", f"{api}/integrations")["data"]
    assert len(listed) == 3, held
    for each in (f"{api}/integrations/{one['id']}" for one in listed):
        browser.send("GET", each)
        browser.send("POST", f"{each}/verify")
        browser.send("POST", f"{each}/token", gives=("access token", "API key", "second half", "document"))
        browser.send("GET", f"{each}/audit")
    browser.send("GET", "/openapi.json")
    browser.send("GET", "/?tenant=acme", Accept="text/html")
    # What strangers send.
    secret = json.dumps(halves)
    for body in (
        secret.encode()[:-3],
        f"[{secret}]".encode(),
        {"name": halves},
        {**key, "credentials": {"apiKey": halves}},
        {**key, **halves},
    ):
        browser.send("POST", f"{api}/integrations", body)
        browser.send("PATCH", f"{api}/integrations/{added}", body)
    browser.send("POST", f"{api}/integrations", urlencode(halves).encode(), **{"Content-Type": "application/x-www-form-urlencoded"})
    mistaken = provider.issue_api_key().reveal()
    canaries.add("pasted key", mistaken)
    pasted = quote(mistaken, safe="")
    for path in (
        f"/api/v1/tenants/{pasted}%0A/integrations",
        f"{api}/integrations/{pasted}",
        f"{api}/integrations?key={pasted}",
        f"/{pasted}",
    ):
        browser.send("GET", path)
    browser.send("POST", "/session", Authorization=f"Bearer {halves['apiKey']}")
    browser.send("GET", f"{api}/integrations", Authorization=f"Basic {halves['apiKey']}")
    for what in (Misbehaviour.UNAVAILABLE, Misbehaviour.GARBAGE_JSON, Misbehaviour.FORBIDDEN, Misbehaviour.ANSWER_LOST):
        provider.misbehave(what, endpoint="me", times=None)
        browser.send("POST", f"{api}/integrations/{added}/reconnect", {"credentials": halves})
        provider.behave()
    for one in listed:
        browser.send("DELETE", f"{api}/integrations/{one['id']}")
    browser.send("DELETE", "/session")


@pytest.mark.requirement("OAU-081", "ENC-01", "AUD-06")
async def test_no_secret_leaves_the_host(tmp_path, monkeypatch):
    canaries, found = Canaries(), Found()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bearer = new_token()
    canaries.add("bearer token", bearer)
    entry = LocalKeyring.generate_key("canary")
    canaries.add("keyring entry", entry.reveal().partition(":")[2])
    tokens = Tokens({token_hash(bearer): Access(actor=GRACE, tenants=frozenset({"acme"}), permissions=frozenset(Permission))})
    with listening_to_everything(found), ProviderServer(Watched(canaries)) as server:
        provider = server.provider
        assert isinstance(provider, Watched)
        engine = an_engine(tmp_path / "canary.db", journal=False)
        bound = bind("127.0.0.1", 0)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with AsyncIntegrationManager(
            store=AsyncSqlAlchemyStore(engine),
            transport=AsyncHttpxTransport(),
            keys=LocalKeyring([entry]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.entries(), provider.by_inputs()),
            applications=[
                OAuthApplication(
                    provider="simulated", client_id="fake-client-id", client_secret=[provider.refused_secret, provider._client_secret]
                )
            ],
            settings=Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True),
        ) as manager:
            ready = asyncio.Event()
            app = build_app(manager, tokens=tokens, sessions=Sessions(seconds=3600), base_url=url)
            host = Listening(app, when_ready=ready.set)
            serving = asyncio.create_task(host.serve([bound]))
            await ready.wait()
            await asyncio.to_thread(walk_over_http, Browser(url, bearer, found), provider, canaries)
            host.should_exit = True
            await serving
            found.put_files("files", tmp_path)
            for record in await manager.acting_as(GRACE).audit.list("acme", limit=200):
                found.put("audit", repr(record))
        engine.dispose()
    assert {"bearer token", "session", "browser token", "state", "code", "access token"} <= set(canaries.counts)
    assert len(found.given) > 40
    # The access log has the paths that were asked for, whatever somebody took for a path.
    found.check(canaries, log={"pasted key"})
