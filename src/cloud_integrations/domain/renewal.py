"""What a round of the worker did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cloud_integrations.errors import CloudIntegrationsError

from .removal import RevocationRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRun:
    """Counts of one round; `claimed` is the sum of the others."""

    claimed: int = 0
    renewed: int = 0
    postponed: int = 0
    """The provider or the application has a problem, or somebody else is at it; it is tried again."""
    reconnect_required: int = 0
    gone: int = 0
    """Removed meanwhile."""
    failed: int = 0
    """The store or the keyring could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFailed:
    """A round of the worker that was not made: the store or the key service did not answer."""

    error: CloudIntegrationsError
    retry_in: timedelta
    """When it is tried again."""


WorkerRound = RenewalRun | RevocationRun | RoundFailed
"""What the worker tells after each round."""
