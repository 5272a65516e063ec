"""Parts that do not fit are refused when a manager, a store or a setting is made, with a sentence that helps."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import wraps

import httpx
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.backends.sqlalchemy import sqlite_engine
from cloud_integrations.backends.sqlalchemy.store import AsyncSqlAlchemyStore, SqlAlchemyStore
from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.clock import AsyncSystemPause, SystemPause
from cloud_integrations.testing import FixedClock

KEYS = LocalKeyring([LocalKeyring.generate_key("test")])


class Tenants:
    def require(self, tenant_id, /):
        pass


class AsyncTenants:
    async def require(self, tenant_id, /):
        pass


class AwaitableKeyService:
    waits = True

    def keks(self):
        return ()

    def primary(self, tenant_id, /):
        return None

    async def wrap(self, data_key, /, *, tenant_id, key_id, version):
        return None

    async def unwrap(self, wrapped, /):
        return b""


class NaiveClock(FixedClock):
    def now(self):
        return datetime(2026, 1, 1)  # noqa: DTZ001  # that is the point


RIGHT = {"keys": KEYS, "cipher": AesGcmCipher(), "providers": Catalogue.builtin()}
BLOCKING = {**RIGHT, "store": MemoryStore(), "transport": HttpxTransport()}
AWAITING = {**RIGHT, "store": AsyncMemoryStore(), "transport": AsyncHttpxTransport()}
BLOCKS = "blocks: classes whose names begin with Async are for AsyncIntegrationManager"
AWAITED = "is awaited: classes whose names begin with Async"

CASES = [
    (IntegrationManager, "store", AsyncMemoryStore(), AWAITED),
    (IntegrationManager, "store", MemoryStore, "is the class MemoryStore: give an instance"),
    (IntegrationManager, "store", None, "must be a Store, and NoneType has no prepare"),
    (IntegrationManager, "store", "sqlite://", "must be a Store, and str has no prepare"),
    (IntegrationManager, "transport", AsyncHttpxTransport(), AWAITED),
    (IntegrationManager, "transport", httpx.Client, "is the class Client"),
    (IntegrationManager, "tenants", AsyncTenants(), AWAITED),
    (IntegrationManager, "tenants", ["acme"], "must be a Tenants, and list has no require"),
    (IntegrationManager, "pause", AsyncSystemPause(), AWAITED),
    (AsyncIntegrationManager, "store", MemoryStore(), BLOCKS),
    (AsyncIntegrationManager, "transport", HttpxTransport(), BLOCKS),
    (AsyncIntegrationManager, "tenants", Tenants(), BLOCKS),
    (AsyncIntegrationManager, "pause", SystemPause(), BLOCKS),
]
FOR_BOTH = [
    ("keys", AesGcmCipher(), "must be a KeyService, and AesGcmCipher has no waits"),
    ("keys", "test:AAAA", "must be a KeyService, and str has no waits"),
    ("keys", AwaitableKeyService(), AWAITED),
    ("cipher", KEYS, "must be a Cipher, and LocalKeyring has no seal"),
    ("cipher", AesGcmCipher, "is the class AesGcmCipher"),
    ("providers", Catalogue, "is the class Catalogue"),
    ("providers", ["github"], "must be a Providers, and list has no require"),
    ("observer", print, "must be an Observer, and builtin_function_or_method has no tell"),
    ("entropy", b"fake", "must be an Entropy, and bytes has no bytes"),
    ("clock", NaiveClock(), "must tell aware times"),
    ("clock", datetime.now, "must be a Clock"),
    ("settings", {"require_state": True}, "must be a Settings value"),
    ("applications", {"github": "fake"}, "must be a list of OAuthApplication values"),
    ("applications", OAuthApplication(provider="github", client_id="fake"), "must be a list of OAuthApplication values"),
    ("applications", ["github"], "must be a list of OAuthApplication values"),
]


def _refused(make, /, **named):
    with pytest.raises(ConfigurationError) as caught:
        make(**named)
    assert "fake" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("manager", "name", "part", "sentence"), CASES, ids=range(len(CASES)))
def test_a_part_of_the_other_colour_or_kind_is_refused(manager, name, part, sentence):
    parts = BLOCKING if manager is IntegrationManager else AWAITING
    error = _refused(manager, **{**parts, name: part})
    assert error.setting == name
    assert sentence in str(error)


@pytest.mark.parametrize(("manager", "parts"), [(IntegrationManager, BLOCKING), (AsyncIntegrationManager, AWAITING)])
@pytest.mark.parametrize(("name", "part", "sentence"), FOR_BOTH, ids=range(len(FOR_BOTH)))
def test_what_both_managers_take_alike_is_refused_by_both(manager, parts, name, part, sentence):
    error = _refused(manager, **{**parts, name: part})
    assert error.setting == name
    assert sentence in str(error)


def test_a_method_that_is_wrapped_keeps_its_colour():
    class Wrapped(AsyncTenants):
        def __init__(self):
            inner = super().require

            @wraps(inner)
            def require(tenant_id, /):
                return inner(tenant_id)

            self.require = require

    AsyncIntegrationManager(**AWAITING, tenants=Wrapped())
    _refused(IntegrationManager, **BLOCKING, tenants=Wrapped())


def test_a_service_over_other_services_takes_services_only():
    assert _refused(lambda: CombinedKeys(KEYS, "fake")).setting == "keys"


@pytest.mark.parametrize("keys", ["test:fake", b"test:fake", Secret("test:fake"), 5], ids=repr)
def test_a_keyring_takes_a_list_of_keys(keys):
    assert "must be a list of entries" in str(_refused(lambda: LocalKeyring(keys)))


async def test_a_store_takes_an_engine_of_its_colour():
    engine = create_async_engine("postgresql+asyncpg://fake@127.0.0.1/fake")
    blocking = sqlite_engine(":memory:")
    assert "must be an Engine" in str(_refused(SqlAlchemyStore, engine=engine))
    assert "must be an AsyncEngine" in str(_refused(AsyncSqlAlchemyStore, engine="sqlite://"))
    assert "must tell aware times" in str(_refused(SqlAlchemyStore, engine=blocking, clock=NaiveClock()))
    assert "must tell aware times" in str(_refused(MemoryStore, clock=NaiveClock()))
    SqlAlchemyStore(engine=blocking)
    blocking.dispose()
    await engine.dispose()


async def test_a_transport_takes_a_client_of_its_colour():
    assert _refused(HttpxTransport, client=httpx.Client).setting == "client"
    with httpx.Client() as client:
        HttpxTransport(client=client)
        assert _refused(AsyncHttpxTransport, client=client).setting == "client"
    async with httpx.AsyncClient() as client:
        AsyncHttpxTransport(client=client)
        assert _refused(HttpxTransport, client=client).setting == "client"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("callback_url", 5),
        ("callback_url", ""),
        ("require_state", "false"),
        ("loopback", None),
        ("min_ttl", 30),
        ("min_ttl", timedelta(seconds=-1)),
        ("use_window", 60),
        ("lease", None),
        ("refusal_limit", timedelta.max),
        ("private_servers", "https://cluster.corp.example"),
        ("private_servers", 5),
        ("private_servers", ["cluster.corp.example"]),
        ("private_servers", ["http://cluster.corp.example"]),
        ("private_servers", ["https://cluster.corp.example/api"]),
        ("private_servers", ["https://127.0.0.1:6443"]),
        ("private_servers", ["https://[::1]"]),
        ("private_servers", ["https://169.254.169.254"]),
        ("private_servers", ["https://*.corp.example"]),
    ],
)
def test_a_setting_of_another_type_is_refused_by_its_name(name, value):
    assert _refused(Settings, **{name: value}).setting == name


def test_a_listed_server_has_the_spelling_that_tenants_servers_get():
    given = ["https://Cluster.CORP.example:443/", "https://cluster.corp.example", "https://10.0.0.7:6443", "https://cluster"]
    assert Settings(private_servers=given).private_servers == ("https://cluster.corp.example", "https://10.0.0.7:6443", "https://cluster")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("provider", None),
        ("client_id", ""),
        ("client_id", 5),
        ("client_secret", ""),
        ("client_secret", b"fake-secret"),
        ("client_secret", "fake-\ud800"),
        ("method_id", 5),
        ("scopes", 5),
        ("redirect_uris", "https://app.example/fake"),
        ("redirect_uris", [5]),
        ("variables", {"region": 5}),
        ("client_auth", ["post"]),
        ("issuer", ""),
    ],
)
def test_an_application_is_read_when_it_is_made(name, value):
    error = _refused(OAuthApplication, **{"provider": "github", "client_id": "client-1", name: value})
    assert error.setting == f"OAuthApplication.{name}"


@pytest.mark.parametrize(
    ("named", "setting"),
    [
        ({}, "the OAuth application of github"),
        ({"client_secret": "fake-secret", "client_auth": "none"}, "the OAuth application of github"),
        ({"client_secret": "fake-secret", "client_auth": "fake"}, "the OAuth application of github"),
        ({"client_secret": "fake-secret", "scopes": ["über"]}, "applications[github].scopes"),
        ({"client_secret": "fake-secret", "variables": {"nothing": "x"}}, "applications[github].variables"),
    ],
)
def test_an_application_that_could_not_be_used_is_refused_at_the_start(named, setting):
    application = OAuthApplication(provider="github", client_id="client-1", **named)
    with pytest.raises(ConfigurationError) as caught:
        IntegrationManager(**BLOCKING, applications=[application], settings=Settings(callback_url="https://app.example/cb"))
    assert caught.value.setting == setting


def test_an_applications_variable_of_another_form_is_refused_at_the_start():
    application = OAuthApplication(provider="gitlab", client_id="client-1", client_secret="fake-secret", variables={"host": "not a host"})
    error = _refused(IntegrationManager, **BLOCKING, applications=[application], settings=Settings(callback_url="https://app.example/cb"))
    assert error.setting == "applications[gitlab].variables.host"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Catalogue.of(["github"]),
        lambda: Catalogue.of("github"),
        lambda: Catalogue.builtin().disable(["github"]),
        lambda: Catalogue.builtin().with_(inactive="github"),
        lambda: Catalogue.builtin().with_(providers=["github"]),
    ],
    ids=range(5),
)
def test_a_catalogue_takes_providers_and_slugs(make):
    _refused(make)


def test_a_catalogue_is_loaded_from_a_path_as_text(tmp_path):
    assert len(Catalogue.load(str(tmp_path))) == len(Catalogue.builtin())


def test_an_applications_secret_may_be_text_and_is_shown_by_nothing():
    made = OAuthApplication(provider="github", client_id="client-1", client_secret="fake-secret", redirect_uris=["https://app.example/x"])
    assert made.client_secret == Secret("fake-secret")
    assert made.redirect_uris == ("https://app.example/x",)
    assert "fake-secret" not in repr(made)


def test_an_application_may_name_its_provider_by_uuid():
    provider = Catalogue.builtin().require("github")
    settings = Settings(callback_url="https://app.example/cb")
    named = OAuthApplication(provider=provider.provider_id, client_id="client-1", client_secret="fake-secret")
    manager = IntegrationManager(**BLOCKING, applications=[named], settings=settings)
    (found,) = [summary for summary in manager.list_providers() if summary.slug == "github"]
    assert found.redirect_uri is not None
    twice = OAuthApplication(provider="github", client_id="client-2", client_secret="fake-secret")
    assert "is there twice" in str(_refused(IntegrationManager, **BLOCKING, applications=[named, twice], settings=settings))
