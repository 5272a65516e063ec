"""`demo`: all steps from end to end, over real HTTP on this computer."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.text import Text

from cloud_integrations import Actor, Secret
from cloud_integrations.testing import token_id
from cloud_integrations_cli.listening import Listening
from cloud_integrations_cli.render import visible

from .serve import DEMO_TENANT, DemoHost, demo_host

_REQUEST_FIELD = re.compile(r'name="request" value="([^"]+)"')
_ACTOR = Actor(id="demo")
_API = f"/api/v1/tenants/{DEMO_TENANT}"


def run() -> None:
    """Run every step; a step that fails ends the command with an error."""
    asyncio.run(_run(Story()))


class Story:
    """Prints the steps as they happen."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._steps = 0

    def step(self, title: str, /) -> None:
        """Print the title of a new step."""
        self._steps += 1
        self._console.print()
        self._console.print(Text(f"{self._steps}. {title}", style="bold"))

    def say(self, text: str, /, *, style: str = "") -> None:
        """Print a line within a step."""
        self._console.print(Text(f"   {visible(text)}", style=style), soft_wrap=True)

    def good(self, text: str, /) -> None:
        """Print a line about something that is as it should be."""
        self.say(f"✓ {text}", style="green")

    def check(self, text: str, /, *, holds: bool, failure: str) -> None:
        """Print *text* if it *holds*; else print *failure* and raise `RuntimeError`, so that the command fails."""
        if not holds:
            self.say(f"✗ {failure}", style="red")
            raise RuntimeError(failure)
        self.good(text)


