"""Fill the placeholders of a guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cloud_integrations.domain.arguments import LONGEST_URL, read_text
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import ProviderInactiveError, ValidationFailedError

from .names import required_permissions, with_derived
from .places import document_names, find_names, find_places, is_document, read_json, url_host
from .quoting import quote_hcl, quote_shell, quote_url, quote_yaml, write_hcl, write_json
from .template import DocumentTemplate, GuideTemplate
from .values import DocumentForm, Guide, GuideDocument, GuideLink


@dataclass(slots=True)
class _Filling:
    """The values of one guide, and which were asked for and are not known."""

    provider: Provider
    values: Mapping[str, str]
    permissions: Mapping[str, Any] | None
    missing: set[str] = field(default_factory=set)

    def value(self, name: str) -> Any:
        """Return the value of a placeholder, or `<NAME>`."""
        if is_document(name):
            return required_permissions(name, self.provider, self.permissions)
        if name in self.values:
            return self.values[name]
        self.missing.add(name)
        return f"<{name.upper()}>"

    def text(self, name: str) -> str:
        """Return the value of a placeholder that stands where only text can."""
        value = self.value(name)
        if not isinstance(value, str):
            raise ProviderInactiveError(
                provider_id=str(self.provider.provider_id),
                problem=f"has permissions configured here whose member {name.partition('.')[2]} is not text, which its guide needs",
            )
        return value


def fill_guide(
    provider: Provider, template: GuideTemplate, /, *, values: Mapping[str, str], permissions: Mapping[str, Any] | None = None
) -> Guide:
    """Return the setup guide with each placeholder replaced by its value, quoted for the place where it stands.

    *template* is a guide of *provider* that has passed `guide_problems`.  *values* are those that are known, by name; another name is
    allowed and not used.  *permissions* are the host's permissions for this provider.  A value that is not known stands as `<NAME>`.
    A link is left out if one of its values is not known.

    Raises `ValidationFailedError`, which names the value and never repeats it, if a value is not printable or, in a command, would be
    read as an option; `ProviderInactiveError` if the guide shows permissions and the host has given none.
    """
    known = {name: read_text(name, value, most=LONGEST_URL) for name, value in with_derived(values).items()}
    filling = _Filling(provider, known, permissions)
    documents = tuple(_fill_document(filling, document) for document in template.documents)
    steps = tuple(_fill_text(filling, "text", step) for step in template.steps)
    undo = tuple(_fill_text(filling, "text", line) for line in template.undo)
    links = []
    for link in template.links:
        names = find_names(link.url)
        unknown = {name for name in names if name not in known and not is_document(name)}
        if not unknown:
            links.append(GuideLink(title=link.title, url=_fill_url(filling, link.url)))
        else:
            filling.missing |= unknown
    return Guide(
        provider_id=provider.provider_id,
        provider=provider.id,
        method=template.method,
        title=template.title,
        steps=steps,
        links=tuple(links),
        documents=documents,
        undo=undo,
        missing=tuple(sorted(filling.missing)),
    )


def needs_permissions(template: GuideTemplate, /) -> bool:
    """Return whether the guide shows the host's permissions, and so cannot be filled without them."""
    names = [name for document in template.documents for name in document_names(document.form, document.text)]
    texts = [*template.steps, *template.undo, *(link.url for link in template.links)]
    return any(map(is_document, [*names, *(name for text in texts for name in find_names(text))]))


def _fill_document(filling: _Filling, document: DocumentTemplate) -> GuideDocument:
    if document.form == "json":
        content = read_json(document.text)
        text = write_json(_fill_json(filling, content))
    elif document.takes_values:
        text = _fill_text(filling, document.form, document.text)
    else:
        text = document.text
    return GuideDocument(name=document.file, title=document.title, form=document.form, text=text)


def _fill_json(filling: _Filling, value: Any) -> Any:
    """Fill the texts of a JSON document's content, so that no value can end its text."""
    if isinstance(value, dict):
        filled = {_fill_text(filling, "text", name): _fill_json(filling, member) for name, member in value.items()}
        if len(filled) != len(value):
            raise ValidationFailedError(field="values", problem="give two members of a document one name")
        return filled
    if isinstance(value, list):
        return [_fill_json(filling, member) for member in value]
    if not isinstance(value, str):
        return value
    names = find_names(value)
    if names and value == f"{{{{{names[0]}}}}}":
        return filling.value(names[0])
    return _fill_text(filling, "text", value)


def _fill_url(filling: _Filling, url: str) -> str:
    # Variables in a host have a form of their own, in which nothing needs to be encoded.
    after_host = len(url_host(url))
    written = []
    for place in find_places("text", url):
        value = filling.text(place.name)
        written.append((place.start, place.end, value if place.start < after_host else quote_url(value)))
    return _replace(url, written)


def _fill_text(filling: _Filling, form: DocumentForm, text: str) -> str:
    written = []
    for place in find_places(form, text):
        if place.context == "value" and form in {"hcl", "yaml"}:
            value = filling.value(place.name)
            indent = _indent_of(text, place.start)
            written.append((place.start, place.end, write_hcl(value, indent=indent) if form == "hcl" else quote_yaml(value)))
            continue
        value = filling.text(place.name)
        if place.begins_word and value.startswith("-"):
            raise ValidationFailedError(field=place.name, problem="must not begin with -, which a command would read as an option")
        written.append((place.start, place.end, _QUOTES[form](value)))
    return _replace(text, written)


_QUOTES: Final[dict[DocumentForm, Callable[[str], str]]] = {"shell": quote_shell, "hcl": quote_hcl, "text": str}


def _replace(text: str, written: list[tuple[int, int, str]]) -> str:
    """Return *text* with values in place of its parts; what a value holds is not read again."""
    done, at = list[str](), 0
    for start, end, value in written:
        done += [text[at:start], value]
        at = end
    return "".join([*done, text[at:]])


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]
