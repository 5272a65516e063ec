"""Other libraries with a token that has ended.  None keeps tokens in a store, so each process has what it read at the start.

They are told to trust the plain HTTP of the simulated provider, and clients that are made for each request read no certificates.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

from bench.storm import Storm, Task, in_tasks, in_threads

# Each peer is loaded by the processes that ask it, so that one which is not installed can be left out.
# ruff: noqa: PLC0415

_AUTHORITY = "https://login.example.com/tenant"
"""msal takes no plain HTTP; what it sends there goes to the simulated provider."""


def _ended(task: Task) -> dict[str, Any]:
    return {"access_token": "fake-ended", "token_type": "Bearer", "refresh_token": task.refresh_token, "expires_at": int(time.time()) - 10}


def _form(task: Task, refresh_token: str) -> dict[str, str]:
    client = {"client_id": task.client_id, "client_secret": task.client_secret}
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, **client}


def _authlib_sync(task: Task) -> Storm:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Authlib says that it will move to another HTTP client
        from authlib.integrations.httpx_client import OAuth2Client
    client = OAuth2Client(task.client_id, task.client_secret, token=_ended(task), token_endpoint=f"{task.url}/token", timeout=30)
    return lambda: (in_threads(lambda: client.ensure_active_token(client.token)), client.token["refresh_token"])


def _authlib_shared(task: Task) -> Storm:
    return _authlib_async(task, shared=True)


def _authlib_per_request(task: Task) -> Storm:
    return _authlib_async(task, shared=False)


def _authlib_async(task: Task, *, shared: bool) -> Storm:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        from authlib.integrations.httpx_client import AsyncOAuth2Client
    held = {"token": _ended(task)}

    async def save(token: dict[str, Any], **_: Any) -> None:
        held["token"] = dict(token)

    def open_client() -> Any:
        where: dict[str, Any] = {"token_endpoint": f"{task.url}/token", "update_token": save, "timeout": 30, "verify": False}
        return AsyncOAuth2Client(task.client_id, task.client_secret, token=dict(held["token"]), **where)

    async def storm() -> Any:
        one = open_client()

        async def call() -> None:
            client = one if shared else open_client()
            await client.ensure_active_token(client.token)

        return await in_tasks(call)

    return lambda: (asyncio.run(storm()), held["token"]["refresh_token"])


def _requests_oauthlib(task: Task) -> Storm:
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter
    from requests_oauthlib import OAuth2Session

    class Resource(BaseAdapter):
        """Answers at once: only the token is looked at here."""

        def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
            response = Response()
            response.status_code, response.url, response.request = 200, str(request.url), request
            return response

        def close(self) -> None:
            return

    held = {"token": task.refresh_token}

    def save(token: dict[str, Any]) -> None:
        held["token"] = token["refresh_token"]

    client = {"client_id": task.client_id, "client_secret": task.client_secret}
    session = OAuth2Session(
        task.client_id, token=_ended(task), auto_refresh_url=f"{task.url}/token", auto_refresh_kwargs=client, token_updater=save
    )
    session.mount("https://api.example.com", Resource())
    return lambda: (in_threads(lambda: session.get("https://api.example.com/")), held["token"])


def _google_auth(task: Task) -> Storm:
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    credentials = Credentials(
        "fake-ended",
        refresh_token=task.refresh_token,
        token_uri=f"{task.url}/token",
        client_id=task.client_id,
        client_secret=task.client_secret,
        expiry=datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=10),
    )
    request = Request()
    return lambda: (
        in_threads(lambda: credentials.before_request(request, "GET", "https://api.example.com/", {})),
        credentials.refresh_token,
    )


class _MsalAnswer:
    def __init__(self, status_code: int, text: str) -> None:
        self.status_code, self.text, self.headers = status_code, text, {"Content-Type": "application/json"}

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise RuntimeError(self.status_code)


class _MsalHttp:
    """Knows the authority's metadata, and sends what is for its token endpoint to the simulated provider."""

    def __init__(self, task: Task) -> None:
        from requests import Session

        self._url, self._session = f"{task.url}/token", Session()

    def get(self, _url: str, **_: Any) -> _MsalAnswer:
        endpoints = {"authorization_endpoint": f"{_AUTHORITY}/authorize", "token_endpoint": f"{_AUTHORITY}/token", "issuer": _AUTHORITY}
        return _MsalAnswer(200, json.dumps(endpoints))

    def post(self, _url: str, *, data: Any = None, headers: Any = None, **_: Any) -> _MsalAnswer:
        # The simulated provider knows none of the scopes that msal adds, and renews with all that were granted where none is asked for.
        form = {name: value for name, value in data.items() if name != "scope"}
        answer = self._session.post(self._url, data=form, headers=headers, timeout=30)
        return _MsalAnswer(answer.status_code, answer.text)

    def close(self) -> None:
        self._session.close()


