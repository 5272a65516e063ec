"""The results of a round of the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cloud_integrations.errors import CloudIntegrationsError

from .event_message import DeliveryRun
from .removal import RevocationRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRun:
    """The result of one round, in numbers of integrations; `claimed` is the sum of the others."""

    claimed: int = 0
    renewed: int = 0
    """Also what is not renewed and was checked, so that it does not end by disuse."""
    postponed: int = 0
    """Tried again later: the provider or the application has a problem, or another worker is renewing it."""
    reconnect_required: int = 0
    gone: int = 0
    """Removed meanwhile."""
    failed: int = 0
    """Not renewed, because the store or the keys could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFailed:
    """A round of the worker that failed, because the store or the key service did not answer."""

    error: CloudIntegrationsError
    retry_in: timedelta
    """How long until the next try."""


WorkerRound = RenewalRun | RevocationRun | DeliveryRun | RoundFailed
"""What the worker reports after each round."""
