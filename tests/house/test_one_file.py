"""Each kind of extension is added from outside the package, by one file in `one_file/`, and works from end to end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import importlib.util
import inspect
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    AuthType,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    Outcome,
    Provider,
    RevocationOutcome,
    Settings,
    SqlAlchemyStore,
    kinds,
)
from cloud_integrations.backends.sqlalchemy import databases, migrate
from cloud_integrations.domain import events
from cloud_integrations.domain.events import Fact
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationExistsError,
    InvalidCredentialsError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.oauth import HttpRequest, HttpResponse, OAuthBackend
from cloud_integrations.signing import Unsigned
from cloud_integrations.testing import FixedClock, SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.oauth_backend import ACCESS, REFRESH, OAuthBackendContract

ACTOR = Actor(type="user", id="user-1")


@pytest.fixture
def add(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return what loads a file of `one_file/`."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, root / f"tests/house/one_file/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_a_database(add: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Other tests know the three databases alone.
    monkeypatch.setattr(databases, "_BY_NAME", dict(databases._BY_NAME))
    add("a_database")
    engine = sa.create_engine(f"renamed:///{tmp_path / 'store.db'}")
    migrate.upgrade(engine)
    provider = SimulatedProvider()
    with IntegrationManager(
        store=SqlAlchemyStore(engine),
        transport=SimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
    ) as opened:
        manager = opened.acting_as(ACTOR)

        def connect() -> None:
            manager.add_api_key("acme", "simulated_keys", name="Added", api_key=provider.valid_api_key)

        connect()
        with pytest.raises(IntegrationExistsError):
            connect()
        [integration] = manager.list_integrations("acme")
        assert manager.credential("acme", "simulated_keys").value == provider.valid_api_key
        manager.delete("acme", integration.id)
        assert manager.list_integrations("acme") == ()
        assert manager.audit.verify("acme").whole
    engine.dispose()
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="supported are SQLite, PostgreSQL and MariaDB"):
        SqlAlchemyStore(engine)


class PairServer:
    """Asks for HTTP Basic with one pair."""

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        basic = "Basic " + base64.b64encode(b"fake-user:fake-password").decode()
        if deadline and request.headers.get("Authorization") == basic:
            return HttpResponse(status=200, headers={}, body=b'{"id": "account-1"}')
        return HttpResponse(status=401, headers={}, body=b"{}")

    def close(self) -> None: ...


def test_a_way_to_obtain_access(add: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    added = add("a_kind")
    with IntegrationManager(
        store=MemoryStore(),
        transport=PairServer(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(added.PROVIDER),
    ) as opened:
        manager = opened.acting_as(ACTOR)
        for pasted, error in (("fake-user", ValidationFailedError), ("fake-user:wrong", InvalidCredentialsError)):
            with pytest.raises(error) as caught:
                manager.add_api_key("acme", "acme", name="Added", api_key=pasted)
            assert "fake" not in str(caught.value)
        added = manager.add_api_key("acme", "acme", name="Added", api_key="fake-user:fake-password")
        assert (added.account.account_id, added.auth_type, added.renewal_rule) == ("account-1", AuthType.API_KEY, "keep")
        credential = manager.credential("acme", "acme")
        assert (credential.basic(), credential.forms) == (("fake-user", "fake-password"), ("headers", "basic"))
        assert manager.verify("acme", added.id).outcome == "alive"
        manager.keys.rotate()
        assert manager.keys.reseal().changed == 1
        assert manager.replace_api_key("acme", added.id, api_key="fake-user:fake-password").account == added.account
        assert manager.delete("acme", added.id).api_key is RevocationOutcome.UNSUPPORTED
        assert manager.audit.verify("acme").whole


class SignedServer:
    """Asks for the signature of one secret at the time of the clock."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.refused = 0

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        text = f"{request.method} /me {int(self.clock.now().timestamp())}"
        expected = hmac.new(b"fake-secret", text.encode(), hashlib.sha256).hexdigest()
        if deadline and request.headers.get("X-Acme-Signature") == expected:
            return HttpResponse(status=200, headers={}, body=b'{"id": "account-1"}')
        self.refused += 1
        return HttpResponse(status=401, headers={}, body=b"{}")

    def close(self) -> None: ...


