"""The database of every release is read by the code of today, on every database that it may be in."""

from __future__ import annotations

import importlib.util
import json
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from tests.databases import own_database

from cloud_integrations import LocalKeyring
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import KeyringError
from cloud_integrations.testing import FixedClock, SeededEntropy, SimulatedProvider

CORPUS = Path(__file__).with_name("corpus")
RELEASED = sorted(CORPUS.glob("*/installation.json"))


@pytest.fixture(scope="session")
def tool():
    """The program that a release runs."""
    spec = importlib.util.spec_from_file_location("installation_corpus", CORPUS.parents[2] / "tools/installation_corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=["today", *RELEASED], ids=lambda of: of if of == "today" else of.parent.name)
def installation(request, tool):
    """What a release wrote; `today` is what a release of this code would write."""
    text = json.dumps(tool.installation()) if request.param == "today" else request.param.read_text(encoding="utf-8")
    return json.loads(text)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request, tmp_path):
    if request.param == "sqlite":
        made = sqlite_engine(tmp_path / "restored.db")
        yield made
    else:
        with own_database(request.getfixturevalue(f"{request.param}_url")) as url:
            made = sa.create_engine(url)
            yield made
            made.dispose()
    made.dispose()


def restore(engine, tables):
    """Make the tables of the release, fill them with its rows, and bring them to the schema of today."""
    [version] = [row["version_num"] for row in tables["ci_alembic_version"]]
    with engine.begin() as connection:
        config = migrate._config({"connection": connection, "transactional_ddl": True})
        migrate.command.upgrade(config, version)
    with engine.begin() as connection:
        known = sa.MetaData()
        for name, rows in tables.items():
            table = sa.Table(name, known, autoload_with=connection)
            filled = [{column: _value(table.c[column], value) for column, value in row.items()} for row in rows]
            if filled and name != "ci_alembic_version":
                connection.execute(table.insert(), filled)
    migrate.upgrade(engine)


def _value(column, value):
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return UUID(hex=value) if value is not None and isinstance(column.type, sa.Uuid) else value


@pytest.mark.requirement("TST-12", "ENC-08")
def test_everything_that_a_release_stored_is_read(installation, engine, tool):
    restore(engine, installation["tables"])
    expected = installation["expected"]
    clock = FixedClock(datetime.fromisoformat(expected["at"]))
    provider = SimulatedProvider(clock=clock, entropy=SeededEntropy("corpus"))
    with closing(tool.open_manager(engine, LocalKeyring(installation["keyring"]), provider, clock)) as opened:
        acting = opened.acting_as("ada")
        for tenant, end in expected["audit"].items():
            report = acting.audit.verify(tenant)
            assert report.whole
            assert {"checked": report.checked, "hash": report.head.hash.hex()} == end
        assert expected["revocations"] == sum(each.count for each in acting.worker.report().outbox if each.kind == "revocation") == 2
        for tenant, integrations in expected["integrations"].items():
            assert [tool._told(opened, held) for held in acting.list_integrations(tenant)] == integrations
        # And it goes on: new keys, values sealed anew, a grant ended by its tenant.
        acting.keys.rotate()
        acting.keys.reseal()
        for tenant, integrations in expected["integrations"].items():
            assert [tool._told(opened, held) for held in acting.list_integrations(tenant)] == integrations
            assert acting.audit.verify(tenant).whole
        clock.advance(timedelta(hours=2))
        acting.worker.retry_revocations()


@pytest.mark.requirement("TST-12", "B18")
def test_without_the_keys_of_the_release_the_start_is_refused_and_nothing_is_changed(installation, tmp_path, tool):
    engine = sqlite_engine(tmp_path / "restored.db")
    restore(engine, installation["tables"])
    clock = FixedClock(datetime.fromisoformat(installation["expected"]["at"]))
    provider = SimulatedProvider(clock=clock, entropy=SeededEntropy("corpus"))
    stranger = LocalKeyring([LocalKeyring.generate_key("fake-2026-02")])
    with closing(tool.open_manager(engine, stranger, provider, clock)) as opened, pytest.raises(KeyringError):
        opened.acting_as("ada").list_integrations("acme")
    assert {name: len(rows) for name, rows in tool._rows(tmp_path / "restored.db").items()} == {
        name: len(rows) for name, rows in installation["tables"].items()
    }
    engine.dispose()


def test_two_lives_of_one_release_have_the_same_shape(installation, tool):
    again = tool.installation()
    assert {name: len(rows) for name, rows in again["tables"].items()} == {name: len(rows) for name, rows in installation["tables"].items()}
    assert sum(map(len, again["tables"].values())) > 30
    assert tool.CORPUS == CORPUS
