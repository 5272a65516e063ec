"""Connecting by OAuth2 from a terminal: by the browser, whose answer comes back here (RFC 8252), or by device code (RFC 8628)."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import sys
import webbrowser
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shlex import quote
from threading import Event, Thread
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import Authorization, AuthType, Connected, DeviceAuthorization, IntegrationManager, Provider, Secret
from cloud_integrations.documents import SetupOut
from cloud_integrations.errors import ConfigurationError, GrantRefusedError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import can_ask
from cloud_integrations_cli.render import Screen, moment, timestamp
from cloud_integrations_cli.settings import Configuration, is_loopback

from .guides import print_guide
from .integrations import Entering, add, read_variables, replace_inputs, show_integration
from .providers import open_catalogue

_MAX_URL = 16_384
_SHOW_WITHIN = 10.0
Params = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the browser is opened, and how its answer comes back; *wait* is in seconds.  With *device* it may be any browser."""

    browser: bool = True
    port: int | None = None
    paste: bool = False
    wait: int = 300
    device: bool = False


def connect(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    tenant: str,
    provider: str,
    slot: str,
    name: str | None,
    method: str | None,
    scopes: Sequence[str],
    variables: Sequence[str],
    way: Way,
) -> None:
    """Connect a provider that the tenant does not have yet."""
    given = read_variables(variables)
    if way.device:
        _require_alone(way)
        entry = wiring.find_provider(configuration, provider)
        with wiring.open_manager(configuration) as manager:
            shown = manager.begin_device(
                tenant, entry.id, slot=slot, name=name or entry.name, scopes=tuple(scopes), method=method, variables=given
            )
            _say_connected(screen, manager, _wait_for_device(screen, manager, tenant, shown))
        return
    entry = wiring.find_provider(configuration, provider)
    method = method or _only_setup(configuration, entry)
    _require_platform(configuration, entry, method)
    if method is not None and (known := entry.method_named(method)) is not None and known.made_inputs:
        _begin_setup(screen, configuration, tenant, entry, slot=slot, name=name, method=method, variables=given)
        return
    with _ready(screen, configuration, way) as (manager, listener):
        begun = manager.begin_oauth(
            tenant, entry.id, slot=slot, name=name or entry.name, scopes=tuple(scopes), method=method, variables=given
        )
        _say_connected(screen, manager, _finish(screen, manager, listener, begun, way))


def _only_setup(configuration: Configuration, entry: Provider) -> str | None:
    """Return the method that is set up at a provider which nobody connects in a browser; None: there is a browser, or no such method."""
    summary = open_catalogue(configuration).get_provider(entry.id)
    if AuthType.OAUTH2 in summary.auth_types:
        return None
    return next((known.id for known in entry.methods if known.made_inputs), None)


def _require_platform(configuration: Configuration, entry: Provider, asked: str | None) -> None:
    """Raise `ConfigurationError` if the method needs a credential of the operator's that the settings do not have."""
    configured = (application.method_id for application in configuration.applications if application.provider == entry.id)
    method = entry.method_named(asked or next(configured, None) or "")
    if method is not None and method.uses_platform and entry.id not in configuration.platform:
        problem = "is missing: this method needs a credential of your own at this provider"
        raise ConfigurationError(setting=f"platform.{entry.id}", problem=problem)


