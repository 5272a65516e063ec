"""Live credentials in the clients that people already have, one file for each client.

Each object here names a manager, a tenant and an integration.  It asks the manager for a credential when one is needed, so it stays valid
by itself, and it holds no secret.  The packages of the clients are loaded when they are asked for, and none of them is a dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aiohttp import AiohttpMiddleware, aiohttp_middleware
    from .aws import boto3_session
    from .aws_endpoint import aws_environment
    from .http import AsyncHttpAuth, HttpAuth

_MODULES = {
    "AiohttpMiddleware": "aiohttp",
    "AsyncHttpAuth": "http",
    "HttpAuth": "http",
    "aiohttp_middleware": "aiohttp",
    "aws_environment": "aws_endpoint",
    "boto3_session": "aws",
}
"""The module of each name; `__getattr__` loads it."""

__all__ = ["AiohttpMiddleware", "AsyncHttpAuth", "HttpAuth", "aiohttp_middleware", "aws_environment", "boto3_session"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
