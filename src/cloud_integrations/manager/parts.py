"""What both managers share: their wiring, how each runs a flow, and which actor acts."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Coroutine, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, TypeVar
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import SYSTEM, Actor, Caller
from cloud_integrations.domain.conformance import require_part
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.checkpoint_keys import AsyncCheckpointKeys, CheckpointKeys
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, require_clock
from cloud_integrations.ports.concurrency import Concurrency
from cloud_integrations.ports.event_handler import AsyncEventHandler
from cloud_integrations.ports.key_service import AsyncKeyService, KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.platform import Platform
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.signing_keys import AsyncSigningKeys, Issuer, SigningKeys
from cloud_integrations.ports.single_flight import SingleFlight
from cloud_integrations.ports.store import AsyncStore
from cloud_integrations.ports.telemetry import Telemetry
from cloud_integrations.ports.tenants import AsyncTenants
from cloud_integrations.ports.transport import AsyncTransport
from cloud_integrations.runtime.breaker import WindowBreaker
from cloud_integrations.runtime.caches import DenialWindows, RecentFreezes, TenantTokenCache, TtlCache
from cloud_integrations.runtime.clock import SystemClock, SystemEntropy
from cloud_integrations.runtime.observers import GuardedObserver, GuardedTelemetry, LoggingObserver
from cloud_integrations.runtime.rate_limiter import TokenBuckets
from cloud_integrations.runtime.sync import run_inline

from .assembly import tls_context

T = TypeVar("T")
H = TypeVar("H")

_HANDLER_NAME = re.compile(r"[a-z0-9._-]{1,40}")
_OPTIONAL = frozenset({"tenants", "pause", "observer", "entropy", "rate_limiter", "checkpoint_keys"})
NamedPart = tuple[str, object, type]
"""A parameter's name, the part that was passed for it, and its port."""


def require_parts(*parts: NamedPart, awaits: bool = False) -> None:
    """Refuse a part that does not fit its port.  Raises `ConfigurationError` that names the parameter."""
    for name, part, port in parts:
        if part is not None or name not in _OPTIONAL:
            require_part(name, part, port, awaits=awaits)


def blocking_parts(
    keys: object, cipher: object, providers: object, observer: object, entropy: object, *, checkpoint_keys: object
) -> tuple[NamedPart, ...]:
    """Return the parts that block in both managers, with their names and ports."""
    return (
        ("keys", keys, KeyService),
        ("cipher", cipher, Cipher),
        ("providers", providers, Providers),
        ("observer", observer, Observer),
        ("entropy", entropy, Entropy),
        ("checkpoint_keys", checkpoint_keys, CheckpointKeys),
    )


def wire(
    *,
    store: AsyncStore,
    transport: AsyncTransport,
    keys: AsyncKeyService,
    tenants: AsyncTenants | None,
    pause: AsyncPause,
    single_flight: SingleFlight,
    concurrency: Concurrency,
    cipher: Cipher,
    providers: Providers,
    applications: Sequence[OAuthApplication],
    platform: Platform,
    settings: Settings | None,
    issuer: Issuer | None,
    signing_keys: AsyncSigningKeys | None,
    checkpoint_keys: AsyncCheckpointKeys | None,
    observer: Observer | None,
    telemetry: Sequence[Telemetry],
    handlers: Mapping[str, AsyncEventHandler],
    rate_limiter: AsyncRateLimiter | None,
    clock: Clock | None,
    entropy: Entropy | None,
) -> flows.Wiring:
    """Put the parts of a manager together.  Raises `ConfigurationError` for settings that contradict each other."""
    require_clock(clock)
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigurationError(setting="settings", problem="must be a Settings value")
    # The flows are loaded with the first manager and not with this module: the import stays cheap, and no request waits for them.
    flows.load()
    clock = SystemClock() if clock is None else clock
    entropy = SystemEntropy() if entropy is None else entropy
    settings = Settings() if settings is None else settings
    for part in telemetry:
        require_part("telemetry", part, Telemetry)
    flows.check_guide_settings(settings, providers)
    tokens = TenantTokenCache(clock)
    return flows.Wiring(
        store=store,
        transport=transport,
        keys=keys,
        cipher=cipher,
        providers=providers,
        tenants=tenants,
        clock=clock,
        entropy=entropy,
        pause=pause,
        single_flight=single_flight,
        concurrency=concurrency,
        observer=GuardedObserver(LoggingObserver() if observer is None else observer, *telemetry),
        telemetry=GuardedTelemetry(*telemetry),
        handlers=handlers,
        key_memory=TtlCache(clock, limit=10_000),
        tokens=tokens,
        freezes=RecentFreezes(tokens),
        uses=TtlCache(clock, limit=100_000),
        client_secrets=TtlCache(clock, limit=10_000),
        dpop_nonces=TtlCache(clock, limit=10_000),
        server_metadata=TtlCache(clock, limit=10_000),
        clock_offsets=TtlCache(clock, limit=1_000),
        sessions=TtlCache(clock, limit=100_000),
        denials=DenialWindows(clock),
        token_buckets=TokenBuckets(clock),
        rate_limiter=rate_limiter,
        breaker=WindowBreaker(clock, entropy),
        issuer=_check_issuer(issuer, settings),
        signing_keys=signing_keys,
        checkpoint_keys=checkpoint_keys,
        owner=f"{socket.gethostname()}:{os.getpid()}"[:100],
        platform=platform,
        applications=flows.index_applications(applications, providers, settings),
        settings=settings,
        tls=tls_context,
    )


