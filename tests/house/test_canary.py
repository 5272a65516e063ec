"""Unique secrets go through every path, and are then nowhere but where they belong."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    HttpxTransport,
    ImportedKey,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider

from .canaries import GRACE, PRODUCT, Canaries, Found, Watched, an_engine, forms, listening_to_everything, note_error


class Door:
    """One of the two managers, called the same way."""

    def __init__(self, manager: AsyncIntegrationManager | IntegrationManager, found: Found, canaries: Canaries) -> None:
        self._manager = manager
        self._found = found
        self.canaries = canaries

    async def __call__(self, name: str, /, *given: Any, **named: Any) -> Any:
        """Return what the method returns, or the error it raised."""
        acting: Any = self._manager if name == "close" else self._manager.acting_as(GRACE, request_id="req-1")
        method: Callable[..., Any] = attrgetter(name)(acting)
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
        begun = begin or await self("begin_oauth", tenant, "simulated", name="Cloud account")
        try:
            back = await asyncio.to_thread(provider.sign_in, begun.url)
        except ValueError:  # the provider showed something else than its page
            return None
        answer = parse_qsl(urlsplit(back).query)
        done = await self("complete_oauth", begun.context_id, answer, browser_token=begun.browser_token)
        return getattr(done, "integration", None)


async def live(call: Door, provider: Watched) -> None:
    """Do everything that the manager can do."""
    held = await call.connect(provider, "acme")
    token = await call("credential", "acme", "simulated")
    await call("replace_refused", "acme", token)
    for name in ("get_integration", "refresh", "verify"):
        await call(name, "acme", held.id)
    again = await call("begin_reconnect", "acme", held.id)
    await call.connect(provider, "acme", again)
    halves = {"api_key": provider.valid_api_key, "secret_key": provider.second_half}
    key = await call("add_api_key", "acme", "simulated_keys", name="By key", **halves)
    await call("credential", "acme", "simulated_keys")
    await call("verify", "acme", key.id)
    await call("add_api_key", "globex", "simulated_keys", name="By key", api_key=provider.invalid_api_key, secret_key=provider.second_half)
    # A secret in the place of something else: a name, a tenant, an id of a request.
    pasted = provider.issue_api_key().reveal()
    call.canaries.add("pasted key", pasted)
    await by_inputs(call, provider, pasted)
    await call("add_api_key", "globex", pasted, name=pasted, **halves)
    await call("add_api_key", pasted + "\n", "simulated_keys", name=pasted + "\n", **halves)
    await call("begin_oauth", "globex", "simulated", name="Cloud account", scopes=[pasted + '"'], return_to="//" + pasted)
    await call("replace_api_key", "acme", key.id, api_key=provider.issue_api_key(), secret_key=provider.second_half)
    begun = await call("begin_oauth", "globex", "simulated", name="Cloud account")
    back = parse_qsl(urlsplit(await asyncio.to_thread(provider.sign_in, begun.url)).query)
    for answer in ([*back, ("code", "twice")], [*back, ("access_token", token.value.reveal())], [("state", "fake-state")], back):
        await call("complete_oauth", begun.context_id, answer, browser_token=Secret("fake-browser-token"))
    await call("add_oauth_code", "globex", "simulated", name="Cloud account", code=Secret("fake code\n"), redirect_uri="nonsense")


async def by_inputs(call: Door, provider: Watched, pasted: str) -> None:
    """Connect with a value of every form, in every way, and make every mistake."""
    zone = {"zone": "us"}
    held = await call("add", "acme", "robots", name="Robot", inputs=provider.inputs(), method="file", variables=zone)
    await call("credential", "acme", "robots")
    await call("verify", "acme", held.id)
    inputs = provider.inputs(cert=provider.certificate)
    both = dict(inputs)
    del inputs["password"]
    await call("reconnect", "acme", held.id, inputs=inputs)
    await call("credential", "acme", "robots")
    wrong = Secret(provider.document.reveal().replace("robot", "human"))
    cut = Secret(provider.document.reveal()[:-3])
    swapped = provider.inputs(file=provider.certificate, password=provider.document)
    for mistake in (both, provider.inputs(file=wrong), provider.inputs(file=cut), swapped, provider.inputs(team=provider.password)):
        await call("reconnect", "acme", held.id, inputs=mistake)
        await call("add", "globex", "robots", name="Robot", inputs=mistake, variables=zone)
    # In the place of a name, of a method and of a variable.
    await call("add", "globex", "robots", name="Robot", inputs={pasted: provider.document}, variables=zone)
    await call("add", "globex", "robots", name="Robot", inputs=inputs, method=pasted, variables=zone)
    await call("add", "globex", "robots", name="Robot", inputs=inputs, variables={"zone": pasted})
    imported = ImportedKey(provider="robots", name="Robot", inputs=inputs, variables=zone)
    assert await call("import_credential", "globex", imported)
    call._found.put("answers", repr(imported))
    for what in (Misbehaviour.UNAVAILABLE, Misbehaviour.GARBAGE_JSON, Misbehaviour.ANSWER_LOST):
        provider.misbehave(what, endpoint="me")
        await call("reconnect", "acme", held.id, inputs=inputs)
        provider.behave()


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


# Both doors


@pytest.mark.slow
@pytest.mark.requirement("OAU-081", "ENC-01", "AUD-06", "B12")
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
            "providers": Catalogue.of(*provider.entries(), provider.by_inputs()),
            "applications": [
                OAuthApplication(
                    provider="simulated", client_id="fake-client-id", client_secret=[provider.refused_secret, provider._client_secret]
                )
            ],
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
        "access token", "refresh token", "pasted key", "password", "document", "PEM"
    }  # fmt: skip
    assert canaries.counts["access token"] > 30
    assert {"log", "exceptions", "errors", "answers", "audit", "rows"} <= set(found.places)
    assert b"httpcore" in found.places["log"]
    assert b"INSERT INTO ci_integration" in found.places["log"]
    # What a host puts in the place of a name is in its own call, and so in the variables of that call.
    found.check(canaries, exceptions={"pasted key"})


# On the command line


def run_by_inputs(run: Callable[..., str], a_file: Callable[[str, str], Path], provider: Watched, revealed: tuple[str, ...]) -> None:
    """Connect with a value of every form, from files and from standard input."""
    on = ("--tenant", "acme")
    file = a_file("robot.json", provider.document.reveal())
    cert = a_file("robot.pem", provider.certificate.reveal())
    cut = a_file("cut.json", provider.document.reveal()[:-3])
    robots = (*on, "--variable", "zone=us", "--input", "team=blue")
    run("integrations", "add", "robots", *robots, "--input", f"file=@{cut}", "--input", f"cert=@{cert}")
    run("integrations", "add", "robots", *robots, "--input", f"file=@{file}", "--input", "password=-", given=provider.password.reveal())
    run("token", "robots", *on, "--reveal", "--yes", "--output", "json", gives=revealed)
    renewed = ("--input", "file=-", "--input", f"cert=@{cert}", "--input", "team=red")
    run("integrations", "reconnect", "robots", *on, *renewed, given=provider.document.reveal())


def run_failing(run: Callable[..., str], provider: Watched, wrong: Path, half: Path) -> None:
    """Fail in every way, with the errors as JSON: wrong input, a refusal, an outage."""
    on = ("--tenant", "globex", "--output", "json")
    add = ("integrations", "add", "simulated_keys", *on, "--secret-key-file", half)
    run(*add, "--api-key-file", wrong)
    run(*add, "--api-key-stdin", given=f"two\nlines {provider.valid_api_key.reveal()}")
    run(*add, "--input", "nonsense=-", given=provider.valid_api_key.reveal())
    for what in (Misbehaviour.UNAVAILABLE, Misbehaviour.GARBAGE_JSON, Misbehaviour.ANSWER_LOST):
        provider.misbehave(what, endpoint="me", times=None)
        run(*add, "--api-key-stdin", given=provider.valid_api_key.reveal())
        provider.behave()
    run("token", "simulated_keys", *on, "--reveal", "--yes")
    own = ("applications", "save", "simulated", *on, "--client-id", "fake-own", "--client-secret-stdin")
    run(*own, given=provider.refused_secret.reveal())


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
        for entry in (*provider.entries(), provider.by_inputs()):
            (home / f"{entry.id}.toml").write_text(_toml(entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
        settings = home / "cloud-integrations.toml"
        settings.write_text(
            f'provider_files = ["simulated.toml", "simulated_keys.toml", "robots.toml"]\n{settings.read_text()}\n[[applications]]\n'
            'provider = "simulated"\nclient_id = "fake-client-id"\nclient_secret_file = "client.secret"\n'
        )
        key = a_file("api.key", provider.valid_api_key.reveal())
        half = a_file("half.key", provider.second_half.reveal())
        wrong = a_file("wrong.key", provider.invalid_api_key.reveal())
        on = ("--tenant", "acme")
        revealed = ("access token", "API key", "second half", "password", "document", "PEM")
        run_by_inputs(run, a_file, provider, revealed)
        run("integrations", "add", "simulated_keys", *on, "--api-key-file", wrong, "--secret-key-file", half)
        run("integrations", "add", "simulated_keys", *on, "--api-key-file", key, "--secret-key-file", half)
        run("token", "simulated_keys", *on, "--reveal", "--yes", gives=revealed)
        run("integrations", "reconnect", "simulated_keys", *on, "--api-key-stdin", "--secret-key-file", half, given=key.read_text())
        run("connect", "simulated", *on, "--paste", "--no-browser", given="nonsense?code=fake\n", gives=("state",))
        bearer = run("tokens", "generate", "--actor", "user:grace", "--tenant", "acme", gives=("bearer token",)).strip()
        canaries.add("bearer token", bearer)
        for words in (("verify", "simulated_keys"), ("list",), ("show", "simulated_keys"), ("delete", "simulated_keys", "--yes")):
            run("integrations", *words, *on, "--output", "json")
        run_failing(run, provider, wrong, half)
        run("audit", "list", *on, "--output", "json")
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


CONTROL = 'fake canary "secret"/+é that is leaked on purpose'


# The search itself


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
