"""What a live check of a provider file would send, told without a key and without sending anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cloud_integrations.domain.provider import Method, Present, Provider
from cloud_integrations.kinds import kind_of
from cloud_integrations.protocol.verification import find_check


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """One request of a live check."""

    purpose: Literal["token", "check"]
    """`token`: it makes the token that the check shows."""
    http_method: str
    url: str
    """The URL; a name in braces stands for a value that is not known yet."""
    headers: tuple[str, ...]
    """The names of the headers that come from the file, sorted."""
    credential: str
    """Where the credential stands in the request, for people."""


def plan_live(provider: Provider, method: Method, /, *, variables: Mapping[str, str] | None = None) -> tuple[PlannedRequest, ...]:
    """Return the requests of a live check of *method*, in their order; `check_live` sends all of them twice.

    Empty: no check of the file fits the method and the *variables*.
    """
    defaults = {each.name: each.default for each in provider.variables if each.default is not None}
    known = {**defaults, **(variables or {})}
    check = find_check(provider, method, variables={**{each.name: f"{{{each.name}}}" for each in provider.variables}, **known})
    if check is None:
        return ()
    steps = [
        PlannedRequest(
            purpose="token",
            http_method=step.method,
            url=_fill(step.url, known),
            headers=_names(step.headers, ["Authorization"] if step.client_auth else []),
            credential=f"signed by {step.sign}" if step.sign else "in the request, as mint says",
        )
        for step in method.mint
    ]
    present = kind_of(method).present(method)
    shown = PlannedRequest(
        purpose="check",
        http_method=check.method,
        url=_fill(check.url, known),
        headers=_names(["Accept"], check.headers, method.headers.get("api", {}), present.headers, _of_scheme(present)),
        credential=_say_place(present),
    )
    return (*steps, shown)


def _names(*headers: Mapping[str, str] | list[str]) -> tuple[str, ...]:
    names = {name.lower(): name for group in headers for name in group}
    return tuple(sorted(names.values(), key=str.lower))


def _of_scheme(present: Present) -> list[str]:
    return ["Authorization"] if present.basic is not None or present.digest is not None else []


def _say_place(present: Present) -> str:
    places = [
        *(f"in the header {name}" for name in present.headers),
        *(f"in the query as {name}" for name in present.query),
        "by HTTP basic authentication" if present.basic is not None else "",
        "by HTTP digest authentication" if present.digest is not None else "",
        f"as the signature {present.sign}" if present.sign is not None else "",
        "as a client certificate" if present.certificate is not None else "",
    ]
    return " and ".join(place for place in places if place)


def _fill(template: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z0-9_]+)\}", lambda found: known.get(found[1], found[0]), template)
