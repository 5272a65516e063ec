"""What a live credential adds to a request of an HTTP client, beside a header that was read once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from bench.host import READS_ONCE, TENANT, Host
from bench.measure import Contestant, Goal, Table, awaiting, blocking, compare, main

from cloud_integrations import AsyncMemoryStore, MemoryStore

_URL = "https://api.example.com/things"


class _Static(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = self._header
        yield request


def _flow(auth: Any, request: httpx.Request, response: httpx.Response) -> None:
    flow = auth.sync_auth_flow(request)
    next(flow)
    try:
        flow.send(response)
    except StopIteration:
        return
    raise AssertionError("one request is enough")


async def _awaited(auth: Any, request: httpx.Request, response: httpx.Response) -> None:
    flow = auth.async_auth_flow(request)
    await anext(flow)
    try:
        await flow.asend(response)
    except StopAsyncIteration:
        return
    raise AssertionError("one request is enough")


def _adds(name: str, base: str) -> Any:
    def value(samples: Mapping[str, float]) -> float:
        return samples[name] - samples[base]

    return value


def tables(*, quick: bool) -> Iterator[Table]:
    """Measure the live values of both managers, with a token in memory."""
    host = Host()
    manager = host.manager(MemoryStore(), READS_ONCE)
    host.connect(manager)
    slug = host.oauth.id
    request, response = httpx.Request("GET", _URL), httpx.Response(200)
    static = _Static("fake-token")
    with asyncio.Runner() as runner:
        awaited = host.async_manager(AsyncMemoryStore(), READS_ONCE)
        runner.run(host.connect_async(awaited))
        live, awaiting_live = manager.auth(TENANT, slug), awaited.auth(TENANT, slug)
        yield compare(
            "A live credential in httpx, with the token in memory",
            [
                Contestant(role="limit", name="static header", run=blocking(lambda: _flow(static, request, response))),
                Contestant(role="limit", name="static header, awaited", run=awaiting(runner, lambda: _awaited(static, request, response))),
                Contestant(role="ours", name="manager.auth", run=blocking(lambda: _flow(live, request, response))),
                Contestant(
                    role="ours", name="await manager.auth", run=awaiting(runner, lambda: _awaited(awaiting_live, request, response))
                ),
            ],
            rounds=2 if quick else 40,
            count=100 if quick else 5_000,
            goals=[
                Goal(name="µs more than a static header, blocking", value=_adds("manager.auth", "static header"), bound=5),
                Goal(name="µs more than a static header, awaiting", value=_adds("await manager.auth", "static header, awaited"), bound=5),
            ],
        )


if __name__ == "__main__":
    main(__doc__, tables)
