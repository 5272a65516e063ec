"""Clients whose packages are missing: each name says which extra it needs, when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("aiohttp", "azure", "boto3", "botocore", "github", "google", "grpc"):
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
        ("aiohttp_middleware", "aiohttp"),
        ("azure_credential", "azure"),
        ("github_auth", "github"),
        ("google_credentials", "google"),
        ("grpc_plugin", "grpc"),
    ],
)
def test_a_name_says_which_extra_it_needs(name, extra):
    ran = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{name} needs the extra {extra}: pip install 'cloud-integrations[{extra}]'"