def _msal(task: Task) -> Storm:
    import msal

    application = msal.ConfidentialClientApplication(
        task.client_id, client_credential=task.client_secret, oidc_authority=_AUTHORITY, http_client=_MsalHttp(task)
    )
    now = int(time.time())
    claims = {"iss": _AUTHORITY, "aud": task.client_id, "sub": "user", "exp": now + 999, "iat": now, "preferred_username": "user"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)]
    response = {
        "access_token": "fake-ended",
        "refresh_token": task.refresh_token,
        "expires_in": 1,
        "token_type": "Bearer",
        "scope": "read",
        "id_token": ".".join([*parts, ""]),
        "id_token_claims": claims,
    }
    application.token_cache.add(
        {"client_id": task.client_id, "scope": ["read"], "token_endpoint": f"{_AUTHORITY}/token", "response": response}
    )
    (account,) = application.get_accounts()

    def call() -> None:
        token = application.acquire_token_silent_with_error(["read"], account=account)
        if not token or "error" in token:
            raise RuntimeError("invalid_grant")

    def held() -> str:
        found = list(application.token_cache.search(msal.TokenCache.CredentialType.REFRESH_TOKEN))
        return found[-1]["secret"] if found else "fake-none"

    return lambda: (in_threads(call), held())


def _httpx_oauth(task: Task) -> Storm:
    from httpx import AsyncClient
    from httpx_oauth.oauth2 import BaseOAuth2

    class Client(BaseOAuth2):
        @asynccontextmanager
        async def get_httpx_client(self) -> AsyncIterator[AsyncClient]:
            async with AsyncClient(verify=False, timeout=30) as client:  # noqa: S501  # plain HTTP, so there is nothing to verify
                yield client

    held = {"token": task.refresh_token}
    endpoint = f"{task.url}/token"
    client = Client(task.client_id, task.client_secret, endpoint, endpoint, endpoint)

    async def call() -> None:
        held["token"] = (await client.refresh_token(held["token"]))["refresh_token"]

    return lambda: (asyncio.run(in_tasks(call)), held["token"])


def _botocore(task: Task) -> Storm:
    from botocore.credentials import RefreshableCredentials
    from requests import post

    held = {"token": task.refresh_token}

    def refresh() -> dict[str, str]:
        answer = post(f"{task.url}/token", data=_form(task, held["token"]), timeout=30)
        answer.raise_for_status()
        held["token"] = answer.json()["refresh_token"]
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": "fake", "secret_key": "fake", "token": answer.json()["access_token"], "expiry_time": ends}

    ended = datetime.now(UTC) - timedelta(seconds=10)
    credentials = RefreshableCredentials("fake", "fake", "fake-ended", ended, refresh, "oauth")
    return lambda: (in_threads(credentials.get_frozen_credentials), held["token"])


PEERS: dict[str, Callable[[Task], Storm]] = {
    "Authlib AsyncOAuth2Client, shared": _authlib_shared,
    "Authlib AsyncOAuth2Client, per request": _authlib_per_request,
    "Authlib OAuth2Client, shared": _authlib_sync,
    "requests-oauthlib OAuth2Session": _requests_oauthlib,
    "google-auth Credentials": _google_auth,
    "msal ConfidentialClientApplication": _msal,
    "httpx-oauth BaseOAuth2": _httpx_oauth,
    "botocore RefreshableCredentials": _botocore,
}
_MODULES = {
    "Authlib": ("authlib",),
    "requests-oauthlib": ("requests_oauthlib",),
    "google-auth": ("google", "google.auth", "requests"),
    "msal": ("msal",),
    "httpx-oauth": ("httpx_oauth",),
    "botocore": ("botocore", "requests"),
}


def is_installed(peer: str, /) -> bool:
    """Whether everything that *peer* takes can be imported."""
    return all(find_spec(module) is not None for module in _MODULES[peer.partition(" ")[0]])
