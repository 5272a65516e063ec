"""The two managers: `IntegrationManager` (blocking) and `AsyncIntegrationManager`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import OAuthApplication, ProviderSummary
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.rekeying import Erasure
from cloud_integrations.domain.removal import Removal
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, Pause
from cloud_integrations.ports.key_service import KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.store import AsyncStore, Store, StoreReport
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport
from cloud_integrations.ports.wiring import Settings
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
from .worker import AsyncWorker, Worker

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cloud_integrations.domain.credential import Credential


class IntegrationManager(Connecting):
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
        self._runner = FlowRunner(wiring)
        super().__init__(self._runner)
        self.keys = Keys(self._runner)
        self.audit = AuditLog(self._runner)
        self.worker = Worker(self._runner)
        self._tokens_by_tenant = wiring.tokens.by_tenant
        self._monotonic = wiring.clock.monotonic

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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        self.close()

    def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's."""
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

    def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider.

        Raises `TenantNotFoundError`.
        """
        return self._run(flows.list_integrations(self._wiring, tenant_id))

    def get_integration(self, tenant_id: str, integration_id: UUID | str) -> Integration:
        """Return one integration, or raise `IntegrationNotFoundError` (also when it is another tenant's)."""
        return self._run(flows.get_integration(self._wiring, tenant_id, integration_id))

    def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential that works, for this tenant and provider (slug or UUID).

        From memory, else from one row, else after a refresh (RFC 6749 §6) that every caller in every process shares.  *min_ttl* is
        the life it must still have; *scopes* are compared with those granted (`missing_scopes`).  While a token still works, a
        provider's outage only adds a `warning`.  Raises `IntegrationNotFoundError`, `ReconnectRequiredError`,
        `IntegrationInactiveError`, `RefreshInProgressError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        if actor is None and min_ttl is None and scopes == () and request_id is None and isinstance(tenant_id, str):
            # The way most calls go, so it is kept short: no lock, no await, no call but the clock's.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and isinstance(provider, str | UUID):
                entry = tenant_tokens.get(provider)
                if entry is not None and entry[0] > self._monotonic():
                    return entry[1]
        return self._run(
            flows.get_token(self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=read_caller(actor, request_id))
        )

    def replace_refused(
        self, tenant_id: str, token: Credential, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`).

        Renews at most once for each generation of the credential, whoever asks.  Raises as `credential`.
        """
        return self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=read_caller(actor, request_id)))

    def verify(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request.

        Raises as `credential`, and `ProviderInactiveError` where its provider is not in the catalogue any more.
        """
        return self._run(flows.verify(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def refresh(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Integration:
        """Renew the access token now, whatever life it has left.

        Raises `ValidationFailedError` where nothing can be renewed, else as `credential`.
        """
        return self._run(flows.force_refresh(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def edit_integration(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        name: str | None = None,
        status: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, or switch it off (`inactive`) or on again (`active`).

        Raises `IntegrationNotFoundError`, `ValidationFailedError`, or `ReconnectRequiredError` when it cannot be switched on because
        the tenant must reconnect.
        """
        return self._run(
            flows.edit_integration(self._wiring, tenant_id, integration_id, name=name, status=status, caller=read_caller(actor, request_id))
        )

    def delete(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request).

        The local secret is gone whatever the provider does; what could not be revoked is kept sealed and retried.
        Raises `IntegrationNotFoundError`.
        """
        return self._run(flows.disconnect(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def erase_tenant(self, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        return self._run(flows.erase_tenant(self._wiring, tenant_id, caller=read_caller(actor, request_id)))


class AsyncIntegrationManager(AsyncConnecting):
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
        self._runner = AsyncFlowRunner(wiring)
        super().__init__(self._runner)
        self.keys = AsyncKeys(self._runner)
        self.audit = AsyncAuditLog(self._runner)
        self.worker = AsyncWorker(self._runner)
        self._tokens_by_tenant = wiring.tokens.by_tenant
        self._monotonic = wiring.clock.monotonic

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

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        await self.close()

    async def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's."""
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

    async def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        return await self._run(flows.list_integrations(self._wiring, tenant_id))

    async def get_integration(self, tenant_id: str, integration_id: UUID | str) -> Integration:
        """Return one integration, or raise `IntegrationNotFoundError` (also when it is another tenant's)."""
        return await self._run(flows.get_integration(self._wiring, tenant_id, integration_id))

    async def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential that works, for this tenant and provider (slug or UUID)."""
        if actor is None and min_ttl is None and scopes == () and request_id is None and isinstance(tenant_id, str):
            # The way most calls go, so it is kept short: no lock, no await, no call but the clock's.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and isinstance(provider, str | UUID):
                entry = tenant_tokens.get(provider)
                if entry is not None and entry[0] > self._monotonic():
                    return entry[1]
        return await self._run(
            flows.get_token(self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=read_caller(actor, request_id))
        )

    async def replace_refused(
        self, tenant_id: str, token: Credential, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`)."""
        return await self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=read_caller(actor, request_id)))

    async def verify(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request."""
        return await self._run(flows.verify(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    async def refresh(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Integration:
        """Renew the access token now, whatever life it has left."""
        return await self._run(flows.force_refresh(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    async def edit_integration(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        name: str | None = None,
        status: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, or switch it off (`inactive`) or on again (`active`)."""
        return await self._run(
            flows.edit_integration(self._wiring, tenant_id, integration_id, name=name, status=status, caller=read_caller(actor, request_id))
        )

    async def delete(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request)."""
        return await self._run(flows.disconnect(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    async def erase_tenant(self, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        return await self._run(flows.erase_tenant(self._wiring, tenant_id, caller=read_caller(actor, request_id)))
