"""The two doors: `IntegrationManager` (blocking) and `AsyncIntegrationManager`, a line per flow."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations.domain.application import OAuthApplication, ProviderSummary
from cloud_integrations.domain.arguments import CallbackParameters, read_actor, read_caller
from cloud_integrations.domain.audit import Actor, AuditHead, AuditRecord, AuditReport
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.importing import ImportedCredential
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.pending import Authorization, Connected, PendingAuthorization
from cloud_integrations.domain.rekeying import Erasure, KeyReport, RekeyRun
from cloud_integrations.domain.removal import Removal, RevocationRun
from cloud_integrations.domain.renewal import RenewalRun
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy, Pause
from cloud_integrations.ports.concurrency import Concurrency
from cloud_integrations.ports.conformance import require_clock, require_part
from cloud_integrations.ports.key_service import AsyncKeyService, KeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.single_flight import SingleFlight
from cloud_integrations.ports.store import AsyncStore, Store, StoreReport
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport
from cloud_integrations.ports.wiring import Settings, Wiring
from cloud_integrations.runtime.breaker import WindowBreaker
from cloud_integrations.runtime.caches import DenialWindows, TenantTokenCache, TtlCache
from cloud_integrations.runtime.clock import AsyncSystemPause, SystemClock, SystemEntropy, SystemPause
from cloud_integrations.runtime.concurrency import InlineConcurrency, TaskConcurrency
from cloud_integrations.runtime.observers import GuardedObserver, LoggingObserver
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight
from cloud_integrations.runtime.sync import (
    AwaitableKeyService,
    awaitable_pause,
    awaitable_store,
    awaitable_tenants,
    awaitable_transport,
    run_inline,
)

if TYPE_CHECKING:
    from cloud_integrations import flows
    from cloud_integrations.domain.credential import Credential

_OPTIONAL = frozenset({"tenants", "pause", "observer", "entropy"})
_Part = tuple[str, object, type]
"""A parameter's name, what was given, and its port."""


def _require_parts(*parts: _Part, awaits: bool = False) -> None:
    for name, part, port in parts:
        if part is not None or name not in _OPTIONAL:
            require_part(name, part, port, awaits=awaits)


def _called_by_both(keys: object, cipher: object, providers: object, observer: object, entropy: object) -> tuple[_Part, ...]:
    """Name the parts that no manager awaits."""
    return (
        ("keys", keys, KeyService),
        ("cipher", cipher, Cipher),
        ("providers", providers, Providers),
        ("observer", observer, Observer),
        ("entropy", entropy, Entropy),
    )


def _wire(
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
    settings: Settings | None,
    observer: Observer | None,
    clock: Clock | None,
    entropy: Entropy | None,
) -> Wiring:
    require_clock(clock)
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigurationError(setting="settings", problem="must be a Settings value")
    # With the first manager, not with this module: its import stays cheap, and no request waits for the flows.
    globals()["flows"] = import_module("cloud_integrations.flows")
    clock = SystemClock() if clock is None else clock
    entropy = SystemEntropy() if entropy is None else entropy
    settings = Settings() if settings is None else settings
    return Wiring(
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
        observer=GuardedObserver(LoggingObserver() if observer is None else observer),
        data_keys=TtlCache(clock, limit=10_000),
        tokens=TenantTokenCache(clock),
        uses=TtlCache(clock, limit=100_000),
        denials=DenialWindows(clock),
        breaker=WindowBreaker(clock, entropy),
        owner=f"{socket.gethostname()}:{os.getpid()}"[:100],
        applications=flows.index_applications(applications, providers, settings),
        settings=settings,
    )


