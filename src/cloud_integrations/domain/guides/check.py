"""Check a guide before it is used: every placeholder is known, and stands where its value can be quoted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from urllib.parse import urlsplit

from cloud_integrations.domain.provider import Provider

from .names import name_problem
from .places import check_json, document_names, find_names, find_places, read_json, url_host
from .template import DocumentTemplate, GuideTemplate, ProviderGuides

_SAMPLE = "sample"


def guide_problems(guides: ProviderGuides, provider: Provider, /) -> Iterator[tuple[str, str]]:
    """Return what is wrong with the guides of a provider: the field, and the problem as the end of a sentence."""
    if guides.provider != provider.id:
        yield "provider", "is not the slug of the provider"
    for guide in guides.methods:
        method = provider.method_named(guide.method)
        if method is None:
            yield f"{guide.method}.method", "is no method of this provider"
            continue
        for field, read_names in _fields(guide, provider):
            try:
                names = tuple(dict.fromkeys(read_names()))
            except ValueError as error:
                yield f"{guide.method}.{field}", str(error)
                continue
            for name in names:
                if (problem := name_problem(name, provider, method)) is not None:
                    yield f"{guide.method}.{field}", problem


def _fields(guide: GuideTemplate, provider: Provider) -> Iterator[tuple[str, partial[Iterable[str]]]]:
    """Return each field, with the function that checks it and gives the names of its placeholders."""
    for kind, lines in (("steps", guide.steps), ("undo", guide.undo)):
        yield from ((f"{kind}.{index}", partial(_names_in_text, line)) for index, line in enumerate(lines))
    yield from ((f"links.{index}.url", partial(_names_in_url, link.url, provider)) for index, link in enumerate(guide.links))
    yield from ((f"documents.{document.file}", partial(_names_in_document, document)) for document in guide.documents)


def _names_in_text(text: str) -> Iterable[str]:
    return [place.name for place in find_places("text", text)]


def _names_in_document(document: DocumentTemplate) -> Iterable[str]:
    if document.form == "json":
        check_json(read_json(document.text))
    elif document.takes_values:
        find_places(document.form, document.text)
    elif "{{" in document.text:
        raise ValueError("has a placeholder, and values cannot be quoted in this language")
    return document_names(document.form, document.text)


def _names_in_url(url: str, provider: Provider) -> Iterable[str]:
    places = find_places("text", url)
    sample = url
    for place in reversed(places):
        sample = sample[: place.start] + _SAMPLE + sample[place.end :]
    parts = urlsplit(sample)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or not sample.isprintable() or " " in sample:
        raise ValueError("must be an https URL without user name and spaces")
    in_host = {variable.name for variable in provider.variables if variable.in_host}
    for name in find_names(url_host(url)):
        if name not in in_host:
            raise ValueError(f"has the placeholder {name} in its host; only variables marked in_host may stand there")
    return [place.name for place in places]
