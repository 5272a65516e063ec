"""What an installation can connect, what it lacks, what ends by age, and how many integrations that concerns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from cloud_integrations.domain.application import DeprecationSummary
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.serialisation import Serialisable

SOON: Final = timedelta(days=30)
"""What ends within this time ends soon."""
Lack = Literal["application", "variable", "platform", "issuer"]
"""What an operator must give before a method works: an OAuth application, a value of its `variables`, the own credential of `platform`, or
the `issuer`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPart:
    """One thing that a method lacks here."""

    what: Lack
    name: str
    """The name of the variable; else the slug of the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationCount:
    """How many stored integrations with one method of a provider there are, of all tenants and in every state."""

    provider_id: ProviderId
    method_id: str
    total: int
    ending: int
    """How many of them work and hold a key or a grant that ends before the time that was asked for."""
    first_end: datetime | None
    """The earliest end of these; None: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodReadiness(Serialisable):
    """Whether one method works in this installation, what ends its access, and how many integrations that concerns."""

    id: str
    auth_type: AuthType
    missing: tuple[MissingPart, ...] = ()
    """What the operator must give first."""
    idle_seconds: int | None = None
    """The grant ends if it is not renewed for this long; None: not known, or it does not."""
    absolute_seconds: int | None = None
    """The grant ends this long after the consent, whatever is done; None: not known, or it does not."""
    deprecated: DeprecationSummary | None = None
    """The end that the provider has announced; None: none is known."""
    integrations: int | None = None
    """How many integrations with this method are stored, of all tenants and in every state; None: they were not counted."""
    ending_soon: int | None = None
    """How many of them work and hold a key or a grant whose known end, by age or by disuse, is at most 30 days away.

    An end by disuse moves on when the worker renews the grant, or checks the key, before it.  None: they were not counted.
    """
    first_end: datetime | None = None
    """The earliest of these ends; None: there is none."""

    @property
    def ready(self) -> bool:
        """Whether tenants can connect by it."""
        return not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReadiness(Serialisable):
    """The operator's OAuth application at a provider, without its secrets."""

    client_id: str
    client_secrets: int
    """How many client secrets are configured; 0 for a public client."""
    secret_since: date | None
    """The day on which the first of them was made (`OAuthApplication.secret_since`); None: not said."""
    is_old: bool
    """Whether that is more than a year ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReadiness(Serialisable):
    """What an installation can connect of one provider."""

    id: ProviderId
    slug: str
    name: str
    active: bool
    """Whether new connections are offered at all."""
    redirect_uri: str | None
    """The redirect URI to register at the provider; None: there is no application, or it depends on a variable of the tenant."""
    checked: date | None
    """The day on which its file was last compared with the sources; None: the file does not say."""
    is_old: bool
    """Whether that is more than a year ago."""
    application: ApplicationReadiness | None
    """The operator's application; None: none is configured."""
    methods: tuple[MethodReadiness, ...]
