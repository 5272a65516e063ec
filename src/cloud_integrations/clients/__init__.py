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
    from .aiohttp import AiohttpMiddleware, aiohttp_middleware
    from .aws import boto3_session
    from .aws_endpoint import aws_environment
    from .azure import AsyncAzureCredential, AzureCredential, async_azure_credential, azure_credential
    from .github import GithubAuth, github_auth
    from .google import AsyncGoogleCredentials, GoogleCredentials, async_google_credentials, google_credentials
    from .grpc import GrpcPlugin, grpc_plugin
    from .http import AsyncHttpAuth, HttpAuth

_MODULES = {
    "AiohttpMiddleware": "aiohttp",
    "AsyncAzureCredential": "azure",
    "AsyncGoogleCredentials": "google",
    "AsyncHttpAuth": "http",
    "AzureCredential": "azure",
    "GithubAuth": "github",
    "GoogleCredentials": "google",
    "GrpcPlugin": "grpc",
    "HttpAuth": "http",
    "aiohttp_middleware": "aiohttp",
    "async_azure_credential": "azure",
    "async_google_credentials": "google",
    "aws_environment": "aws_endpoint",
    "azure_credential": "azure",
    "boto3_session": "aws",
    "github_auth": "github",
    "google_credentials": "google",
    "grpc_plugin": "grpc",
}
"""The module of each name; `__getattr__` loads it."""
_EXTRAS = {"aiohttp": "aiohttp", "azure": "azure", "github": "github", "google": "google", "grpc": "grpc"}
"""The extra of a module that imports one at once; `boto3_session` names its own."""

if TYPE_CHECKING:
    __all__ = [
        "AiohttpMiddleware",
        "AsyncAzureCredential",
        "AsyncGoogleCredentials",
        "AsyncHttpAuth",
        "AzureCredential",
        "GithubAuth",
        "GoogleCredentials",
        "GrpcPlugin",
        "HttpAuth",
        "aiohttp_middleware",
        "async_azure_credential",
        "async_google_credentials",
        "aws_environment",
        "azure_credential",
        "boto3_session",
        "github_auth",
        "google_credentials",
        "grpc_plugin",
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
