"""Live credentials in the clients that people already have, one file for each client.

Each object here names a manager, a tenant and an integration.  It asks the manager for a credential when one is needed, so it stays valid
by itself, and it holds no secret.  The packages of the clients are loaded when they are asked for, and none of them is a dependency.  Where
the extra of a name is not installed, importing the name raises `ImportError`, and `from cloud_integrations.clients import *` leaves it out.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aiobotocore import aiobotocore_session
    from .aiohttp import AiohttpMiddleware, aiohttp_middleware
    from .anthropic import anthropic_errors, async_anthropic_errors
    from .api_keys import ApiKey, AsyncApiKey, api_key, async_api_key
    from .aws import boto3_session
    from .azure import AsyncAzureCredential, AsyncAzurePolicy, AzureCredential, AzurePolicy, async_azure_credential, azure_credential
    from .credential_helpers import aws_process_credential, docker_credential, exec_credential, git_credential
    from .github import GithubAuth, github_auth
    from .githubkit import GithubkitAuth, async_githubkit_auth, githubkit_auth
    from .google import AsyncGoogleCredentials, GoogleCredentials, async_google_credentials, google_credentials
    from .grpc import AsyncGrpcInterceptor, GrpcInterceptor, GrpcPlugin, async_grpc_interceptors, grpc_interceptor, grpc_plugin
    from .http import AsyncHttpAuth, HttpAuth
    from .injector import injecting_environment
    from .kubernetes import KubernetesClient, kubernetes_client
    from .kubernetes_asyncio import AsyncKubernetesClient, async_kubernetes_client
    from .narrowing import async_narrowed, narrowed
    from .process_environment import aws_environment, environment
    from .sessions import AsyncSessionAuth, SessionAuth
    from .slack import AsyncSlackClient, SlackClient, async_slack_client, slack_client

_MODULES = {
    "AiohttpMiddleware": "aiohttp",
    "ApiKey": "api_keys",
    "AsyncApiKey": "api_keys",
    "AsyncAzureCredential": "azure",
    "AsyncAzurePolicy": "azure",
    "AsyncGoogleCredentials": "google",
    "AsyncGrpcInterceptor": "grpc",
    "AsyncHttpAuth": "http",
    "AsyncKubernetesClient": "kubernetes_asyncio",
    "AsyncSessionAuth": "sessions",
    "AsyncSlackClient": "slack",
    "AzureCredential": "azure",
    "AzurePolicy": "azure",
    "GithubAuth": "github",
    "GithubkitAuth": "githubkit",
    "GoogleCredentials": "google",
    "GrpcInterceptor": "grpc",
    "GrpcPlugin": "grpc",
    "HttpAuth": "http",
    "KubernetesClient": "kubernetes",
    "SessionAuth": "sessions",
    "SlackClient": "slack",
    "aiobotocore_session": "aiobotocore",
    "aiohttp_middleware": "aiohttp",
    "anthropic_errors": "anthropic",
    "api_key": "api_keys",
    "async_anthropic_errors": "anthropic",
    "async_api_key": "api_keys",
    "async_azure_credential": "azure",
    "async_githubkit_auth": "githubkit",
    "async_google_credentials": "google",
    "async_grpc_interceptors": "grpc",
    "async_kubernetes_client": "kubernetes_asyncio",
    "async_narrowed": "narrowing",
    "async_slack_client": "slack",
    "aws_environment": "process_environment",
    "aws_process_credential": "credential_helpers",
    "azure_credential": "azure",
    "boto3_session": "aws",
    "docker_credential": "credential_helpers",
    "environment": "process_environment",
    "exec_credential": "credential_helpers",
    "git_credential": "credential_helpers",
    "github_auth": "github",
    "githubkit_auth": "githubkit",
    "google_credentials": "google",
    "grpc_interceptor": "grpc",
    "grpc_plugin": "grpc",
    "injecting_environment": "injector",
    "kubernetes_client": "kubernetes",
    "narrowed": "narrowing",
    "slack_client": "slack",
}
"""The module of each name; `__getattr__` loads it."""
_EXTRAS = {
    "aiobotocore": "aiobotocore",
    "aiohttp": "aiohttp",
    "aws": "boto3",
    "azure": "azure",
    "github": "github",
    "githubkit": "githubkit",
    "google": "google",
    "grpc": "grpc",
    "kubernetes": "kubernetes",
    "kubernetes_asyncio": "kubernetes-asyncio",
    "slack": "slack",
}
"""The extra of a module that imports its package."""

if TYPE_CHECKING:
    __all__ = [
        "AiohttpMiddleware",
        "ApiKey",
        "AsyncApiKey",
        "AsyncAzureCredential",
        "AsyncAzurePolicy",
        "AsyncGoogleCredentials",
        "AsyncGrpcInterceptor",
        "AsyncHttpAuth",
        "AsyncKubernetesClient",
        "AsyncSessionAuth",
        "AsyncSlackClient",
        "AzureCredential",
        "AzurePolicy",
        "GithubAuth",
        "GithubkitAuth",
        "GoogleCredentials",
        "GrpcInterceptor",
        "GrpcPlugin",
        "HttpAuth",
        "KubernetesClient",
        "SessionAuth",
        "SlackClient",
        "aiobotocore_session",
        "aiohttp_middleware",
        "anthropic_errors",
        "api_key",
        "async_anthropic_errors",
        "async_api_key",
        "async_azure_credential",
        "async_githubkit_auth",
        "async_google_credentials",
        "async_grpc_interceptors",
        "async_kubernetes_client",
        "async_narrowed",
        "async_slack_client",
        "aws_environment",
        "aws_process_credential",
        "azure_credential",
        "boto3_session",
        "docker_credential",
        "environment",
        "exec_credential",
        "git_credential",
        "github_auth",
        "githubkit_auth",
        "google_credentials",
        "grpc_interceptor",
        "grpc_plugin",
        "injecting_environment",
        "kubernetes_client",
        "narrowed",
        "slack_client",
    ]


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [known for known in _MODULES if hasattr(sys.modules[__name__], known)]
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _MODULES[name]
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ImportError as error:
        if home not in _EXTRAS:
            raise
        from traceback import extract_stack  # noqa: PLC0415  # needed for this error only

        problem = f"{name} needs the extra {_EXTRAS[home]}: pip install 'cloud-integrations[{_EXTRAS[home]}]'"
        # In a `from` import Python would replace the text of an AttributeError with "cannot import name".
        if extract_stack(limit=2)[0].name == "_handle_fromlist":
            raise ImportError(problem, name=error.name) from error
        raise AttributeError(problem, name=name) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
