"""The golden text of a provider: its sections, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cloud_integrations.domain.provider import Method, Provider

from .answering import answer_sections, rate_limit_lines
from .facts import fact_sections, provider_sections
from .requesting import Section, consent_sections, credential_sections, mint_sections
from .resources import resource_sections

FOLDER = Path(__file__).parent
_HEAD = """{name}: what is sent, and what is read of the answers.
Written by `python -m tests.golden` from the provider file; read what changes here before you commit it.
"""


def sections(provider: Provider, /, *, about: tuple[str | int, ...] = ()) -> Iterator[Section]:
    """Return all sections of *provider*, each made when it is asked for.

    *about* is a place in the file; then only the sections are returned that what stands there can change.
    """
    table = about[0] if about else None
    if table in {None, "formats", "self_hosted", "sites", "variables"}:
        yield from provider_sections(provider)
    for index, method in enumerate(provider.methods):
        if table == "methods" and index != about[1]:
            continue
        for part in _PARTS.get(str(table), _ALL):
            for title, lines in part(provider, method):
                yield f"{method.id}: {title}", lines
    if table in {None, "rate_limit"}:
        yield "rate limit", list(rate_limit_lines(provider))


_ALL: tuple[Callable[[Provider, Method], Iterator[Section]], ...] = (
    consent_sections,
    mint_sections,
    credential_sections,
    answer_sections,
    resource_sections,
    fact_sections,
)
_PARTS = {
    "error_rules": (answer_sections,),
    "formats": (),
    "programs": (fact_sections,),
    "rate_limit": (),
    "self_hosted": (),
    "verifications": (credential_sections, answer_sections),
}


def golden_text(provider: Provider, /) -> str:
    """Return the text of the file of *provider*."""
    blocks = ("\n".join([f"=== {title}", *lines]) + "\n" for title, lines in sections(provider))
    return "\n".join([_HEAD.format(name=provider.name), *blocks])


def golden_file(slug: str, /) -> Path:
    """Return the file of a provider."""
    return FOLDER / f"{slug}.txt"
