"""POST an integration by API key, with its audit record, over HTTP into PostgreSQL (goal P5).

The library looks whether the tenant has such an integration, asks the provider whether the key works (the answer comes
from memory), and chains the tenant's audit records.  One peer inserts two rows and is done, the other looks and chains too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bench.apps import AUTHORIZATION, CONNECTIONS, CREATING_TENANTS, PATH, prepare, providers
from bench.load import request, requests_over, server
from bench.measure import Contestant, Goal, Skipped, Table, compare, main, ratio
from bench.postgresql import NoServerError, throwaway_database
from pydantic_core import to_json
from sqlalchemy import create_engine

_TITLE = "P5 · POST create with audit, uvicorn, PostgreSQL with fsync, 16 connections"
_ORM = "FastAPI, ORM, two inserts"
_CHAINED = "the same, with conflict check and chained events"
_OURS = "create_router"
_NAMES = {"orm": _ORM, "orm_chained": _CHAINED, "ours": _OURS}


def _requests(app: str) -> Iterator[bytes]:
    """Every tenant of this application with every provider, so that none comes twice."""
    for provider in providers():
        key = {"apiKey": f"fake-key-{provider.id}"}
        body = to_json({"providerId": provider.provider_id, "name": "Production", "credentials": key})
        for number in range(CREATING_TENANTS):
            yield request("POST", PATH.replace("{tenantId}", f"{app}-{number}"), authorization=AUTHORIZATION, body=body)


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure the applications in turns."""
    try:
        with throwaway_database() as url, ExitStack() as stack:
            engine = create_engine(url)
            stack.callback(engine.dispose)
            prepare(engine)
            database = url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

            def busy(app: str) -> Contestant:
                port = stack.enter_context(server(app, database=database))
                run = requests_over(port, _requests(app), connections=CONNECTIONS, status=201)
                return Contestant(role="ours" if app == "ours" else "peer", name=_NAMES[app], run=run)

            yield compare(
                _TITLE,
                [busy(app) for app in _NAMES],
                rounds=2 if quick else 30,
                count=32 if quick else 160,
                unit="req/s",
                value=lambda seconds: 1 / seconds,
                goals=[
                    Goal(name="× ORM, two inserts", value=ratio(_OURS, _ORM), bound=2, at_least=True),
                    Goal(name="× ORM, the same work", value=ratio(_OURS, _CHAINED), bound=1, at_least=True),
                ],
            )
    except NoServerError as error:
        yield Skipped(title=_TITLE, reason=str(error))


if __name__ == "__main__":
    main(__doc__, tables)
