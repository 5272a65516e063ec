"""A token that is still valid, from memory (goal P1) and from the database (goal P2), and what a refresh adds."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psycopg
from authlib.integrations.requests_client import OAuth2Session
from bench.host import READS_EVERY_TIME, READS_ONCE, TENANT, Host
from bench.measure import Contestant, Goal, Run, Skipped, Table, awaiting, blocking, compare, main, ratio
from bench.peers import Account, Base, Box
from bench.postgresql import NoServerError, driver_url, throwaway_database
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from cloud_integrations import SYSTEM, AsyncMemoryStore, AsyncSqlAlchemyStore, MemoryStore, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine

_PROVIDER = uuid4()
_BLOCKING = "IntegrationManager.credential"
_AWAITING = "await AsyncIntegrationManager.credential"
_ORM = "SQLAlchemy ORM, session per call"


def _memory(runner: asyncio.Runner, *, quick: bool) -> Table:
    host = Host()
    manager = host.manager(MemoryStore(), READS_ONCE)
    host.connect(manager)
    slug = host.oauth.id
    awaited = host.async_manager(AsyncMemoryStore(), READS_ONCE)
    runner.run(host.connect_async(awaited))

    known = {slug: (time.monotonic() + 86_400, "token")}
    monotonic = time.monotonic

    def look_up() -> str | None:
        entry = known.get(slug)
        return entry[1] if entry is not None and entry[0] > monotonic() else None

    async def await_look_up() -> str | None:
        entry = known.get(slug)
        return entry[1] if entry is not None and entry[0] > monotonic() else None

    token = {"access_token": "fake-token", "token_type": "Bearer", "expires_at": int(time.time()) + 86_400}
    session = OAuth2Session("client", token=token)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Authlib says that it will move to another HTTP client
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: PLC0415  # as above
    client = AsyncOAuth2Client("client", token=token)
    return compare(
        "P1 · valid token from memory",
        [
            Contestant(role="limit", name="dict look-up, expiry check", run=blocking(look_up)),
            Contestant(role="limit", name="the same, awaited", run=awaiting(runner, await_look_up)),
            Contestant(role="peer", name="Authlib OAuth2Session", run=blocking(lambda: session.ensure_active_token(session.token))),
            Contestant(
                role="peer", name="Authlib AsyncOAuth2Client", run=awaiting(runner, lambda: client.ensure_active_token(client.token))
            ),
            Contestant(role="ours", name=_BLOCKING, run=blocking(lambda: manager.credential(TENANT, slug))),
            Contestant(role="ours", name=_AWAITING, run=awaiting(runner, lambda: awaited.credential(TENANT, slug))),
        ],
        rounds=2 if quick else 60,
        count=1_000 if quick else 20_000,
        goals=[
            Goal(name="× dict look-up, blocking", value=ratio(_BLOCKING, "dict look-up, expiry check"), bound=3),
            Goal(name="× dict look-up, awaiting", value=ratio(_AWAITING, "the same, awaited"), bound=3),
        ],
    )


def _account(engine: Engine) -> Box:
    """Make the peers' table with one row in it."""
    box = Box()
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        sealed = box.seal(b"fake-access-token")
        expires_at = datetime.now(UTC) + timedelta(days=30)
        session.add(
            Account(
                tenant_id=TENANT, provider_id=_PROVIDER, name="Production", access_token=sealed, refresh_token=sealed, expires_at=expires_at
            )
        )
        session.commit()
    return box


def _orm(engine: Engine, box: Box) -> Run:
    def read() -> bytes:
        with Session(engine) as session:
            statement = select(Account).where(Account.tenant_id == TENANT, Account.provider_id == _PROVIDER)
            account = session.scalars(statement).one()
            return box.open(account.access_token or b"")

    return blocking(read)


def _raw(fetch: Callable[[], Any], box: Box) -> Run:
    def read() -> bytes | None:
        sealed, expires_at = fetch()
        return box.open(sealed) if expires_at is not None else None

    return blocking(read)


def _from_sqlite(runner: asyncio.Runner, folder: Path, *, quick: bool) -> Table:
    host = Host()
    engine = sqlite_engine(folder / "bench.db")
    migrate.upgrade(engine)
    manager = host.manager(SqlAlchemyStore(engine), READS_EVERY_TIME)
    host.connect(manager)
    awaited = host.async_manager(AsyncSqlAlchemyStore(engine), READS_EVERY_TIME)
    box = _account(engine)
    connection = sqlite3.connect(folder / "bench.db", isolation_level=None)
    statement = "SELECT access_token, expires_at FROM bench_account WHERE tenant_id = ? AND provider_id = ?"
    parameters = (TENANT, _PROVIDER.hex)
    slug = host.oauth.id
    table = compare(
        "P2 · valid token from SQLite",
        [
            Contestant(role="limit", name="sqlite3, AES-GCM", run=_raw(lambda: connection.execute(statement, parameters).fetchone(), box)),
            Contestant(role="peer", name=_ORM, run=_orm(create_engine(engine.url), box)),
            Contestant(role="ours", name=_BLOCKING, run=blocking(lambda: manager.credential(TENANT, slug))),
            Contestant(role="ours", name=f"{_AWAITING}, one hop", run=awaiting(runner, lambda: awaited.credential(TENANT, slug))),
        ],
        rounds=2 if quick else 60,
        count=20 if quick else 250,
        goals=[Goal(name="× ORM, blocking", value=ratio(_BLOCKING, _ORM), bound=0.4)],
    )
    connection.close()
    engine.dispose()
    return table