def _begin_setup(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    entry: Provider,
    *,
    slot: str,
    name: str | None,
    method: str,
    variables: Mapping[str, str],
) -> None:
    """Show what the tenant sets up at the provider; the same values come again until the setup is completed."""
    with wiring.open_manager(configuration) as manager:
        begun = manager.begin_setup(tenant, entry.id, slot=slot, name=name or entry.name, method=method, variables=variables)
    if screen.as_json:
        screen.json({"data": SetupOut.of(begun).as_json()})
        return
    facts = {"Integration": str(begun.integration_id), "Trust": begun.principal or "(settings: platform.principal)"}
    facts |= {made.replace("_", " ").capitalize(): value.reveal() for made, value in begun.made.items()}
    screen.facts(facts | {"Until": moment(begun.expires_at)})
    if begun.guide is not None:
        screen.text("")
        print_guide(screen, begun.guide)
    asked = " ".join(f"--input {given}=…" for given in begun.inputs)
    where = f" --slot {slot}" if slot else ""
    later = f"cloud-integrations integrations add {entry.id} --method {method} --tenant {quote(tenant)}{where} {asked}"
    if not can_ask():
        screen.note(f"\nthen: {later}")
        return
    screen.note(f"\nWhen it is set up, enter what the provider shows. Later: Ctrl-C now, and then {later}")
    entering = Entering(method=method, inputs=(), api_key_file=None, api_key_stdin=False, secret_key_file=None)
    add(screen, configuration, tenant=tenant, provider=entry.id, slot=slot, name=None, variables=(), entering=entering)


