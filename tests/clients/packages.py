"""The clients that are installed: all of them in the session `clients`, one HTTP client alone in `httpx` and `httpx2`."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

ALL = "CI_ALL_CLIENTS" in os.environ
"""Whether a client that is missing is an error."""


def _load(name: str) -> ModuleType | None:
    """Return the module *name*; None: it is not installed, nor is a package that it is in."""
    packages = [name.rsplit(".", depth)[0] for depth in range(name.count("."), -1, -1)]
    return import_module(name) if ALL or all(find_spec(package) for package in packages) else None


HTTPX = {name: package for name in ("httpx", "httpx2") if (package := _load(name)) is not None}
REQUESTS = _load("requests")
AIOHTTP = _load("aiohttp")
GOOGLE = _load("google.auth")
AZURE = _load("azure.core")
GRPC = _load("grpc")
GITHUB = _load("github")
ANTHROPIC = _load("anthropic")
GITHUBKIT = _load("githubkit")
MCP = _load("mcp")
OPENAI = _load("openai")
SLACK = _load("slack_sdk")
KUBERNETES = _load("kubernetes")
KUBERNETES_ASYNCIO = _load("kubernetes_asyncio")
