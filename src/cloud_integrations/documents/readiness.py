"""What an installation can connect, what it lacks, what ends, and how many integrations that concerns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.readiness import ApplicationReadiness, Lack, MethodReadiness, MissingPart, ProviderReadiness

from .base import Document
from .offers import DeprecationOut


@dataclass(slots=True, kw_only=True)
class MissingPartOut(Document):
    """One thing that a method lacks here; `name` is that of the variable, else the slug of the provider."""

    what: Lack
    name: str

    @classmethod
    def of(cls, part: MissingPart, /) -> Self:
        """Return the document of a missing part."""
        return cls._shown(part)


@dataclass(slots=True, kw_only=True)
class MethodReadinessOut(Document):
    """Whether a method works here, and what ends its access.

    `idleSeconds`: a grant ends if it is not renewed for this long.  `absoluteSeconds`: it ends this long after the consent.
    `integrations`: how many are stored, of all tenants.  `endingSoon`: how many of them work and hold a key or a grant that ends within
    30 days, `firstEnd` when the first of these does.  A count is null where they were not counted.
    """

    id: str
    auth_type: AuthType
    ready: bool
    missing: tuple[MissingPartOut, ...]
    idle_seconds: int | None
    absolute_seconds: int | None
    deprecated: DeprecationOut | None
    integrations: int | None
    ending_soon: int | None
    first_end: datetime | None

    @classmethod
    def of(cls, method: MethodReadiness, /) -> Self:
        """Return the document of a method."""
        missing = tuple(map(MissingPartOut.of, method.missing))
        return cls._shown(method, missing=missing, deprecated=DeprecationOut.of_any(method.deprecated))


@dataclass(slots=True, kw_only=True)
class ApplicationReadinessOut(Document):
    """The operator's OAuth application, without its secrets.

    `clientSecrets`: how many there are.  `secretSince`: the day on which the first was made; null: not said.  `isOld`: that is more than
    a year ago.
    """

    client_id: str
    client_secrets: int
    secret_since: date | None
    is_old: bool

    @classmethod
    def of_any(cls, application: ApplicationReadiness | None, /) -> Self | None:
        """Return the document of an application, or None where there is none."""
        return None if application is None else cls._shown(application)


@dataclass(slots=True, kw_only=True)
class ProviderReadinessOut(Document):
    """What an installation can connect of a provider.

    `redirectUri` is what to register there.  `checked`: the day on which its file was last compared with the sources; `isOld`: that is
    more than a year ago.
    """

    id: UUID
    slug: str
    name: str
    active: bool
    redirect_uri: str | None
    checked: date | None
    is_old: bool
    application: ApplicationReadinessOut | None
    methods: tuple[MethodReadinessOut, ...]

    @classmethod
    def of(cls, provider: ProviderReadiness, /) -> Self:
        """Return the document of a provider."""
        application = ApplicationReadinessOut.of_any(provider.application)
        return cls._shown(provider, application=application, methods=tuple(map(MethodReadinessOut.of, provider.methods)))
