"""A manager over an engine: enough to begin, in both colours."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

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
    Settings,
)
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, SimulatedProvider, SimulatedTransport

KEY = LocalKeyring.generate_key("test")
OLD = LocalKeyring.generate_key("old")
SERVICE = LocalKeyring([KEY])


@pytest.fixture
def engine(tmp_path):
    made = sqlite_engine(tmp_path / "integrations.db")
    migrate.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
async def awaited_engine(tmp_path, engine):
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/integrations.db")
    yield made
    await made.dispose()


def parts_of(provider, transport):
    return {
        "transport": transport,
        "providers": Catalogue.of(*provider.catalogue_entries()),
        "applications": [provider.application()],
        "settings": Settings(callback_url="https://app.example/cb"),
    }


def test_an_engine_and_a_key_are_enough_to_begin(engine):
    with IntegrationManager.over(engine, keys=KEY) as manager:
        assert manager.list_integrations("acme") == ()
        assert {summary.slug for summary in manager.list_providers()} >= {"github", "okta"}
        assert isinstance(manager._wiring.cipher, AesGcmCipher)
        assert isinstance(manager._wiring.transport._port, HttpxTransport)


@pytest.mark.parametrize("colour", ["engine", "awaited_engine"])
async def test_an_engine_of_either_colour_is_enough_for_the_awaiting_manager(request, colour, awaited_engine):
    async with AsyncIntegrationManager.over(request.getfixturevalue(colour), keys=KEY) as manager:
        assert await manager.list_integrations("acme") == ()
        assert {summary.slug for summary in manager.list_providers()} >= {"github", "okta"}
        assert isinstance(manager._wiring.transport, AsyncHttpxTransport)


@pytest.mark.parametrize("keys", [KEY, KEY.reveal(), [KEY], [KEY.reveal(), OLD.reveal()], (KEY, OLD.reveal()), SERVICE], ids=range(6))
async def test_keys_are_a_service_or_the_entries_of_a_keyring(engine, keys):
    provider = SimulatedProvider()
    with IntegrationManager.over(engine, keys=SERVICE, **parts_of(provider, SimulatedTransport(provider))) as first:
        first.acting_as("ada").add_api_key("acme", "simulated_keys", name="Build server", api_key=provider.valid_api_key)
    with IntegrationManager.over(engine, keys=keys, **parts_of(provider, SimulatedTransport(provider))) as manager:
        assert manager.credential("acme", "simulated_keys").value == provider.valid_api_key
    async with AsyncIntegrationManager.over(engine, keys=keys, **parts_of(provider, AsyncSimulatedTransport(provider))) as manager:
        assert (await manager.credential("acme", "simulated_keys")).value == provider.valid_api_key


async def test_a_clock_is_the_clock_of_every_part(engine):
    clock = FixedClock()
    with IntegrationManager.over(engine, keys=KEY, clock=clock) as manager:
        assert manager._wiring.clock is clock
        assert manager._wiring.transport._port._now() == clock.now()
    manager = AsyncIntegrationManager.over(engine, keys=KEY, clock=clock)
    assert manager._wiring.transport._now() == clock.now()


def both(engine, **named):
    for manager in (IntegrationManager, AsyncIntegrationManager):
        with pytest.raises(ConfigurationError) as caught:
            manager.over(engine, **named)
        yield caught.value


async def test_a_blocking_manager_says_what_is_wrong_with_an_awaited_engine():
    awaited = create_async_engine("postgresql+asyncpg://fake@127.0.0.1/fake")
    with pytest.raises(ConfigurationError, match="must be an Engine; AsyncSqlAlchemyStore takes an AsyncEngine"):
        IntegrationManager.over(awaited, keys=KEY)
    await awaited.dispose()
    disguised = create_engine("postgresql+asyncpg://fake@127.0.0.1/fake")
    for error in both(disguised, keys=KEY):
        assert "uses the driver asyncpg, which is awaited: make it with create_async_engine" in str(error)


@pytest.mark.parametrize("wrong", ["sqlite://", None, MemoryStore(), AsyncMemoryStore()], ids=type)
def test_what_is_no_engine_is_refused(wrong):
    for error in both(wrong, keys=KEY):
        assert error.setting == "engine"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("test:fake", "entry 1 is not kid:base64 of 32 bytes"),
        ([KEY, "test:fake"], "entry 2 is not kid:base64 of 32 bytes"),
        (b"test:fake", "entry 1 is not kid:base64 of 32 bytes"),
        ([], "has no key"),
        (None, "must be a KeyService, and NoneType has no waits"),
        (AesGcmCipher(), "must be a KeyService, and AesGcmCipher has no waits"),
    ],
    ids=range(6),
)
def test_what_is_no_key_is_refused(engine, keys, sentence):
    for error in both(engine, keys=keys):
        assert error.setting == "keys"
        assert sentence in str(error)
        assert "fake" not in str(error)


def test_no_key_stays_in_the_frames_of_an_error(engine):
    for keys in ("test:fake-key", ["test:fake-key"]):
        for error in both(engine, keys=keys):
            trace, ours = error.__traceback__, []
            while trace is not None:
                if "/manager/" in trace.tb_frame.f_code.co_filename:
                    ours.append(repr(trace.tb_frame.f_locals))
                trace = trace.tb_next
            assert len(ours) == 2
            assert "fake-key" not in "".join(ours)


def test_a_missing_extra_is_named():
    program = """
import sys
class Blocked:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"httpx", "httpx2"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from cloud_integrations import IntegrationManager, LocalKeyring
from sqlalchemy import create_engine
try:
    IntegrationManager.over(create_engine("sqlite://"), keys=LocalKeyring.generate_key("test"))
except ImportError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "HttpxTransport needs the extra httpx: pip install 'cloud-integrations[httpx]'"
