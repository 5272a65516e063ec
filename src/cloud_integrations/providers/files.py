"""Read provider files and guide files.

Every function raises `ConfigurationError`, which names the file and the field and never a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cloud_integrations.domain.guides.check import guide_problems
from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.provider.base import BUILT_IN
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.kinds import check_provider

GUIDES = "guides"
"""The folder beside provider files that holds their setup guides."""
_TOML_PLACE = re.compile(r"line \d+, column \d+")
_FILE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}\Z")


def toml_files(path: Path, /) -> list[Path]:
    """Return the provider files that *path* names: those of a folder, or itself."""
    return sorted(path.glob("*.toml")) if path.is_dir() else [path]


def guide_files(path: Path, /) -> list[Path]:
    """Return the guide files beside the provider files of a folder."""
    return sorted((path / GUIDES).glob("*.toml")) if path.is_dir() else []


def read_provider(read_bytes: Callable[[], bytes], /, *, where: str, built_in: bool = False) -> Provider:
    """Return the provider of a file; *where* names the file in errors.

    Of one that is *built_in*, the patterns and the fit of its methods are not checked again: the lint has done it, and it takes a third of
    the time that all files take.
    """
    with _naming(where, "the provider"):
        provider = Provider.model_validate(_read_toml(read_bytes, where=where), context=BUILT_IN if built_in else None)
    if built_in:
        return provider
    try:
        check_provider(provider)
    except ValueError as error:
        raise ConfigurationError(setting=f"{where}: methods", problem=str(error)) from None
    return provider


def read_guides(folder: Traversable, slug: str, /, *, where: str) -> ProviderGuides:
    """Return the guides of the file `<slug>.toml` in *folder*, with the documents that are files of their own in `<slug>` beside it.

    `check_guides` checks them against their provider.
    """
    content = _read_toml((folder / f"{slug}.toml").read_bytes, where=where)
    if content.get("provider") != slug:
        raise ConfigurationError(setting=f"{where}: provider", problem="is not the name of its file")
    for document in _documents(content):
        if "text" not in document:
            document["text"] = _read_document(folder / slug, document.get("file"), where=where)
    with _naming(where, "the guides"):
        return ProviderGuides.model_validate(content)


def check_guides(guides: ProviderGuides, provider: Provider, /, *, where: str) -> None:
    """Refuse guides that do not fit their *provider*."""
    for field, problem in guide_problems(guides, provider):
        raise ConfigurationError(setting=f"{where}: {field}", problem=problem)


def _documents(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of documents, as far as they are tables; the schema refuses anything else."""
    found = [guide.get("documents") for guide in _tables(content.get("methods"))]
    return [document for documents in found for document in _tables(documents)]


def _tables(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _read_document(folder: Traversable, name: object, *, where: str) -> str:
    # The name is checked before it becomes a part of a path.
    if not isinstance(name, str) or not _FILE.match(name):
        raise ConfigurationError(setting=f"{where}: documents.file", problem="is not the name of a file, such as trust-policy.json")
    try:
        return (folder / name).read_bytes().decode("utf-8")
    except OSError:
        raise ConfigurationError(setting=f"{where}: documents.{name}", problem="cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigurationError(setting=f"{where}: documents.{name}", problem="is not UTF-8") from None


def _read_toml(read_bytes: Callable[[], bytes], *, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes().decode("utf-8"))
    except OSError:
        raise ConfigurationError(setting=where, problem="cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigurationError(setting=where, problem="is not UTF-8") from None
    except RecursionError:
        raise ConfigurationError(setting=where, problem="has tables within tables without end") from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        raise ConfigurationError(setting=where, problem="is not TOML" + (f" (at {place[0]})" if place else "")) from None


@contextmanager
def _naming(where: str, whole: str, /) -> Generator[None]:
    """Turn an error of the schema into one that names the file and the first field that is wrong."""
    try:
        yield
    except ValidationError as error:
        # Only the first problem is reported; pydantic's full text would repeat the values.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(step) for step in first["loc"]) or whole
        raise ConfigurationError(setting=f"{where}: {field}", problem=first["msg"].removeprefix("Value error, ")) from None
