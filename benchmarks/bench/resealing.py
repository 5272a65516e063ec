"""Integrations that are all sealed under keys that were replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from sqlalchemy import URL, Engine, create_engine, make_url, select

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, Secret, Settings, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import migrate, schema, sqlite_engine
from cloud_integrations.domain.envelope import KeyState, SealingContext, WrappedKey
from cloud_integrations.domain.identifiers import TenantId, uuid7
from cloud_integrations.domain.parts import pack
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

PER_TENANT = 5
BATCH = 200
LENGTH = 1_000
"""Characters of a token; the limit writes as many bytes as we do."""
FIELDS = ("presented", "renewal")
SETTINGS = Settings(callback_url="https://app.example.com/oauth/callback", use_window=None, token_cache=timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process must know.  The keys and tokens are fakes of this run."""

    database: str
    keyring_entry: str
    tenants: int
    share: float = 1.0
    batch_time: float = 0.0
    """Seconds that the bare driver takes for 200 rows: as many as we took."""
    reads: int
    """How many reads are measured before the sweep begins."""


def open_engine(database: str) -> Engine:
    """Open *database*; SQLite's as the library opens it."""
    url = make_url(database)
    return sqlite_engine(url.database or "") if url.drivername == "sqlite" else create_engine(url, hide_parameters=True)


