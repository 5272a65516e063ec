"""Unique secrets go through every path, and are then nowhere but where they belong."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlencode, urlsplit

import pytest
import sqlalchemy as sa

import cloud_integrations
from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    CloudIntegrationsError,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Provider,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider
from cloud_integrations_cli.listening import Listening, bind
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, new_token, token_hash

GRACE = Actor(id="grace")
PRODUCT = (str(Path(cloud_integrations.__file__).parent), "cloud_integrations_fastapi", "cloud_integrations_cli", "site-packages")
REQUEST = re.compile(r'name="request" value="([^"]+)"')


# What is looked for


@cache
def forms(secret: str | bytes) -> dict[bytes, str]:
    """Return everything that *secret* could look like, each with its name."""
    data = secret if isinstance(secret, bytes) else secret.encode()
    found = {"raw": data, "reversed": data[::-1], "hex": data.hex().encode(), "HEX": data.hex().upper().encode()}
    for offset in range(3):
        # Inside something longer, base64 begins at any of three places; the characters at its ends mix with the neighbours.
        whole = base64.b64encode(bytes(offset) + data)[(0, 2, 3)[offset] : (offset + len(data)) * 8 // 6]
        found[f"base64+{offset}"] = whole
        found[f"base64url+{offset}"] = whole.translate(bytes.maketrans(b"+/", b"-_"))
    found |= {"quoted": quote(data, safe="").encode(), "form": quote_plus(data).encode(), "python": repr(data)[2:-1].encode()}
    if isinstance(secret, str):
        escaped = "".join(f"\\u{ord(character):04x}" for character in secret)
        found |= {"json": json.dumps(secret)[1:-1].encode(), "\\u": escaped.encode(), "utf-16": secret.encode("utf-16-le")}
    return {form: name for name, form in reversed(found.items())}


class Canaries:
    """Every secret of a walk, by kind."""

    def __init__(self) -> None:
        self._by_kind: defaultdict[str, set[str | bytes]] = defaultdict(set)

    def add(self, kind: str, *secrets: str | bytes | Secret | None) -> None:
        texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets]
        self._by_kind[kind] |= {text for text in texts if text}

    @property
    def counts(self) -> Counter[str]:
        return Counter({kind: len(secrets) for kind, secrets in self._by_kind.items()})

    def in_(self, data: bytes, *, without: AbstractSet[str] = frozenset()) -> list[tuple[str, str]]:
        """Return the kind and the form of every canary that *data* holds."""
        return sorted({
            (kind, name)
            for kind, secrets in self._by_kind.items()
            if kind not in without
            for secret in secrets
            for form, name in forms(secret).items()
            if form in data
        })  # fmt: skip


@dataclass
class Found:
    """What a walk left behind, by place."""

    places: defaultdict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    given: list[tuple[str, bytes, set[str]]] = field(default_factory=list)
    """Answers that must hold a secret, and of which kinds."""

    _lines: set[tuple[str, str]] = field(default_factory=set)

    def put(self, place: str, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self.places[place] += data + b"\n"
            return
        # No canary goes over a line's end, and most lines come again and again.
        for line in data.splitlines():
            if (place, line) not in self._lines:
                self._lines.add((place, line))
                self.places[place] += line.encode("utf-8", "replace") + b"\n"

    def put_files(self, place: str, folder: Path, *, without: AbstractSet[Path] = frozenset()) -> None:
        for path in folder.rglob("*"):
            if path.is_file() and path not in without:
                self.put(f"{place}: {path.suffix or path.name}", path.read_bytes())

    def check(self, canaries: Canaries, **open_: set[str]) -> None:
        """Fail unless every place is clean; *open_* names the kinds that a place may show, and the test why."""
        held = {place: canaries.in_(bytes(data), without=open_.get(place, set())) for place, data in self.places.items()}
        assert {place: leaks for place, leaks in held.items() if leaks} == {}
        assert [(name, leaks) for name, data, kinds in self.given if (leaks := canaries.in_(data, without=kinds))] == []


class Watched(SimulatedProvider):
    """A provider that notes every secret that comes to it or leaves it."""

    def __init__(self, canaries: Canaries, **how: Any) -> None:
        super().__init__(**how)
        self._canaries = canaries
        self._client_secret = Secret(f'fake "client" secret/+%&=\\{self._client_secret.reveal()}'.replace(" ", "~"))
        self.second_half = Secret(f"fake-second-half-{new_token()}")
        canaries.add("client secret", self._client_secret)
        canaries.add("API key", self.valid_api_key, self.invalid_api_key)
        canaries.add("second half", self.second_half)

    def entries(self) -> tuple[Provider, Provider]:
        """The catalogue, where a key has two halves."""
        by_code, by_key = self.catalogue_entries()
        document = by_key.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        [method] = document["methods"]
        method["inputs"].append({"name": "half", "label": "Second half"})
        in_header = {"name": "X-Half", "prefix": "", "template": "{half}"}
        # Some providers want a secret in the URL.
        method["placement"] = [{}, in_header, {**in_header, "in": "query", "name": "half"}]
        return by_code, Provider.model_validate(document)

    @contextmanager
    def receive(self, method: str, url_path: str, /, *, query: str = "", headers: Any = None, body: bytes = b"") -> Iterator[Any]:
        asked = dict(parse_qsl(query)) | dict(parse_qsl(body.decode("latin-1")))
        self._note(asked)
        scheme, _, value = {name.lower(): value for name, value in (headers or {}).items()}.get("authorization", "").partition(" ")
        if scheme == "Basic":
            self._canaries.add("client secret", unquote_plus(base64.b64decode(value).decode().partition(":")[2]), value)
        with super().receive(method, url_path, query=query, headers=headers, body=body) as answer:
            self._note(dict(parse_qsl(urlsplit(answer.response.headers.get("location", "")).query)))
            for name, token in re.findall(rb'"(access_token|refresh_token)": ?"([^"]+)"', answer.response.body):
                self._canaries.add(name.decode().replace("_", " "), token.decode())
            yield answer

    def _note(self, fields: dict[str, str]) -> None:
        names = {"code": "code", "state": "state", "code_verifier": "verifier", "refresh_token": "refresh token"}
        for name, kind in names.items():
            self._canaries.add(kind, fields.get(name))


# Where it is looked for


class Everything(logging.Handler):
    """Keeps every log record as text, with the variables of its traceback."""

    def __init__(self, found: Found) -> None:
        super().__init__(logging.DEBUG)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.put("log", f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1]:
            note_error(self._found, record.exc_info[1])


@contextmanager
def listening_to_everything(found: Found) -> Iterator[None]:
    """Turn every log on, as somebody does who looks for a mistake, and keep every warning."""
    root, handler = logging.getLogger(), Everything(found)
    names = ("httpx", "httpcore", "asyncio", "sqlalchemy.engine", "sqlalchemy.pool", "uvicorn", "cloud_integrations")
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, names))}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
    for warning in warned:
        found.put("warnings", str(warning))


_HOSTS_OWN = ("params", "pairs", "given")
"""The parameters of a callback, as the host hands them to `complete_oauth`: its own text, used up by the call."""


def note_error(found: Found, error: BaseException) -> None:
    """Keep what is told of an error, with the variables of all frames that are not this test's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen: list[traceback.TracebackException | None] = [told]
    while seen:
        one = seen.pop()
        if one is not None:
            kept = [
                frame for frame in one.stack if any(part in frame.filename for part in PRODUCT) and "/concurrent/" not in frame.filename
            ]
            for frame in kept:
                for name in _HOSTS_OWN:
                    (frame.locals or {}).pop(name, None)
            one.stack = traceback.StackSummary.from_list(kept)
            seen += [one.__cause__, one.__context__, *(one.exceptions or ())]
    found.put("exceptions", "".join(told.format()))
    found.put("errors", f"{error!r} {error} {vars(error)}")