def reconnect(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    which: str,
    /,
    *,
    slot: str,
    scopes: Sequence[str],
    way: Way,
    entering: Entering,
) -> None:
    """Connect an integration again: in a browser, or with new values."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which, slot=slot)
        if integration.auth_type is AuthType.API_KEY:
            replace_inputs(screen, configuration, manager, integration, entering)
            return
    if entering.inputs or entering.ends_at is not None:
        raise CommandLineError("this integration is connected in a browser, and takes no --input and no --ends-at")
    if way.device:
        _require_alone(way)
        with wiring.open_manager(configuration) as manager:
            shown = manager.begin_device_reconnect(tenant, integration.id, scopes=tuple(scopes), method=entering.method)
            _say_reconnected(screen, manager, _wait_for_device(screen, manager, tenant, shown))
        return
    with _ready(screen, configuration, way) as (manager, listener):
        begun = manager.begin_reconnect(tenant, integration.id, scopes=tuple(scopes), method=entering.method)
        _say_reconnected(screen, manager, _finish(screen, manager, listener, begun, way))


def _require_alone(way: Way, /) -> None:
    if way.paste or way.port is not None:
        raise CommandLineError("--device excludes --paste and --port")


def _wait_for_device(screen: Screen, manager: IntegrationManager, tenant: str, shown: DeviceAuthorization, /) -> Connected:
    """Show where to enter which code, and wait until the person has decided or the code has ended."""
    page, code = shown.verification_uri, shown.user_code.reveal()
    lines = [f"open this address in a browser:\n\n{page}\n", f"and enter this code, which ends at {moment(shown.expires_at)}:\n\n{code}\n"]
    if shown.verification_uri_complete is not None:
        lines.append(f"or open this one, and compare the code:\n\n{shown.verification_uri_complete}\n")
    facts = {
        "userCode": code,
        "verificationUri": page,
        "verificationUriComplete": shown.verification_uri_complete,
        "expiresAt": timestamp(shown.expires_at),
        "scopes": list(shown.scopes),
    }
    asked = f"it asks for: {' '.join(shown.scopes)}" if shown.scopes else ""
    screen.progress(facts, "\n".join([*lines, *filter(None, [asked])]))
    return manager.wait_for_device(tenant, shown.authorization_id)


def _say_connected(screen: Screen, manager: IntegrationManager, connected: Connected, /) -> None:
    screen.note("connected")
    _say_shared(screen, connected)
    show_integration(screen, manager, connected.integration)


def _say_reconnected(screen: Screen, manager: IntegrationManager, connected: Connected, /) -> None:
    screen.note("reconnected" + (", and it is another account than before" if connected.account_changed else ""))
    _say_shared(screen, connected)
    show_integration(screen, manager, connected.integration)


def _say_shared(screen: Screen, connected: Connected, /) -> None:
    if connected.shared:
        screen.note("another tenant's integration holds the same token: deleting one of the two does not revoke it")
    if connected.grants is not None:
        held, most = connected.grants.held, connected.grants.most
        screen.note(f"this tenant holds {held} grants of this account; the provider lets {most} live, and a further one ends the oldest")


@contextmanager
def _ready(screen: Screen, configuration: Configuration, way: Way) -> Generator[tuple[IntegrationManager, Listener | None]]:
    """Give a manager whose callback address this process listens on, with the listener; None where the address is to be pasted."""
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
        # The redirect URI of a front end would lead the browser elsewhere.
        applications = [replace(application, redirect_uris=()) for application in configuration.oauth_applications()]
        with wiring.open_manager(configuration, callback_url=callback_url, applications=applications) as manager:
            yield manager, listener


def _finish(screen: Screen, manager: IntegrationManager, listener: Listener | None, begun: Authorization, way: Way) -> Connected:
    if listener is not None:
        listener.expect(urlsplit(begun.redirect_uri).path, begun.state)
    opened = way.browser and webbrowser.open(begun.url)
    until = "" if begun.open_before is None else f" before {moment(begun.open_before)}"
    screen.note("continue in the browser" if opened else f"open this address in a browser{until}:\n\n{begun.url}\n")
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
    # The address holds the code, so it is not echoed.
    question = "the whole address where the browser ended (hidden): "
    text = getpass.getpass(question, stream=sys.stderr) if sys.stdin.isatty() else sys.stdin.readline()
    return parse_qsl(urlsplit(text.strip()[:_MAX_URL]).query, keep_blank_values=True)


class Listener:
    """Waits on 127.0.0.1 for the one request with the expected state; every other request is refused.  Raises `ConfigurationError`."""

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
        """Set the path and the state of the expected request."""
        self._server.awaited = (path, state)

    def wait(self, seconds: float, /) -> Params:
        """Return the parameters of the expected request; raises `GrantRefusedError` when it has not come within *seconds*."""
        try:
            return self._server.arrived.result(timeout=seconds)
        except FutureTimeoutError:
            raise GrantRefusedError(reason="no_callback_in_time") from None

    def answer(self, *, connected: bool) -> None:
        """Answer the waiting browser."""
        self._server.outcome.set_result(connected)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._server.outcome.done():
            self._server.outcome.set_result(False)
        self._server.shutdown()
        self._server.server_close()
        if self._server.arrived.done():
            # The process may end now, and with it the thread that writes the page.
            self._server.shown.wait(_SHOW_WITHIN)
        self._thread.join()


# When the page is shown nobody listens any more, so a script removes code and state from the address without a request.
_CLEAN = 'history.replaceState(null,"",location.pathname)'
_CLEAN_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(_CLEAN.encode()).digest()).decode()}'"


class _Server(ThreadingHTTPServer):
    # No connection keeps the process from ending: a browser may open one and send nothing.
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.awaited: tuple[str, Secret] | None = None
        self.arrived: Future[Params] = Future()
        self.outcome: Future[bool] = Future()
        self.shown = Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a browser may go away."""


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
        assert isinstance(server, _Server)  # noqa: S101  # for the type checker: only _Server makes handlers
        url = urlsplit(self.path)
        params = parse_qsl(url.query[:_MAX_URL], keep_blank_values=True)
        if server.awaited is None or not _is_awaited(url.path, params, *server.awaited):
            self._show(404)
            return
        with suppress(InvalidStateError):  # the same address again: the first request counts, and both get the same answer
            server.arrived.set_result(params)
        try:
            self._show(200 if server.outcome.result() else 400)
        finally:
            server.shown.set()

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
        """Log nothing: the address holds the code."""


def _is_awaited(path: str, params: Params, expected_path: str, state: Secret) -> bool:
    given = [value for name, value in params if name == "state"]
    return path == expected_path and len(given) == 1 and hmac.compare_digest(given[0].encode(), state.reveal().encode())
