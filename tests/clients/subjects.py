"""The clients that show a bearer token, each made and used as its own documentation says; one entry each."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .conftest import TENANT
from .packages import AIOHTTP, AZURE, GOOGLE, HTTPX, REQUESTS


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One client: *make* makes the live object from a manager and the API's URL, and *send* sends a GET with it and returns the status."""

    make: Callable[..., Any]
    send: Callable[..., Any]
    awaits: bool = False
    challenge: str = ""
    """The challenge of a 401 that the client's library answers; empty: the usual one."""


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


def google_credentials(manager, url):
    from cloud_integrations.clients import google_credentials

    return google_credentials(manager, TENANT, "simulated")


def async_google_credentials(manager, url):
    from cloud_integrations.clients import async_google_credentials

    return async_google_credentials(manager, TENANT, "simulated")


def by_google(made, url):
    from google.auth.transport.requests import AuthorizedSession

    with AuthorizedSession(made, max_refresh_attempts=1) as session:
        session.trust_env = False
        return session.get(url).status_code


async def by_async_google(made, url):
    from google.auth.aio.transport.sessions import AsyncAuthorizedSession

    session = AsyncAuthorizedSession(made)
    try:
        response = await session.get(url)
        await response.read()
        return response.status_code
    finally:
        await session.close()


def azure_credential(manager, url):
    from cloud_integrations.clients import azure_credential

    return azure_credential(manager, TENANT, "simulated")


def async_azure_credential(manager, url):
    from cloud_integrations.clients import async_azure_credential

    return async_azure_credential(manager, TENANT, "simulated")


def by_azure(made, url):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    with PipelineClient(url, policies=[BearerTokenCredentialPolicy(made, f"{AUDIENCE}/.default")]) as client:
        return client.send_request(HttpRequest("GET", url), enforce_https=False, connection_verify=False).status_code


async def by_async_azure(made, url):
    from azure.core import AsyncPipelineClient
    from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    async with AsyncPipelineClient(url, policies=[AsyncBearerTokenCredentialPolicy(made, f"{AUDIENCE}/.default")]) as client:
        return (await client.send_request(HttpRequest("GET", url), enforce_https=False)).status_code


AUDIENCE = "https://management.azure.com"
CLAIMS = urlsafe_b64encode(b'{"access_token": {"nbf": {"essential": true, "value": "1604106651"}}}').decode()
OF_AZURE = f'Bearer error="insufficient_claims", claims="{CLAIMS}"'
"""What Azure's resource providers answer where the access was revoked; of other 401s azure-core repeats nothing."""
# Earlier ones do not refresh after a 401.
ASYNC_GOOGLE = GOOGLE is not None and AIOHTTP is not None and tuple(map(int, GOOGLE.__version__.split(".")[:2])) >= (2, 62)

SUBJECTS = {
    **{name: Subject(make=auth, send=by(package)) for name, package in HTTPX.items()},
    **{f"{name}.AsyncClient": Subject(make=auth, send=awaiting_by(package), awaits=True) for name, package in HTTPX.items()},
    **({} if REQUESTS is None else {"requests": Subject(make=auth, send=by_requests)}),
    **({} if AIOHTTP is None else {"aiohttp": Subject(make=aiohttp_middleware, send=by_aiohttp, awaits=True)}),
    **({} if GOOGLE is None or REQUESTS is None else {"google": Subject(make=google_credentials, send=by_google)}),
    **({"google.aio": Subject(make=async_google_credentials, send=by_async_google, awaits=True)} if ASYNC_GOOGLE else {}),
    **({} if AZURE is None else {"azure": Subject(make=azure_credential, send=by_azure, challenge=OF_AZURE)}),
    **(
        {"azure.aio": Subject(make=async_azure_credential, send=by_async_azure, awaits=True, challenge=OF_AZURE)}
        if AZURE is not None and AIOHTTP is not None
        else {}
    ),
}
