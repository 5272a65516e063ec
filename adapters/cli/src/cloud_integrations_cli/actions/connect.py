"""Connecting by OAuth2 from a terminal: the browser goes to the provider, and its answer comes back here (RFC 8252)."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import sys
import webbrowser
from collections.abc import Generator, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import Authorization, AuthType, Connected, IntegrationManager, Secret
from cloud_integrations.errors import ConfigurationError, GrantRefusedError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration, is_loopback

from .integrations import read_variables, replace_key, show_integration

_MAX_URL = 16_384
Params = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the browser goes and comes back."""

    browser: bool = True
    port: int | None = None
    paste: bool = False
    wait: int = 300


def connect(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    tenant: str,
    provider: str,
    name: str | None,
    scopes: Sequence[str],
    variables: Sequence[str],
    way: Way,
) -> None:
    """Connect a provider that the tenant does not have yet."""
    given = read_variables(variables)
    with _ready(screen, configuration, way) as (manager, listener):
        entry = wiring.find_provider(configuration, provider)
        begun = manager.begin_oauth(tenant, entry.id, name=name or entry.name, scopes=tuple(scopes), variables=given)
        connected = _finish(screen, manager, listener, begun, way)
        screen.note("connected")
        _say_shared(screen, connected)
        show_integration(screen, manager, connected.integration)


def reconnect(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    which: str,
    /,
    *,
    scopes: Sequence[str],
    way: Way,
    api_key_file: Path | None,
    api_key_stdin: bool,
    secret_key_file: Path | None,
) -> None:
    """Connect an integration again: in a browser, or with a new API key."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which)
        if integration.auth_type is AuthType.API_KEY:
            replace_key(
                screen,
                configuration,
                manager,
                integration,
                api_key_file=api_key_file,
                api_key_stdin=api_key_stdin,
                secret_key_file=secret_key_file,
            )
            return
    with _ready(screen, configuration, way) as (manager, listener):
        begun = manager.begin_reconnect(tenant, integration.id, scopes=tuple(scopes))
        connected = _finish(screen, manager, listener, begun, way)
        screen.note("reconnected" + (", and it is another account than before" if connected.account_changed else ""))
        _say_shared(screen, connected)
        show_integration(screen, manager, connected.integration)


def _say_shared(screen: Screen, connected: Connected, /) -> None:
    if connected.shared:
        screen.note("another tenant's integration holds the same token: deleting one of the two does not revoke it")


@contextmanager
def _ready(screen: Screen, configuration: Configuration, way: Way) -> Generator[tuple[IntegrationManager, Listener | None]]:
    """Give a manager whose callback address is one where this process listens; no listener where the address is to be pasted."""
    if way.paste and way.port is not None:
        raise CommandLineError("--paste and --port exclude each other")
    configured = urlsplit(configuration.callback)
    if way.paste or (way.port is None and not is_loopback(configuration.callback)):
        screen.note(f"the provider sends the browser to {configured.netloc}, so the address is to be pasted here")
        with wiring.open_manager(configuration) as manager:
            yield manager, None
        return
    port = (configured.port or 80) if way.port is None else way.port
    host = configured.hostname if is_loopback(configuration.callback) and configured.hostname != "::1" else "127.0.0.1"
    with Listener(port) as listener:
        callback_url = f"http://{host}:{listener.port}{configured.path}"
        # A front end's own redirect URI would lead the browser elsewhere.
        applications = [replace(application, redirect_uris=()) for application in configuration.oauth_applications()]
        with wiring.open_manager(configuration, callback_url=callback_url, applications=applications) as manager:
            yield manager, listener


def _finish(screen: Screen, manager: IntegrationManager, listener: Listener | None, begun: Authorization, way: Way) -> Connected:
    if listener is not None:
        listener.expect(urlsplit(begun.redirect_uri).path, begun.state)
    opened = way.browser and webbrowser.open(begun.url)
    screen.note("continue in the browser" if opened else f"open this address in a browser:\n\n{begun.url}\n")
    params = _pasted() if listener is None else listener.wait(way.wait)
    try:
        connected = manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
    except BaseException:
        if listener is not None:
            listener.answer(connected=False)
        raise
    if listener is not None:
        listener.answer(connected=True)
    return connected


def _pasted() -> Params:
    # It holds the code, so it is not echoed.
    question = "the whole address where the browser ended (hidden): "
    text = getpass.getpass(question, stream=sys.stderr) if sys.stdin.isatty() else sys.stdin.readline()
    return parse_qsl(urlsplit(text.strip()[:_MAX_URL]).query, keep_blank_values=True)


class Listener:
    """Waits on 127.0.0.1 for the one request that brings the awaited state; everything else is refused and changes nothing."""

    def __init__(self, port: int, /) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError:
            raise ConfigurationError(setting=f"port {port}", problem="of 127.0.0.1 is in use; use another --port, or --paste") from None
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def expect(self, path: str, state: Secret, /) -> None:
        """Say which request is awaited."""
        self._server.awaited = (path, state)

    def wait(self, seconds: float, /) -> Params:
        """Return the parameters that came, or raise `GrantRefusedError`."""
        try:
            return self._server.arrived.result(timeout=seconds)
        except FutureTimeoutError:
            raise GrantRefusedError(reason="no_callback_in_time") from None

    def answer(self, *, connected: bool) -> None:
        """Tell the waiting browser how it went."""
        self._server.outcome.set_result(connected)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._server.outcome.done():
            self._server.outcome.set_result(False)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


# Nobody listens any more when the page is there, so the address is cleaned of code and state without another request.
_CLEAN = 'history.replaceState(null,"",location.pathname)'
_CLEAN_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(_CLEAN.encode()).digest()).decode()}'"


class _Server(ThreadingHTTPServer):
    # The answer that tells the browser how it went is waited for; a connection that says nothing ends by its time limit.
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.awaited: tuple[str, Secret] | None = None
        self.arrived: Future[Params] = Future()
        self.outcome: Future[bool] = Future()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server_version = "cloud-integrations"
    sys_version = ""
    _texts: ClassVar[dict[int, tuple[str, str]]] = {
        200: ("Connected", "You can close this window and go back to the terminal."),
        400: ("Not connected", "The terminal says why."),
        404: ("Not here", "This address waits for a provider's answer, and this was not it."),
    }

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101  # for the type checker: nobody else makes handlers
        url = urlsplit(self.path)
        params = parse_qsl(url.query[:_MAX_URL], keep_blank_values=True)
        if server.awaited is None or not _is_awaited(url.path, params, *server.awaited):
            self._show(404)
            return
        with suppress(InvalidStateError):  # the same address once more: the first one counts, and both see how it went
            server.arrived.set_result(params)
        self._show(200 if server.outcome.result() else 400)

    def _show(self, status: int) -> None:
        title, text = (escape(part) for part in self._texts[status])
        body = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{title}</title></head><body><h1>{title}</h1><p>{text}</p><script>{_CLEAN}</script></body></html>"
        ).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": f"default-src 'none'; script-src {_CLEAN_HASH}; frame-ancestors 'none'; base-uri 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        """Say nothing: the address holds the code."""


def _is_awaited(path: str, params: Params, expected_path: str, state: Secret) -> bool:
    given = [value for name, value in params if name == "state"]
    return path == expected_path and len(given) == 1 and hmac.compare_digest(given[0].encode(), state.reveal().encode())