# Both doors


class Door:
    """One of the two managers, called the same way."""

    def __init__(self, manager: AsyncIntegrationManager | IntegrationManager, found: Found, canaries: Canaries) -> None:
        self._manager = manager
        self._found = found
        self.canaries = canaries

    async def __call__(self, name: str, /, *given: Any, **named: Any) -> Any:
        """Return what the method returns, or the error it raised."""
        method: Callable[..., Any] = attrgetter(name)(self._manager)
        try:
            if isinstance(self._manager, AsyncIntegrationManager):
                answer = await method(*given, **named)
            else:
                answer = await asyncio.to_thread(method, *given, **named)
        except CloudIntegrationsError as error:
            note_error(self._found, error)
            return error
        self._found.put("answers", repr(answer))
        for kind, attribute in (("state", "state"), ("browser token", "browser_token")):
            secret = getattr(answer, attribute, None)
            self.canaries.add(kind, secret if isinstance(secret, Secret) else None)
        return answer

    async def connect(self, provider: SimulatedProvider, tenant: str, begin: Any = None) -> Any:
        begun = begin or await self("begin_oauth", tenant, "simulated", name="Cloud account", actor=GRACE, request_id="req-1")
        try:
            back = await asyncio.to_thread(provider.sign_in, begun.url)
        except ValueError:  # the provider showed something else than its page
            return None
        answer = parse_qsl(urlsplit(back).query)
        done = await self("complete_oauth", begun.context_id, answer, browser_token=begun.browser_token, actor=GRACE)
        return getattr(done, "integration", None)


