"""The clients that show a bearer token, each made and used as its own documentation says; one entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .conftest import TENANT
from .packages import AIOHTTP, HTTPX, REQUESTS


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One client: *make* makes the live object from a manager and the API's URL, and *send* sends a GET with it and returns the status."""

    make: Callable[..., Any]
    send: Callable[..., Any]
    awaits: bool = False


def auth(manager, url):
    return manager.auth(TENANT, "simulated")


def by(package):
    def send(made, url):
        with package.Client(auth=made, verify=False) as client:
            return client.get(url).status_code

    return send


def awaiting_by(package):
    async def send(made, url):
        async with package.AsyncClient(auth=made, verify=False) as client:
            return (await client.get(url)).status_code

    return send


def by_requests(made, url):
    with REQUESTS.Session() as session:
        session.trust_env = False
        return session.get(url, auth=made).status_code


def aiohttp_middleware(manager, url):
    from cloud_integrations.clients import aiohttp_middleware

    return aiohttp_middleware(manager, TENANT, "simulated", origins=[url])


async def by_aiohttp(made, url):
    async with AIOHTTP.ClientSession(middlewares=[made]) as session, session.get(url) as response:
        return response.status


SUBJECTS = {
    **{name: Subject(make=auth, send=by(package)) for name, package in HTTPX.items()},
    **{f"{name}.AsyncClient": Subject(make=auth, send=awaiting_by(package), awaits=True) for name, package in HTTPX.items()},
    **({} if REQUESTS is None else {"requests": Subject(make=auth, send=by_requests)}),
    **({} if AIOHTTP is None else {"aiohttp": Subject(make=aiohttp_middleware, send=by_aiohttp, awaits=True)}),
}
