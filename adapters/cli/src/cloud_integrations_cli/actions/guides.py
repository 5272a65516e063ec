"""Setup guides on the screen, and their documents as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud_integrations import Guide
from cloud_integrations.documents import GuideOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.files import write_private
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration

from .integrations import read_variables
from .providers import open_catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a guide is asked for: the method, the tenant for whom it is, values that are known, and the folder for its documents."""

    method: str | None = None
    tenant: str | None = None
    variables: Sequence[str] = ()
    inputs: Sequence[str] = ()
    to: Path | None = None


def show(screen: Screen, configuration: Configuration, provider: str, asked: Asked, /) -> None:
    """Show the setup guide of a method; needs no database and no network."""
    entry = wiring.find_provider(configuration, provider)
    shown = open_catalogue(configuration).guide(
        entry.id,
        method=asked.method,
        tenant_id=asked.tenant,
        variables=read_variables(asked.variables),
        inputs=_read_inputs(asked.inputs),
    )
    if asked.to is not None:
        write_documents(screen, shown, asked.to)
    if screen.as_json:
        screen.json({"data": GuideOut.of(shown).as_json()})
    else:
        print_guide(screen, shown, with_documents=asked.to is None)


def print_guide(screen: Screen, guide: Guide, /, *, with_documents: bool = True) -> None:
    """Print a guide for people."""
    screen.text(f"{guide.title} ({guide.provider}, method {guide.method})")
    _print_list(screen, "What to do", [f"{place}. {step}" for place, step in enumerate(guide.steps, 1)])
    _print_list(screen, "Links", [f"{link.title}: {link.url}" for link in guide.links])
    for document in guide.documents if with_documents else ():
        screen.text(f"\n--- {document.name}: {document.title}\n{document.text.rstrip()}")
    _print_list(screen, "To undo it later", guide.undo)
    if guide.missing:
        screen.note(f"\nnot known yet, to be filled in where <…> stands: {', '.join(guide.missing)}")


def write_documents(screen: Screen, guide: Guide, folder: Path, /) -> None:
    """Write the documents of a guide into *folder*.  Raises `ConfigurationError` for a file that is there already."""
    for document in guide.documents:
        write_private(folder / document.name, document.text)
        screen.note(f"wrote {folder / document.name}")


def _print_list(screen: Screen, title: str, lines: Sequence[str]) -> None:
    if lines:
        screen.text("\n" + title + "".join(f"\n  {line}" for line in lines))


def _read_inputs(given: Sequence[str]) -> dict[str, str] | None:
    pairs = [pair.partition("=") for pair in given]
    # A guide shows no secret, so a file or standard input has nothing for it.
    if not all(name and equals and value and value != "-" and not value.startswith("@") for name, equals, value in pairs):
        raise CommandLineError("--input takes name=value here: a guide shows no secret")
    return {name: value for name, _, value in pairs} or None
