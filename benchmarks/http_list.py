"""GET a list of 20 integrations over HTTP from PostgreSQL, 16 connections (goal P4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat

from bench.apps import AUTHORIZATION, CONNECTIONS, PATH, TENANT, prepare
from bench.load import request, requests_over, server
from bench.measure import Contestant, Goal, Skipped, Table, compare, main, ratio
from bench.postgresql import NoServerError, throwaway_database
from sqlalchemy import create_engine

_TITLE = "P4 · GET a list of 20, uvicorn, PostgreSQL, 16 connections"
_NAMES = {
    "by_hand": "FastAPI, Core and bytes by hand",
    "orm": "FastAPI, ORM and response model",
    "ours": "create_router, with authorization",
}


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure the three applications in turns."""
    try:
        with throwaway_database() as url, ExitStack() as stack:
            engine = create_engine(url)
            stack.callback(engine.dispose)
            prepare(engine)
            database = url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
            asked = repeat(request("GET", PATH.replace("{tenantId}", TENANT), authorization=AUTHORIZATION))
            roles = {"by_hand": "limit", "orm": "peer", "ours": "ours"}
            contestants = [
                Contestant(
                    role=roles[app],
                    name=name,
                    run=requests_over(stack.enter_context(server(app, database=database)), asked, connections=CONNECTIONS, status=200),
                )
                for app, name in _NAMES.items()
            ]
            yield compare(
                _TITLE,
                contestants,
                rounds=2 if quick else 40,
                count=32 if quick else 240,
                unit="req/s",
                value=lambda seconds: 1 / seconds,
                goals=[Goal(name="of the one by hand", value=ratio(_NAMES["ours"], _NAMES["by_hand"]), bound=0.95, at_least=True)],
            )
    except NoServerError as error:
        yield Skipped(title=_TITLE, reason=str(error))


if __name__ == "__main__":
    main(__doc__, tables)
