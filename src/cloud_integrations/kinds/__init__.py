"""The ways to obtain access, one file each, and the table of them.

A method of a provider file names its kind.  Nobody outside this room asks which one it is: what differs between them is
asked of the kind itself.  `register` adds one from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Placement, Provider, places

from .grant_code import GrantCode
from .kind import Kind
from .static import Static

__all__ = [
    "Kind",
    "Method",
    "Parts",
    "Placement",
    "auth_type_of",
    "auth_types",
    "by_consent",
    "check_provider",
    "find_consent_method",
    "input_methods",
    "kind_of",
    "present",
    "register",
]

_KINDS: dict[str, Kind] = {kind.name: kind for kind in (GrantCode(), Static())}


def register(kind: Kind, /) -> None:
    """Add a way to obtain access, for the whole process; before the catalogue is made that has a provider with it.

    Raises `ValueError` where its name is taken.
    """
    if kind.name in _KINDS:
        raise ValueError(f"there is a kind {kind.name} already")
    _KINDS[kind.name] = kind


def kind_of(method: Method, /) -> Kind:
    """Return the kind of *method*, which `check_provider` has seen."""
    return _KINDS[method.kind]


def auth_type_of(method: Method, /) -> AuthType:
    """Return what the public API calls this way."""
    return kind_of(method).auth_type


def auth_types(provider: Provider, /) -> tuple[AuthType, ...]:
    """Return the ways of the public API that work with *provider*, in the order of its methods."""
    return tuple(dict.fromkeys(map(auth_type_of, provider.methods)))


def by_consent(auth_type: AuthType, /) -> bool:
    """Whether a person consents at the provider; otherwise the tenant enters values."""
    return auth_type is AuthType.OAUTH2


def find_consent_method(provider: Provider, method_id: str | None = None, /) -> Method | None:
    """Return the named method, or the first, to which a person consents at the provider; None where there is none."""
    for method in provider.methods:
        if by_consent(auth_type_of(method)) and method_id in {None, method.id}:
            return method
    return None


def input_methods(provider: Provider, /) -> tuple[Method, ...]:
    """Return the methods for which the tenant enters values."""
    return tuple(method for method in provider.methods if not by_consent(auth_type_of(method)))


def present(method: Method, parts: Parts, /, *, variables: Mapping[str, str]) -> Presented:
    """Return a credential of *method*, which has these *parts*, as its requests show it."""
    kind = kind_of(method)
    names = [name for name in kind.part_names(method) if name in parts]
    return Presented(parts={name: parts[name] for name in names}, placement=kind.placements(method), variables=variables)


def check_provider(provider: Provider, /) -> None:
    """Check what the methods of a provider file must have for their kinds.  Raises `ValueError` that names the method."""
    for method in provider.methods:
        kind = _KINDS.get(method.kind)
        if kind is None:
            raise ValueError(f"{method.id}.kind must be one of {', '.join(sorted(_KINDS))}")
        for problem in chain(kind.problems(method), _misplaced(provider, method, kind)):
            raise ValueError(f"{method.id}{problem}")


def _misplaced(provider: Provider, method: Method, kind: Kind) -> Iterator[str]:
    """Say where placements of *method* cannot be filled."""
    variables = {variable.name for variable in provider.variables}
    inputs = {given.name: given for given in method.inputs}
    parts = kind.part_names(method)
    for place in kind.placements(method):
        for name in places(place.template):
            if name not in variables.union(parts, inputs, {"value"}):
                yield f".placement uses {{{name}}}, which is no input of the method and no variable"
            # A line break inside a header's value would begin another header.
            shown = inputs.get(parts[0] if name == "value" else name)
            if place.in_ == "header" and shown is not None and shown.multiline:
                yield f".placement puts {shown.name}, which may have several lines, into a header"
    taken = [place.target for place in kind.placements(method)]
    if len(set(taken)) != len(taken):
        yield ".placement puts two values into one place"
