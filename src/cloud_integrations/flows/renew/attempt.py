"""One attempt to renew a credential, and how its end is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, StoredIntegration
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations.flows.shared.events import apply, happened, tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.http import HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRequest:
    """A caller's request for a renewal; `renew` describes the fields."""

    seen_generation: int
    caller: Caller
    patience: timedelta
    forced: bool
    access_is_dead: bool
    asks_again: bool
    scheduled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalAttempt:
    """One lease on an integration, and the request to send under it."""

    client: Client
    stored: StoredIntegration
    """The row with the lease in it."""
    read_at: float
    """When the row was read, on this process's monotonic clock."""
    request: HttpRequest
    deadline: timedelta
    attempt_id: str
    refresh_token: Secret
    dpop_key: Secret | None
    """The private key to which the tokens are bound (RFC 9449); None: they are bearer tokens."""
    unresolved_before: bool
    """True if an earlier request was sent and its outcome is unknown."""
    access_is_dead: bool
    """True if the provider refused the stored access token."""
    follows: bool
    """True if the attempt directly before it brought a refresh token without an access token."""
    alone: bool = False
    """True if this attempt brought a refresh token without an access token: the stored access token stays."""
    alone_because: str | None = None
    """Why it brought no access token; None otherwise, and if a reconnect's access token stays."""
    caller: Caller
    asks_again: bool

    @property
    def tenant_id(self) -> TenantId:
        """The integration's tenant."""
        return self.stored.facts.tenant_id

    @property
    def integration_id(self) -> IntegrationId:
        """The integration whose credential is renewed."""
        return self.stored.facts.id

    @property
    def lease(self) -> int:
        """The number of the lease, which is its fencing token."""
        return self.stored.marks.lease_token

    @property
    def behaviour(self) -> RefreshTokenFacts:
        """How the provider's refresh tokens behave."""
        return self.client.method.refresh_token


async def record_end(wiring: Wiring, facts: Integration, caller: Caller, attempt_id: str, *, reason: str, is_unknown: bool = False) -> None:
    """Record the end of an attempt that changes nothing in the row; *is_unknown* if the provider may have spent the refresh token.

    If the store cannot be used, only the observer is told.
    """
    name: EventName = "credential.refresh_unsettled" if is_unknown else "credential.not_refreshed"
    try:
        await apply(wiring, happened(wiring, name, Subject.of(facts), caller, reason=reason, attempt=attempt_id))
    except StorageUnavailableError:
        # The audit log has the start of the attempt without an end, which reads as unknown.
        tell_of(wiring, "credential.unpersisted", Subject.of(facts))


def store_now(wiring: Wiring, attempt: RenewalAttempt) -> datetime:
    """Return the time by the store's clock, which leases and back-off use."""
    return attempt.stored.read_at + timedelta(seconds=wiring.clock.monotonic() - attempt.read_at)
