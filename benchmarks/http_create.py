"""POST an integration by API key, with its audit record, over HTTP into PostgreSQL (goal P5).

The library also asks the provider whether the key works (the answer comes from memory); the peer asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bench.apps import AUTHORIZATION, CONNECTIONS, PATH, prepare, providers
from bench.load import request, requests_over, server
from bench.measure import Contestant, Goal, Skipped, Table, compare, main, ratio
from bench.postgresql import NoServerError, throwaway_database
from pydantic_core import to_json
from sqlalchemy import create_engine

_TITLE = "P5 · POST create with audit, uvicorn, PostgreSQL with fsync, 16 connections"
_ORM = "FastAPI, ORM, two inserts"
_OURS = "create_router, key checked"
_TENANTS = 16


def _requests() -> Iterator[bytes]:
    """Every tenant with every provider, so that none comes twice."""
    for provider in providers():
        key = {"apiKey": f"fake-key-{provider.id}"}
        body = to_json({"providerId": provider.provider_id, "name": "Production", "credentials": key})
        for number in range(_TENANTS):
            yield request("POST", PATH.replace("{tenantId}", f"tenant-{number}"), authorization=AUTHORIZATION, body=body)


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure the two applications in turns."""
    try:
        with throwaway_database() as url, ExitStack() as stack:
            engine = create_engine(url)
            stack.callback(engine.dispose)
            prepare(engine)
            database = url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

            def busy(app: str) -> Contestant:
                port = stack.enter_context(server(app, database=database))
                run = requests_over(port, _requests(), connections=CONNECTIONS, status=201)
                return Contestant(role="ours" if app == "ours" else "peer", name=_OURS if app == "ours" else _ORM, run=run)

            yield compare(
                _TITLE,
                [busy("orm"), busy("ours")],
                rounds=2 if quick else 20,
                count=32 if quick else 500,
                unit="req/s",
                value=lambda seconds: 1 / seconds,
                goals=[Goal(name="× ORM", value=ratio(_OURS, _ORM), bound=2, at_least=True)],
            )
    except NoServerError as error:
        yield Skipped(title=_TITLE, reason=str(error))


if __name__ == "__main__":
    main(__doc__, tables)
