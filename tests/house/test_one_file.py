"""Each kind of extension is added from outside the package, by one file in `one_file/`, and works from end to end."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from cloud_integrations import Actor, AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import databases, migrate
from cloud_integrations.errors import ConfigurationError, IntegrationExistsError
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

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
    ) as manager:

        def connect() -> None:
            manager.add_api_key("acme", "simulated_keys", name="Added", api_key=provider.valid_api_key, actor=ACTOR)

        connect()
        with pytest.raises(IntegrationExistsError):
            connect()
        [integration] = manager.list_integrations("acme")
        assert manager.credential("acme", "simulated_keys").value == provider.valid_api_key
        manager.delete("acme", integration.id, actor=ACTOR)
        assert manager.list_integrations("acme") == ()
        assert manager.audit.verify("acme").whole
    engine.dispose()
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="supported are SQLite, PostgreSQL and MariaDB"):
        SqlAlchemyStore(engine)
