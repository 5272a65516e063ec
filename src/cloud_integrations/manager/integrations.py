"""The two managers: `IntegrationManager` (blocking) and `AsyncIntegrationManager`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import OAuthApplication, ProviderSummary
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.domain.platform import PlatformSource
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, Pause
from cloud_integrations.ports.key_service import KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.signing_keys import Issuer
from cloud_integrations.ports.store import AsyncStore, Store, StoreReport
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport
from cloud_integrations.runtime.clock import AsyncSystemPause, SystemPause
from cloud_integrations.runtime.concurrency import InlineConcurrency, TaskConcurrency
from cloud_integrations.runtime.platform import PlatformCredentials
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight
from cloud_integrations.runtime.sync import (
    AwaitableKeyService,
    AwaitableSigningKeys,
    awaitable_pause,
    awaitable_store,
    awaitable_tenants,
    awaitable_transport,
    run_inline,
)

from .adding import Adding, AsyncAdding
from .applications import Applications, AsyncApplications
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
from .by_device import AsyncDeviceConnecting, DeviceConnecting
from .clients import AsyncClients, Clients
from .connecting import AsyncConnecting, Connecting
from .issuing import AsyncIssuing, Issuing
from .keys import AsyncKeys, Keys
from .parts import AsyncFlowRunner, FlowRunner, blocking_parts, read_issuer, require_parts, wire
from .setting_up import AsyncSettingUp, SettingUp
from .using import AsyncUsing, Using
from .worker import AsyncWorker, Worker

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class IntegrationManager(Adding, Clients, Connecting, DeviceConnecting, SettingUp, Using):
    """The blocking manager: it keeps tenants' access to providers and hands out credentials that work.

    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth applications.
    `platform` has the operator's own credentials, by provider slug, with which the roles of tenants are assumed.
    `tenants` answers which tenants exist, `observer` is told what happens, and `issuer` vouches for tenants at their clouds.
    Use it from any thread, inside a running event loop, and after a fork.  It keeps no thread and no event loop: only work that spends
    something at a provider (a refresh, the exchange of a code) runs in a thread of its own, so that interrupting a caller cannot stop it.
    Raises `ConfigurationError` for a part that does not fit, and for settings that contradict each other.
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
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> None:
        require_parts(("store", store, Store), ("transport", transport, Transport), ("tenants", tenants, Tenants), ("pause", pause, Pause))
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy))
        signing_keys = read_issuer(issuer)
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
            platform=PlatformCredentials(platform or {}, in_thread=False),
            settings=settings,
            issuer=issuer,
            signing_keys=None if signing_keys is None else AwaitableSigningKeys(signing_keys, in_thread=False),
            observer=observer,
            clock=clock,
            entropy=entropy,
        )
        self._bind(FlowRunner(wiring), None)

    def _bind(self, runner: FlowRunner, caller: Caller | None) -> None:
        super().__init__(runner, caller)
        self._runner = runner
        self.applications = Applications(runner, caller)
        self.keys = Keys(runner, caller)
        self.audit = AuditLog(runner, caller)
        self.worker = Worker(runner, caller)
        self.issuer = Issuing(runner, caller)

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
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> Self:
        """Return a manager over an SQLAlchemy *engine*, with httpx, AES-GCM and the built-in providers where no other part is given.

        `IntegrationManager` takes an `Engine`; `AsyncIntegrationManager` takes an `AsyncEngine`, or an `Engine` that it uses in threads.
        The engine stays the host's.  *keys* is a key service, or what a `LocalKeyring` is made of: a text `kid:base64`, or a list of
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
                platform=platform,
                settings=settings,
                issuer=issuer,
                tenants=tenants,
                observer=observer,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None) -> Self:
        """Return a view of this manager that acts as *actor*: each method, also of its parts, is recorded as theirs.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* (1 to 255 printable
        characters) is recorded beside it.  Make a view for each request: it is cheap, and shares caches and connections.
        A view is not entered or closed; only the manager itself is.  Raises `ValidationFailedError`.
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
        """Wait for the refreshes and exchanges that are under way, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` where this is a view that `acting_as` returned.
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
        """Return which kind of store is used and which schema it has."""
        return self._run(flows.report(self._wiring))

    @property
    def settings(self) -> Settings:
        """The settings that this manager was made with."""
        return self._wiring.settings

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, with the methods by which this installation can connect it."""
        return flows.list_providers(self._wiring)


