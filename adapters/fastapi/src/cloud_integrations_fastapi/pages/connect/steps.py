"""The steps of a connection, and which of them an error ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    GrantRefusedError,
    IntegrationExistsError,
    InvalidCredentialsError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    StorageUnavailableError,
    TrustTooOpenError,
    ValidationFailedError,
)

Step = Literal["form", "reached", "accepted", "account", "rights", "trust", "stored"]
"""`form`: what was entered can be right.  `reached`: the provider answered.  `accepted`: it took the credential.  `account`: it is that of
the account that was connected before.  `rights`: it reaches something that can be used.  `trust`: nobody else can use the access.
`stored`: it is kept, sealed."""
Turn = Literal["you", "administrator", "operator", "nobody"]
"""Who must act: the person at the screen, an administrator of the account at the provider, the operator of this site, or nobody."""
STEPS: Final[tuple[Step, ...]] = ("form", "reached", "accepted", "account", "rights", "trust", "stored")

_ENDED: Final[Mapping[type[CloudIntegrationsError], tuple[Step, Turn]]] = MappingProxyType({
    ValidationFailedError: ("form", "you"),
    ProviderInactiveError: ("form", "operator"),
    ProviderUnreachableError: ("reached", "nobody"),
    ProviderUnavailableError: ("reached", "nobody"),
    InvalidCredentialsError: ("accepted", "you"),
    GrantRefusedError: ("accepted", "you"),
    AppMisconfiguredError: ("accepted", "operator"),
    TrustTooOpenError: ("trust", "administrator"),
    IntegrationExistsError: ("stored", "you"),
    StorageUnavailableError: ("stored", "operator"),
})  # fmt: skip
_FOR_REASON: Final[Mapping[str, tuple[Step, Turn]]] = MappingProxyType({
    "clock_skew": ("accepted", "operator"),
    "other_account": ("account", "you"),
    "no_resource": ("rights", "you"),
    "resource_not_reached": ("rights", "you"),
})  # fmt: skip
"""The same for reasons that say more than their error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Where a connection ended: the step, who must act, and the error, whose texts are for people."""

    step: Step
    turn: Turn
    error: CloudIntegrationsError

    def state_of(self, step: Step, /) -> Literal["done", "failed", "open"]:
        """Return how far *step* has come."""
        at, ended = STEPS.index(step), STEPS.index(self.step)
        return "failed" if at == ended else "done" if at < ended else "open"


def failure_of(error: CloudIntegrationsError, /) -> Failure:
    """Return where *error* ended a connection; an error that is not listed is raised again."""
    ended = next((_ENDED[kind] for kind in type(error).__mro__ if kind in _ENDED), None)
    if ended is None:
        raise error
    step, turn = _FOR_REASON.get(getattr(error, "reason", ""), ended)
    return Failure(step=step, turn=turn, error=error)
