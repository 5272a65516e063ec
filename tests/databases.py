"""Databases that one test has for itself, on the servers that all tests share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def own_database(url: str) -> Iterator[sa.URL]:
    """Make a database that nobody else uses on the server of *url*; give its URL, and drop it at the end.

    Workers take tests in another order each time, so a test that looks at a whole database needs this: the one of its worker
    holds what other tests have left, sealed by their keys.
    """
    server = sa.make_url(url)
    name = f"ci_own_{secrets.token_hex(4)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    postgresql = admin.dialect.name == "postgresql"
    with admin.connect() as connection:
        if postgresql:  # no test cuts the power, so none waits for the disk
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        else:  # a default that ignores case: the tables must not depend on it
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    try:
        yield server.set(database=name)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}" + (" WITH (FORCE)" if postgresql else ""))
