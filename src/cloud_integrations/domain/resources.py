"""What a credential reaches, and which of it an integration is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cloud_integrations.domain.serialisation import Serialisable

ResourceRefusal = Literal["no_resource", "resource_not_reached"]
"""Why an account cannot be connected: it reaches no resource, or not the one that the tenant named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Serialisable):
    """One thing at the provider that a credential reaches, such as a site or a workspace."""

    id: str
    label: str
    """Its name for people; the id where the provider gives none."""
    url: str | None = None
    """Its page, an https address; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceList(Serialisable):
    """What a credential reaches, in the provider's order, each once."""

    variable: str
    """The provider's variable that a choice gives."""
    chosen: str | None = None
    """The id that is chosen; it may be missing in the list, if it is no longer reached.  None: none is."""
    resources: tuple[Resource, ...] = ()
    is_complete: bool = True
    """False: there may be others, because the provider shows no whole list, or because some of it could not be read."""

    def may_have(self, resource_id: str, /) -> bool:
        """Return whether the credential reaches the resource, as far as the list says."""
        return not self.is_complete or any(each.id == resource_id for each in self.resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What became of a list: the value of the variable, or why the account cannot be connected."""

    value: str = ""
    """An id; empty: the tenant must choose."""
    refused: ResourceRefusal | None = None


def settle_choice(found: ResourceList | None, /, *, named: str | None, before: str | None) -> Choice:
    """Decide which resource an integration is for.

    *found* is None if the list could not be read, which never ends a connection.  *named* is what the tenant has just named, *before*
    what was chosen before a reconnect.
    """
    wanted = named or before or ""
    if found is None:
        return Choice(value=wanted)
    if found.is_complete and not found.resources:
        return Choice(refused="no_resource")
    if wanted and found.may_have(wanted):
        return Choice(value=wanted)
    if named:
        return Choice(refused="resource_not_reached")
    if found.is_complete and len(found.resources) == 1:
        return Choice(value=found.resources[0].id)
    return Choice()