def test_a_signature(add: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_integrations.protocol.signing._ADDED", {})
    added = add("a_signature")
    server = SignedServer()
    with IntegrationManager(
        store=MemoryStore(),
        transport=server,
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(added.PROVIDER),
        clock=server.clock,
    ) as opened:
        manager = opened.acting_as(ACTOR)
        with pytest.raises(InvalidCredentialsError):
            manager.add("acme", "acme", name="Added", inputs={"secret": "fake-wrong"})
        held = manager.add("acme", "acme", name="Added", inputs={"secret": "fake-secret"})
        assert held.account.account_id == "account-1"
        server.clock.advance(timedelta(hours=1))
        assert manager.verify("acme", held.id).outcome == "alive"
        signed = manager.credential("acme", "acme").sign(Unsigned(method="GET", url="https://api.acme.example/me"))
        assert (
            server.send(HttpRequest(method="GET", url=signed.url, headers=signed.headers, provider_id="x"), deadline=timedelta(1)).status
            == 200
        )
        assert server.refused == 1


@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
def test_a_way_to_obtain_access_that_mints_and_whose_credential_signs(
    add: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, *, awaits: bool
) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    monkeypatch.setattr("cloud_integrations.protocol.signing._ADDED", {})
    acme = add("a_minting_kind")
    with pytest.raises(ConfigurationError, match="acme_hmac, which is no signature"):
        Catalogue.of(acme.PROVIDER)
    add("a_signature")
    server = acme.AcmeServer()
    clock = server.clock
    parts: dict[str, Any] = {
        "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
        "cipher": AesGcmCipher(),
        "providers": Catalogue.of(acme.PROVIDER),
        "clock": clock,
    }
    made: Any = (
        AsyncIntegrationManager(store=AsyncMemoryStore(clock), transport=acme.AsyncAcmeTransport(server), **parts)
        if awaits
        else IntegrationManager(store=MemoryStore(clock), transport=acme.AcmeTransport(server), **parts)
    )
    manager = made.acting_as(ACTOR)
    words = {"words": "Able-BAKER-charlie-delta", "account": "fake"}

    def signs(credential: Any) -> Any:
        """Send a request that *credential* signed, and return the status."""
        signed = credential.sign(Unsigned(method="PUT", url="https://api.acme.example/things"))
        assert "fake" not in signed.url
        return server.answer(HttpRequest(method="PUT", url=signed.url, headers=signed.headers, provider_id="x")).status

    with asyncio.Runner() as runner:

        def do(result: Any) -> Any:
            return runner.run(result) if inspect.iscoroutine(result) else result

        def refused(error: type[Exception], change: dict[str, str]) -> str:
            with pytest.raises(error) as caught:
                do(manager.add("acme", "acme", name="Added", inputs={**words, **change}))
            assert "able" not in f"{caught.value!r}{vars(caught.value)}".lower()
            return str(getattr(caught.value, "field", ""))

        assert refused(ValidationFailedError, {"words": "able-baker"}) == "credentials.inputs.words"
        assert server.seen == []
        refused(InvalidCredentialsError, {"account": "fake-other"})
        held = do(manager.add("acme", "acme", name="Added", inputs=words))
        assert (held.account.account_id, held.auth_type, held.renewal_rule) == ("account-1", AuthType.API_KEY, "mint")
        first = do(manager.credential("acme", "acme"))
        assert {name: value.reveal() for name, value in first.values().items()} == {
            "secret": "fake-secret-of-session-0", "session": "session-0"
        }  # fmt: skip
        assert signs(first) == 200
        clock.advance(timedelta(hours=1))
        assert signs(first) == 401
        second = do(manager.credential("acme", "acme"))
        assert (second.generation, second.expires_at, signs(second)) == (2, clock.now() + timedelta(hours=1), 200)
        server.sessions.clear()
        assert do(manager.verify("acme", held.id)).outcome == "alive"
        do(manager.keys.rotate())
        assert do(manager.keys.reseal()).changed == 1
        assert signs(do(manager.credential("acme", "acme"))) == 200
        server.known = {"easy-fox-george-how-fake"}
        with pytest.raises(ReconnectRequiredError):
            do(manager.refresh("acme", held.id))
        assert do(manager.reconnect("acme", held.id, inputs={**words, "words": "easy-fox-george-how"})).account == held.account
        assert signs(do(manager.credential("acme", "acme"))) == 200
        assert do(manager.delete("acme", held.id)).api_key is RevocationOutcome.UNSUPPORTED
        assert do(manager.list_integrations("acme")) == ()
        assert do(manager.audit.verify("acme")).whole
        do(made.close())
    assert not [request for request in server.seen if "able" in request.url]


class Told:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def tell(self, fact: Fact, /) -> None:
        self.facts.append(fact)


def test_an_event(add: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_REGISTERED", {})
    provider, told = SimulatedProvider(), Told()
    with IntegrationManager(
        store=MemoryStore(),
        transport=SimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        observer=told,
    ) as opened:
        manager = opened.acting_as(ACTOR, request_id="r-1")
        integration = manager.add_api_key("acme", "simulated_keys", name="Added", api_key=provider.valid_api_key)
        with pytest.raises(ValidationFailedError):
            manager.audit.record("acme", event="report.exported", integration=integration.id, facts={"rows": "12"})
        add("an_event").export_report(manager, "acme", str(integration.id))
        event = manager.audit.list("acme", integration=integration.id)[0].event
        assert (event.action, event.outcome, event.actor, event.request_id) == ("report.exported", Outcome.SUCCESS, ACTOR, "r-1")
        assert event.details == {"rows": "12", "format": "csv"}
        about = {"tenant": "acme", "provider": "simulated_keys", "integration": str(integration.id), "rows": "12"}
        assert told.facts[-1] == Fact(name="report.exported", facts=about)
        assert manager.audit.verify("acme").whole


@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
def test_an_oauth_backend(add: Callable[[str], ModuleType], *, awaits: bool) -> None:
    acme = add("an_oauth_backend")
    server, clock = acme.AcmeServer(), FixedClock()
    parts: dict[str, Any] = {
        "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
        "cipher": AesGcmCipher(),
        "providers": Catalogue.of(acme.PROVIDER, backends={"acme": acme.AcmeBackend()}),
        "applications": [acme.APPLICATION],
        "settings": Settings(callback_url="https://app.example/callback"),
        "clock": clock,
    }
    made: Any = (
        AsyncIntegrationManager(store=AsyncMemoryStore(clock), transport=acme.AsyncAcmeTransport(server), **parts)
        if awaits
        else IntegrationManager(store=MemoryStore(clock), transport=acme.AcmeTransport(server), **parts)
    )
    manager = made.acting_as(ACTOR)
    with asyncio.Runner() as runner:

        def do(result: Any) -> Any:
            return runner.run(result) if inspect.iscoroutine(result) else result

        begun = do(manager.begin_oauth("acme", "acme", name="Added"))
        came = server.sign_in(begun.url)
        connected = do(manager.complete_oauth(begun.context_id, came, browser_token=begun.browser_token))
        assert do(manager.credential("acme", "acme")).value.reveal() == "fake-access-key-1"
        clock.advance(timedelta(hours=2))
        assert do(manager.credential("acme", "acme")).value.reveal() == "fake-access-key-2"
        removal = do(manager.delete("acme", connected.integration.id))
        assert removal.refresh_token is removal.access_token is RevocationOutcome.REVOKED
        assert do(manager.audit.verify("acme")).whole
        do(made.close())
    # The access key that the renewal replaced is Acme's to end.
    assert server.alive == {"fake-access-key-1"}
    assert not [body for body in server.bodies if b"fake-signing-secret" in body]


class TestAnOAuthBackend(OAuthBackendContract):
    """What the protocol promises, of a backend from outside."""

    @pytest.fixture
    def acme(self, add: Callable[[str], ModuleType]) -> ModuleType:
        return add("an_oauth_backend")

    @pytest.fixture
    def backend(self, acme: ModuleType) -> OAuthBackend:
        backend: OAuthBackend = acme.AcmeBackend()
        return backend

    @pytest.fixture
    def provider(self, acme: ModuleType) -> Provider:
        provider: Provider = acme.PROVIDER
        return provider

    @pytest.fixture
    def granted(self, acme: ModuleType) -> HttpResponse:
        answer: HttpResponse = acme.granted(ACCESS, REFRESH)
        return answer

    @pytest.fixture
    def refused(self, acme: ModuleType) -> HttpResponse:
        answer: HttpResponse = acme.refused()
        return answer
