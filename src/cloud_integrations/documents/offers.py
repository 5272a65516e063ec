"""What can be connected: providers, their methods and their setup guides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, Self
from uuid import UUID

from cloud_integrations.domain.application import DeprecationSummary, InputSummary, MethodSummary, ProviderSummary, VariableSummary
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.entered import InputForm
from cloud_integrations.domain.guides.values import DocumentForm, Guide
from cloud_integrations.domain.icon import ProviderIcon
from cloud_integrations.domain.key_rotation import KeyMaking
from cloud_integrations.domain.serialisation import to_camel

from .base import Document


@dataclass(slots=True, kw_only=True)
class InputOut(Document):
    """One value that a tenant enters: the member `name` of `credentials.inputs`.

    `form` is `text` (one line), `pem` or `json` (a whole document).  Of the inputs with the same `oneOf`, at most one is entered, and
    exactly one if one of them is `required`.  `field` is the member of `credentials` that also takes the value; null: none does.
    The whole value usually matches one of `patterns`; another one is checked with the provider all the same.
    """

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    form: InputForm
    one_of: str | None
    field: Literal["apiKey", "secretKey"] | None
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, asked: InputSummary, /) -> Self:
        """Return the document of an input."""
        return cls._shown(asked, field=None if asked.argument is None else to_camel(asked.argument))


@dataclass(slots=True, kw_only=True)
class DeprecationOut(Document):
    """What a provider has announced to end: the day (null: not said), what to use instead, and the page that says so."""

    ends: date | None
    instead: str
    source: str

    @classmethod
    def of(cls, announced: DeprecationSummary, /) -> Self:
        """Return the document of what ends."""
        return cls._shown(announced)

    @classmethod
    def of_any(cls, announced: DeprecationSummary | None, /) -> Self | None:
        """Return the document of what ends; None if nothing does."""
        return None if announced is None else cls.of(announced)


@dataclass(slots=True, kw_only=True)
class MethodOut(Document):
    """A method to connect, with the values that it needs and the page where a person withdraws the access by hand.

    `revokesKey`: the provider can revoke the key when the integration is deleted, if that is asked for.  `makesKey`: how the provider
    makes a new key in a rotation, if it does.  `deprecated`: the end that the provider has announced for it.
    """

    id: str
    auth_type: AuthType
    inputs: tuple[InputOut, ...]
    needs_setup: bool
    revokes_key: bool
    makes_key: KeyMaking | None
    manual_url: str | None
    deprecated: DeprecationOut | None

    @classmethod
    def of(cls, method: MethodSummary, /) -> Self:
        """Return the document of a method."""
        inputs = tuple(map(InputOut.of, method.inputs))
        return cls._shown(method, inputs=inputs, deprecated=DeprecationOut.of_any(method.deprecated))


@dataclass(slots=True, kw_only=True)
class VariableOut(Document):
    """A value that a provider's addresses need and that a tenant may give: the member `name` of `variables`.

    The whole value must match `pattern`, or be one of `choices`.  `default` is used if none is given.  `toldBy` names the inputs whose
    form may tell the value, as a key of some region does: it can be left out, and what is given must not contradict the key.
    """

    name: str
    label: str
    hint: str
    required: bool
    told_by: tuple[str, ...]
    pattern: str | None
    choices: tuple[str, ...]
    default: str | None

    @classmethod
    def of(cls, variable: VariableSummary, /) -> Self:
        """Return the document of a variable."""
        return cls._shown(variable)


@dataclass(slots=True, kw_only=True)
class IconOut(Document):
    """An icon to draw: white `letters` on a square whose colour is `background`, as `#rrggbb`."""

    letters: str
    background: str

    @classmethod
    def of(cls, icon: ProviderIcon, /) -> Self:
        """Return the document of an icon."""
        return cls._shown(icon)


@dataclass(slots=True, kw_only=True)
class ProviderOut(Document):
    """A provider, the methods that work with it in this installation, and the variables that a tenant may give.

    `description` says what it is in at most 100 characters.  `aliases` are other words by which people look for it.
    `deprecated`: the end that is announced for the whole provider.
    """

    id: UUID
    slug: str
    name: str
    category: str
    description: str
    aliases: tuple[str, ...]
    icon: IconOut
    active: bool
    auth_types: tuple[AuthType, ...]
    documentation: str
    redirect_uri: str | None
    methods: tuple[MethodOut, ...]
    variables: tuple[VariableOut, ...]
    deprecated: DeprecationOut | None

    @classmethod
    def of(cls, provider: ProviderSummary, /) -> Self:
        """Return the document of a provider."""
        return cls._shown(
            provider,
            icon=IconOut.of(provider.icon),
            methods=tuple(map(MethodOut.of, provider.methods)),
            variables=tuple(map(VariableOut.of, provider.variables)),
            deprecated=DeprecationOut.of_any(provider.deprecated),
        )


@dataclass(slots=True, kw_only=True)
class GuideLinkOut(Document):
    """An https address to open."""

    title: str
    url: str


@dataclass(slots=True, kw_only=True)
class GuideDocumentOut(Document):
    """A policy, a template or commands: `name` is the name of a file, `form` what it is written in."""

    name: str
    title: str
    form: DocumentForm
    text: str


@dataclass(slots=True, kw_only=True)
class GuideOut(Document):
    """What a person does at a provider so that a method can be connected, and what to delete there afterwards (`undo`).

    All texts are plain text and no HTML.  A value that is not known stands as `<NAME>`; `missing` lists the names.
    """

    provider_id: UUID
    provider: str
    method: str
    title: str
    steps: tuple[str, ...]
    links: tuple[GuideLinkOut, ...]
    documents: tuple[GuideDocumentOut, ...]
    undo: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def of(cls, guide: Guide, /) -> Self:
        """Return the document of a guide."""
        links = tuple(GuideLinkOut(title=each.title, url=each.url) for each in guide.links)
        documents = tuple(GuideDocumentOut(name=each.name, title=each.title, form=each.form, text=each.text) for each in guide.documents)
        return cls._shown(guide, links=links, documents=documents)
