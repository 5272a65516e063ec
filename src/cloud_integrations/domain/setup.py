"""A setup: what the library has made for an access that the tenant sets up at the provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cloud_integrations.domain.guides.values import Guide
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A setup that has begun: what the tenant needs to set the access up at the provider.

    `integration_id` is the id that the integration will have.  `made` are the values that the library made, such as the external id of a
    role; they stay the same until the integration is removed.  `principal` is the operator's name at the provider, which the tenant
    must trust; None: the operator has not configured it.  `inputs` are the names of the inputs that complete the setup.
    `guide` says what the tenant does at the provider, with these values filled in; None: the method has no guide, or it shows permissions,
    and `Settings.policies` has none for this provider.
    """

    integration_id: IntegrationId
    provider_id: ProviderId
    method_id: str
    slot: str = ""
    made: Mapping[str, Secret] = field(repr=False)
    principal: str | None = None
    guide: Guide | None = field(default=None, repr=False)
    inputs: tuple[str, ...]
    expires_at: datetime
    """When the setup ends if it was not completed: an aware UTC datetime."""
