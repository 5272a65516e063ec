"""The clients that are installed: all of them, but in the sessions `httpx` and `httpx2`, which have one alone."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

HTTPX = {name: import_module(name) for name in ("httpx", "httpx2") if find_spec(name)}
REQUESTS = import_module("requests") if find_spec("requests") else None
AIOHTTP = import_module("aiohttp") if find_spec("aiohttp") else None
GOOGLE = import_module("google.auth") if find_spec("google") and find_spec("google.auth") else None
AZURE = import_module("azure.core") if find_spec("azure") and find_spec("azure.core") else None
GRPC = import_module("grpc") if find_spec("grpc") else None
GITHUB = import_module("github") if find_spec("github") else None
