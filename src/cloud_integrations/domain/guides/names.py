"""The closed list of names that a placeholder can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.errors import ProviderInactiveError

PERMISSIONS: Final = "permissions"
"""The permissions document of the host, as a whole; `permissions.name` is one of its members."""
PLATFORM_NAMES: Final[Mapping[str, str]] = {
    "account_of_principal": "The AWS account of `principal`.",
    "app_client_id": "The client id of the product's OAuth application.",
    "audience": "The audience of the tokens that our issuer signs for this method.",
    "external_id": "The external id that the library made for this integration.",
    "issuer": "The address of our token issuer, an https URL.",
    "issuer_host": "`issuer` without `https://`.",
    "principal": "Who assumes the tenant's role: the ARN of the product's own identity.",
    "product": "The name of the product, as sessions and roles show it.",
    "redirect_uri": "The redirect URI of the product's OAuth application.",
    "subject": "The subject of the tokens that our issuer signs for this tenant.",
    "template_url": "Where the operator has published the guide's template (`Settings.template_urls`).",
}
"""Names that have a value for every provider, with what they mean.  An input or a variable of the same name goes first."""


def public_inputs(method: Method, /) -> frozenset[str]:
    """Return the names of a method's inputs, and of their parts, that are no secrets."""
    return frozenset(name for given in method.inputs if not given.secret for name in (given.name, *given.part_names))


def secret_inputs(method: Method, /) -> frozenset[str]:
    """Return the names of a method's inputs, and of their parts, that are secrets."""
    return frozenset(name for given in method.inputs if given.secret for name in (given.name, *given.part_names))


def name_problem(name: str, provider: Provider, method: Method, /) -> str | None:
    """Return why no placeholder can have this *name* in a guide for *method*; None if one can."""
    if name in secret_inputs(method):
        return f"has the placeholder {name}, which is a secret"
    first, _, rest = name.partition(".")
    if first == PERMISSIONS and "." not in rest:
        return None
    variables = {variable.name for variable in provider.variables}
    if name in variables | public_inputs(method) | PLATFORM_NAMES.keys():
        return None
    return f"has the placeholder {name}, which is no variable, no input and none of {', '.join(sorted({*PLATFORM_NAMES, PERMISSIONS}))}"


def with_derived(values: Mapping[str, str], /) -> dict[str, str]:
    """Return *values* with those that follow from them: `account_of_principal` and `issuer_host`."""
    derived = dict(values)
    if "issuer" in values:
        derived.setdefault("issuer_host", values["issuer"].removeprefix("https://").rstrip("/"))
    # arn:partition:service:region:account:resource
    parts = values.get("principal", "").split(":")
    if parts[0] == "arn" and len(parts) > _ACCOUNT and parts[_ACCOUNT]:
        derived.setdefault("account_of_principal", parts[_ACCOUNT])
    return derived


_ACCOUNT: Final = 4


def required_permissions(name: str, provider: Provider, permissions: Mapping[str, Any] | None, /) -> Any:
    """Return what the placeholder *name*, `permissions` or `permissions.member`, stands for in the host's document.

    Raises `ProviderInactiveError` if the host has given no document, or not this member: a guide never makes up permissions.
    """
    if not permissions:
        problem = f"has no permissions configured here, in policies.{provider.id}, which its setup guide shows"
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem=problem)
    member = name.partition(".")[2]
    if not member:
        return permissions
    value = permissions.get(member)
    if value is None or value in ("", [], {}):
        problem = f"has no {member} in its permissions configured here, in policies.{provider.id}, which its guide shows"
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem=problem)
    return value
