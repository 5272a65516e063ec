"""Other processes: an environment in which AWS's SDKs and tools find the keys of an integration, and others when those end.

The SDKs ask an endpoint on loopback, as they ask the one of a container.  Source:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast
from uuid import UUID

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import CloudIntegrationsError

from .aws_keys import LEAST_LIFE, AwsKeys
from .source import CredentialSource, Manager, Named

_log = logging.getLogger("cloud_integrations")

_ASK_AGAIN: Final = timedelta(minutes=20)
"""When a key without an end is asked for again: SDKs begin 15 minutes before, so a key that was replaced is seen 5 minutes later."""
_PATH: Final = "/credentials"
_REMOVED: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_BEARER: Final = "AWS_BEARER_TOKEN"
# Files of the user, in which SDKs look for keys before they ask an endpoint.
_FILES: Final = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG")


class ProcessEnvironment(Named, dict[str, str]):
    """Environment variables for another process; shows their names alone, and cannot be pickled."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(self))})"


@contextmanager
def aws_environment(
    manager: Manager,
    tenant_id: str,
    provider: str | UUID = "aws",
    *,
    slot: str = "",
    region_name: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[ProcessEnvironment]:
    """Give an environment for another process, whose AWS SDK asks here for the keys of one integration as long as the context is open.

    *manager* is an `IntegrationManager`; *provider* and *slot* are as in its `credential`; *region_name* is the region of the process.
    *environ* is what the environment is made from (this process's own, if left out), without the variables and files in which the SDK
    would find other keys.  The keys come from an endpoint on 127.0.0.1 that asks for a random token, which is in the environment.
    Threads answer, so the context may also be opened inside an event loop.  Each answer is a use in the audit log.

    Where the manager raises, the endpoint answers with the code of the error: with status 503 if it is `retryable`, otherwise with 403.
    Raises `ValidationFailedError` for a name that cannot be one, and `ConfigurationError` for an awaiting manager.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    token = secrets.token_urlsafe(32)
    with _Server(source, token) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="cloud-integrations-aws", daemon=True)
        thread.start()
        try:
            yield _environment(os.environ if environ is None else environ, server.url, token, region_name)
        finally:
            server.is_open = False
            server.shutdown()
            thread.join()


def _environment(environ: Mapping[str, str], url: str, token: str, region_name: str | None) -> ProcessEnvironment:
    made = ProcessEnvironment({name: text for name, text in environ.items() if name not in _REMOVED and not name.startswith(_BEARER)})
    made.update(dict.fromkeys(_FILES, os.devnull))
    made["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url
    made["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
    # An SDK that gets no keys from the endpoint would go on to those of the machine.
    made["AWS_EC2_METADATA_DISABLED"] = "true"
    if region_name is not None:
        made |= {"AWS_REGION": region_name, "AWS_DEFAULT_REGION": region_name}
    return made


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, source: CredentialSource, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.source = source
        self.token = token.encode()
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}{_PATH}"
        self.is_open = True

    def answer(self, path: str, headers: Any) -> tuple[int, dict[str, str | None]]:
        """Return the status and the document of the answer to a request."""
        # Pages in a browser reach loopback by a name of their own (DNS rebinding).
        if headers.get("Host") != self.host:
            return 403, _refusal("endpoint/host")
        if not hmac.compare_digest(headers.get("Authorization", "").encode(), self.token):
            return 401, _refusal("endpoint/token")
        if path != _PATH:
            return 404, _refusal("endpoint/path")
        try:
            return 200, _document(self.source.credential(min_ttl=LEAST_LIFE))
        except CloudIntegrationsError as error:
            return 503 if error.retryable else 403, _refusal(error.code, error.message)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # as the standard library calls it
        """Log what went wrong; a client that went away is no error."""
        if not isinstance(sys.exception(), OSError):
            _log.warning("a request for AWS keys was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        status, document = server.answer(self.path, self.headers)
        if not server.is_open:
            return
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the standard library calls it
        """Write nothing to stderr, which is the application's."""


def _refusal(code: str, message: str = "this request is not answered") -> dict[str, str | None]:
    return {"code": code, "message": message}


def _document(credential: Credential) -> dict[str, str | None]:
    keys = AwsKeys.of(credential)
    return {
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret.reveal(),
        "Token": "" if keys.token is None else keys.token.reveal(),
        "Expiration": (credential.expires_at or datetime.now(UTC) + _ASK_AGAIN).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
