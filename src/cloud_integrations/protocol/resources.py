"""The list of what a credential reaches: its request is built here, and its answer read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.provider import AfterConnecting, Method, Provider, Variable
from cloud_integrations.domain.resources import Resource, ResourceList
from cloud_integrations.errors import ValidationFailedError

from .http import HttpRequest, HttpResponse, UnusableBodyError, find_path, merge_headers, read_json
from .rate_limit import is_rate_limited
from .shown_request import build_shown
from .verification import read_identity

MAX_LIST: Final = 1024 * 1024
"""The longest list that is read, in bytes."""
MOST: Final = 1000
"""The most resources that are kept of a list."""
_SHOWS_NONE: Final = frozenset({403, 404})
"""The statuses by which a provider says that this credential may not see the list."""


def build_list(
    provider: Provider,
    method: Method,
    facts: AfterConnecting,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    private_servers: Collection[str],
) -> HttpRequest:
    """Return the request for the list, with the credential *presented*; the other arguments are as in `build_check`.

    Raises `ValidationFailedError` if a part that a template names is missing.
    """
    shown = build_shown(
        provider,
        method,
        "GET",
        facts.url,
        headers=merge_headers({"Accept": "application/json"}, facts.headers),
        body=b"",
        presented=presented,
        variables=variables,
        private_servers=private_servers,
        options={},
    )
    return replace(shown, max_body=MAX_LIST)


def read_list(provider: Provider, facts: AfterConnecting, response: HttpResponse, /) -> ResourceList | None:
    """Return what the credential reaches; None: the answer does not say.

    A resource whose id the variable does not allow is left out, and so is what comes after the thousandth one: the list is then not
    complete.  So is one that the provider does not show to this credential.
    """
    variable = next(each for each in provider.variables if each.name == facts.variable)
    body = _read_body(response)
    if is_rate_limited(provider.rate_limit, response, body if isinstance(body, dict) else None):
        return None
    if response.status in _SHOWS_NONE:
        return ResourceList(variable=variable.name, is_complete=False)
    entries = body if facts.at is None else find_path(body, facts.at)
    if response.status != 200 or not isinstance(entries, list):
        return None
    read = [_read_entry(facts, variable, entry) for entry in entries]
    # A provider may name a resource several times, once for each of its products.
    found: dict[str, Resource] = {}
    for each in read:
        if each is not None:
            found.setdefault(each.id, each)
    resources = tuple(found.values())
    is_complete = None not in read and len(resources) <= MOST and (facts.page is None or len(entries) < facts.page)
    return ResourceList(variable=variable.name, resources=resources[:MOST], is_complete=is_complete)


def _read_body(response: HttpResponse) -> Any:
    try:
        return read_json(response.body, limit=MAX_LIST)
    except UnusableBodyError:
        return None


def _read_entry(facts: AfterConnecting, variable: Variable, entry: Any) -> Resource | None:
    """Return a resource, or None if its id cannot be one."""
    found = read_identity(find_path(entry, facts.id))
    try:
        resource_id = variable.check(found)
    except ValidationFailedError:
        return None
    label = "" if facts.label is None else read_identity(find_path(entry, facts.label))
    return Resource(
        id=resource_id, label=label or resource_id, url=_read_link(None if facts.link is None else find_path(entry, facts.link))
    )


def _read_link(value: Any) -> str | None:
    """Return an address that can be shown to people; None if *value* is none."""
    text = read_identity(value)
    try:
        parts = urlsplit(text)
        shown = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and text.isascii() and " " not in text
    except ValueError:
        return None
    return text if shown else None
