"""The catalogue of the providers that an installation knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.domain.provider import STANDARD_BACKEND, Provider
from cloud_integrations.errors import ConfigurationError, ProviderNotFoundError
from cloud_integrations.kinds import check_provider
from cloud_integrations.protocol.client import OAuthBackend

from .files import GUIDES, check_guides, guide_files, read_guides, read_provider, toml_files
from .oauth_backends import check_backends, find_backends

if TYPE_CHECKING:
    from .lint import Finding

_SLUG = re.compile(r"(?!.*[0-9a-f]{16})[a-z](?:[a-z_]*[0-9]){0,4}[a-z_]*")
_MAX_REPEATED = 24
_NONE: Mapping[str, OAuthBackend] = MappingProxyType({})
_NO_GUIDES: Mapping[str, ProviderGuides] = MappingProxyType({})


class Catalogue:
    """The providers that an installation knows, by slug and by UUID.

    A catalogue never changes; `with_` and `disable` return a new one.  The file of a built-in provider is read at its first use, once
    per process.
    """

    __slots__ = ("_backends", "_entries", "_guides", "_inactive", "_slugs")

    def __init__(
        self,
        entries: Mapping[str, Provider | None],
        /,
        *,
        inactive: frozenset[str] = frozenset(),
        backends: Mapping[str, OAuthBackend] = _NONE,
        guides: Mapping[str, ProviderGuides] = _NO_GUIDES,
    ) -> None:
        """Make a catalogue from slug → provider, or None for a built-in one; usually call `builtin`, `load` or `of` instead.

        *backends* are OAuth backends by the names in the provider files.  A backend that is not among them is looked for in the entry
        points `cloud_integrations.oauth_backends` of the installed packages.  *guides* are setup guides by slug; a built-in provider
        without one here has the built-in one.

        Raises `ConfigurationError` for a provider or a guide that is not valid, and for a backend that cannot be found or does not fit.
        """
        for provider in filter(None, entries.values()):
            try:
                check_provider(provider)
            except ValueError as error:
                raise ConfigurationError(setting=f"the provider {provider.id}", problem=str(error)) from None
        self._entries = MappingProxyType(dict(entries))
        # Built-in providers use the standard backend, so their files need not be read for this.
        self._backends = find_backends([provider for provider in entries.values() if provider is not None], backends)
        for slug, given in guides.items():
            if slug not in entries:
                raise ConfigurationError(setting=f"the guide {slug}", problem="is for a provider that the catalogue does not have")
            check_guides(given, entries[slug] or _read_builtin(slug), where=f"the guide {slug}")
        self._guides = MappingProxyType(dict(guides))
        self._inactive = inactive
        self._slugs: Mapping[UUID, str] = {provider_id(slug): slug for slug in entries}

    @classmethod
    def builtin(cls, *, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return a catalogue of the built-in providers; their files are read later, at their first use."""
        return cls(dict.fromkeys(_builtin_files()), backends=backends)

    @classmethod
    def load(cls, *paths: str | Path, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return a catalogue of the built-in providers and those of the operator's TOML files; *paths* are files or folders.

        A provider with the id of another one, also of a built-in one, replaces it, and its guide.  A folder may have a folder `guides`
        with setup guides, also for built-in providers.  All these files are read at once.

        Raises `ConfigurationError`, which names the file and the field and never a value.
        """
        return cls.builtin().with_(
            providers=[read_provider(file.read_bytes, where=str(file)) for path in paths for file in toml_files(Path(path))],
            guides=[read_guides(file.parent, file.stem, where=str(file)) for path in paths for file in guide_files(Path(path))],
            backends=backends,
        )

    @classmethod
    def of(cls, *providers: Provider, backends: Mapping[str, OAuthBackend] = _NONE) -> Self:
        """Return a catalogue of exactly these providers."""
        return cls({}).with_(providers=providers, backends=backends)

    @staticmethod
    def lint(*paths: str | Path) -> tuple[Finding, ...]:
        """Return what is wrong with the provider files of *paths* (files or folders) and the guides beside them; empty if nothing is.

        Without any path, the built-in files are checked.  It finds more than makes a catalogue refuse a file: patterns that are not
        anchored, hosts that a tenant chooses, methods without a check or a way to end them, names that nobody reads, guides that cannot
        be filled, a day in `checked` that is to come or older than the evidence.
        """
        # Imported here, because only who writes provider files needs it.
        from .lint import lint  # noqa: PLC0415

        return lint(*paths)

    def with_(
        self,
        *,
        providers: Iterable[Provider] = (),
        inactive: Iterable[str] = (),
        backends: Mapping[str, OAuthBackend] = _NONE,
        guides: Iterable[ProviderGuides] = (),
    ) -> Self:
        """Return this catalogue with *providers*, *backends* and setup *guides* added or replaced, and *inactive* (slugs) disabled.

        A provider that is replaced loses its guide, unless *guides* has one for it.
        Raises `ConfigurationError` for a slug that is not in the catalogue, and for an OAuth backend that cannot be found.
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
        replaced = {provider.id for provider in added}
        shown = {slug: found for slug, found in self._guides.items() if slug not in replaced}
        return type(self)(
            entries,
            inactive=self._inactive.union(off),
            backends={**self._backends, **check_backends(backends)},
            guides={**shown, **{found.provider: found for found in guides}},
        )

    def disable(self, *slugs: str) -> Self:
        """Return this catalogue with these providers disabled.  Raises `ConfigurationError` for an unknown slug."""
        return self.with_(inactive=slugs)

    def find(self, provider: str | UUID, /) -> Provider | None:
        """Return the provider with this slug or UUID; None if there is none.  A disabled provider has `active` false."""
        slug = self._slug(provider)
        return None if slug is None else self._get(slug)

    def require(self, provider: str | UUID, /) -> Provider:
        """Return the provider with this slug or UUID.  Raises `ProviderNotFoundError` if there is none."""
        found = self.find(provider)
        if found is None:
            text = str(provider)
            raise ProviderNotFoundError(provider=text if _may_be_repeated(text) else "?")
        return found

    def backend_of(self, provider: Provider, /) -> OAuthBackend:
        """Return the OAuth backend that *provider* names; *provider* must be from this catalogue."""
        if provider.backend == STANDARD_BACKEND:
            # Imported at its first use, so that programs that only list providers start faster.
            from cloud_integrations.protocol.standard_backend import STANDARD  # noqa: PLC0415

            return STANDARD
        return self._backends[provider.backend]

    def guides_of(self, provider: Provider, /) -> ProviderGuides | None:
        """Return the setup guides of *provider*, which must be from this catalogue; None if it has none."""
        if provider.id in self._guides:
            return self._guides[provider.id]
        is_builtin = self._entries[provider.id] is None
        return _read_builtin_guides(provider.id) if is_builtin else None

    def list_providers(self) -> tuple[Provider, ...]:
        """Return all providers, the disabled ones too, sorted by slug."""
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


def _may_be_repeated(text: str) -> bool:
    """Whether *text* looks like a slug or a UUID and not like a key, which somebody may have pasted: short, with few digits."""
    as_uuid = _as_uuid(text)
    return text == str(as_uuid) or (len(text) <= _MAX_REPEATED and _SLUG.fullmatch(text) is not None)


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
    provider = read_provider(file.read_bytes, where=file.name, built_in=True)
    if provider.id != slug:
        raise ConfigurationError(setting=f"{file.name}: id", problem="is not the name of its file")
    return provider


@cache
def _read_builtin_guides(slug: str) -> ProviderGuides | None:
    folder, where = files("cloud_integrations.providers") / GUIDES, f"{GUIDES}/{slug}.toml"
    if not (folder / f"{slug}.toml").is_file():
        return None
    found = read_guides(folder, slug, where=where)
    check_guides(found, _read_builtin(slug), where=where)
    return found
