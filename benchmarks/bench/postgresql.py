"""A PostgreSQL database for one run, dropped at its end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.exc import OperationalError

_SERVER = "postgresql+psycopg://root@127.0.0.1:5432/test"


class NoServerError(Exception):
    """PostgreSQL does not answer."""


@contextmanager
def throwaway_database() -> Iterator[URL]:
    """Make a database on the server that `CI_TEST_POSTGRESQL` names (an SQLAlchemy URL whose user may create databases)."""
    server = make_url(os.environ.get("CI_TEST_POSTGRESQL", _SERVER))
    name = f"ci_bench_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    except OperationalError as error:
        raise NoServerError("PostgreSQL does not answer; CI_TEST_POSTGRESQL says where it is") from error
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def driver_url(url: URL, /) -> str:
    """Return *url* as libpq and asyncpg read it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
