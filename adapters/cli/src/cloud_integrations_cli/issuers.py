"""The keys that sign: our own issuer, and the keys of checkpoints, as the settings describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cloud_integrations import Issuer, LocalCheckpointKeys, LocalSigningKeys, ServiceCheckpointKeys
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports import CheckpointKeys, SigningKeys

from .settings import Configuration

_FILE: Final = "file:"
_AWS: Final = "aws-kms:"


def open_issuer(configuration: Configuration, /) -> Issuer | None:
    """Return the issuer of the settings; None if they have none.  Asks nobody yet.  Raises `ConfigurationError`."""
    settings = configuration.issuer
    return None if settings is None else Issuer(url=settings.url, keys=open_signing_keys(configuration))


def open_signing_keys(configuration: Configuration, /) -> SigningKeys:
    """Return the keys of the issuer.  Raises `ConfigurationError`."""
    if configuration.issuer is None:
        raise ConfigurationError(setting="issuer", problem="is not set")
    uris = configuration.issuer.keys
    if len(uris) == 1 and uris[0].startswith(_FILE):
        return LocalSigningKeys.from_file(configuration.folder / uris[0].removeprefix(_FILE))
    return _kms_keys(uris, setting="issuer.keys")


def open_checkpoint_keys(configuration: Configuration, /) -> CheckpointKeys | None:
    """Return the keys of checkpoints; None if the settings have none.  Asks nobody yet.  Raises `ConfigurationError`."""
    settings = configuration.checkpoints
    if settings is None:
        return None
    uris = settings.keys
    if len(uris) == 1 and uris[0].startswith(_FILE):
        path = configuration.folder / uris[0].removeprefix(_FILE)
        return LocalCheckpointKeys.from_file(path, name=settings.name, trusted=settings.trusted)
    if not uris:
        return LocalCheckpointKeys([], name=settings.name, trusted=settings.trusted, setting="checkpoints")
    return ServiceCheckpointKeys(_kms_keys(uris, setting="checkpoints.keys"), name=settings.name, trusted=settings.trusted)


def _kms_keys(uris: Sequence[str], *, setting: str) -> SigningKeys:
    if not uris or not all(uri.startswith(_AWS) for uri in uris):
        raise ConfigurationError(setting=setting, problem=f"must be one {_FILE} with the keys in it, or a list of {_AWS} and an ARN")
    try:
        from cloud_integrations import AwsKmsSigningKeys  # noqa: PLC0415  # loaded when it is named
    except ImportError:
        problem = "needs what is not installed for aws-kms: keys: pip install 'cloud-integrations[aws-kms]'"
        raise ConfigurationError(setting=setting, problem=problem) from None
    return AwsKmsSigningKeys(*(uri.removeprefix(_AWS) for uri in uris))
