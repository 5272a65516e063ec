"""The result of checking a credential at its provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.serialisation import Serialisable

CheckOutcome = Literal["alive", "alive_but_denied", "dead", "wrong_region", "clock_skew", "unknown"]
"""What a check has shown.

`alive`: the credential works.  `alive_but_denied`: it works, but may not do what the check asks for.  `dead`: the provider refuses
it.  `wrong_region`: it belongs to another site of the provider.  `clock_skew`: this machine's clock is wrong.  `unknown`: no verdict.
"""

Trust = Literal["tight", "loose", "unknown"]
"""What a check of the tenant's trust has shown.

`tight`: the provider refuses a mint without what the library made, one with another value, and one with a token of our own issuer for
another subject.  `loose`: it does not.  `unknown`: it could not be asked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Serialisable):
    """The result of a check: whether the provider accepts the credential, and whose account it is.

    `account_changed` says that it is another account than the stored one.  `checked_at` is an aware UTC datetime.
    """

    integration_id: IntegrationId
    outcome: CheckOutcome
    account: AccountFacts
    account_changed: bool = False
    checked_at: datetime
    verified: bool = True
    """False: nothing was asked, because the provider has no check for this method."""
    trust: Trust | None = None
    """Whether the access is still for this tenant alone; None: the method has no such proof."""

    @property
    def works(self) -> bool:
        """Whether the provider accepts the credential."""
        return self.outcome in {"alive", "alive_but_denied"}
