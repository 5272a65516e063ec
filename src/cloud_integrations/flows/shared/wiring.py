"""The ports, caches and settings that flows use, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.credential import ContextMaker
from cloud_integrations.domain.identifiers import uuid7
from cloud_integrations.kinds import Moments
from cloud_integrations.ports.breaker import Breaker
from cloud_integrations.ports.caches import Cache, DeniedAttempts, FreezeMemory, TokenCache
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.checkpoint_keys import AsyncCheckpointKeys
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy
from cloud_integrations.ports.concurrency import Concurrency
from cloud_integrations.ports.event_handler import AsyncEventHandler
from cloud_integrations.ports.key_service import AsyncKeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.platform import Platform
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.signing_keys import AsyncSigningKeys, Issuer
from cloud_integrations.ports.single_flight import SingleFlight
from cloud_integrations.ports.store import AsyncStore
from cloud_integrations.ports.telemetry import Telemetry
from cloud_integrations.ports.tenants import AsyncTenants
from cloud_integrations.ports.transport import AsyncTransport

from .data_keys import DataKeys
from .sealing import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Everything that a flow may use."""

    store: AsyncStore
    transport: AsyncTransport
    keys: AsyncKeyService
    cipher: Cipher
    providers: Providers
    tenants: AsyncTenants | None
    """None if the host gave none: then every well-formed id is taken for a tenant's."""
    clock: Clock
    entropy: Entropy
    pause: AsyncPause
    single_flight: SingleFlight
    concurrency: Concurrency
    observer: Observer
    telemetry: Telemetry
    handlers: Mapping[str, AsyncEventHandler]
    """By name: what gets each event in this process."""
    key_memory: Cache
    """The cache of `data_keys`."""
    tokens: TokenCache
    freezes: FreezeMemory
    uses: Cache
    """Which uses were recorded, which events told, and which mints failed, recently."""
    client_secrets: Cache
    """By context id: the place of the client secret to begin with."""
    dpop_nonces: Cache
    """By authorization server: its newest nonce for DPoP (RFC 9449 §8)."""
    server_metadata: Cache
    """By issuer, and by tenant where a tenant named it: the endpoints in its metadata."""
    clock_offsets: Cache
    """By host of a provider: how far its clock differs from ours."""
    sessions: Cache
    """Sessions of agents that were read a moment ago, and those that were revoked in this process."""
    denials: DeniedAttempts
    token_buckets: AsyncRateLimiter
    """Counts uses of doors in this process."""
    rate_limiter: AsyncRateLimiter | None
    """Counts them for all processes together; None if the host gave none."""
    breaker: Breaker
    issuer: Issuer | None
    """Our own issuer, whose keys are `signing_keys`; None if the host gave none."""
    signing_keys: AsyncSigningKeys | None
    checkpoint_keys: AsyncCheckpointKeys | None
    """The keys that sign checkpoints of the audit log; None if the host gave none."""
    owner: str
    """The name of this process in leases."""
    applications: Mapping[str, OAuthApplication]
    """By provider slug."""
    platform: Platform
    settings: Settings
    data_keys: DataKeys = field(init=False)
    sealer: Sealer = field(init=False)
    tls: ContextMaker
    """Makes TLS contexts for clients' certificates and for authorities of tenants' own."""
    moments: Moments = field(init=False)
    """For signatures of requests and TLS connections."""

    def __post_init__(self) -> None:
        keys = DataKeys(
            store=self.store,
            service=self.keys,
            memory=self.key_memory,
            clock=self.clock,
            entropy=self.entropy,
            single_flight=self.single_flight,
            settings=self.settings,
        )
        object.__setattr__(self, "data_keys", keys)
        object.__setattr__(self, "moments", Moments(now=self.clock.now, nonce=partial(self.entropy.bytes, 16), tls=self.tls))
        object.__setattr__(self, "sealer", Sealer(keys=keys, cipher=self.cipher, store=self.store))

    @property
    def delivers(self) -> bool:
        """Whether events are delivered, so that they are written to the outbox."""
        return self.settings.events or bool(self.handlers)

    def new_id(self) -> UUID:
        """Return a new unique id that sorts by time (a UUID of version 7, RFC 9562 §5.7)."""
        return uuid7(self.clock.now(), self.entropy.bytes(10))
