"""What the provider has issued: grants, tokens, codes and keys."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from cloud_integrations.domain.key_rotation import KeyMaking
from cloud_integrations.domain.secret import Secret
from cloud_integrations.ports.clock import Clock, Entropy
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing.clock import SeededEntropy

from .dpop import Proofs
from .misbehaviour import Misbehaviour, Planned
from .requests import ReceivedRequest, digest_of

IN_MEMORY_URL = "https://simulated.example"
"""The provider's base URL while no `ProviderServer` runs."""

Rotation = Literal["always", "never"]
Reuse = Literal["strict", "family", "tolerant", "grace"]
"""A spent refresh token is refused (`strict`), ends its whole grant (`family`), works (`tolerant`), or works for a while (`grace`)."""


class IssuedGrant(NamedTuple):
    """The tokens of a grant that a test made without an authorization."""

    access: Secret
    refresh: Secret


@dataclass(slots=True, kw_only=True)
class Plan:
    """A misbehaviour that is planned for an endpoint; `left` counts how often it still happens (None: always)."""

    planned: Planned
    endpoint: str
    left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An authorization request that a person has not answered yet."""

    redirect_uri: str
    state: str | None
    challenge: str
    key: str
    """The thumbprint that the code is bound to; empty: to none."""
    scopes: tuple[str, ...]
    what: Misbehaviour | None


@dataclass(slots=True, kw_only=True)
class SimulatedGrant:
    """A person's grant; its tokens work only while it is alive."""

    account: str
    scopes: tuple[str, ...]
    alive: bool = True
    newest: str = ""
    number: str = ""
    """The digest of its first refresh token."""
    key: str = ""
    """The thumbprint of the key to which its tokens are bound; empty: to none."""


@dataclass(slots=True, kw_only=True)
class Code:
    """An authorization code."""

    asked: Asked
    account: str
    issued_at: datetime
    grant: SimulatedGrant | None = None
    """Set when the code is spent."""


@dataclass(slots=True, kw_only=True)
class DeviceRequest:
    """A device code that was given out; `approved` is None until the person has decided."""

    user_code: str
    scopes: tuple[str, ...]
    expires_at: datetime
    approved: bool | None = None
    account: str = ""


@dataclass(slots=True, kw_only=True)
class Token:
    """An issued access token or refresh token."""

    grant: SimulatedGrant
    kind: Literal["access", "refresh"]
    scopes: tuple[str, ...] | None = None
    """The scopes of an access token that was asked for with fewer; None: those of its grant."""
    expires_at: datetime | None = None
    spent_at: datetime | None = None
    ended: bool = False


