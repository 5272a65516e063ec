"""The authorization server as tests start it, and its provider file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from cloud_integrations import Provider

from .authorization_server import AuthorizationServer, NodeMissingError, find_node


@contextmanager
def running_server(*, access_token_lifetime: timedelta = timedelta(minutes=5), **options: Any) -> Iterator[AuthorizationServer]:
    """Give a server that runs; without Node.js the test is skipped, and fails where CI is set."""
    try:
        find_node()
    except NodeMissingError as error:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(str(error))
    with AuthorizationServer(access_token_lifetime=access_token_lifetime, **options) as running:
        yield running


def provider_of(server: AuthorizationServer, **method: Any) -> Provider:
    """Describe the server as an operator would in a provider file; *method* has further fields of its method."""
    return Provider.model_validate({
        "id": "real_server",
        "name": "A real server",
        "loopback": True,
        "methods": [
            {
                "id": "code",
                "kind": "code",
                "authorize_url": server.endpoints.authorization,
                "token_url": server.endpoints.token,
                "issuer": server.issuer,
                "callback": {"issuer": "required"},
                "client_auth": ["basic"],
                "scopes": {"default": ["openid", "email", "read"]},
                "refresh_token": {"rotates": "always", "reuse": "strict"},
                "revoke": {"url": server.endpoints.revocation, "kills": "grant"},
                **method,
            }
        ],
        "verifications": [{"url": server.endpoints.userinfo, "identity": ["json:sub"], "label": ["json:email"]}],
    })  # fmt: skip
