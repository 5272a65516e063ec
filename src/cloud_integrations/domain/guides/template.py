"""The schema of a guide file."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from cloud_integrations.domain.provider.base import FileTable

from .values import DocumentForm

_FORMS: Final[dict[str, DocumentForm]] = {"json": "json", "sh": "shell", "tf": "hcl", "yaml": "yaml", "txt": "text", "sql": "text"}
"""The form of a document by the ending of its name."""


def _is_plain(text: str) -> str:
    if not all(char.isprintable() or char in "\n\t" for char in text):
        raise ValueError("has a character that cannot be seen")
    return text


Line = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_is_plain)]


class LinkTemplate(FileTable):
    """An address to open."""

    title: Line
    """What the address is, for people."""
    url: Line
    """The https address.  Placeholders are percent-encoded; in the host, only variables marked `in_host` may stand."""


class DocumentTemplate(FileTable):
    """A document to use at the provider: a policy, a template, commands."""

    file: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}\.(?:json|sh|tf|yaml|txt|sql)$")]
    """The name of the document.  Its ending says in what it is written, and so how placeholders are quoted: `json`, `sh` (POSIX shell),
    `tf` (HCL), `yaml`, `txt`.  In `sql` there may be none.
    """
    title: Line
    """What it is, for people."""
    text: Annotated[str, Field(min_length=1, max_length=50_000), AfterValidator(_is_plain)]
    """The content.  Left out: it is read from the file of this name in the folder `guides/<provider>`."""

    @property
    def form(self) -> DocumentForm:
        """What the document is written in."""
        return _FORMS[self.file.rpartition(".")[2]]

    @property
    def takes_values(self) -> bool:
        """Whether placeholders may stand in it."""
        return not self.file.endswith(".sql")


class GuideTemplate(FileTable):
    """The setup guide of one method."""

    method: str
    """The id of the method in the provider file."""
    title: Line
    """What is set up, for people."""
    steps: Annotated[tuple[Line, ...], Field(min_length=1)]
    """What a person does, in order: short sentences in plain text."""
    undo: Annotated[tuple[Line, ...], Field(min_length=1)]
    """What a person deletes at the provider afterwards."""
    links: tuple[LinkTemplate, ...] = ()
    """Addresses to open."""
    documents: tuple[DocumentTemplate, ...] = ()
    """Policies, templates and commands."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [document.file for document in self.documents]
        if len(set(names)) != len(names):
            raise ValueError("two documents have one name")
        return self


class ProviderGuides(FileTable):
    """The setup guides of one provider: a file `guides/<provider>.toml`."""

    provider: str
    """The slug of the provider, which is the name of the file."""
    methods: Annotated[tuple[GuideTemplate, ...], Field(min_length=1)]
    """A guide for each method that has one."""

    @model_validator(mode="after")
    def _methods_are_unique(self) -> Self:
        methods = [guide.method for guide in self.methods]
        if len(set(methods)) != len(methods):
            raise ValueError("two guides are for one method")
        return self

    def find(self, method_id: str | None = None, /) -> GuideTemplate | None:
        """Return the guide of the method with this id, the first one for None; None if there is none."""
        return next((guide for guide in self.methods if method_id in {None, guide.method}), None)
