"""The providers that this installation knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Self
from uuid import UUID

from pydantic import ValidationError

from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.domain.provider import STANDARD_BACKEND, Provider
from cloud_integrations.errors import ConfigurationError, ProviderNotFoundError
from cloud_integrations.kinds import check_provider
from cloud_integrations.protocol.client import OAuthBackend

from .oauth_backends import check_backends, find_backends

_SLUG = re.compile(r"[a-z0-9_]{1,40}")
_NONE: Mapping[str, OAuthBackend] = MappingProxyType({})
_TOML_PLACE = re.compile(r"line \d+, column \d+")


class Catalogue:
    """The providers that this installation knows, by slug and by UUID.

    A catalogue never changes; `with_` and `disable` give back another one.  A provider that is
    built in is read from its file when somebody asks for it, once per process.
    """

    __slots__ = ("_backends", "_entries", "_inactive", "_slugs")

    def __init__(
        self,
        entries: Mapping[str, Provider | None],
        /,
        *,
        inactive: frozenset[str] = frozenset(),
        backends: Mapping[str, OAuthBackend] = _NONE,
    ) -> None:
        """Take slug → provider, or None for one that is built in.  `builtin`, `load` and `of` are the usual ways here.

        *backends* are OAuth backends by the names that providers give them.  One that is not among them is looked for in
        the entry points `cloud_integrations.oauth_backends` of the installed packages.  Raises `ConfigurationError` for one that
        cannot be found or does not fit.
        """
        for provider in filter(None, entries.values()):
            try:
                check_provider(provider)
            except ValueError as error:
                raise ConfigurationError(setting=f"the provider {provider.id}", problem=str(error)) from None
        self._entries = MappingProxyType(dict(entries))
        # The built-in ones speak the standard.
        self._backends = find_backends([provider for provider in entries.values() if provider is not None], backends)
        self._inactive = inactive
        self._slugs: Mapping[UUID, str] = {provider_id(slug): slug for slug in entries}

    @classmethod
    def builtin(cls, *, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return the providers that come with the library; reads no file."""
        return cls(dict.fromkeys(_builtin_files()), backends=backends)

    @classmethod
    def load(cls, *paths: str | Path, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return the built-in providers with those of the operator's TOML files, or folders of them, added.

        A provider with the id of another replaces it, also a built-in one.  All the given files are
        read at once.  Raises `ConfigurationError` naming the file and the field, never a value.
        """
        return cls.builtin().with_(
            providers=[_read(file.read_bytes, where=str(file)) for path in paths for file in _toml_files(Path(path))],
            backends=backends,
        )

    @classmethod
    def of(cls, *providers: Provider, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return a catalogue of exactly these."""
        return cls({}).with_(providers=providers, backends=backends)

    def with_(
        self, *, providers: Iterable[Provider] = (), inactive: Iterable[str] = (), backends: Mapping[str, OAuthBackend] = _NONE
    ) -> Self:
        """Return this catalogue with *providers* and *backends* added (or replaced) and the slugs in *inactive* switched off too.

        Raises `ConfigurationError` for a slug that is not in the catalogue, and for an OAuth backend that is not there.
        """
        added = tuple(providers)
        if not all(isinstance(provider, Provider) for provider in added):
            raise ConfigurationError(setting="providers", problem="must be Provider values; `load` reads files")
        off = () if isinstance(inactive, str) else tuple(inactive)
        if isinstance(inactive, str) or not all(isinstance(slug, str) for slug in off):
            raise ConfigurationError(setting="inactive providers", problem="must be a list of slugs")
        entries = {**self._entries, **{provider.id: provider for provider in added}}
        if unknown := sorted(set(off) - entries.keys()):
            raise ConfigurationError(setting="inactive providers", problem=f"name {', '.join(unknown)}, which the catalogue does not have")
        return type(self)(entries, inactive=self._inactive.union(off), backends={**self._backends, **check_backends(backends)})

    def disable(self, *slugs: str) -> Self:
        """Return this catalogue with these providers switched off.  Raises `ConfigurationError` for an unknown one."""
        return self.with_(inactive=slugs)

    def find(self, provider: str | UUID, /) -> Provider | None:
        """Return the provider with this slug or UUID, or None.  One that is switched off is found, with `active` false."""
        slug = self._slug(provider)
        return None if slug is None else self._get(slug)

    def require(self, provider: str | UUID, /) -> Provider:
        """Return the provider with this slug or UUID, or raise `ProviderNotFoundError`."""
        found = self.find(provider)
        if found is None:
            text = str(provider)
            # What was asked for may be anything, a pasted key included: only what looks like a provider is repeated.
            raise ProviderNotFoundError(provider=text if _SLUG.fullmatch(text) or _as_uuid(text) else "?")
        return found

    def backend_of(self, provider: Provider, /) -> OAuthBackend:
        """Return the OAuth backend that *provider*, which is one of these, names."""
        if provider.backend == STANDARD_BACKEND:
            # Loaded when it is first spoken: whoever only lists providers need not wait for it.
            from cloud_integrations.protocol.standard_backend import STANDARD  # noqa: PLC0415

            return STANDARD
        return self._backends[provider.backend]

    def list_providers(self) -> tuple[Provider, ...]:
        """Return all providers, sorted by slug, those that are switched off included."""
        return tuple(self._get(slug) for slug in sorted(self._entries))

    def __contains__(self, provider: object) -> bool:
        return isinstance(provider, str | UUID) and self._slug(provider) is not None

    def __len__(self) -> int:
        return len(self._entries)

    def _slug(self, provider: str | UUID) -> str | None:
        if isinstance(provider, str):
            if provider in self._entries:
                return provider
            as_uuid = _as_uuid(provider)
            return None if as_uuid is None else self._slugs.get(as_uuid)
        return self._slugs.get(provider)

    def _get(self, slug: str) -> Provider:
        provider = self._entries[slug] or _read_builtin(slug)
        return provider.model_copy(update={"active": False}) if slug in self._inactive else provider


def _as_uuid(text: str) -> ProviderId | None:
    try:
        return ProviderId(UUID(text))
    except ValueError:
        return None


@cache
def _builtin_files() -> Mapping[str, Traversable]:
    folder = files("cloud_integrations.providers")
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}


@cache
def _read_builtin(slug: str) -> Provider:
    file = _builtin_files()[slug]
    provider = _read(file.read_bytes, where=file.name)
    if provider.id != slug:
        raise ConfigurationError(setting=f"{file.name}: id", problem="is not the name of its file")
    return provider


def _toml_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.toml")) if path.is_dir() else [path]


def _read(read_bytes: Callable[[], bytes], *, where: str) -> Provider:
    try:
        provider = Provider.model_validate(tomllib.loads(read_bytes().decode("utf-8")))
        check_provider(provider)
    except OSError:
        raise ConfigurationError(setting=where, problem="cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigurationError(setting=where, problem="is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        raise ConfigurationError(setting=where, problem="is not TOML" + (f" (at {place[0]})" if place else "")) from None
    except ValidationError as error:
        # The first problem is enough to act on; pydantic's full text would repeat the values.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(step) for step in first["loc"]) or "the provider"
        raise ConfigurationError(setting=f"{where}: {field}", problem=first["msg"].removeprefix("Value error, ")) from None
    except ValueError as error:
        raise ConfigurationError(setting=f"{where}: methods", problem=str(error)) from None
    return provider
