"""Commands over the drivers that a database's URL can name."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from tests.databases import own_database

from cloud_integrations_cli import engines

AWAITED = {"postgresql": "postgresql+asyncpg", "mariadb": "mariadb+asyncmy"}


@pytest.fixture(params=AWAITED)
def awaited_url(request):
    """A database of its own: what other tests have sealed in theirs would be missing its key here."""
    with own_database(request.getfixturevalue(f"{request.param}_url")) as url:
        yield url.set(drivername=AWAITED[request.param])


def test_a_driver_that_is_awaited_serves_every_command(run, monkeypatch, tmp_path, awaited_url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", awaited_url.render_as_string(hide_password=False))
    run("keys", "generate", "--file", "keyring")
    monkeypatch.setenv("CLOUD_INTEGRATIONS_KEYRING_FILE", "keyring")
    assert run("db", "upgrade").code == 0
    assert json.loads(run("--output", "json", "db", "current").out)["data"]["revision"]
    checks = json.loads(run("--output", "json", "doctor").out)["data"]["checks"]
    assert [check for check in checks if check["result"] == "problem"] == []
    assert {"database", "clock", "idle transactions", "revocations"} <= {check["name"] for check in checks}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("postgresql+asyncpg://u:fake@h/d?ssl=require&statement_cache_size=0", "postgresql+psycopg://u:fake@h/d?sslmode=require"),
        ("postgresql+psycopg://u:fake@h/d?sslmode=require", "postgresql+psycopg://u:fake@h/d?sslmode=require"),
        ("mysql+asyncmy://u:fake@h/d?charset=utf8mb4", "mysql+pymysql://u:fake@h/d?charset=utf8mb4"),
    ],
)
def test_a_blocking_driver_is_asked_in_the_same_way(given, asked):
    assert engines.blocking_url(sa.make_url(given)).render_as_string(hide_password=False) == asked
