"""What keys tell by their form: the region, the mode or the organization that is a variable of the provider.

Nothing here holds a value as text in a frame that raises.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloud_integrations.domain.provider import Derivation, Method, Provider, Variable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .http import find_json_object, find_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one input tells of a variable."""

    value: str
    """The value of the variable, which the variable takes."""
    input: str
    """The name of the input."""
    fits_all: tuple[str, ...]
    """Values that may be named nevertheless."""


def find_told(provider: Provider, method: Method, inputs: Mapping[str, Secret], /, *, fields: Mapping[str, str]) -> dict[str, Told]:
    """Return what the cleaned *inputs* of *method* tell, by the names of variables.  *fields* are the names of the inputs in errors.

    What is not listed, or not allowed by its variable, tells nothing.
    Raises `ValidationFailedError`, which names both fields and no value, if two inputs tell different values of one variable.
    """
    found: dict[str, Told] = {}
    for name, told in _all_told(provider, method, inputs):
        other = found.setdefault(name, told)
        if other.value != told.value:
            problem = f"does not go with {fields[other.input]}: each of them tells another {_called(provider, name)}"
            raise ValidationFailedError(field=fields[told.input], problem=problem)
    return found


def require_agreement(
    provider: Provider, told: Mapping[str, Told], /, *, named: Mapping[str, str], operator: Mapping[str, str], fields: Mapping[str, str]
) -> None:
    """Check that what keys tell is not contradicted by what the tenant has *named*, or by what the *operator* has configured.

    Raises `ValidationFailedError`, which names both fields and, of what the key tells, only a value that stands in the provider file.
    """
    for name, each in told.items():
        chosen = operator.get(name, named.get(name))
        if chosen is None or chosen == each.value or chosen in each.fits_all:
            continue
        field, called = fields[each.input], _called(provider, name)
        is_listed = each.value in _variable(provider, name).choices
        tells = f"tells {each.value}" if is_listed else f"tells another {called}"
        if name in operator:
            raise ValidationFailedError(field=field, problem=f"{tells}, and variables.{name} is chosen by the operator")
        problem = f"contradicts {field}, which {tells}; leave it out, or enter a key that fits"
        raise ValidationFailedError(field=f"variables.{name}", problem=problem)


def _all_told(provider: Provider, method: Method, inputs: Mapping[str, Secret]) -> Iterator[tuple[str, Told]]:
    for given in method.entered_inputs:
        if given.name not in inputs:
            continue
        known = set[str]()
        for rule in given.derives:
            value = None if rule.variable in known else _read(rule, inputs[given.name], _variable(provider, rule.variable))
            if value is not None:
                known.add(rule.variable)
                yield rule.variable, Told(value=value, input=given.name, fits_all=rule.fits_all)


def _read(rule: Derivation, entered: Secret, variable: Variable) -> str | None:
    found = re.fullmatch(rule.pattern, entered.reveal(), re.ASCII)
    if found is None or not found[1]:
        return None
    text = found[1] if rule.path is None else find_path(_decoded(found[1]), rule.path)
    value = text if not rule.values else rule.values.get(text) if isinstance(text, str) else None
    if not isinstance(value, str):
        return None
    try:
        return variable.check(value)
    except ValidationFailedError:
        return None


def _decoded(text: str) -> dict[str, object] | None:
    """Return the JSON object in base64, of either alphabet, with or without padding; None if there is none."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        inside = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        return None
    return find_json_object(inside)


def _variable(provider: Provider, name: str) -> Variable:
    return next(each for each in provider.variables if each.name == name)


def _called(provider: Provider, name: str) -> str:
    return _variable(provider, name).label or name
