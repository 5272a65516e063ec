"""What each client does to a request with its own static credential, and with the live one of this library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

from cloud_integrations import AsyncIntegrationManager, IntegrationManager
from cloud_integrations import clients as ours

from .host import TENANT

URL = "https://api.example.com/things"
TOKEN = "fake-token"  # noqa: S105  # of nobody
AUDIENCE = "https://management.azure.com"


class Pair(NamedTuple):
    """The same work with a static credential and with the live one."""

    static: Callable[[], Any]
    live: Callable[[], Any]


class Doors(NamedTuple):
    """Two managers, with a token of *slug* and a key of AWS."""

    manager: IntegrationManager
    awaiting: AsyncIntegrationManager
    slug: str


def _httpx_pair(doors: Doors, package: Any) -> Pair:
    class Static(package.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["Authorization"] = f"Bearer {TOKEN}"
            yield request

    request, response = package.Request("GET", URL), package.Response(200)

    def flow(auth: Any) -> Callable[[], None]:
        def run() -> None:
            steps = auth.sync_auth_flow(request)
            next(steps)
            try:
                steps.send(response)
            except StopIteration:
                return
            raise AssertionError("one request is enough")

        return run

    return Pair(flow(Static()), flow(doors.manager.auth(TENANT, doors.slug)))


def _awaited_httpx_pair(doors: Doors, package: Any) -> Pair:
    class Static(package.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["Authorization"] = f"Bearer {TOKEN}"
            yield request

    request, response = package.Request("GET", URL), package.Response(200)

    def flow(auth: Any) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            steps = auth.async_auth_flow(request)
            await anext(steps)
            try:
                await steps.asend(response)
            except StopAsyncIteration:
                return
            raise AssertionError("one request is enough")

        return run

    return Pair(flow(Static()), flow(doors.awaiting.auth(TENANT, doors.slug)))


def _requests_pair(doors: Doors, package: Any) -> Pair:
    class Static(package.auth.AuthBase):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = f"Bearer {TOKEN}"
            return request

    live, prepared = doors.manager.auth(TENANT, doors.slug), package.Request("GET", URL).prepare()

    def show(auth: Any) -> Callable[[], None]:
        def run() -> None:
            prepared.hooks["response"] = []
            auth(prepared)

        return run

    return Pair(show(Static()), show(live))


def _aiohttp_pair(doors: Doors, _package: Any) -> Pair:
    from multidict import CIMultiDict  # noqa: PLC0415  # of aiohttp
    from yarl import URL as Url  # noqa: N811, PLC0415  # of aiohttp, and there is a text of that name

    request = SimpleNamespace(method="GET", url=Url(URL), headers=CIMultiDict(), body=None)
    response = SimpleNamespace(status=200, headers={})

    async def handler(_request: Any) -> Any:
        return response

    async def static(request: Any, handler: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        return await handler(request)

    live: Any = ours.aiohttp_middleware(doors.awaiting, TENANT, doors.slug, origins=[URL])
    return Pair(lambda: static(request, handler), lambda: live(request, handler))


def _google_pair(doors: Doors, _package: Any) -> Pair:
    own = import_module("google.oauth2.credentials").Credentials(token=TOKEN)
    live = ours.google_credentials(doors.manager, TENANT, doors.slug)
    return Pair(lambda: own.before_request(None, "GET", URL, {}), lambda: live.before_request(None, "GET", URL, {}))


def _awaited_google_pair(doors: Doors, package: Any) -> Pair:
    own = package.StaticCredentials(token=TOKEN)
    live = ours.async_google_credentials(doors.awaiting, TENANT, doors.slug)
    return Pair(lambda: own.before_request(doors, "GET", URL, {}), lambda: live.before_request(live, "GET", URL, {}))


def _azure_pair(doors: Doors, package: Any) -> Pair:
    # azure-core keeps a token, so this is what an application that asks itself pays.
    ends, scope = int((datetime.now(UTC) + timedelta(days=1)).timestamp()), f"{AUDIENCE}/.default"

    class Static:
        def get_token_info(self, *_scopes: str, options: Any = None) -> Any:  # noqa: ARG002
            return package.AccessTokenInfo(TOKEN, ends)

    own, live = Static(), ours.azure_credential(doors.manager, TENANT, doors.slug)
    return Pair(lambda: own.get_token_info(scope, options={}), lambda: live.get_token_info(scope, options={}))


def _awaited_azure_pair(doors: Doors, package: Any) -> Pair:
    ends, scope = int((datetime.now(UTC) + timedelta(days=1)).timestamp()), f"{AUDIENCE}/.default"

    class Static:
        async def get_token_info(self, *_scopes: str, options: Any = None) -> Any:  # noqa: ARG002
            return package.AccessTokenInfo(TOKEN, ends)

    own, live = Static(), ours.async_azure_credential(doors.awaiting, TENANT, doors.slug)
    return Pair(lambda: own.get_token_info(scope, options={}), lambda: live.get_token_info(scope, options={}))


def _grpc_plugin_pair(doors: Doors, package: Any) -> Pair:
    class Static(package.AuthMetadataPlugin):  # type: ignore[misc]
        def __call__(self, context: Any, callback: Any) -> None:  # noqa: ARG002
            callback((("authorization", f"Bearer {TOKEN}"),), None)

    own, live = Static(), ours.grpc_plugin(doors.manager, TENANT, doors.slug)
    return Pair(lambda: own(None, _take), lambda: live(None, _take))


def _grpc_pair(doors: Doors, package: Any) -> Pair:
    details = SimpleNamespace(method="/a.B/C", timeout=None, metadata=None, credentials=None, wait_for_ready=None)
    call = SimpleNamespace(code=lambda: package.StatusCode.OK)

    class Static(package.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            shown = package.access_token_call_credentials(TOKEN)
            return continuation(SimpleNamespace(**{**vars(client_call_details), "credentials": shown}), request)

    own, live = Static(), ours.grpc_interceptor(doors.manager, TENANT, doors.slug)

    def intercept(interceptor: Any) -> Callable[[], Any]:
        return lambda: interceptor.intercept_unary_unary(lambda *_: call, details, b"")

    return Pair(intercept(own), intercept(live))


def _pygithub_pair(doors: Doors, package: Any) -> Pair:
    own, live = package.Auth.Token(TOKEN), ours.github_auth(doors.manager, TENANT, doors.slug)
    return Pair(lambda: own.authentication({}), lambda: live.authentication({}))


def _boto3_pair(doors: Doors, package: Any) -> Pair:
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415  # of boto3

    static = package.Session(aws_access_key_id="fake-id", aws_secret_access_key="fake-secret", region_name="us-east-1")  # noqa: S106
    live = ours.boto3_session(doors.manager, TENANT, region_name="us-east-1")

    def sign(session: Any) -> Callable[[], None]:
        client = session.client("sts")
        return lambda: client._request_signer.sign("GetCallerIdentity", _request(AWSRequest))  # noqa: SLF001  # what it does to each request

    return Pair(sign(static), sign(live))


def _aiobotocore_pair(doors: Doors, package: Any) -> Pair:
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415  # of aiobotocore

    static, live = package.AioSession(), ours.aiobotocore_session(doors.awaiting, TENANT)
    static.set_credentials("fake-id", "fake-secret")

    def sign(session: Any) -> Callable[[], Awaitable[None]]:
        clients: list[Any] = []

        async def run() -> None:
            if not clients:
                async with session.create_client("sts", region_name="us-east-1") as client:
                    clients.append(client)
            await clients[0]._request_signer.sign("GetCallerIdentity", _request(AWSRequest))  # noqa: SLF001  # as above

        return run

    return Pair(sign(static), sign(live))


def _kubernetes_pair(doors: Doors, package: Any) -> Pair:
    own = package.ApiClient(package.Configuration(host=URL, api_key={"BearerToken": f"Bearer {TOKEN}"}))
    live = ours.kubernetes_client(doors.manager, TENANT, doors.slug, server=URL)

    def show(client: Any) -> Callable[[], None]:
        return lambda: client.update_params_for_auth({}, [], ["BearerToken"], "/", "GET", None)

    return Pair(show(own), show(live))


def _awaited_kubernetes_pair(doors: Doors, package: Any) -> Pair:
    def show(make: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
        made: list[Any] = []

        async def run() -> None:
            if not made:
                made.append(await make())
                # What is measured opens no connection.
                await made[0].close()
            await made[0].update_params_for_auth({}, [], ["BearerToken"])

        return run

    async def own() -> Any:
        return package.ApiClient(package.Configuration(host=URL, api_key={"BearerToken": f"Bearer {TOKEN}"}))

    return Pair(show(own), show(lambda: ours.async_kubernetes_client(doors.awaiting, TENANT, doors.slug, server=URL)))


def _request(kind: Any) -> Any:
    return kind("POST", "https://sts.amazonaws.com/", data=b"")


def _take(_metadata: Any, error: Exception | None) -> None:
    if error is not None:
        raise error


class Client(NamedTuple):
    """A client by name: the module that it is in, and what is measured."""

    module: str
    pair: Callable[[Doors, Any], Pair]
    awaits: bool = False


CLIENTS = {
    "httpx": Client("httpx", _httpx_pair),
    "httpx, awaited": Client("httpx", _awaited_httpx_pair, awaits=True),
    "httpx2": Client("httpx2", _httpx_pair),
    "httpx2, awaited": Client("httpx2", _awaited_httpx_pair, awaits=True),
    "requests": Client("requests", _requests_pair),
    "aiohttp": Client("aiohttp", _aiohttp_pair, awaits=True),
    "google-auth": Client("google.auth", _google_pair),
    "google-auth, awaited": Client("google.auth.aio.credentials", _awaited_google_pair, awaits=True),
    "azure-core": Client("azure.core.credentials", _azure_pair),
    "azure-core, awaited": Client("azure.core.credentials", _awaited_azure_pair, awaits=True),
    "gRPC plugin": Client("grpc", _grpc_plugin_pair),
    "gRPC interceptor": Client("grpc", _grpc_pair),
    "PyGithub": Client("github", _pygithub_pair),
    "boto3": Client("boto3", _boto3_pair),
    "aiobotocore": Client("aiobotocore.session", _aiobotocore_pair, awaits=True),
    "kubernetes": Client("kubernetes.client", _kubernetes_pair),
    "kubernetes_asyncio": Client("kubernetes_asyncio.client", _awaited_kubernetes_pair, awaits=True),
}