async def live(call: Door, provider: Watched) -> None:
    """Do everything that the manager can do."""
    held = await call.connect(provider, "acme")
    token = await call("credential", "acme", "simulated", actor=GRACE)
    await call("replace_refused", "acme", token, actor=GRACE)
    for name in ("get_integration", "refresh", "verify"):
        await call(name, "acme", held.id)
    again = await call("begin_reconnect", "acme", held.id, actor=GRACE)
    await call.connect(provider, "acme", again)
    halves = {"api_key": provider.valid_api_key, "secret_key": provider.second_half}
    key = await call("add_api_key", "acme", "simulated_keys", name="By key", actor=GRACE, **halves)
    await call("credential", "acme", "simulated_keys", actor=GRACE)
    await call("verify", "acme", key.id)
    await call("add_api_key", "globex", "simulated_keys", name="By key", api_key=provider.invalid_api_key, secret_key=provider.second_half)
    # A secret in the place of something else: a name, a tenant, an id of a request.
    pasted = provider.issue_api_key().reveal()
    call.canaries.add("pasted key", pasted)
    await call("add_api_key", "globex", pasted, name=pasted, **halves)
    await call("add_api_key", pasted + "\n", "simulated_keys", name=pasted + "\n", **halves)
    await call("begin_oauth", "globex", "simulated", name="Cloud account", scopes=[pasted + '"'], return_to="//" + pasted, actor=GRACE)
    await call("replace_api_key", "acme", key.id, api_key=provider.issue_api_key(), secret_key=provider.second_half)
    begun = await call("begin_oauth", "globex", "simulated", name="Cloud account", actor=GRACE)
    back = parse_qsl(urlsplit(await asyncio.to_thread(provider.sign_in, begun.url)).query)
    for answer in ([*back, ("code", "twice")], [*back, ("access_token", token.value.reveal())], [("state", "fake-state")], back):
        await call("complete_oauth", begun.context_id, answer, browser_token=Secret("fake-browser-token"), actor=GRACE)
    await call(
        "add_oauth_code", "globex", "simulated", name="Cloud account", code=Secret("fake code\n"), redirect_uri="nonsense", actor=GRACE
    )


async def suffer(call: Door, provider: Watched) -> None:
    """Let everything go wrong that can, at every endpoint of the provider."""
    # A refused application rests for a while, so it comes last.
    kinds = [what for what in Misbehaviour if what not in {Misbehaviour.SLOW_DRIP, Misbehaviour.INVALID_CLIENT}]
    for number, what in enumerate([*kinds, Misbehaviour.SLOW_DRIP, Misbehaviour.INVALID_CLIENT]):
        tenant = f"tenant-{number}"
        usual = "authorize" if what in {Misbehaviour.ISSUER_WRONG, Misbehaviour.ISSUER_MISSING} else "exchange"
        provider.misbehave(what, endpoint=usual)
        await call.connect(provider, f"{tenant}-x")
        provider.behave()
        held = await call.connect(provider, tenant)
        if held is None:
            continue
        for endpoint, name in (("me", "verify"), ("refresh", "refresh"), ("revoke", "delete")):
            provider.misbehave(what, endpoint=endpoint, times=None if endpoint == "revoke" else 1)
            await call(name, tenant, held.id)
            await call("credential", tenant, "simulated")
            provider.behave()
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await call("worker.retry_revocations")
    await call("worker.refresh_due")
    provider.behave()


def an_engine(path: Path, *, journal: bool) -> sa.Engine:
    """A database with a write-ahead log; or with a journal that stays where it is."""
    engine = sqlite_engine(path)
    if journal:
        sa.event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA journal_mode = PERSIST"))
    migrate.upgrade(engine)
    return engine