def _from_postgresql(runner: asyncio.Runner, *, quick: bool) -> Table:
    with throwaway_database() as url, ExitStack() as stack:
        host = Host()
        engine = create_engine(url)
        stack.callback(engine.dispose)
        migrate.upgrade(engine)
        manager = host.manager(SqlAlchemyStore(engine), READS_EVERY_TIME)
        host.connect(manager)
        over_asyncpg = create_async_engine(url.set(drivername="postgresql+asyncpg"))
        stack.callback(lambda: runner.run(over_asyncpg.dispose()))
        awaited = host.async_manager(AsyncSqlAlchemyStore(over_asyncpg), READS_EVERY_TIME)
        hopping = host.async_manager(AsyncSqlAlchemyStore(engine), READS_EVERY_TIME)
        box = _account(engine)
        connection = stack.enter_context(psycopg.connect(driver_url(url), autocommit=True))
        cursor = connection.cursor(binary=True)
        statement = "SELECT access_token, expires_at FROM bench_account WHERE tenant_id = %s AND provider_id = %s"
        slug = host.oauth.id

        async def read_by_orm() -> bytes:
            async with AsyncSession(over_asyncpg) as session:
                asked = select(Account).where(Account.tenant_id == TENANT, Account.provider_id == _PROVIDER)
                account = (await session.scalars(asked)).one()
                return box.open(account.access_token or b"")

        orm_async = "the same, AsyncSession over asyncpg"
        return compare(
            "P2 · valid token from PostgreSQL",
            [
                Contestant(
                    role="limit", name="psycopg, AES-GCM", run=_raw(lambda: cursor.execute(statement, (TENANT, _PROVIDER)).fetchone(), box)
                ),
                Contestant(role="peer", name=_ORM, run=_orm(engine, box)),
                Contestant(role="peer", name=orm_async, run=awaiting(runner, read_by_orm)),
                Contestant(role="ours", name=_BLOCKING, run=blocking(lambda: manager.credential(TENANT, slug))),
                Contestant(role="ours", name=f"{_AWAITING}, asyncpg", run=awaiting(runner, lambda: awaited.credential(TENANT, slug))),
                Contestant(role="ours", name=f"{_AWAITING}, one hop", run=awaiting(runner, lambda: hopping.credential(TENANT, slug))),
            ],
            rounds=2 if quick else 60,
            count=20 if quick else 150,
            goals=[
                Goal(name="× ORM, blocking", value=ratio(_BLOCKING, _ORM), bound=0.4),
                Goal(name="× ORM, awaiting", value=ratio(f"{_AWAITING}, asyncpg", orm_async), bound=0.4),
            ],
        )


def _refresh(folder: Path, *, quick: bool) -> Table:
    host = Host()
    engine = sqlite_engine(folder / "refresh.db")
    migrate.upgrade(engine)
    stores = {"in memory": MemoryStore(), "SQLite, fsync": SqlAlchemyStore(engine)}
    contestants = []
    for name, store in stores.items():
        manager = host.manager(store, READS_EVERY_TIME)
        host.connect(manager)
        (integration,) = manager.list_integrations(TENANT)
        contestants.append(
            Contestant(
                role="ours", name=f"refresh, {name}", run=blocking(partial(manager.acting_as(SYSTEM).refresh, TENANT, integration.id))
            )
        )
    table = compare(
        "A refresh against a provider that answers at once (for information)",
        contestants,
        rounds=2 if quick else 20,
        count=5 if quick else 50,
    )
    engine.dispose()
    return table


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure each way a token can come."""
    with asyncio.Runner() as runner, TemporaryDirectory() as folder:
        yield _memory(runner, quick=quick)
        yield _from_sqlite(runner, Path(folder), quick=quick)
        try:
            yield _from_postgresql(runner, quick=quick)
        except NoServerError as error:
            yield Skipped(title="P2 · valid token from PostgreSQL", reason=str(error))
        yield _refresh(Path(folder), quick=quick)


if __name__ == "__main__":
    main(__doc__, tables)
