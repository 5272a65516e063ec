"""Find OAuth backends: those that the host passes, and those of installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cloud_integrations.domain.conformance import require_part
from cloud_integrations.domain.provider import STANDARD_BACKEND, Provider
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.protocol.client import OAuthBackend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "cloud_integrations.oauth_backends"
"""The group of entry points for OAuth backends: a name, and a class or factory that is called without arguments."""
_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")


def check_backends(given: Mapping[str, OAuthBackend], /) -> dict[str, OAuthBackend]:
    """Return the host's backends by name.  Raises `ConfigurationError` for a name that is not valid, and for a value that is no backend."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(setting="backends", problem="must be a mapping of names to OAuth backends")
    for name, backend in given.items():
        if not isinstance(name, str) or not _NAME.match(name) or name == STANDARD_BACKEND:
            problem = f"have a name that is not 1 to 64 of a-z, 0-9, _ and -, or is {STANDARD_BACKEND}, the library's own"
            raise ConfigurationError(setting="backends", problem=problem)
        require_part(f"backends[{name}]", backend, OAuthBackend)
    return dict(given)


def find_backends(providers: Iterable[Provider], given: Mapping[str, OAuthBackend], /) -> dict[str, OAuthBackend]:
    """Return the host's backends (*given*), and those of installed packages that *providers* name, by name.

    Raises `ConfigurationError` for a backend that cannot be found or made, or that lacks a method.
    """
    found = check_backends(given)
    for provider in providers:
        if provider.backend not in {STANDARD_BACKEND, *found}:
            found[provider.backend] = _load(provider.backend, setting=f"the OAuth backend {provider.backend} of provider {provider.id}")
    return found


def _load(name: str, /, *, setting: str) -> OAuthBackend:
    entry = _entry_point(name, setting=setting)
    try:
        made: OAuthBackend = entry.load()()
    except Exception as error:
        raise ConfigurationError(setting=setting, problem=f"cannot be made from {entry.value}: {type(error).__name__}") from error
    require_part(f"{setting}, made from {entry.value},", made, OAuthBackend)
    return made


def _entry_point(name: str, /, *, setting: str) -> EntryPoint:
    # Imported only here: it reads the metadata of all installed packages, which few catalogues need.
    from importlib.metadata import entry_points  # noqa: PLC0415

    # A package can be found twice: as a checkout and as an installed one.
    found = {entry.value: entry for entry in entry_points(group=ENTRY_POINTS, name=name)}
    if not found:
        ways = f'give the catalogue backends={{"{name}": …}}, or install a package with the entry point {name} in the group {ENTRY_POINTS}'
        raise ConfigurationError(setting=setting, problem=f"is not there: {ways}")
    if len(found) > 1:
        raise ConfigurationError(setting=setting, problem=f"is brought by several packages: {', '.join(sorted(found))}")
    return next(iter(found.values()))
