"""`serve`: the reference host on uvicorn, with or without a simulated provider."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn
from uuid import UUID

from fastapi import FastAPI

from cloud_integrations import Actor, AsyncIntegrationManager, Catalogue, LocalKeyring, PrometheusMetrics, Secret
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.testing import ProviderServer, SimulatedProvider
from cloud_integrations_cli import wiring
from cloud_integrations_cli.files import write_private
from cloud_integrations_cli.listening import Listening, bind
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import BuiltConfiguration, Configuration, is_loopback
from cloud_integrations_cli.settings_parts import RateLimits, ServeToken
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, new_token, token_hash
from cloud_integrations_fastapi.request_ids import NAMES_REQUESTS

from .db import migrate_database
from .demo_tenants import fill

DEMO_TENANT = "acme"


class UntilSignal(Listening):
    """A server that runs until SIGINT or SIGTERM; neither is an error."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop gracefully at the first signal, and at once at the second."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def run(screen: Screen, configuration: Configuration, /, *, host: str | None, port: int | None) -> None:
    """Serve as the settings say, until interrupted."""
    changes = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    configuration = configuration.model_copy(update=changes)
    _check_permissions(configuration)
    _prepare()
    with bind(configuration.host, configuration.port) as bound:
        configuration = configuration.model_copy(update={"port": bound.getsockname()[1]})
        asyncio.run(_serve(configuration, bound, partial(_tell_ready, screen, configuration)))


def _tell_ready(screen: Screen, configuration: Configuration) -> None:
    if screen.as_json:
        screen.json({"url": configuration.bound_url, "publicUrl": configuration.base_url})
    else:
        screen.note(f"serving {configuration.bound_url} (stop with Ctrl-C)")
        if configuration.base_url != configuration.bound_url:
            screen.note(f"browsers, and the callbacks of providers, are sent to public_url: {configuration.base_url}")
        if not configuration.tokens:
            screen.note("nobody can sign in yet: `cloud-integrations tokens generate` makes a token")
        if is_loopback(configuration.base_url) and configuration.host not in {"127.0.0.1", "localhost", "::1"}:
            screen.note("warning: others can reach this address without TLS; put a proxy before it and set public_url")


async def _serve(configuration: Configuration, bound: socket.socket, ready: Callable[[], None]) -> None:
    metrics = PrometheusMetrics()
    async with wiring.open_async_manager(configuration, telemetry=[metrics]) as manager:
        app = build_app(
            manager,
            tokens=Tokens({entry.sha256: _access_of(entry) for entry in configuration.tokens}),
            sessions=Sessions(seconds=configuration.session_hours * 3600),
            base_url=configuration.base_url,
            metrics=metrics,
        )
        await UntilSignal(app, when_ready=ready, trusted_proxies=configuration.trusted_proxies).serve([bound])


def run_demo(screen: Screen, /, *, host: str | None, port: int | None) -> None:
    """Serve with a simulated provider and a temporary database, until interrupted."""
    if host is not None and host not in {"127.0.0.1", "localhost"}:
        raise ConfigurationError(setting="--host", problem="of a demonstration is 127.0.0.1 alone: its provider and its token are for show")
    _prepare()
    asyncio.run(_serve_demo(screen, port or 0))


async def _serve_demo(screen: Screen, port: int) -> None:
    async with demo_host(port) as demo:
        await fill(demo.manager, demo.provider, oauth=demo.oauth_slug, keys=demo.keys_slug)

        def ready() -> None:
            if screen.as_json:
                screen.json(demo.as_document())
            else:
                for line in demo.as_lines():
                    screen.note(line)

        await UntilSignal(demo.app, when_ready=ready).serve([demo.bound])


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHost:
    """The parts of a demonstration, while it runs."""

    app: FastAPI
    manager: AsyncIntegrationManager
    bound: socket.socket
    url: str
    token: Secret
    provider: SimulatedProvider
    provider_url: str
    database: Path

    oauth_slug: str
    keys_slug: str
    oauth_id: UUID
    keys_id: UUID
    operator_token: Secret
    """The token of an operator, who may use the console for all tenants."""

    def as_document(self) -> dict[str, object]:
        """Return what a program needs to use the demonstration."""
        return {
            "url": self.url,
            "token": self.token.reveal(),
            "tenantId": DEMO_TENANT,
            "provider": {
                "url": self.provider_url,
                "oauthProviderId": str(self.oauth_id),
                "apiKeyProviderId": str(self.keys_id),
                "validApiKey": self.provider.valid_api_key.reveal(),
                "invalidApiKey": self.provider.invalid_api_key.reveal(),
            },
        }

    def as_lines(self) -> list[str]:
        """Return what a person needs to use the demonstration, line by line."""
        return [
            f"serving {self.url} with a simulated provider at {self.provider_url}",
            "",
            f"  page      {self.url}/",
            f"  API       {self.url}/api/v1/tenants/{DEMO_TENANT}/integrations",
            f"  token     {self.token.reveal()}",
            f"  API key   {self.provider.valid_api_key.reveal()}   (for the provider “Simulated (keys)”)",
            "",
            f"  console   {self.url}/console",
            f"  token     {self.operator_token.reveal()}   (an operator’s: sign in with it on the page first)",
            "",
            "Open the page, sign in with the token, and connect. Everything is gone when you stop it with Ctrl-C.",
        ]


