"""The two managers: `IntegrationManager` (blocking) and `AsyncIntegrationManager`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.platform import PlatformSource
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.checkpoint_keys import CheckpointKeys
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, Pause
from cloud_integrations.ports.event_handler import AsyncEventHandler, EventHandler
from cloud_integrations.ports.key_service import KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter, RateLimiter
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.signing_keys import Issuer
from cloud_integrations.ports.store import AsyncStore, Store
from cloud_integrations.ports.telemetry import Telemetry
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport
from cloud_integrations.runtime.clock import AsyncSystemPause, SystemPause
from cloud_integrations.runtime.concurrency import InlineConcurrency, TaskConcurrency
from cloud_integrations.runtime.platform import PlatformCredentials
from cloud_integrations.runtime.rate_limiter import TaskRateLimiter
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight
from cloud_integrations.runtime.sync import (
    AwaitableCheckpointKeys,
    AwaitableKeyService,
    AwaitableSigningKeys,
    awaitable_handlers,
    awaitable_pause,
    awaitable_rate_limiter,
    awaitable_store,
    awaitable_tenants,
    awaitable_transport,
)

from .adding import Adding, AsyncAdding
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
from .by_device import AsyncDeviceConnecting, DeviceConnecting
from .choosing import AsyncChoosing, Choosing
from .clients import AsyncClients, Clients
from .connecting import AsyncConnecting, Connecting
from .groups import AsyncGroups, Groups
from .lifecycle import AsyncLifecycle, Lifecycle
from .offering import AsyncOffering, Offering
from .parts import AsyncFlowRunner, FlowRunner, blocking_parts, read_handlers, read_issuer, require_parts, wire
from .rotating import AsyncRotating, Rotating
from .setting_up import AsyncSettingUp, SettingUp
from .using import AsyncUsing, Using

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class IntegrationManager(Lifecycle, Adding, Choosing, Clients, Connecting, DeviceConnecting, Groups, Offering, Rotating, SettingUp, Using):
    """The blocking manager: it keeps tenants' access to providers and hands out credentials that work.

    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth applications.
    `platform` has the operator's own credentials, by provider slug, with which the roles of tenants are assumed.
    `tenants` answers which tenants exist, `observer` is told what happens, `telemetry` makes metrics and traces of it, `handlers` get
    events by their names, `issuer` vouches for tenants at their clouds, `checkpoint_keys` sign the checkpoints of the audit log, and
    `rate_limiter` counts uses of the host's routes for all processes together.
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
        checkpoint_keys: CheckpointKeys | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        telemetry: Sequence[Telemetry] = (),
        handlers: Mapping[str, EventHandler] | None = None,
        rate_limiter: RateLimiter | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> None:
        require_parts(("store", store, Store), ("transport", transport, Transport), ("tenants", tenants, Tenants), ("pause", pause, Pause))
        require_parts(("rate_limiter", rate_limiter, RateLimiter))
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy, checkpoint_keys=checkpoint_keys))
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
            checkpoint_keys=None if checkpoint_keys is None else AwaitableCheckpointKeys(checkpoint_keys, in_thread=False),
            observer=observer,
            telemetry=telemetry,
            handlers=awaitable_handlers(read_handlers(handlers, awaits=False)),
            rate_limiter=None if rate_limiter is None else awaitable_rate_limiter(rate_limiter),
            clock=clock,
            entropy=entropy,
        )
        self._bind(FlowRunner(wiring), None)

    @classmethod
    def over(
        cls,
        engine: Engine,
        *,
        keys: KeysOrText,
        row_security: bool = False,
        transport: Transport | None = None,
        cipher: Cipher | None = None,
        providers: Providers | None = None,
        applications: Sequence[OAuthApplication] = (),
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        checkpoint_keys: CheckpointKeys | None = None,
        tenants: Tenants | None = None,
        observer: Observer | None = None,
        telemetry: Sequence[Telemetry] = (),
        handlers: Mapping[str, EventHandler] | None = None,
        rate_limiter: RateLimiter | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: Pause | None = None,
    ) -> Self:
        """Return a manager over an SQLAlchemy *engine*, with httpx, AES-GCM and the built-in providers where no other part is given.

        `IntegrationManager` takes an `Engine`; `AsyncIntegrationManager` takes an `AsyncEngine`, or an `Engine` that it uses in threads.
        The engine stays the host's.  *keys* is a key service, or what a `LocalKeyring` is made of: a text `kid:base64`, or a list of
        them, the newest first.  *row_security* is for tables of PostgreSQL with policies (`migrate.add_row_security`).  Raises
        `ConfigurationError`, and `ImportError` that names a missing extra.
        """
        try:
            return cls(
                store=store_over(engine, clock, row_security=row_security),
                transport=httpx_transport(clock) if transport is None else transport,
                keys=key_service_of(keys),
                cipher=aes_gcm() if cipher is None else cipher,
                providers=builtin_providers() if providers is None else providers,
                applications=applications,
                platform=platform,
                settings=settings,
                issuer=issuer,
                checkpoint_keys=checkpoint_keys,
                tenants=tenants,
                observer=observer,
                telemetry=telemetry,
                handlers=handlers,
                rate_limiter=rate_limiter,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None, reason: str | None = None) -> Self:
        """Return a view of this manager that acts as *actor*: each method, also of its parts, is recorded as theirs.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* (1 to 255 printable
        characters) is recorded beside it.  *reason* (1 to 255 printable characters) is why they act, in their own words: the detail
        `stated_reason` of each event.  Make a view for each request: it is cheap, and shares caches and connections.
        A view is not entered or closed; only the manager itself is.  Raises `ValidationFailedError`.
        """
        view = copy(self)
        view._bind(self._runner, read_caller(actor, request_id, reason))  # noqa: SLF001  # a copy of this very object
        return view


