"""The environment of a child that uses the credentials of a session without seeing them."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloud_integrations.clients.process_environment import ProcessEnvironment, without_credentials
from cloud_integrations.ports.transport import StreamingTransport

from .authority import RunAuthority
from .server import ProxyServer
from .session import SessionInjector

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import Programs

    from .session import InjectingSession

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_AUTHORITIES: Final = (
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
"""Where programs look for the file of the authorities that they trust."""

_OF_AWS: Final = {
    # SDKs send nothing that they cannot sign; what they sign with these is signed anew.
    "AWS_ACCESS_KEY_ID": "SIGNEDBYTHEPROXY",
    "AWS_SECRET_ACCESS_KEY": "signed-by-the-proxy",
    # Checksums come after a body that is in parts of its own, each of them signed.
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull),
}
POLL: Final = 0.1
"""How often the proxy looks whether it is to end, in seconds."""


@contextmanager
def injecting_environment(
    session: InjectingSession, environ: Mapping[str, str] | None = None, *, transport: StreamingTransport | None = None
) -> Iterator[ProcessEnvironment]:
    """Give an environment for another process, whose HTTP requests get the credentials of *session*, which that process never sees.

    The environment names a proxy on 127.0.0.1 with a random password, and a file with the certificate of the proxy's own authority, which
    exists for this context alone.  The proxy reads each request, sends what the session allows, by https, with the credential, and refuses
    everything else; each refusal is in the audit log.  An answer that repeats the credential has stars in its place.

    *session* is a `Session` of `IntegrationManager.sessions`.  *environ* is what the environment is made from (this process's own, if left
    out), without variables that hold credentials of the session's providers.  *transport* sends the requests: an `HttpxTransport`, a new
    one if left out.  Threads answer, so the context may also be opened inside an event loop.

    Where the manager raises, the proxy answers with the code of the error: with status 503 if it is `retryable`, otherwise with 403; where
    the server gives no answer that can be passed on, with 502.
    Raises `ConfigurationError` for an awaiting session.
    """
    injector = SessionInjector(session)
    own = None
    if transport is None:
        from cloud_integrations.backends.transport.httpx_transport import HttpxTransport  # noqa: PLC0415  # an extra

        transport = own = HttpxTransport()
    try:
        with tempfile.TemporaryDirectory(prefix="cloud-integrations-") as folder:
            authority = RunAuthority(injector.names, life=injector.life)
            bundle = Path(folder, "authority.pem")
            bundle.write_text(authority.pem)
            with _serving(ProxyServer(injector, transport, authority, life=injector.life)) as url:
                yield _environment(os.environ if environ is None else environ, injector.programs, url, str(bundle))
    finally:
        if own is not None:
            own.close()


@contextmanager
def _serving(server: ProxyServer) -> Iterator[str]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL}, name="cloud-integrations-proxy", daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.connections.end()
            server.shutdown()
            thread.join()


def _environment(environ: Mapping[str, str], programs: Collection[Programs], url: str, bundle: str) -> ProcessEnvironment:
    made = ProcessEnvironment(without_credentials(environ, programs), is_renewed=True)
    for name in _PROXIES:
        made[name] = made[name.lower()] = url
    # Empty, and not left out: programs with a list of their own keep that where there is none.
    made["NO_PROXY"] = made["no_proxy"] = ""
    made.update(dict.fromkeys(_AUTHORITIES, bundle))
    if any(each.endpoint == "aws_container" for each in programs):
        made.update(_OF_AWS)
    # Node uses the variables above only where this asks for it.
    made["NODE_USE_ENV_PROXY"] = "1"
    return made
