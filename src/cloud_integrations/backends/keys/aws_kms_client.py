"""Asking AWS KMS, and the meaning of its errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.backends.log_filter import quiet_logs
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError

_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key/(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# Two attempts of at most five seconds each, because callers that wait for a token wait for this.
_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"}, user_agent_extra="cloud-integrations"
)
_CHANGED: Final = {"InvalidCiphertextException", "IncorrectKeyException"}
_PROBLEMS: Final = {
    "NotFoundException": "is not there",
    "DisabledException": "is switched off",
    "KMSInvalidStateException": "cannot be used in its state; it may be scheduled for deletion",
    "AccessDeniedException": "may not be used with these credentials",
    "InvalidKeyUsageException": "is not made for this use",
    "UnsupportedOperationException": "is not made for this use",
    "UnrecognizedClientException": "cannot be used: AWS does not know these credentials",
    "ExpiredTokenException": "cannot be used: the credentials for AWS have expired",
    "InvalidSignatureException": "cannot be used: AWS does not accept these credentials",
    "OptInRequired": "cannot be used by this account",
}
# Errors that another attempt does not solve: a wrong profile, an unreadable file, or a person who must sign in.
_NO_CREDENTIALS: Final = (NoCredentialsError, PartialCredentialsError, NoRegionError, ProfileNotFound, ConfigParseError, SSOError)


class AwsKmsClient:
    """Asks KMS in the region of a key.

    *client* is a function that returns a boto3 KMS client for a region; None: `boto3.client("kms", region_name=…)` with the credentials
    that boto3 finds.
    """

    __slots__ = ("_clients", "_make_client")

    def __init__(self, client: Callable[[str], Any] | None, /) -> None:
        self._clients: dict[str, Any] = {}
        self._make_client = client or _default_client

    def ask(self, arn: str, call: Callable[[Any], Any], /) -> Any:
        """Return what *call* returns for the client of the key's region.

        Raises `KeyringError` if the key may not be used, `DecryptError` if a ciphertext was changed, and `KeyServiceUnavailableError` for
        all else; nothing of the SDK's error is kept.
        """
        problem: CloudIntegrationsError
        try:
            with quiet_logs("boto3", "botocore", "urllib3"):
                return call(self._client(arn))
        except ClientError as error:
            problem = _meaning_of(error, arn)
        except _NO_CREDENTIALS:
            problem = KeyringError(key_id=key_uri(arn), problem="cannot be used: there are no credentials for AWS")
        except Exception as error:  # noqa: BLE001  # whatever the SDK lets out may hold a key: none of it leaves this file
            problem = KeyServiceUnavailableError(reason=type(error).__name__)
        raise alone(problem)

    def _client(self, arn: str) -> Any:
        region = arn.split(":")[3]
        client = self._clients.get(region)
        if client is None:
            # Two threads may each make a client; the second one stays.
            client = self._clients[region] = self._make_client(region)
        return client


def check_arn(arn: str, /) -> str:
    """Return *arn* if it is the ARN of a key, and no alias.  Raises `ConfigurationError`."""
    if not _ARN.fullmatch(arn):
        raise ConfigurationError(setting="key_arn", problem="must be the ARN of a KMS key, not an alias: arn:aws:kms:region:account:key/id")
    return arn


def key_uri(arn: str, /) -> str:
    """Return what errors and rows call the key."""
    return f"aws-kms:{arn}"


def _default_client(region: str) -> Any:
    return boto3.client("kms", region_name=region, config=_CONFIG)


def _meaning_of(error: ClientError, arn: str) -> CloudIntegrationsError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _CHANGED:
        return DecryptError()
    if code in _PROBLEMS:
        return KeyringError(key_id=key_uri(arn), problem=_PROBLEMS[code])
    # Throttling, DependencyTimeout, KMSInternal, 5xx and unknown codes: another attempt may succeed.
    return KeyServiceUnavailableError(reason=code if code.isalnum() else type(error).__name__)