def read_handlers(handlers: Mapping[str, H] | None, /, *, awaits: bool) -> dict[str, H]:
    """Return the handlers of events.  Raises `ConfigurationError` for a name or a function that does not fit."""
    found = dict(handlers or {})
    for name, handler in found.items():
        if not isinstance(name, str) or not _HANDLER_NAME.fullmatch(name):
            raise ConfigurationError(setting="handlers", problem="must have names of 1 to 40 of a-z, 0-9, '.', '_' and '-'")
        is_awaited = iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004  # not a test
        if not callable(handler) or is_awaited is not awaits:
            wanted = "a coroutine function (async def)" if awaits else "a function that is not awaited"
            raise ConfigurationError(setting=f"handlers[{name!r}]", problem=f"must be {wanted}, which takes an EventMessage")
    return found


def read_issuer(issuer: Issuer | None, /) -> SigningKeys | None:
    """Return the keys of an issuer.  Raises `ConfigurationError` for what is no issuer, or has keys that are none."""
    if issuer is None:
        return None
    if not isinstance(issuer, Issuer):
        raise ConfigurationError(setting="issuer", problem="must be an Issuer(url=…, keys=…)")
    require_part("issuer.keys", issuer.keys, SigningKeys)
    return issuer.keys


def _check_issuer(issuer: Issuer | None, settings: Settings) -> Issuer | None:
    if issuer is not None and issuer.url.startswith("http://") and not settings.loopback:
        raise ConfigurationError(setting="issuer.url", problem="must be https unless the setting loopback is on")
    return issuer


class FlowRunner:
    """Runs flows for the blocking manager; before the first flow it checks the schema and the keys."""

    def __init__(self, wiring: flows.Wiring, /) -> None:
        self.wiring = wiring
        self._ready = False

    def start(self) -> None:
        """Check the schema of the database and every key."""
        run_inline(flows.prepare(self.wiring))
        self._ready = True

    def run(self, flow: Coroutine[Any, Any, T], /) -> T:
        """Run *flow* to its end in this thread."""
        if not self._ready:
            try:
                self.start()
            except BaseException:
                flow.close()
                raise
        return run_inline(flow)


class AsyncFlowRunner:
    """Runs flows for the awaiting manager; before the first flow it checks the schema and the keys."""

    def __init__(self, wiring: flows.Wiring, /) -> None:
        self.wiring = wiring
        self._ready = False

    async def start(self) -> None:
        """Check the schema of the database and every key."""
        await flows.prepare(self.wiring)
        self._ready = True

    async def run(self, flow: Coroutine[Any, Any, T], /) -> T:
        """Run *flow* in the caller's task."""
        if not self._ready:
            try:
                await self.start()
            except BaseException:
                flow.close()
                raise
        return await flow


class _Acting:
    """The actor of a group of methods, and their request id."""

    _caller: Caller | None
    """What `acting_as` was given; None on the manager itself."""

    def _acting(self, actor: Actor | str | None, request_id: str | UUID | None, /) -> Caller:
        """Return who acts.  Raises `ValidationFailedError` without an actor: what a person does must not be recorded as the library's."""
        caller = self._named(actor, request_id)
        if caller is None:
            raise ValidationFailedError(
                field="actor",
                problem="must be named: give actor=, or call this on manager.acting_as(actor), with an Actor, a user's id, or SYSTEM",
            )
        return caller

    def _acting_or_system(self, actor: Actor | str | None, request_id: str | UUID | None, /) -> Caller:
        """Return who acts; without an actor, `SYSTEM`.  For methods that also run in the background."""
        return self._named(actor, request_id) or read_caller(SYSTEM, request_id)

    def _require_itself(self) -> None:
        """Raise `ConfigurationError` for a view: closing it after one request would close the manager for all others."""
        if self._caller is not None:
            raise ConfigurationError(
                setting="manager", problem="must be entered and closed itself, once, not what acting_as(…) returned: that needs neither"
            )

    def _named(self, actor: Actor | str | None, request_id: str | UUID | None, /) -> Caller | None:
        """Return the actor and request id of one call, with those of the view where the call leaves one out; None without an actor."""
        bound = self._caller
        if actor is None and request_id is None:
            return bound
        if actor is None:
            return None if bound is None else read_caller(bound.actor, request_id, bound.reason)
        if bound is None:
            return read_caller(actor, request_id)
        return read_caller(actor, bound.request_id if request_id is None else request_id, bound.reason)


class Part(_Acting):
    """A group of the blocking manager's methods."""

    def __init__(self, runner: FlowRunner, caller: Caller | None = None, /) -> None:
        self._wiring = runner.wiring
        self._run = runner.run
        self._caller = caller

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wiring.store!r})"


class AsyncPart(_Acting):
    """A group of the awaiting manager's methods."""

    def __init__(self, runner: AsyncFlowRunner, caller: Caller | None = None, /) -> None:
        self._wiring = runner.wiring
        self._run = runner.run
        self._caller = caller

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wiring.store!r})"