class AsyncIntegrationManager(AsyncAdding, AsyncClients, AsyncConnecting, AsyncDeviceConnecting, AsyncSettingUp, AsyncUsing):
    """The awaiting manager: it keeps tenants' access to providers and hands out credentials that work.

    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth applications.
    `platform` has the operator's own credentials, by provider slug, with which the roles of tenants are assumed.
    `tenants` answers which tenants exist, `observer` is told what happens, and `issuer` vouches for tenants at their clouds.
    Use it from one event loop or several.  Work that spends something at a provider (a refresh, the exchange of a code) runs in a task of
    its own, so that cancelling a caller cannot stop it.
    Raises `ConfigurationError` for a part that does not fit, and for settings that contradict each other.
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
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> None:
        waiting = (("store", store, AsyncStore), ("transport", transport, AsyncTransport), ("tenants", tenants, AsyncTenants))
        require_parts(*waiting, ("pause", pause, AsyncPause), awaits=True)
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy))
        signing_keys = read_issuer(issuer)
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
            platform=PlatformCredentials(platform or {}, in_thread=True),
            settings=settings,
            issuer=issuer,
            signing_keys=None if signing_keys is None else AwaitableSigningKeys(signing_keys, in_thread=signing_keys.waits),
            observer=observer,
            clock=clock,
            entropy=entropy,
        )
        self._bind(AsyncFlowRunner(wiring), None)

    def _bind(self, runner: AsyncFlowRunner, caller: Caller | None) -> None:
        super().__init__(runner, caller)
        self._runner = runner
        self.applications = AsyncApplications(runner, caller)
        self.keys = AsyncKeys(runner, caller)
        self.audit = AsyncAuditLog(runner, caller)
        self.worker = AsyncWorker(runner, caller)
        self.issuer = AsyncIssuing(runner, caller)

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
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> Self:
        """Return a manager over an SQLAlchemy *engine*, with httpx, AES-GCM and the built-in providers where no other part is given.

        `IntegrationManager` takes an `Engine`; `AsyncIntegrationManager` takes an `AsyncEngine`, or an `Engine` that it uses in threads.
        The engine stays the host's.  *keys* is a key service, or what a `LocalKeyring` is made of: a text `kid:base64`, or a list of
        them, the newest first.  Raises `ConfigurationError`, and `ImportError` that names a missing extra.
        """
        try:
            return cls(
                store=async_store_over(engine, clock),
                transport=async_httpx_transport(clock) if transport is None else transport,
                keys=key_service_of(keys),
                cipher=aes_gcm() if cipher is None else cipher,
                providers=builtin_providers() if providers is None else providers,
                applications=applications,
                platform=platform,
                settings=settings,
                issuer=issuer,
                tenants=tenants,
                observer=observer,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None) -> Self:
        """Return a view of this manager that acts as *actor*: each method, also of its parts, is recorded as theirs.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* (1 to 255 printable
        characters) is recorded beside it.  Make a view for each request: it is cheap, and shares caches and connections.
        A view is not entered or closed; only the manager itself is.  Raises `ValidationFailedError`.
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
        """Wait for the refreshes and exchanges that are under way, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` where this is a view that `acting_as` returned.
        """
        self._require_itself()
        await self._wiring.single_flight.drain()
        await self._wiring.transport.close()
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    async def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now.

        Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.  Entering the manager as a
        context manager does the same; without either, the first call does it.
        """
        await self._runner.start()

    async def report(self) -> StoreReport:
        """Return which kind of store is used and which schema it has."""
        return await self._run(flows.report(self._wiring))

    @property
    def settings(self) -> Settings:
        """The settings that this manager was made with."""
        return self._wiring.settings

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, with the methods by which this installation can connect it."""
        return flows.list_providers(self._wiring)