@asynccontextmanager
async def demo_host(port: int = 0, /) -> AsyncGenerator[DemoHost]:
    """Give a server with a simulated provider and a temporary database; its socket is bound, and not served yet."""
    with tempfile.TemporaryDirectory(prefix="cloud-integrations-demo-") as folder:
        home = Path(folder)
        write_private(home / "keyring", f"{LocalKeyring.generate_key('demo').reveal()}\n")
        write_private(home / "demo.db", "")
        token, operator_token = Secret(new_token()), Secret(new_token())
        bound = bind("127.0.0.1", port)
        configuration = BuiltConfiguration(
            database_url=Secret(f"sqlite:///{home / 'demo.db'}"),
            keyring_file=home / "keyring",
            port=bound.getsockname()[1],
            # One person has it to themselves, and drives it by programs, too.
            rate_limits=RateLimits(begin_per_minute=0, verify_per_minute=0, reveal_per_minute=0, callback_per_minute=0),
        )
        migrate_database(configuration)
        provider = SimulatedProvider(require_pkce=False)
        with ProviderServer(provider) as server:
            by_sign_in, by_key = provider.catalogue_entries(server.url)
            async with wiring.open_async_manager(
                configuration, providers=Catalogue.of(by_sign_in, by_key), applications=[provider.application()]
            ) as manager:
                access = Access(
                    actor=Actor(type="user", id="demo"),
                    tenants=frozenset({DEMO_TENANT}),
                    permissions=frozenset(Permission) - {Permission.REVEAL, Permission.OPERATE, Permission.INCIDENTS},
                )
                operator = Access(
                    actor=Actor(id="operator"), tenants=None, permissions=frozenset(Permission) - {Permission.REVEAL, Permission.USE}
                )
                known = Tokens({token_hash(token.reveal()): access, token_hash(operator_token.reveal()): operator})
                yield DemoHost(
                    manager=manager,
                    app=build_app(manager, tokens=known, sessions=Sessions(seconds=3600), base_url=configuration.base_url),
                    bound=bound,
                    url=configuration.base_url,
                    token=token,
                    provider=provider,
                    provider_url=server.url,
                    database=home / "demo.db",
                    oauth_slug=by_sign_in.id,
                    keys_slug=by_key.id,
                    operator_token=operator_token,
                    oauth_id=by_sign_in.provider_id,
                    keys_id=by_key.provider_id,
                )


def _access_of(entry: ServeToken) -> Access:
    tenants = None if entry.tenants == "*" else frozenset(entry.tenants)
    return Access(actor=entry.who, tenants=tenants, permissions=frozenset(map(Permission, entry.permissions)))


def _check_permissions(configuration: Configuration) -> None:
    known = {permission.value for permission in Permission}
    for position, entry in enumerate(configuration.tokens):
        if unknown := sorted(set(entry.permissions) - known):
            problem = f"names {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            raise ConfigurationError(setting=f"tokens.{position}.permissions", problem=problem)


def _prepare() -> None:
    for name in ("cloud_integrations.access", "cloud_integrations.serve"):
        logging.getLogger(name).setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(NAMES_REQUESTS)
    # Until the server handles signals itself, SIGTERM still runs the cleanup.
    signal.signal(signal.SIGTERM, _leave)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
