"""A MariaDB database for one run, dropped at its end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.exc import OperationalError

from .postgresql import NoServerError

_SERVER = "mariadb+pymysql://root@127.0.0.1:3306/"


@contextmanager
def throwaway_mariadb() -> Iterator[URL]:
    """Make a database on the server that `CI_TEST_MARIADB` names (an SQLAlchemy URL whose user may create databases)."""
    server = make_url(os.environ.get("CI_TEST_MARIADB", _SERVER))
    name = f"ci_bench_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except OperationalError as error:
        raise NoServerError("MariaDB does not answer; CI_TEST_MARIADB says where it is") from error
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