class Tokens:
    """The settings and the state of a simulated provider, with the tokens that it issues."""

    def __init__(
        self,
        *,
        slug: str = "simulated",
        takes_keys: bool = False,
        revokes_keys: bool = False,
        makes_keys: KeyMaking | None = None,
        device_codes: bool = False,
        dpop: bool = False,
        resources: Sequence[Mapping[str, object]] | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        rotation: Rotation = "always",
        reuse: Reuse = "strict",
        grace: timedelta = timedelta(seconds=30),
        access_lifetime: timedelta = timedelta(hours=1),
        code_lifetime: timedelta = timedelta(minutes=1),
        ends_old_access: bool = False,
        kills: Literal["token", "grant"] = "token",
        auto_approve: bool = False,
        require_pkce: bool = True,
        account: str = "acct-1",
        base_url: str = IN_MEMORY_URL,
    ) -> None:
        self.slug = slug
        self.takes_keys = takes_keys
        self.revokes_keys = revokes_keys
        self.makes_keys: KeyMaking | None = makes_keys
        self.most_keys = 100
        self.device_codes = device_codes
        self.dpop = dpop
        self.dpop_nonce: str | None = None
        self.resources = resources
        self.clock: Clock = SystemClock() if clock is None else clock
        self.rotation: Rotation = rotation
        self.reuse: Reuse = reuse
        self.grace = grace
        self.access_lifetime = access_lifetime
        self.code_lifetime = code_lifetime
        self.ends_old_access = ends_old_access
        self.kills: Literal["token", "grant"] = kills
        self.auto_approve = auto_approve
        self.require_pkce = require_pkce
        self.account = account
        self.base_url = base_url
        self._entropy: Entropy = SeededEntropy(secrets.token_hex()) if entropy is None else entropy
        self._lock = threading.RLock()
        self._requests: list[ReceivedRequest] = []
        self._plans: list[Plan] = []
        self._consents: dict[str, Asked] = {}
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, DeviceRequest] = {}
        self._tokens: dict[str, Token] = {}
        self._keys: dict[str, str] = {}
        self._proofs = Proofs()
        self._under_way: Counter[str] = Counter()
        self._in_flight_max = 0
        self._busiest = 0
        self._client_id = "fake-client-id"
        self._client_secret = Secret(f"fake-client-secret-{self._entropy.bytes(8).hex()}")
        self._client_secrets = [self._client_secret]
        self.valid_api_key = self.issue_api_key()
        """A key that works until `revoke_api_key`."""
        self.invalid_api_key = Secret("fake-key-that-never-worked")

    def issue_grant(self, *, scopes: tuple[str, ...] = ("read", "write"), account: str | None = None) -> IssuedGrant:
        """Make a grant without an authorization, and return its tokens."""
        with self._lock:
            grant = SimulatedGrant(account=account or self.account, scopes=scopes)
            return IssuedGrant(access=Secret(self._new_access(grant)), refresh=Secret(self._new_refresh(grant)))

    def revoke_grant(self, token: str | Secret | None = None, /) -> None:
        """End the grant of *token*, or without *token* every grant, without telling the client.

        Raises `KeyError` when the provider never issued *token*.
        """
        with self._lock:
            for held in self._tokens.values() if token is None else (self._tokens[digest_of(token)],):
                held.grant.alive = False

    def expire_access(self, token: str | Secret, /) -> None:
        """End one access token ahead of its time.  Raises `KeyError` when the provider never issued it."""
        with self._lock:
            self._tokens[digest_of(token)].ended = True

    def issue_api_key(self, *, account: str | None = None) -> Secret:
        """Make another API key that works."""
        with self._lock:
            key = f"fake-key-{self._entropy.bytes(16).hex()}"
            self._keys[digest_of(key)] = account or self.account
            return Secret(key)

    def issue_client_secret(self) -> Secret:
        """Make another secret of the application; those before it work until `revoke_client_secret`."""
        with self._lock:
            secret = Secret(f"fake-client-secret-{self._entropy.bytes(8).hex()}")
            self._client_secrets.append(secret)
            return secret

    def revoke_client_secret(self, secret: str | Secret, /) -> None:
        """End one secret of the application, so that a client with it is refused with `invalid_client`."""
        ended = secret if isinstance(secret, Secret) else Secret(secret)
        with self._lock:
            self._client_secrets = [other for other in self._client_secrets if other != ended]

    def revoke_api_key(self, key: str | Secret, /) -> None:
        """End *key*, so that it no longer works."""
        with self._lock:
            self._keys.pop(digest_of(key), None)

    def _person(self, what: Misbehaviour | None) -> str:
        return f"{self.account}-other" if what is Misbehaviour.OTHER_ACCOUNT else self.account

    def _accepts(self, held: Token) -> bool:
        now = self.clock.now()
        if held.ended or not held.grant.alive or (held.expires_at is not None and now >= held.expires_at):
            return False
        if held.spent_at is None or self.reuse == "tolerant":
            return True
        return self.reuse == "grace" and now - held.spent_at <= self.grace

    def _new_access(self, grant: SimulatedGrant, *, longer: str = "", scopes: tuple[str, ...] | None = None) -> str:
        token = f"fake-access-{self._entropy.bytes(16).hex()}{longer}"
        ends = self.clock.now() + self.access_lifetime
        self._tokens[digest_of(token)] = Token(grant=grant, kind="access", scopes=scopes, expires_at=ends)
        return token

    def _new_refresh(self, grant: SimulatedGrant) -> str:
        token = f"fake-refresh-{self._entropy.bytes(16).hex()}"
        grant.newest = digest_of(token)
        self._tokens[grant.newest] = Token(grant=grant, kind="refresh")
        grant.number = grant.number or grant.newest
        return token
