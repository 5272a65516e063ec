"""The library's field names in the words of the command line: the one place that translates them."""

from __future__ import annotations

import re
from typing import Any

_PARAMETERS = {
    "actor.id": "agent",
    "endsAt": "ends_at",
    "endsBefore": "ends_before",
    "freezeId": "freeze",
    "hosts": "host",
    "incidentId": "incident",
    "keyVersion": "key_version",
    "methods": "http_method",
    "onBehalfOf.id": "on_behalf_of",
    "providers": "provider",
    "providerId": "provider",
    "retiredBefore": "destroy_after",
    "scopes": "scope",
    "tenantId": "tenant",
    "unusedSince": "unused_since",
    "usedBy": "used_by",
    "usedBy.id": "used_by",
    "usedBy.type": "used_by",
    "variables": "variable",
}
"""The parameter of a command in which a field was given, where it has another name."""

_PLAIN = {
    "Content-Type": "the request's Content-Type",
    "body": "the request",
    "code": "the code in the callback's address",
    "credentials": "the API key",
    "providerId": "the provider",
    "query": "the query of the callback's address",
    "retiredBefore": "the time of the replacement",
    "returnTo": "the page to return to",
    "state": "the state in the callback's address",
    "tenantId": "the tenant",
}
_CAMEL = re.compile(r"\b[a-z]+(?:[A-Z][a-z0-9]*)+\b|\b[a-z]+(?:_[a-z0-9]+)+\b")
_CAPITALS = {"api": "API", "id": "id", "uri": "URI", "url": "URL"}


def say_field(field: str, command: Any = None, /) -> str:
    """Name a field of the library as *command* spells it: `tenantId` is `--tenant`, `providerId` is `PROVIDER`."""
    head, _, rest = field.partition(".")
    if head == "variables" and rest:
        return f"--variable {rest}"
    if head == "credentials" and rest:
        option, _, name = rest.partition(".")
        if option == "inputs":
            return f"--input {name}".strip()
        return _spelling(_PARAMETERS.get(rest, rest), command) or _in_words(rest)
    return _spelling(_PARAMETERS.get(field, field), command) or _in_words(field)


def say_problem(problem: str, /) -> str:
    """Put the fields that a problem names in the words of the command line."""
    return _CAMEL.sub(lambda found: _in_words(found[0]), problem)


def say_word(name: str, /) -> str:
    """Write a word of a closed list for people."""
    return name.replace("_", " ")


def _in_words(field: str) -> str:
    if " " in field:  # a provider's label for an input
        return f"the {field}"
    words = re.sub(r"([A-Z])", r" \1", field).replace("_", " ").replace("-", " ").lower().split()
    return _PLAIN.get(field) or "the " + " ".join(_CAPITALS.get(word, word) for word in words)


def _spelling(name: str, command: Any) -> str | None:
    for parameter in getattr(command, "params", ()):
        if parameter.name == name:
            is_argument = parameter.param_type_name == "argument"
            return str(parameter.metavar or name.upper()) if is_argument else max(parameter.opts, key=len)
    return None