class AsyncIntegrationManager(
    AsyncLifecycle,
    AsyncAdding,
    AsyncChoosing,
    AsyncClients,
    AsyncConnecting,
    AsyncDeviceConnecting,
    AsyncGroups,
    AsyncOffering,
    AsyncRotating,
    AsyncSettingUp,
    AsyncUsing,
):
    """The awaiting manager: it keeps tenants' access to providers and hands out credentials that work.

    `store`, `transport`, `keys`, `cipher` and `providers` are required; `applications` are the operator's OAuth applications.
    `platform` has the operator's own credentials, by provider slug, with which the roles of tenants are assumed.
    `tenants` answers which tenants exist, `observer` is told what happens, `telemetry` makes metrics and traces of it, `handlers` get
    events by their names, `issuer` vouches for tenants at their clouds, `checkpoint_keys` sign the checkpoints of the audit log, and
    `rate_limiter` counts uses of the host's routes for all processes together.
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
        checkpoint_keys: CheckpointKeys | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        telemetry: Sequence[Telemetry] = (),
        handlers: Mapping[str, AsyncEventHandler] | None = None,
        rate_limiter: AsyncRateLimiter | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> None:
        waiting = (("store", store, AsyncStore), ("transport", transport, AsyncTransport), ("tenants", tenants, AsyncTenants))
        require_parts(*waiting, ("pause", pause, AsyncPause), ("rate_limiter", rate_limiter, AsyncRateLimiter), awaits=True)
        require_parts(*blocking_parts(keys, cipher, providers, observer, entropy, checkpoint_keys=checkpoint_keys))
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
            checkpoint_keys=None if checkpoint_keys is None else AwaitableCheckpointKeys(checkpoint_keys, in_thread=checkpoint_keys.waits),
            observer=observer,
            telemetry=telemetry,
            handlers=read_handlers(handlers, awaits=True),
            rate_limiter=None if rate_limiter is None else TaskRateLimiter(rate_limiter),
            clock=clock,
            entropy=entropy,
        )
        self._bind(AsyncFlowRunner(wiring), None)

    @classmethod
    def over(
        cls,
        engine: AsyncEngine | Engine,
        *,
        keys: KeysOrText,
        row_security: bool = False,
        transport: AsyncTransport | None = None,
        cipher: Cipher | None = None,
        providers: Providers | None = None,
        applications: Sequence[OAuthApplication] = (),
        platform: Mapping[str, PlatformSource] | None = None,
        settings: Settings | None = None,
        issuer: Issuer | None = None,
        checkpoint_keys: CheckpointKeys | None = None,
        tenants: AsyncTenants | None = None,
        observer: Observer | None = None,
        telemetry: Sequence[Telemetry] = (),
        handlers: Mapping[str, AsyncEventHandler] | None = None,
        rate_limiter: AsyncRateLimiter | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        pause: AsyncPause | None = None,
    ) -> Self:
        """Return a manager over an SQLAlchemy *engine*, with httpx, AES-GCM and the built-in providers where no other part is given.

        `IntegrationManager` takes an `Engine`; `AsyncIntegrationManager` takes an `AsyncEngine`, or an `Engine` that it uses in threads.
        The engine stays the host's.  *keys* is a key service, or what a `LocalKeyring` is made of: a text `kid:base64`, or a list of
        them, the newest first.  *row_security* is for tables of PostgreSQL with policies (`migrate.add_row_security`).  Raises
        `ConfigurationError`, and `ImportError` that names a missing extra.
        """
        try:
            return cls(
                store=async_store_over(engine, clock, row_security=row_security),
                transport=async_httpx_transport(clock) if transport is None else transport,
                keys=key_service_of(keys),
                cipher=aes_gcm() if cipher is None else cipher,
                providers=builtin_providers() if providers is None else providers,
                applications=applications,
                platform=platform,
                settings=settings,
                issuer=issuer,
                checkpoint_keys=checkpoint_keys,
                tenants=tenants,
                observer=observer,
                telemetry=telemetry,
                handlers=handlers,
                rate_limiter=rate_limiter,
                clock=clock,
                entropy=entropy,
                pause=pause,
            )
        finally:
            del keys  # it may be text, which a traceback would show

    def acting_as(self, actor: Actor | str, *, request_id: str | UUID | None = None, reason: str | None = None) -> Self:
        """Return a view of this manager that acts as *actor*: each method, also of its parts, is recorded as theirs.

        *actor* is an `Actor`, a user's id as text, or `SYSTEM` for what the application does by itself; *request_id* (1 to 255 printable
        characters) is recorded beside it.  *reason* (1 to 255 printable characters) is why they act, in their own words: the detail
        `stated_reason` of each event.  Make a view for each request: it is cheap, and shares caches and connections.
        A view is not entered or closed; only the manager itself is.  Raises `ValidationFailedError`.
        """
        view = copy(self)
        view._bind(self._runner, read_caller(actor, request_id, reason))  # noqa: SLF001  # a copy of this very object
        return view
