"""What can be connected: providers, their methods and their setup guides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self
from uuid import UUID

from cloud_integrations.domain.application import InputSummary, MethodSummary, ProviderSummary, VariableSummary
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.entered import InputForm
from cloud_integrations.domain.guides.values import DocumentForm, Guide
from cloud_integrations.domain.serialisation import to_camel

from .base import Document


@dataclass(slots=True, kw_only=True)
class InputOut(Document):
    """One value that a tenant enters: the member `name` of `credentials.inputs`.

    `form` is `text` (one line), `pem` or `json` (a whole document).  Of the inputs with the same `oneOf`, at most one is entered, and
    exactly one if one of them is `required`.  `field` is the member of `credentials` that also takes the value; null: none does.
    """

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    form: InputForm
    one_of: str | None
    field: Literal["apiKey", "secretKey"] | None

    @classmethod
    def of(cls, asked: InputSummary, /) -> Self:
        """Return the document of an input."""
        return cls._shown(asked, field=None if asked.argument is None else to_camel(asked.argument))


@dataclass(slots=True, kw_only=True)
class MethodOut(Document):
    """A method to connect, with the values that it needs and the page where a person withdraws the access by hand.

    `revokesKey`: the provider can revoke the key when the integration is deleted, if that is asked for.
    """

    id: str
    auth_type: AuthType
    inputs: tuple[InputOut, ...]
    needs_setup: bool
    revokes_key: bool
    manual_url: str | None

    @classmethod
    def of(cls, method: MethodSummary, /) -> Self:
        """Return the document of a method."""
        return cls._shown(method, inputs=tuple(map(InputOut.of, method.inputs)))


@dataclass(slots=True, kw_only=True)
class VariableOut(Document):
    """A value that a provider's addresses need and that a tenant may give: the member `name` of `variables`.

    The whole value must match `pattern`, or be one of `choices`.  `default` is used if none is given.
    """

    name: str
    label: str
    hint: str
    required: bool
    pattern: str | None
    choices: tuple[str, ...]
    default: str | None

    @classmethod
    def of(cls, variable: VariableSummary, /) -> Self:
        """Return the document of a variable."""
        return cls._shown(variable)


@dataclass(slots=True, kw_only=True)
class ProviderOut(Document):
    """A provider, the methods that work with it in this installation, and the variables that a tenant may give."""

    id: UUID
    slug: str
    name: str
    category: str
    active: bool
    auth_types: tuple[AuthType, ...]
    documentation: str
    redirect_uri: str | None
    methods: tuple[MethodOut, ...]
    variables: tuple[VariableOut, ...]

    @classmethod
    def of(cls, provider: ProviderSummary, /) -> Self:
        """Return the document of a provider."""
        return cls._shown(
            provider, methods=tuple(map(MethodOut.of, provider.methods)), variables=tuple(map(VariableOut.of, provider.variables))
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
