"""The list of what a credential reaches: its request, and what is read of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloud_integrations.domain.provider import AfterConnecting, Method, Provider
from cloud_integrations.protocol.resources import build_list, read_list

from .fake_values import example, put, variables_of
from .requesting import Section, presented_by
from .showing import answer, show_answer, show_request, words


def resource_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return the request for the list, and what is read of answers to it."""
    facts = method.after_connecting
    if facts is None:
        return
    known, presented = variables_of(provider, method), presented_by(provider, method)
    request = build_list(provider, method, facts, presented=presented, variables=known, private_servers=())
    yield "list of resources", show_request(request)
    yield "answers to list of resources", list(_answers(provider, facts))


def _answers(provider: Provider, facts: AfterConnecting) -> Iterator[str]:
    variable = next(each for each in provider.variables if each.name == facts.variable)
    entry = put({}, facts.id, example(variable.pattern or ""))
    if facts.label is not None:
        entry = put(entry, facts.label, "Acme")
    if facts.link is not None:
        entry = put(entry, facts.link, "https://acme.example")
    for status, entries in ((200, [entry]), (200, []), (200, [{}]), (403, None), (404, None), (429, None), (500, None)):
        body = entries if entries is None or facts.at is None else put({}, facts.at, entries)
        yield f"{show_answer(answer(status, body), body)} -> {_read(provider, facts, answer(status, body))}"
    if facts.page is not None:
        whole: Any = [put(entry, facts.id, f"r{number}") for number in range(facts.page)]
        read = read_list(provider, facts, answer(200, whole if facts.at is None else put({}, facts.at, whole)))
        yield f"{facts.page} entries -> is_complete: {read is not None and read.is_complete}"
    yield f"asked unless a grant has nothing but: {', '.join(facts.unneeded_by) or '–'}"


def _read(provider: Provider, facts: AfterConnecting, response: Any) -> str:
    found = read_list(provider, facts, response)
    return "unread" if found is None else words(found)
