"""The parts that flows are handed, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.identifiers import uuid7
from cloud_integrations.ports.breaker import Breaker
from cloud_integrations.ports.caches import Cache, DeniedAttempts, TokenCache
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.clock import AsyncPause, Clock, Entropy
from cloud_integrations.ports.concurrency import Concurrency
from cloud_integrations.ports.key_service import AsyncKeyService
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.single_flight import SingleFlight
from cloud_integrations.ports.store import AsyncStore
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
    """None: the host has not said which tenants exist, so each well-formed id is one."""
    clock: Clock
    entropy: Entropy
    pause: AsyncPause
    single_flight: SingleFlight
    concurrency: Concurrency
    observer: Observer
    key_memory: Cache
    """What `data_keys` remembers."""
    tokens: TokenCache
    uses: Cache
    """Which uses were recorded lately."""
    denials: DeniedAttempts
    breaker: Breaker
    owner: str
    """This process, as lease rows name it."""
    applications: Mapping[str, OAuthApplication]
    """By provider slug."""
    settings: Settings
    data_keys: DataKeys = field(init=False)
    sealer: Sealer = field(init=False)

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
        object.__setattr__(self, "sealer", Sealer(keys=keys, cipher=self.cipher, store=self.store))

    def new_id(self) -> UUID:
        """Return an id that nothing else has, and that sorts by time."""
        return uuid7(self.clock.now(), self.entropy.bytes(10))
