"""The operator's own credentials at providers, as the settings name them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cloud_integrations import PlatformCredential, Secret
from cloud_integrations.errors import ConfigurationError

from .settings import Configuration


def platform_credentials(configuration: Configuration, /) -> dict[str, Callable[[], PlatformCredential]]:
    """Return the credentials of `platform`, each as a function that returns the one to use now.

    Files are read once, so that one that is missing is found at the start; botocore looks for its credentials when they are needed.
    Raises `ConfigurationError`, which names the setting.
    """
    return {slug: _open(configuration, slug) for slug in configuration.platform}


def _open(configuration: Configuration, slug: str) -> Callable[[], PlatformCredential]:
    if configuration.platform[slug].source == "botocore":
        return partial(_ask_botocore, _botocore_session(slug), slug, configuration.platform[slug].principal)
    _read(configuration, slug)
    return partial(_read, configuration, slug)


def _read(configuration: Configuration, slug: str) -> PlatformCredential:
    given = configuration.platform[slug]
    try:
        read = {name: Secret((configuration.folder / path).read_text(encoding="utf-8").strip()) for name, path in given.part_files.items()}
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(setting=f"platform.{slug}.part_files", problem="cannot be read") from None
    return PlatformCredential(parts=given.parts | read, principal=given.principal)


def _botocore_session(slug: str) -> Any:
    try:
        from botocore.session import get_session  # noqa: PLC0415  # an extra, loaded when it is named
    except ImportError:
        problem = "needs what is not installed: pip install 'cloud-integrations[aws]'"
        raise ConfigurationError(setting=f"platform.{slug}.source", problem=problem) from None
    return get_session()


def _ask_botocore(session: Any, slug: str, principal: str | None) -> PlatformCredential:
    setting = f"platform.{slug}.source"
    try:
        found = session.get_credentials()
        # Keys that end are renewed here; botocore's own lock lets one thread do it.
        key = None if found is None else found.get_frozen_credentials()
    except Exception as error:  # noqa: BLE001  # botocore and what it asks: profiles, SSO, the metadata of an instance
        raise ConfigurationError(setting=setting, problem=f"botocore cannot load its credentials: {type(error).__name__}") from None
    if key is None:
        raise ConfigurationError(setting=setting, problem="botocore finds no credentials: no variables, profile, SSO or instance role")
    parts = {"access_key_id": Secret(key.access_key), "secret_access_key": Secret(key.secret_key)}
    if key.token:
        parts["session_token"] = Secret(key.token)
    return PlatformCredential(parts=parts, principal=principal)
