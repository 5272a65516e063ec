"""A setup guide whose placeholders are filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cloud_integrations.domain.identifiers import ProviderId

DocumentForm = Literal["json", "shell", "hcl", "yaml", "text"]
"""What a document is written in: JSON (RFC 8259), POSIX shell, HCL (Terraform), YAML, or anything else as plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideLink:
    """An https address to open, with a title for people."""

    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideDocument:
    """A document to use at the provider: `name` is the name of a file, which steps and commands refer to."""

    name: str
    title: str
    form: DocumentForm
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What a person does at a provider so that one of its methods can be connected.

    All texts are plain text: who shows them on a page must escape them as HTML.  A value that is not known yet stands as `<NAME>`; a
    link with such a value is left out.
    """

    provider_id: ProviderId
    provider: str
    """The provider's slug."""
    method: str
    """The id of the method."""
    title: str
    steps: tuple[str, ...]
    """What to do, in this order."""
    links: tuple[GuideLink, ...]
    documents: tuple[GuideDocument, ...]
    undo: tuple[str, ...]
    """What to delete at the provider afterwards, when the integration is removed."""
    missing: tuple[str, ...]
    """The names of the values that are not known yet, in alphabetical order."""
