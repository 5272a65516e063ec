"""Clients whose packages are missing: each name says which extra it needs, when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PACKAGES = (
    *("aiobotocore", "aiohttp", "anthropic", "azure", "boto3", "botocore", "github", "githubkit", "google", "grpc"),
    *("httpx", "httpx2", "kubernetes", "kubernetes_asyncio", "openai", "slack_sdk"),
)
PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import cloud_integrations.clients as clients
assert not hasattr(clients, sys.argv[1])
assert "HttpAuth" in clients.__all__ and sys.argv[1] not in clients.__all__
assert sys.argv[1] in dir(clients)
try:
    exec(f"from cloud_integrations.clients import {sys.argv[1]}")
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("aiobotocore_session", "aiobotocore"),
        ("aiohttp_middleware", "aiohttp"),
        ("azure_credential", "azure"),
        ("boto3_session", "boto3"),
        ("github_auth", "github"),
        ("githubkit_auth", "githubkit"),
        ("google_credentials", "google"),
        ("grpc_plugin", "grpc"),
        ("async_kubernetes_client", "kubernetes-asyncio"),
        ("kubernetes_client", "kubernetes"),
        ("slack_client", "slack"),
    ],
)
def test_a_name_says_which_extra_it_needs(name, extra):
    ran = subprocess.run([sys.executable, "-c", PROGRAM, name, *PACKAGES], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{name} needs the extra {extra}: pip install 'cloud-integrations[{extra}]'"


@pytest.mark.parametrize("name", ["anthropic_errors", "api_key", "async_anthropic_errors", "async_api_key"])
def test_a_name_that_needs_no_package_imports_none(name):
    program = PROGRAM.partition("assert")[0] + "assert callable(getattr(clients, sys.argv[1])) and sys.argv[1] in clients.__all__"
    subprocess.run([sys.executable, "-c", program, name, *PACKAGES], check=True)