async def _run(story: Story) -> None:
    story.step("Start a simulated provider, the API, and an empty database")
    async with demo_host() as host:
        ready = asyncio.Event()
        server = Listening(host.app, when_ready=ready.set)
        serving = asyncio.create_task(server.serve([host.bound]))
        try:
            await asyncio.wait([serving, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            story.say(f"provider   {host.provider_url}   (a real HTTP server; it knows no real accounts)")
            story.say(f"API        {host.url}{_API}/integrations")
            story.say(f"database   {host.database}")
            async with httpx.AsyncClient(base_url=host.url, trust_env=False) as browser:
                await _tell(story, host, browser)
        finally:
            server.should_exit = True
            await serving
    story.step("Clean up")
    story.good(f"stopped; {host.database.name} and the key are gone")


async def _tell(story: Story, host: DemoHost, browser: httpx.AsyncClient) -> None:
    story.step(f"Sign in as user:demo, who may act for tenant {DEMO_TENANT}")
    _expect(await browser.post("/session", headers={"Authorization": f"Bearer {host.token.reveal()}"}), 201)
    story.say("POST /session → 201, and a session cookie")
    refused = _expect(await browser.get("/api/v1/tenants/globex/integrations"), 403)
    story.good(f"another tenant is out of reach: {refused['error']['code']}")

    oauth = await _connect_by_oauth(story, host, browser)
    keyed = await _connect_by_key(story, host, browser)

    story.step("List what the tenant has")
    listed = _expect(await browser.get(f"{_API}/integrations"), 200)["data"]
    for each in listed:
        story.say(f"{each['id']}   {each['authType']:<7} {each['status']:<8} {each['name']}")

    story.step("Use it: the backend asks for a token that works, and renews it")
    manager = host.manager.acting_as(_ACTOR)
    before = await manager.credential(DEMO_TENANT, host.oauth_slug)
    story.say(f"token {token_id(before.value)}   (the name of a token here; its text is not shown)")
    await manager.refresh(DEMO_TENANT, before.integration_id)
    after = await manager.credential(DEMO_TENANT, host.oauth_slug)
    story.say(f"token {token_id(after.value)}   after one refresh; the provider rotated the refresh token, too")
    burst = await asyncio.gather(*(manager.credential(DEMO_TENANT, host.oauth_slug) for _ in range(50)))
    story.good(f"{len(burst)} callers at once got it; the provider saw {host.provider.refresh_count} refresh in all")

    _show_database(story, host.database, [after.value, host.provider.valid_api_key])

    story.step("Check the audit")
    for record in reversed(await manager.audit.list(DEMO_TENANT)):
        event = record.event
        story.say(f"{record.seq:>3}  {event.actor!s:<10} {event.action:<26} {event.outcome.value:<8} {event.reason or ''}".rstrip())
    report = await manager.audit.verify(DEMO_TENANT)
    chain = f"{report.checked} events, each holding the hash of the one before"
    story.check(f"{chain}: whole", holds=report.whole, failure=f"{chain}: BROKEN")

    story.step("Delete both, and revoke at the provider")
    removal = await manager.delete(DEMO_TENANT, after.integration_id)
    story.say(f"{oauth}: refresh token {removal.refresh_token.value}, access token {removal.access_token.value}")
    dead = not host.provider.is_alive(after.value)
    says = "the provider itself says that the token is"
    story.check(f"{says} dead", holds=dead, failure=f"{says} STILL ALIVE")
    keyed_id = next(each["id"] for each in listed if each["authType"] == "apikey")
    _expect(await browser.delete(f"{_API}/integrations/{keyed_id}"), 200)
    story.say(f"{keyed}: deleted; a key can only be withdrawn by who made it")
    left = _expect(await browser.get(f"{_API}/integrations"), 200)["data"]
    story.good(f"{len(left)} integrations left")


async def _connect_by_oauth(story: Story, host: DemoHost, browser: httpx.AsyncClient) -> str:
    story.step("Connect by OAuth2 (authorization code, PKCE, state)")
    begun = _expect(await browser.post(f"{_API}/authorizations", json={"providerId": str(host.oauth_id), "name": "Demo by sign-in"}), 201)[
        "data"
    ]
    story.say("POST …/authorizations → 201, and a cookie that ties the answer to this browser")
    consent = await browser.get(begun["authorizationUrl"])
    story.say(f"GET  {_without_query(begun['authorizationUrl'])} → {consent.status_code}, the provider's sign-in and consent page")
    asked = _REQUEST_FIELD.search(consent.text)
    if asked is None:
        raise RuntimeError("the consent page has no form")
    granted = await browser.post(f"{host.provider_url}/consent", data={"request": asked[1], "decision": "approve"})
    callback = granted.headers["location"]
    story.say(f"POST {host.provider_url}/consent → {granted.status_code}, back to {_without_query(callback)}")
    connected = _expect(await browser.get(callback), 200)["data"]
    story.good(f"connected: {connected['name']} ({connected['id']})")
    again = _expect(await browser.get(callback), 400)
    story.good(f"the same callback again: {again['error']['code']} ({again['error']['details'].get('reason', '')})")
    return str(connected["name"])


async def _connect_by_key(story: Story, host: DemoHost, browser: httpx.AsyncClient) -> str:
    story.step("Connect by API key")

    def body(key: Secret) -> dict[str, Any]:
        return {"providerId": str(host.keys_id), "name": "Demo by key", "credentials": {"apiKey": key.reveal()}}

    refused = _expect(await browser.post(f"{_API}/integrations", json=body(host.provider.invalid_api_key)), 422)
    story.say(f"POST …/integrations with a wrong key → 422 {refused['error']['code']}; nothing is stored")
    connected = _expect(await browser.post(f"{_API}/integrations", json=body(host.provider.valid_api_key)), 201)["data"]
    story.good(f"connected: {connected['name']} ({connected['id']}), after the provider accepted the key")
    return str(connected["name"])


def _show_database(story: Story, database: Path, secrets: list[Secret]) -> None:
    story.step("Look into the database")
    for place, value in _sealed_values(database):
        story.say(f"{place:<34} {len(value):>4} bytes   {value[:12].hex(' ')} …")
    story.say("each begins with 43 49 01, the sealed format CI1; tenant, table, row, field and generation are bound into it")
    files = [file for file in database.parent.iterdir() if file.name.startswith(database.name)]
    content = b"".join(file.read_bytes() for file in files)
    found = sum(secret.reveal().encode() in content for secret in secrets)
    says = "the token and the key themselves are"
    story.check(f"{says} nowhere in its files", holds=not found, failure=f"{says} IN ITS FILES")


def _sealed_values(database: Path) -> Iterator[tuple[str, bytes]]:
    columns = {
        "ci_integration": ("presented", "renewal"),
        "ci_key": ("wrapped",),
    }
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for table, names in columns.items():
            for name in names:
                for (value,) in connection.execute(f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL"):  # noqa: S608  # names from above
                    yield f"{table}.{name}", value


def _expect(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the JSON of *response*.  Raises `RuntimeError` for another *status*: a demonstration that fails must not look right."""
    if response.status_code != status:
        raise RuntimeError(f"{response.request.method} {response.request.url.path} gave {response.status_code}, not {status}")
    document: dict[str, Any] = response.json()
    return document


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
