"""Our own issuer, as the settings describe it."""

from __future__ import annotations

from typing import Final

from cloud_integrations import Issuer, LocalSigningKeys
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports import SigningKeys

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
    if not uris or not all(uri.startswith(_AWS) for uri in uris):
        raise ConfigurationError(setting="issuer.keys", problem=f"must be one {_FILE} with the keys in it, or a list of {_AWS} and an ARN")
    try:
        from cloud_integrations import AwsKmsSigningKeys  # noqa: PLC0415  # loaded when it is named
    except ImportError:
        problem = "needs what is not installed for aws-kms: keys: pip install 'cloud-integrations[aws-kms]'"
        raise ConfigurationError(setting="issuer.keys", problem=problem) from None
    return AwsKmsSigningKeys(*(uri.removeprefix(_AWS) for uri in uris))