@pytest.mark.slow
@pytest.mark.requirement("OAU-081", "ENC-01", "AUD-06")
@pytest.mark.parametrize("kind", ["awaiting", "blocking"])
async def test_no_secret_leaves_the_library(kind, tmp_path, monkeypatch):
    canaries, found = Canaries(), Found()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0
    entry = LocalKeyring.generate_key("canary")
    key = entry.reveal().partition(":")[2]
    canaries.add("keyring entry", key, base64.b64decode(key))
    with listening_to_everything(found), ProviderServer(Watched(canaries)) as server:
        provider = server.provider
        assert isinstance(provider, Watched)
        engine = an_engine(tmp_path / "canary.db", journal=kind == "blocking")
        parts: dict[str, Any] = {
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(*provider.entries()),
            "applications": [OAuthApplication(provider="simulated", client_id="fake-client-id", client_secret=provider._client_secret)],
            "settings": Settings(callback_url="http://127.0.0.1/cb", loopback=True, deadline=timedelta(seconds=5)),
        }
        keyring = LocalKeyring([entry])
        if kind == "awaiting":
            manager: Any = AsyncIntegrationManager(
                store=AsyncSqlAlchemyStore(engine), transport=AsyncHttpxTransport(), keys=keyring, **parts
            )
        else:
            manager = IntegrationManager(store=SqlAlchemyStore(engine), transport=HttpxTransport(), keys=keyring, **parts)
        call = Door(manager, found, canaries)
        await live(call, provider)
        await suffer(call, provider)
        for tenant in ("acme", "globex", *(f"tenant-{number}" for number in range(60))):
            for record in await call("audit.list", tenant):
                found.put("audit", repr(record))
        found.put_files("files", tmp_path)
        assert {".db", ".db-journal" if kind == "blocking" else ".db-wal"} <= {path.suffix for path in tmp_path.iterdir()}
        await call("close")
        with engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                found.put("rows", repr(connection.exec_driver_sql(f"SELECT * FROM {table}").all()))
        engine.dispose()
        found.put_files("files", tmp_path)
    assert set(canaries.counts) == {
        "client secret", "API key", "second half", "keyring entry", "code", "state", "verifier", "browser token",
        "access token", "refresh token", "pasted key"
    }  # fmt: skip
    assert canaries.counts["access token"] > 30
    assert {"log", "exceptions", "errors", "answers", "audit", "rows"} <= set(found.places)
    assert b"httpcore" in found.places["log"]
    assert b"INSERT INTO ci_integration" in found.places["log"]
    # What a host puts in the place of a name is in its own call, and so in the variables of that call.
    found.check(canaries, exceptions={"pasted key"})


# Over HTTP


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
    listed = browser.send("GET", f"{api}/integrations")["data"]
    assert len(listed) == 2, held
    for each in (f"{api}/integrations/{one['id']}" for one in listed):
        browser.send("GET", each)
        browser.send("POST", f"{each}/verify")
        browser.send("POST", f"{each}/token", gives=("access token", "API key", "second half"))
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
            providers=Catalogue.of(*provider.entries()),
            applications=[OAuthApplication(provider="simulated", client_id="fake-client-id", client_secret=provider._client_secret)],
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
            for record in await manager.audit.list("acme", limit=200):
                found.put("audit", repr(record))
        engine.dispose()
    assert {"bearer token", "session", "browser token", "state", "code", "access token"} <= set(canaries.counts)
    assert len(found.given) > 40
    # The access log has the paths that were asked for, whatever somebody took for a path.
    found.check(canaries, log={"pasted key"})


# On the command line


