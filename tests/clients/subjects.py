"""The clients that show a bearer token, each made and used as its own documentation says; one entry each."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from .conftest import TENANT
from .grpc_front import by_async_grpc, by_grpc
from .packages import AIOHTTP, AZURE, GOOGLE, GRPC, HTTPX, KUBERNETES, REQUESTS
from .sdk_subjects import SDK_SUBJECTS
from .subject import Subject, auth


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


def by_azure(made, url, *policies):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    with PipelineClient(url, policies=[*policies, BearerTokenCredentialPolicy(made, f"{AUDIENCE}/.default")]) as client:
        return client.send_request(HttpRequest("GET", url), enforce_https=False, connection_verify=False).status_code


async def by_async_azure(made, url, *policies):
    from azure.core import AsyncPipelineClient
    from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    chain = [*policies, AsyncBearerTokenCredentialPolicy(made, f"{AUDIENCE}/.default")]
    async with AsyncPipelineClient(url, policies=chain) as client:
        return (await client.send_request(HttpRequest("GET", url), enforce_https=False)).status_code


def by_azure_with_policy(made, url):
    return by_azure(made, url, made.policy())


async def by_async_azure_with_policy(made, url):
    return await by_async_azure(made, url, made.policy())


def grpc_interceptor(manager, url):
    from cloud_integrations.clients import grpc_interceptor

    return grpc_interceptor(manager, TENANT, "simulated")


def async_grpc_interceptors(manager, url):
    from cloud_integrations.clients import async_grpc_interceptors

    return async_grpc_interceptors(manager, TENANT, "simulated")


def kubernetes_client(manager, url):
    from cloud_integrations.clients import kubernetes_client

    return kubernetes_client(manager, TENANT, "simulated", server=url)


def by_kubernetes(made, _url):
    from kubernetes.client import ApiException, CoreV1Api

    try:
        return CoreV1Api(made).list_namespace(_preload_content=False).status
    except ApiException as error:
        return error.status


AUDIENCE = "https://management.azure.com"
CLAIMS = urlsafe_b64encode(b'{"access_token": {"nbf": {"essential": true, "value": "1604106651"}}}').decode()
OF_AZURE = f'Bearer error="insufficient_claims", claims="{CLAIMS}"'
"""What Azure's resource providers answer where the access was revoked; of other 401s azure-core itself repeats nothing."""
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
    **({} if AZURE is None else {"azure with policy": Subject(make=azure_credential, send=by_azure_with_policy)}),
    **(
        {}
        if AZURE is None
        else {"azure with policy, claims": Subject(make=azure_credential, send=by_azure_with_policy, challenge=OF_AZURE)}
    ),
    **(
        {
            "azure.aio": Subject(make=async_azure_credential, send=by_async_azure, awaits=True, challenge=OF_AZURE),
            "azure.aio with policy": Subject(make=async_azure_credential, send=by_async_azure_with_policy, awaits=True),
            "azure.aio with policy, claims": Subject(
                make=async_azure_credential, send=by_async_azure_with_policy, awaits=True, challenge=OF_AZURE
            ),
        }
        if AZURE is not None and AIOHTTP is not None
        else {}
    ),
    **({} if GRPC is None else {"grpc": Subject(make=grpc_interceptor, send=by_grpc)}),
    **({} if GRPC is None else {"grpc.aio": Subject(make=async_grpc_interceptors, send=by_async_grpc, awaits=True)}),
    **({} if KUBERNETES is None else {"kubernetes": Subject(make=kubernetes_client, send=by_kubernetes)}),
    **SDK_SUBJECTS,
}
