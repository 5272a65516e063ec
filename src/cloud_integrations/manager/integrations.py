"""The two managers: `IntegrationManager` (blocking) and `AsyncIntegrationManager`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import OAuthApplication, ProviderSummary
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, Pause
from cloud_integrations.ports.key_service import KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.store import AsyncStore, Store, StoreReport
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport
from cloud_integrations.runtime.clock import AsyncSystemPause, SystemPause
from cloud_integrations.runtime.concurrency import InlineConcurrency, TaskConcurrency
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight
from cloud_integrations.runtime.sync import (
    AwaitableKeyService,
    awaitable_pause,
    awaitable_store,
    awaitable_tenants,
    awaitable_transport,
    run_inline,
)

from .assembly import (
    KeysOrText,
    aes_gcm,
    async_httpx_transport,
    async_store_over,
    builtin_providers,
    httpx_transport,
    key_service_of,
    store_over,
)
from .audit import AsyncAuditLog, AuditLog
from .connecting import AsyncConnecting, Connecting
from .keys import AsyncKeys, Keys
from .parts import AsyncFlowRunner, FlowRunner, blocking_parts, require_parts, wire
from .using import AsyncUsing, Using
from .worker import AsyncWorker, Worker

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class IntegrationManager(Connecting, Using):
    """The blocking door: keeps tenants' access to providers and hands out credentials that work.

    Keeps no thread and no event loop.  Only work that spends something at a provider (a refresh, the exchange of a code) has a
    thread, which ends with it, so that no caller's interruption reaches it.
    Use it from any thread, inside a running loop, and after a fork.
    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth
    applications.  A host says which tenants exist by `tenants`, and is told what happens by `observer`.
    Raises `ConfigurationError` for settings that contradict each other.
    """

    def __init__(
        self,
        *,
        store: Store,
        transport: Transport,
        keys: KeyService,
        cipher: Cipher,
        providers: Providers,
        applications: Sequence[OAuthApplication] = (),
        settings: Settings | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> None:
        require_parts(("store", store, Store), ("transport", transport, Transport), ("tenants", tenants, Tenants), ("pause", pause, Pause))
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy))
        wiring = wire(
            store=awaitable_store(store),
            transport=awaitable_transport(transport),
            keys=AwaitableKeyService(keys, in_thread=False),
            tenants=None if tenants is None else awaitable_tenants(tenants),
            pause=awaitable_pause(pause or SystemPause()),
            single_flight=ThreadSingleFlight(),
            concurrency=InlineConcurrency(),
            cipher=cipher,
            providers=providers,
            applications=applications,
            settings=settings,
            observer=observer,
            clock=clock,
            entropy=entropy,
        )
        self._bind(FlowRunner(wiring), None)

    def _bind(self, runner: FlowRunner, caller: Caller | None) -> None:
        super().__init__(runner, caller)
        self._runner = runner
        self.keys = Keys(runner, caller)
        self.audit = AuditLog(runner, caller)
        self.worker = Worker(runner, caller)

    @classmethod
    def over(
        cls,
        engine: Engine,
        *,
        keys: KeysOrText,
        transport: Transport | None = None,
        cipher: Cipher | None = None,
        providers: Providers | None = None,
        applications: Sequence[OAuthApplication] = (),
        settings: Settings | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> Self:
        """Make a manager over SQLAlchemy's *engine*: with httpx, AES-GCM and the built-in providers, where no other part is given.

        The engine stays the host's.  *keys* is a key service, or what a `LocalKeyring` is made of: an entry `kid:base64`, or a list of
        them, the newest first.  Raises `ConfigurationError`, and `ImportError` that names a missing extra.
        """
        try:
            return cls(
                store=store_over(engine, clock),
                transport=httpx_transport(clock) if transport is None else transport,
                keys=key_service_of(keys),
                cipher=aes_gcm() if cipher is None else cipher,
                providers=builtin_providers() if providers is None else providers,
                applications=applications,
                settings=settings,
                tenants=tenants,
                observer=observer,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None) -> Self:
        """Return this manager as *actor* uses it: all its methods, those of its groups too, act and are recorded in their name.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* is recorded
        beside it (1 to 255 printable characters).  Make one for each request: it is cheap, and shares caches and connections.
        It is not entered or closed: only the manager itself is.  Raises `ValidationFailedError`.
        """
        view = copy(self)
        view._bind(self._runner, read_caller(actor, request_id))  # noqa: SLF001  # a copy of this very object
        return view

    def __enter__(self) -> Self:
        self._require_itself()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        self.close()

    def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` for what `acting_as` returned.
        """
        self._require_itself()
        run_inline(self._wiring.single_flight.drain())
        run_inline(self._wiring.transport.close())
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now.

        Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.  Entering the manager as a
        context manager does the same; without either, the first call does it.
        """
        self._runner.start()

    def report(self) -> StoreReport:
        """Say which kind of store is used and which schema it has."""
        return self._run(flows.report(self._wiring))

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, and what works with it in this installation."""
        return flows.list_providers(self._wiring)