class IntegrationManager:
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
        _require_parts(("store", store, Store), ("transport", transport, Transport), ("tenants", tenants, Tenants), ("pause", pause, Pause))
        _require_parts(*_called_by_both(keys, cipher, providers, observer, entropy))
        self._wiring = _wire(
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
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._ready = False

    def __repr__(self) -> str:
        return f"IntegrationManager({self._wiring.store!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        self.close()

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, and what works with it in this installation."""
        return flows.list_providers(self._wiring)

    def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's."""
        run_inline(self._wiring.single_flight.drain())
        run_inline(self._wiring.transport.close())
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    def _ensure_ready(self) -> None:
        if not self._ready:
            self.start()

    def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now.

        Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.  Entering the manager as a
        context manager does the same; without either, the first call does it.
        """
        run_inline(flows.prepare(self._wiring))
        self._ready = True

    def report(self) -> StoreReport:
        """Say which kind of store is used and which schema it has."""
        self._ensure_ready()
        return run_inline(flows.report(self._wiring))

    def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider.

        Raises `TenantNotFoundError`.
        """
        self._ensure_ready()
        return run_inline(flows.list_integrations(self._wiring, tenant_id))

    def get_integration(self, tenant_id: str, integration_id: UUID | str) -> Integration:
        """Return one integration, or raise `IntegrationNotFoundError` (also when it is another tenant's)."""
        self._ensure_ready()
        return run_inline(flows.get_integration(self._wiring, tenant_id, integration_id))

    def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed.

        *provider* is a slug or UUID; *name* has 3 to 50 characters.  Nothing is stored before the provider has accepted the key.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` (the provider refused it) or `ProviderUnavailableError` (it could not be asked).
        """
        self._ensure_ready()
        return run_inline(
            flows.add_api_key(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                api_key=api_key,
                secret_key=secret_key,
                variables=variables,
                caller=read_caller(actor, request_id),
            )
        )

    def replace_api_key(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and put it in the place of the old one; id and name stay.

        Raises as `add_api_key`, and `IntegrationNotFoundError` or `IntegrationInactiveError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.replace_api_key(
                self._wiring, tenant_id, integration_id, api_key=api_key, secret_key=secret_key, caller=read_caller(actor, request_id)
            )
        )

    def import_credential(
        self,
        tenant_id: str,
        credential: ImportedCredential,
        *,
        verify: bool = True,
        dry_run: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Take over a credential that the application already holds; return what is stored, or would be (*dry_run*).

        With *verify* the provider must accept it first; an access token that has ended is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.import_credential(
                self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=read_caller(actor, request_id)
            )
        )

    def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the URL it gives in the actor's browser.

        *return_to* is a same-origin absolute path for after the callback.  Raises `ValidationFailedError`, `ProviderNotFoundError`,
        `ProviderInactiveError` or `IntegrationExistsError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.begin_oauth(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                scopes=scopes,
                return_to=return_to,
                variables=variables,
                caller=read_caller(actor, request_id),
            )
        )

    def begin_reconnect(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; the held credential stays until the new one is stored.

        Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ProviderNotFoundError`, `ProviderInactiveError` or
        `ValidationFailedError` (an API key has no authorization).
        """
        self._ensure_ready()
        return run_inline(
            flows.begin_reconnect(
                self._wiring, tenant_id, integration_id, scopes=scopes, return_to=return_to, caller=read_caller(actor, request_id)
            )
        )

    def find_authorization(self, state: Secret | str, *, actor: Actor | str) -> PendingAuthorization | None:
        """Return the open authorization with this state, if *actor* began it; None otherwise."""
        self._ensure_ready()
        return run_inline(flows.find_authorization(self._wiring, state, actor=actor))

    def complete_oauth(
        self,
        context_id: UUID | str,
        params: CallbackParameters,
        *,
        browser_token: Secret | str | None,
        actor: Actor | str,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Finish an authorization with what the provider brought to the callback: its query parameters, in order.

        *actor* must be the one who began it, *browser_token* the value kept in that browser, *context_id* the last part of the
        callback's path; all is checked before the provider is asked for tokens (RFC 9700 §4.7, RFC 9207).
        Raises `GrantRefusedError`, `IntegrationExistsError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.complete_oauth(
                self._wiring, context_id, params, browser_token=browser_token, caller=read_caller(read_actor(actor), request_id)
            )
        )

    def add_oauth_code(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        code: Secret | str,
        redirect_uri: str,
        state: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received.

        With *state* it must be one that *actor* began here.  Without, the code is unbound: accepted only with an allowed redirect
        URI and while nothing is pending for this tenant and provider, never with `Settings.require_state`, and audited as unbound.
        Raises as `complete_oauth`, and `ValidationFailedError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.add_oauth_code(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                code=code,
                redirect_uri=redirect_uri,
                state=state,
                variables=variables,
                caller=read_caller(read_actor(actor), request_id),
            )
        )

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
        self._ensure_ready()
        return run_inline(
            flows.edit_integration(self._wiring, tenant_id, integration_id, name=name, status=status, caller=read_caller(actor, request_id))
        )

    def verify(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request.

        Raises as `token`, and `ProviderInactiveError` where its provider is not in the catalogue any more.
        """
        self._ensure_ready()
        return run_inline(flows.verify(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def refresh(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Integration:
        """Renew the access token now, whatever life it has left.

        Raises `ValidationFailedError` where nothing can be renewed, else as `token`.
        """
        self._ensure_ready()
        return run_inline(flows.force_refresh(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def remove(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request).

        The local secret is gone whatever the provider does; what could not be revoked is kept sealed and retried.
        Raises `IntegrationNotFoundError`.
        """
        self._ensure_ready()
        return run_inline(flows.disconnect(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id)))

    def refresh_refused(
        self,
        provider: str | UUID,
        *,
        reason: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Ask *provider* once more for every integration, of all tenants, that must reconnect (for *reason*), and return the counts.

        For after an incident in which a provider said of grants that they had ended.  A success makes an integration active
        again; the others stay as they are, and so does what is switched off.  *progress* is told how many were asked for.
        Raises `ProviderNotFoundError`.
        """
        self._ensure_ready()
        return run_inline(
            flows.refresh_refused(self._wiring, provider, reason=reason, caller=read_caller(actor, request_id), progress=progress)
        )

    def refresh_due(self, *, limit: int = 100) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes.

        The database says whose turn it is, so no token is renewed twice.  Needs no worker of ours: any scheduler will do.
        """
        self._ensure_ready()
        return run_inline(flows.refresh_due(self._wiring, limit=limit))

    def retry_revocations(
        self, *, limit: int = 100, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.  *actor* is the person who asks for it; left out, the system does.
        """
        self._ensure_ready()
        return run_inline(flows.retry_revocations(self._wiring, limit=limit, caller=read_caller(actor, request_id)))

    def key_report(self, *, tenant_id: str | None = None) -> KeyReport:
        """Count what each wrapping key protects, or each data key of one tenant; shows what rotation has left to do."""
        self._ensure_ready()
        return run_inline(flows.key_report(self._wiring, tenant=tenant_id))

    def rotate_keys(
        self,
        *,
        tenant_id: str | None = None,
        created_before: datetime | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Give every tenant, or one, whose data key is older than *created_before* (None: now) a new one.

        It seals from now on, in every process; what the old one sealed still opens until `reseal` has moved it.  May be interrupted,
        repeated, and run by any number of processes: with the same *created_before* each tenant gets one new key.  *progress* is told
        how many keys were looked at.
        """
        self._ensure_ready()
        return run_inline(
            flows.rotate_keys(
                self._wiring,
                tenant=tenant_id,
                created_before=created_before,
                caller=read_caller(actor, request_id),
                progress=progress,
            )
        )

    def rewrap_keys(
        self,
        *,
        tenant_id: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Wrap every data key with the wrapping key that is the primary now, wherever it was wrapped before.

        This rotates the wrapping key, and moves from one key service to another; no sealed value is touched.
        May be interrupted and repeated.
        """
        self._ensure_ready()
        return run_inline(flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=read_caller(actor, request_id), progress=progress))

    def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a data key that was replaced.

        Nobody waits for it, and it overwrites nothing that a refresh writes meanwhile.  May be interrupted, repeated, and run by any
        number of processes.  *share* is the part of the time to work (0.01 to 1); the rest is left to others who want the database.
        *progress* is told how many rows were sealed anew.  Raises `ValidationFailedError` for another *share*.
        """
        self._ensure_ready()
        return run_inline(flows.reseal(self._wiring, share=share, progress=progress))

    def destroy_keys(
        self,
        *,
        retired_before: datetime,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Overwrite data keys that were replaced before *retired_before* and seal nothing any more.

        A backup from before can then no longer be opened.  Raises `ValidationFailedError` for a time less than five minutes ago.
        """
        self._ensure_ready()
        return run_inline(
            flows.destroy_keys(self._wiring, retired_before=retired_before, caller=read_caller(actor, request_id), progress=progress)
        )

    def refuse_keys(self, tenant_id: str, *, below: int, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> None:
        """Refuse what the tenant's data keys below version *below* have sealed: for the case that one of them may be known to somebody.

        Other processes follow within `Settings.data_key_cache`.  `below=1` takes it back.  Raises `ValidationFailedError`.
        """
        self._ensure_ready()
        run_inline(flows.refuse_keys(self._wiring, tenant_id, below=below, caller=read_caller(actor, request_id)))

    def erase_tenant(self, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        self._ensure_ready()
        return run_inline(flows.erase_tenant(self._wiring, tenant_id, caller=read_caller(actor, request_id)))

    def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of the data keys that an erasure destroyed are there again, because a backup was restored."""
        self._ensure_ready()
        return run_inline(flows.find_returned(self._wiring, tenant_id, key_ids))

    def list_audit(
        self,
        tenant_id: str,
        *,
        integration_id: UUID | str | None = None,
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events, newest first, below number *before*; at most *limit* (up to 200)."""
        self._ensure_ready()
        return run_inline(
            flows.list_audit(
                self._wiring, tenant_id, integration_id=integration_id, before=before, limit=limit, caller=read_caller(actor, request_id)
            )
        )

    def verify_audit(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and say whether anything was changed, removed, added or moved.

        The head of an earlier report, kept elsewhere, given as *checkpoint* also finds a chain that was cut back.
        """
        self._ensure_ready()
        return run_inline(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    def record_denied(
        self, tenant_id: str, *, action: str, resource: str, actor: Actor | str, request_id: str | UUID | None = None
    ) -> None:
        """Record that the host refused *actor* an action; *action* and *resource* are short printable text.

        Repetitions are not written again: within a minute, one row per attempt, 5 rows per actor and 50 per tenant, for each process.
        Where the manager was given no `tenants`, a tenant without any event stays without one.
        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        self._ensure_ready()
        run_inline(
            flows.record_denied(
                self._wiring, tenant_id, action=action, resource=resource, caller=read_caller(read_actor(actor), request_id)
            )
        )

    def token(
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
        self._ensure_ready()
        return run_inline(
            flows.get_token(self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=read_caller(actor, request_id))
        )

    def replace_refused(
        self, tenant_id: str, token: Credential, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`).

        Renews at most once for each generation of the credential, whoever asks.  Raises as `token`.
        """
        self._ensure_ready()
        return run_inline(flows.replace_refused(self._wiring, tenant_id, token, caller=read_caller(actor, request_id)))


class AsyncIntegrationManager:
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
        _require_parts(*waiting, ("pause", pause, AsyncPause), awaits=True)
        _require_parts(*_called_by_both(keys, cipher, providers, observer, entropy))
        self._wiring = _wire(
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
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._ready = False

    def __repr__(self) -> str:
        return f"AsyncIntegrationManager({self._wiring.store!r})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        await self.close()

    def list_providers(self) -> tuple[ProviderSummary, ...]:
        """Return every provider, and what works with it in this installation."""
        return flows.list_providers(self._wiring)

    async def close(self) -> None:
        """Let refreshes and exchanges that are under way end, then close the transport's connections; the store stays the host's."""
        await self._wiring.single_flight.drain()
        await self._wiring.transport.close()
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    async def _ensure_ready(self) -> None:
        if not self._ready:
            await self.start()

    async def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now."""
        await flows.prepare(self._wiring)
        self._ready = True

    async def report(self) -> StoreReport:
        """Say which kind of store is used and which schema it has."""
        await self._ensure_ready()
        return await flows.report(self._wiring)

    async def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        await self._ensure_ready()
        return await flows.list_integrations(self._wiring, tenant_id)

    async def get_integration(self, tenant_id: str, integration_id: UUID | str) -> Integration:
        """Return one integration, or raise `IntegrationNotFoundError` (also when it is another tenant's)."""
        await self._ensure_ready()
        return await flows.get_integration(self._wiring, tenant_id, integration_id)

    async def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed."""
        await self._ensure_ready()
        return await flows.add_api_key(
            self._wiring,
            tenant_id,
            provider,
            name=name,
            api_key=api_key,
            secret_key=secret_key,
            variables=variables,
            caller=read_caller(actor, request_id),
        )

    async def replace_api_key(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and put it in the place of the old one; id and name stay."""
        await self._ensure_ready()
        return await flows.replace_api_key(
            self._wiring, tenant_id, integration_id, api_key=api_key, secret_key=secret_key, caller=read_caller(actor, request_id)
        )

    async def import_credential(
        self,
        tenant_id: str,
        credential: ImportedCredential,
        *,
        verify: bool = True,
        dry_run: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Take over a credential that the application already holds; return what is stored, or would be (*dry_run*).

        With *verify* the provider must accept it first; an access token that has ended is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        await self._ensure_ready()
        return await flows.import_credential(
            self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=read_caller(actor, request_id)
        )

    async def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the URL it gives in the actor's browser."""
        await self._ensure_ready()
        return await flows.begin_oauth(
            self._wiring,
            tenant_id,
            provider,
            name=name,
            scopes=scopes,
            return_to=return_to,
            variables=variables,
            caller=read_caller(actor, request_id),
        )

    async def begin_reconnect(
        self,
        tenant_id: str,
        integration_id: UUID | str,
        *,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; the held credential stays until the new one is stored."""
        await self._ensure_ready()
        return await flows.begin_reconnect(
            self._wiring, tenant_id, integration_id, scopes=scopes, return_to=return_to, caller=read_caller(actor, request_id)
        )

    async def find_authorization(self, state: Secret | str, *, actor: Actor | str) -> PendingAuthorization | None:
        """Return the open authorization with this state, if *actor* began it; None otherwise."""
        await self._ensure_ready()
        return await flows.find_authorization(self._wiring, state, actor=actor)

    async def complete_oauth(
        self,
        context_id: UUID | str,
        params: CallbackParameters,
        *,
        browser_token: Secret | str | None,
        actor: Actor | str,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Finish an authorization with what the provider brought to the callback: its query parameters, in order."""
        await self._ensure_ready()
        return await flows.complete_oauth(
            self._wiring, context_id, params, browser_token=browser_token, caller=read_caller(read_actor(actor), request_id)
        )

    async def add_oauth_code(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        code: Secret | str,
        redirect_uri: str,
        state: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received."""
        await self._ensure_ready()
        return await flows.add_oauth_code(
            self._wiring,
            tenant_id,
            provider,
            name=name,
            code=code,
            redirect_uri=redirect_uri,
            state=state,
            variables=variables,
            caller=read_caller(read_actor(actor), request_id),
        )

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
        await self._ensure_ready()
        return await flows.edit_integration(
            self._wiring, tenant_id, integration_id, name=name, status=status, caller=read_caller(actor, request_id)
        )

    async def verify(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request."""
        await self._ensure_ready()
        return await flows.verify(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id))

    async def refresh(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Integration:
        """Renew the access token now, whatever life it has left."""
        await self._ensure_ready()
        return await flows.force_refresh(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id))

    async def remove(
        self, tenant_id: str, integration_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request)."""
        await self._ensure_ready()
        return await flows.disconnect(self._wiring, tenant_id, integration_id, caller=read_caller(actor, request_id))

    async def refresh_refused(
        self,
        provider: str | UUID,
        *,
        reason: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Ask *provider* once more for every integration, of all tenants, that must reconnect (for *reason*), and return the counts.

        For after an incident in which a provider said of grants that they had ended.  A success makes an integration active
        again; the others stay as they are, and so does what is switched off.  *progress* is told how many were asked for.
        Raises `ProviderNotFoundError`.
        """
        await self._ensure_ready()
        return await flows.refresh_refused(self._wiring, provider, reason=reason, caller=read_caller(actor, request_id), progress=progress)

    async def refresh_due(self, *, limit: int = 100) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes."""
        await self._ensure_ready()
        return await flows.refresh_due(self._wiring, limit=limit)

    async def retry_revocations(
        self, *, limit: int = 100, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.  *actor* is the person who asks for it; left out, the system does.
        """
        await self._ensure_ready()
        return await flows.retry_revocations(self._wiring, limit=limit, caller=read_caller(actor, request_id))

    async def key_report(self, *, tenant_id: str | None = None) -> KeyReport:
        """Count what each wrapping key protects, or each data key of one tenant; shows what rotation has left to do."""
        await self._ensure_ready()
        return await flows.key_report(self._wiring, tenant=tenant_id)

    async def rotate_keys(
        self,
        *,
        tenant_id: str | None = None,
        created_before: datetime | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Give every tenant, or one, whose data key is older than *created_before* (None: now) a new one.

        It seals from now on, in every process; what the old one sealed still opens until `reseal` has moved it.  May be interrupted,
        repeated, and run by any number of processes: with the same *created_before* each tenant gets one new key.  *progress* is told
        how many keys were looked at.
        """
        await self._ensure_ready()
        return await flows.rotate_keys(
            self._wiring,
            tenant=tenant_id,
            created_before=created_before,
            caller=read_caller(actor, request_id),
            progress=progress,
        )

    async def rewrap_keys(
        self,
        *,
        tenant_id: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Wrap every data key with the wrapping key that is the primary now, wherever it was wrapped before.

        This rotates the wrapping key, and moves from one key service to another; no sealed value is touched.
        May be interrupted and repeated.
        """
        await self._ensure_ready()
        return await flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=read_caller(actor, request_id), progress=progress)

    async def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a data key that was replaced.

        Nobody waits for it, and it overwrites nothing that a refresh writes meanwhile.  May be interrupted, repeated, and run by any
        number of processes.  *share* is the part of the time to work (0.01 to 1); the rest is left to others who want the database.
        *progress* is told how many rows were sealed anew.  Raises `ValidationFailedError` for another *share*.
        """
        await self._ensure_ready()
        return await flows.reseal(self._wiring, share=share, progress=progress)

    async def destroy_keys(
        self,
        *,
        retired_before: datetime,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Overwrite data keys that were replaced before *retired_before* and seal nothing any more.

        A backup from before can then no longer be opened.  Raises `ValidationFailedError` for a time less than five minutes ago.
        """
        await self._ensure_ready()
        return await flows.destroy_keys(
            self._wiring, retired_before=retired_before, caller=read_caller(actor, request_id), progress=progress
        )

    async def refuse_keys(
        self, tenant_id: str, *, below: int, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """Refuse what the tenant's data keys below version *below* have sealed: for the case that one of them may be known to somebody.

        Other processes follow within `Settings.data_key_cache`.  `below=1` takes it back.  Raises `ValidationFailedError`.
        """
        await self._ensure_ready()
        await flows.refuse_keys(self._wiring, tenant_id, below=below, caller=read_caller(actor, request_id))

    async def erase_tenant(self, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        await self._ensure_ready()
        return await flows.erase_tenant(self._wiring, tenant_id, caller=read_caller(actor, request_id))

    async def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of the data keys that an erasure destroyed are there again, because a backup was restored."""
        await self._ensure_ready()
        return await flows.find_returned(self._wiring, tenant_id, key_ids)

    async def list_audit(
        self,
        tenant_id: str,
        *,
        integration_id: UUID | str | None = None,
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events, newest first, below number *before*; at most *limit* (up to 200)."""
        await self._ensure_ready()
        return await flows.list_audit(
            self._wiring, tenant_id, integration_id=integration_id, before=before, limit=limit, caller=read_caller(actor, request_id)
        )

    async def verify_audit(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and say whether anything was changed, removed, added or moved."""
        await self._ensure_ready()
        return await flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint)

    async def record_denied(
        self, tenant_id: str, *, action: str, resource: str, actor: Actor | str, request_id: str | UUID | None = None
    ) -> None:
        """Record that the host refused *actor* an action; *action* and *resource* are short printable text.

        Repetitions are not written again: within a minute, one row per attempt, 5 rows per actor and 50 per tenant, for each process.
        Where the manager was given no `tenants`, a tenant without any event stays without one.
        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        await self._ensure_ready()
        await flows.record_denied(
            self._wiring, tenant_id, action=action, resource=resource, caller=read_caller(read_actor(actor), request_id)
        )

    async def token(
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
        await self._ensure_ready()
        return await flows.get_token(
            self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=read_caller(actor, request_id)
        )

    async def replace_refused(
        self, tenant_id: str, token: Credential, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`)."""
        await self._ensure_ready()
        return await flows.replace_refused(self._wiring, tenant_id, token, caller=read_caller(actor, request_id))