@contextmanager
def opened_manager(engine: Engine, entry: str) -> Iterator[IntegrationManager]:
    """Open a manager over *engine* whose provider is simulated."""
    provider = SimulatedProvider()
    with IntegrationManager(
        store=SqlAlchemyStore(engine),
        transport=SimulatedTransport(provider),
        keys=LocalKeyring([Secret(entry)]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=SETTINGS,
    ) as manager:
        yield manager


def tenant_of(number: int) -> str:
    """Name a tenant."""
    return f"tenant-{number}"


def _packed(row: str, field: str) -> bytes:
    token = f"fake-{field}-{row}-".ljust(LENGTH, "x")
    return pack({"access_token" if field == "presented" else "refresh_token": Secret(token)}).reveal().encode()


def _context(tenant: str, row: str, field: str) -> tuple[tuple[str, str], ...]:
    return SealingContext(tenant=tenant, table="ci_integration", row=row, field=field, gen=1).pairs()


class Table:
    """A database with *rows* integrations, all sealed under keys that were replaced."""

    def __init__(self, opened: AbstractContextManager[URL], *, rows: int, reads: int) -> None:
        self._opened, self.rows, self._reads = opened, rows, reads

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            url = self._stack.enter_context(self._opened)
            entry = LocalKeyring.generate_key("bench").reveal()
            tenants = self.rows // PER_TENANT
            self.task = Task(database=url.render_as_string(hide_password=False), keyring_entry=entry, tenants=tenants, reads=self._reads)
            self.engine = open_engine(self.task.database)
            self._stack.callback(self.engine.dispose)
            migrate.upgrade(self.engine)
            self._fill()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _fill(self) -> None:
        template = self._template()
        keyring, cipher, provider_ids = LocalKeyring([Secret(self.task.keyring_entry)]), AesGcmCipher(), [template["provider_id"]]
        provider_ids += [UUID(int=number) for number in range(1, PER_TENANT)]
        now = datetime.now(UTC)

        def key(tenant: str, version: int) -> tuple[bytes, dict[str, Any]]:
            data_key, key_id = os.urandom(32), uuid7(now, os.urandom(10))
            kek, wrapped = keyring.wrap(data_key, tenant_id=tenant, key_id=key_id, version=version)
            row = {
                "tenant_id": tenant,
                "key_id": key_id,
                "version": version,
                "state": "active" if version == 2 else "decrypt_only",
                "active_marker": 1 if version == 2 else None,
                "suite": 1,
                "kek_uri": kek.kek_uri,
                "kek_key_id": kek.kek_key_id,
                "wrapped": wrapped,
                "created_at": 1,
                "retired_at": None if version == 2 else 2,
                "destroyed_at": None,
            }
            return data_key, row

        for numbers in _batched(self.task.tenants):
            keys, rows = [], []
            for number in numbers:
                tenant = tenant_of(number)
                data_key, old = key(tenant, 1)
                keys += [old, key(tenant, 2)[1]]
                for provider_id in provider_ids:
                    row = uuid7(now, os.urandom(10))
                    sealed = {
                        field: cipher.seal(
                            _packed(str(row), field), key=data_key, key_id=old["key_id"].bytes, context=_context(tenant, str(row), field)
                        )
                        for field in FIELDS
                    }
                    about = {"tenant_id": tenant, "integration_id": row, "provider_id": provider_id, "key_id": old["key_id"]}
                    rows.append({**template, **about, **sealed, "generation": 1})
            with self.engine.begin() as connection:
                connection.execute(schema.key.insert(), keys)
                connection.execute(schema.integration.insert(), rows)

    def _template(self) -> dict[str, Any]:
        """Return a row as the library writes it, and leave the tables empty."""
        provider = SimulatedProvider()
        manager = IntegrationManager(
            store=SqlAlchemyStore(self.engine),
            transport=SimulatedTransport(provider),
            keys=LocalKeyring([Secret(self.task.keyring_entry)]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
            applications=[provider.application()],
            settings=SETTINGS,
        ).acting_as("alice")
        begun = manager.begin_oauth("first", provider.slug, name="Production")
        params = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
        manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
        with self.engine.begin() as connection:
            row = connection.execute(select(schema.integration)).mappings().one()
            for table in (schema.integration, schema.authorization, schema.key):
                connection.execute(table.delete())
        return {**row, "expires_at": None, "due_at": None}

    def bare(self) -> float:
        """Return the rows a second that the bare driver reads and writes back, in a table with the same bytes."""
        driver = self.engine.raw_connection()
        mark = "?" if self.engine.dialect.paramstyle == "qmark" else "%s"
        cursor = driver.cursor()
        kind = {"postgresql": "BYTEA", "sqlite": "BLOB"}.get(self.engine.dialect.name, "LONGBLOB")
        cursor.execute(f"CREATE TABLE bench_bare (n INTEGER PRIMARY KEY, key_id INTEGER, a {kind}, r {kind})")
        sealed = os.urandom(len(_packed("", FIELDS[0])) + 101)
        count = min(self.rows, 20_000)
        insert = "INSERT INTO bench_bare VALUES (?, 1, ?, ?)".replace("?", mark)
        page = f"SELECT n, a, r FROM bench_bare WHERE n > ? ORDER BY n LIMIT {BATCH}".replace("?", mark)  # noqa: S608  # numbers and marks of ours
        change = "UPDATE bench_bare SET key_id = ?, a = ?, r = ? WHERE n = ? AND key_id = ?".replace("?", mark)
        cursor.executemany(insert, [(n, sealed, sealed) for n in range(count)])
        driver.commit()
        began = time.perf_counter()
        after = -1
        while True:
            cursor.execute(page, (after,))
            rows = cursor.fetchall()
            if not rows:
                break
            after = rows[-1][0]
            cursor.executemany(change, [(2, a, r, n, 1) for n, a, r in rows])
            driver.commit()
        seconds = time.perf_counter() - began
        cursor.execute("DROP TABLE bench_bare")
        driver.commit()
        driver.close()
        return count / seconds

    def left(self) -> int:
        """Return how many rows are still sealed under a replaced key."""
        return sum(usage.rows for usage in SqlAlchemyStore(self.engine).list_key_usage() if usage.state is KeyState.DECRYPT_ONLY)

    def opened(self) -> int:
        """Return how many rows open, under the active key, to what they were."""
        store, keyring, cipher = SqlAlchemyStore(self.engine), LocalKeyring([Secret(self.task.keyring_entry)]), AesGcmCipher()
        right = 0
        after: tuple[TenantId, int] | None = None
        while page := store.list_keys(after=after, limit=500):
            after = TenantId(page[-1].tenant_id), page[-1].version
            active: dict[UUID, WrappedKey] = {key.key_id: key for key in page if key.state is KeyState.ACTIVE}
            keys = {key_id: keyring.unwrap(key) for key_id, key in active.items()}
            for row in store.list_sealed([(TenantId(key.tenant_id), key.key_id) for key in active.values()], limit=self.rows):
                right += all(
                    cipher.open(
                        row.sealed[field], key=keys[row.key_id], key_id=row.key_id.bytes, context=_context(row.tenant_id, row.row, field)
                    )
                    == _packed(row.row, field)
                    for field in FIELDS
                )
        return right


def _batched(count: int) -> Iterator[range]:
    return (range(start, min(start + 500, count)) for start in range(0, count, 500))