@pytest.mark.slow
@pytest.mark.requirement("OAU-081", "ENC-01", "AUD-06")
def test_no_secret_leaves_the_command_line(tmp_path):
    canaries, found = Canaries(), Found()
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUD_INTEGRATIONS_")}
    environment |= {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    ours: set[Path] = set()

    def run(*words: str | Path, given: str = "", gives: tuple[str, ...] = ()) -> str:
        program = [sys.executable, "-m", "cloud_integrations_cli", "--log-level", "debug", *map(str, words)]
        with subprocess.Popen(
            program, cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            cmdline = Path(f"/proc/{process.pid}/cmdline")
            found.put("arguments", cmdline.read_bytes() if cmdline.exists() else repr(program))
            out, err = process.communicate(given, timeout=300)
        found.given.append((f"{words[0]} {words[1] if len(words) > 1 else ''}", f"{out}{err}".encode(), set(gives)))
        found.put_files("temporary files", temporary)
        found.put_files("files", home, without=ours)
        return out

    def a_file(name: str, text: str) -> Path:
        (home / name).write_text(text, encoding="utf-8")
        ours.add(home / name)
        return home / name

    with ProviderServer(Watched(canaries, auto_approve=True)) as server:
        provider = server.provider
        assert isinstance(provider, Watched)
        ours.add(home / "keyring")
        run("init")
        for line in (home / "keyring").read_text(encoding="utf-8").split():
            canaries.add("keyring entry", line.partition(":")[2])
        a_file("client.secret", provider._client_secret.reveal())
        for entry in provider.entries():
            (home / f"{entry.id}.toml").write_text(_toml(entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
        settings = home / "cloud-integrations.toml"
        settings.write_text(
            f'provider_files = ["simulated.toml", "simulated_keys.toml"]\n{settings.read_text()}\n[[applications]]\n'
            'provider = "simulated"\nclient_id = "fake-client-id"\nclient_secret_file = "client.secret"\n'
        )
        key = a_file("api.key", provider.valid_api_key.reveal())
        half = a_file("half.key", provider.second_half.reveal())
        wrong = a_file("wrong.key", provider.invalid_api_key.reveal())
        on = ("--tenant", "acme")
        revealed = ("access token", "API key", "second half")
        run("integrations", "add", "simulated_keys", *on, "--api-key-file", wrong, "--secret-key-file", half)
        run("integrations", "add", "simulated_keys", *on, "--api-key-file", key, "--secret-key-file", half)
        run("token", "simulated_keys", *on, "--reveal", "--yes", gives=revealed)
        run("integrations", "reconnect", "simulated_keys", *on, "--api-key-stdin", "--secret-key-file", half, given=key.read_text())
        run("connect", "simulated", *on, "--paste", "--no-browser", given="nonsense?code=fake\n", gives=("state",))
        bearer = run("tokens", "generate", "--actor", "user:grace", "--tenant", "acme", gives=("bearer token",)).strip()
        canaries.add("bearer token", bearer)
        for words in (("verify", "simulated_keys"), ("list",), ("show", "simulated_keys"), ("delete", "simulated_keys", "--yes")):
            run("integrations", *words, *on, "--output", "json")
        run("audit", "list", *on)
        run("worker", "--once")
        run("doctor")
        run("keys", "list")
    found.check(canaries)


def _toml(document: dict[str, Any]) -> str:
    """Write a catalogue entry: JSON's scalars and lists are TOML's, and its objects become inline tables."""
    return "\n".join(f"{name} = {_value(value)}" for name, value in document.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


# The search itself


CONTROL = 'fake canary "secret"/+é that is leaked on purpose'


@pytest.mark.parametrize("form", sorted(set(forms(CONTROL).values())))
def test_the_search_finds_every_form(form):
    canaries = Canaries()
    canaries.add("control", CONTROL)
    (leaked,) = [data for data, name in forms(CONTROL).items() if name == form]
    assert canaries.in_(b"before" + leaked + b"after") == [("control", form)]
    assert canaries.in_(b"before and after") == []


@pytest.mark.parametrize("prefix", ["", "i", "id:", "user:"])
def test_the_search_finds_what_is_part_of_something_encoded(prefix):
    canaries = Canaries()
    canaries.add("control", CONTROL)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert canaries.in_(encode(f"{prefix}{CONTROL}:more".encode())) != []


def test_the_search_looks_everywhere(tmp_path):
    canaries, found = Canaries(), Found()
    canaries.add("control", CONTROL)

    def fail(leaked: str) -> None:
        exec(compile("raise ValueError('nothing to see')", PRODUCT[0], "exec"), {"__name__": "leak"}, {"leaked": leaked})

    with listening_to_everything(found):
        logging.getLogger("httpcore.http11").debug("sent %r", {"header": CONTROL})
        warnings.warn(CONTROL, stacklevel=1)
        try:
            fail(CONTROL)
        except ValueError as error:
            note_error(found, error)
    (tmp_path / "leak.db-wal").write_bytes(CONTROL.encode())
    found.put_files("files", tmp_path)
    found.given.append(("GET /", CONTROL.encode(), {"another kind"}))
    leaking = {place for place, data in found.places.items() if canaries.in_(bytes(data))}
    assert leaking == {"log", "warnings", "exceptions", "files: .db-wal"}
    with pytest.raises(AssertionError):
        found.check(canaries)
    found.places.clear()
    with pytest.raises(AssertionError):
        found.check(canaries)