class AsyncIntegrationManager(AsyncConnecting, AsyncUsing):
    """The awaiting door: keeps tenants' access to providers and hands out credentials that work.

    Work that must not be lost runs in tasks of its own; use it from one event loop or several.
    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth
    applications.  A host says which tenants exist by `tenants`, and is told what happens by `observer`.
    Raises `ConfigurationError` for settings that contradict each other.
    """

    def __init__(
        self,
        *,
        store: AsyncStore,
        transport: AsyncTransport,
        keys: KeyService,
        cipher: Cipher,
        providers: Providers,
        applications: Sequence[OAuthApplication] = (),
        settings: Settings | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> None:
        waiting = (("store", store, AsyncStore), ("transport", transport, AsyncTransport), ("tenants", tenants, AsyncTenants))
        require_parts(*waiting, ("pause", pause, AsyncPause), awaits=True)
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy))
        wiring = wire(
            store=store,
            transport=transport,
            keys=AwaitableKeyService(keys, in_thread=keys.waits),
            tenants=tenants,
            pause=pause or AsyncSystemPause(),
            single_flight=TaskSingleFlight(),
            concurrency=TaskConcurrency(),
            cipher=cipher,
            providers=providers,
            applications=applications,
            settings=settings,
            observer=observer,
            clock=clock,
            entropy=entropy,
        )
        self._bind(AsyncFlowRunner(wiring), None)

    def _bind(self, runner: AsyncFlowRunner, caller: Caller | None) -> None:
        super().__init__(runner, caller)
        self._runner = runner
        self.keys = AsyncKeys(runner, caller)
        self.audit = AsyncAuditLog(runner, caller)
        self.worker = AsyncWorker(runner, caller)

    @classmethod
    def over(
        cls,
        engine: AsyncEngine | Engine,
        *,
        keys: KeysOrText,
        transport: AsyncTransport | None = None,
        cipher: Cipher | None = None,
        providers: Providers | None = None,
        applications: Sequence[OAuthApplication] = (),
        settings: Settings | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> Self:
        """Make a manager over SQLAlchemy's *engine*: with httpx, AES-GCM and the built-in providers, where no other part is given.

        An `AsyncEngine` is awaited, an `Engine` works in threads; it stays the host's.  *keys* is a key service, or what a
        `LocalKeyring` is made of: an entry `kid:base64`, or a list of them, the newest first.  Raises `ConfigurationError`, and
        `ImportError` that names a missing extra.
        """
        try:
            return cls(
                store=async_store_over(engine, clock),
                transport=async_httpx_transport(clock) if transport is None else transport,
                keys=key_service_of(keys),
                cipher=aes_gcm() if cipher is None else cipher,
                providers=builtin_providers() if providers is None else providers,
                applications=applications,
                settings=settings,
                tenants=tenants,
                observer=observer,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None) -> Self:
        """Return this manager as *actor* uses it: all its methods, those of its groups too, act and are recorded in their name.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* is recorded
        beside it (1 to 255 printable characters).  Make one for each request: it is cheap, and shares caches and connections.
        It is not entered or closed: only the manager itself is.  Raises `ValidationFailedError`.
        """
        view = copy(self)
        view._bind(self._runner, read_caller(actor, request_id))  # noqa: SLF001  # a copy of this very object
        return view

    async def __aenter__(self) -> Self:
        self._require_itself()
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        await self.close()

    async def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` for what `acting_as` returned.
        """
        self._require_itself()
        await self._wiring.single_flight.drain()
        await self._wiring.transport.close()
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    async def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now."""
        await self._runner.start()

    async def report(self) -> StoreReport:
        """Say which kind of store is used and which schema it has."""
        return await self._run(flows.report(self._wiring))

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, and what works with it in this installation."""
        return flows.list_providers(self._wiring)
