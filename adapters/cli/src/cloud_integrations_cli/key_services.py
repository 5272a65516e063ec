"""Wrapping keys, as the settings name them by URI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cloud_integrations import CombinedKeys, HttpxTransport, LocalKeyring, Secret
from cloud_integrations.errors import ConfigurationError

from .settings import Configuration
from .transports import ssl_context

LOCAL: Final = "local:"
SYSTEM: Final = "local:system"


def open_key_service(configuration: Configuration, /) -> Any:
    """Return the `KeyService` that the settings describe.  Asks nobody yet.  Raises `ConfigurationError`."""
    uris = configuration.key_services
    if not uris:
        raise ConfigurationError(setting="key_services", problem="names no key")
    opened: dict[str, Any] = {}

    def open_once(uri: str, setting: str) -> Any:
        if uri not in opened:
            opened[uri] = _open(configuration, uri, setting)
        return opened[uri]

    services = [open_once(uri, "key_services") for uri in uris]
    tenants = {tenant: open_once(uri, f"tenant_keys.{tenant}") for tenant, uri in configuration.tenant_keys.items()}
    return services[0] if len(services) == 1 and not tenants else CombinedKeys(*services, tenants=tenants)


def keyring(configuration: Configuration, /) -> LocalKeyring:
    """Return the local keys: those of the environment, else of the file.  Raises `ConfigurationError`."""
    if configuration.keys:
        return LocalKeyring(configuration.keys)
    if configuration.keyring_file is None:
        raise ConfigurationError(setting="keyring_file", problem="is missing; `cloud-integrations keys generate --file keyring` makes one")
    return LocalKeyring.from_file(configuration.folder / configuration.keyring_file)


def _open(configuration: Configuration, uri: str, setting: str) -> Any:
    if uri == LOCAL:
        return keyring(configuration)
    scheme, _, name = uri.partition(":")
    kind = _KINDS.get(scheme) if uri != SYSTEM else _system
    if kind is None or not name:
        raise ConfigurationError(setting=setting, problem=f"must be {LOCAL}, {SYSTEM}, or a URI of {', '.join(sorted(_KINDS))}")
    try:
        return kind(configuration, uri, name)
    except ImportError:
        extra = "keyring" if uri == SYSTEM else scheme
        raise ConfigurationError(
            setting=setting, problem=f"needs what is not installed for {scheme}: keys: pip install 'cloud-integrations[{extra}]'"
        ) from None


# Each is loaded when it is named.


def _system(_configuration: Configuration, _uri: str, _name: str) -> Any:
    return LocalKeyring.from_system()


def _aws(_configuration: Configuration, _uri: str, name: str) -> Any:
    from cloud_integrations import AwsKmsKeys  # noqa: PLC0415  # loaded when it is named

    return AwsKmsKeys(name)


def _gcp(_configuration: Configuration, _uri: str, name: str) -> Any:
    from cloud_integrations import GcpKmsKeys  # noqa: PLC0415  # loaded when it is named

    return GcpKmsKeys(name)


def _azure(_configuration: Configuration, _uri: str, name: str) -> Any:
    from cloud_integrations import AzureKeyVaultKeys  # noqa: PLC0415  # loaded when it is named

    return AzureKeyVaultKeys(name)


def _vault(configuration: Configuration, _uri: str, name: str) -> Any:
    vault = configuration.vault
    if vault is None:
        raise ConfigurationError(setting="vault", problem="is needed for a key of Vault: its address and token_file")
    mount, _, key = name.rpartition("/")
    from cloud_integrations import VaultTransitKeys  # noqa: PLC0415  # loaded when it is named

    return VaultTransitKeys(
        key,
        address=vault.address,
        token=configuration.folder / vault.token_file,
        mount=mount or "transit",
        namespace=vault.namespace,
        # Vault is the operator's own, so no proxy is asked.
        transport=HttpxTransport(ssl_context=ssl_context(configuration)),
    )


def _pkcs11(configuration: Configuration, uri: str, _name: str) -> Any:
    token = configuration.pkcs11
    if token is None:
        raise ConfigurationError(setting="pkcs11", problem="is needed for a key of PKCS#11: its library and pin_file")
    try:
        pin = Secret((configuration.folder / token.pin_file).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(setting="pkcs11.pin_file", problem="cannot be read") from None
    from cloud_integrations import Pkcs11Keys  # noqa: PLC0415  # loaded when it is named

    return Pkcs11Keys(uri, library=token.library, pin=pin)


_KINDS: Final[dict[str, Callable[[Configuration, str, str], Any]]] = {
    "aws-kms": _aws,
    "azure-kv": _azure,
    "gcp-kms": _gcp,
    "pkcs11": _pkcs11,
    "vault": _vault,
}
