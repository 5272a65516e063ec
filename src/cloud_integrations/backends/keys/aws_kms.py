"""Wrapping keys that stay in AWS KMS.

Facts: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html and
https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

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
from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey, encode_context, wrap_context, wrapped_context
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.ports.key_service import KekRef

from .key_list import KeyList, require_data_key

T = TypeVar("T")

_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key/(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# Two tries of at most five seconds: whoever waits for a token waits for this.
_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"}, user_agent_extra="cloud-integrations"
)
_CHANGED: Final = {"InvalidCiphertextException", "IncorrectKeyException"}
_PROBLEMS: Final = {
    "NotFoundException": "is not there",
    "DisabledException": "is switched off",
    "KMSInvalidStateException": "cannot be used in its state; it may be scheduled for deletion",
    "AccessDeniedException": "may not be used with these credentials",
    "InvalidKeyUsageException": "is not made for encryption",
    "UnrecognizedClientException": "cannot be used: AWS does not know these credentials",
    "ExpiredTokenException": "cannot be used: the credentials for AWS have expired",
    "InvalidSignatureException": "cannot be used: AWS does not accept these credentials",
    "OptInRequired": "cannot be used by this account",
}
# Asking again does not help: a profile is mistyped, its file cannot be read, or somebody has to sign in.
_NO_CREDENTIALS: Final = (NoCredentialsError, PartialCredentialsError, NoRegionError, ProfileNotFound, ConfigParseError, SSOError)
_LONGEST: Final = 4096
_NOBODY: Final = "-"


class AwsKmsKeys(KeyList["_Kek"]):
    """Symmetric KMS keys, named by their ARN: the first wraps, all unwrap.  Implements `KeyService`.

    A key is known as `aws-kms:<ARN>`.  Aliases are refused, because they can be pointed elsewhere.  What identifies a data key (tenant,
    id, version) goes along as encryption context, so it stands in CloudTrail and can be a condition of a policy.  KMS's own yearly
    rotation needs nothing here.

    *client* makes a boto3 KMS client for a region; left out, `boto3.client("kms", region_name=…)` with the credentials that boto3 finds.
    A multi-Region key (`mrk-…`) is asked in the region of its ARN.

    Raises `ConfigurationError` for what is no key ARN; asks nobody.
    """

    __slots__ = ("_clients", "_make_client")

    _place = "among the keys of AWS KMS that are set up"

    def __init__(self, key_arn: str, /, *more: str, client: Callable[[str], Any] | None = None) -> None:
        super().__init__()
        self._clients: dict[str, Any] = {}
        self._make_client = client or _default_client
        for arn in (key_arn, *more):
            if not _ARN.fullmatch(arn):
                raise ConfigurationError(
                    setting="key_arn", problem="must be the ARN of a KMS key, not an alias: arn:aws:kms:region:account:key/id"
                )
            self._add(_Kek(arn=arn), setting="key_arn", again=f"names {arn} twice")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Have KMS encrypt a data key; see `KeyService.wrap`."""
        kek = self._first
        try:
            require_data_key(data_key)
            context = _context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri)
            answer = self._ask(kek, lambda client: client.encrypt(KeyId=kek.arn, Plaintext=data_key, EncryptionContext=context))
        finally:
            data_key = b""
        if answer.get("KeyId") != kek.arn:
            raise KeyringError(key_id=kek.ref.kek_uri, problem="was asked for, and another key answered")
        return kek.ref, answer["CiphertextBlob"]

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Have KMS decrypt a data key; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        wrapped_context(wrapped)  # refuses what is no Unicode text, as a value that does not open
        if not 0 < len(wrapped.wrapped) <= _LONGEST:
            raise DecryptError
        context = _context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        # The key is named, so that KMS does not take the one that the ciphertext itself names.
        answer = self._ask(kek, lambda client: client.decrypt(KeyId=kek.arn, CiphertextBlob=wrapped.wrapped, EncryptionContext=context))
        opened: bytes = answer["Plaintext"]
        if len(opened) != KEY_LENGTH:
            answer, opened = {}, b""
            raise DecryptError
        return opened

    def _ask(self, kek: _Kek, call: Callable[[Any], Any]) -> Any:
        problem: CloudIntegrationsError
        try:
            with quiet_logs("boto3", "botocore", "urllib3"):
                return call(self._client(kek))
        except ClientError as error:
            problem = _meaning_of(error, kek)
        except _NO_CREDENTIALS:
            problem = KeyringError(key_id=kek.ref.kek_uri, problem="cannot be used: there are no credentials for AWS")
        except Exception as error:  # noqa: BLE001  # whatever the SDK lets out may hold a key: none of it leaves this file
            problem = KeyServiceUnavailableError(reason=type(error).__name__)
        raise alone(problem)

    def _client(self, kek: _Kek) -> Any:
        region = kek.arn.split(":")[3]
        client = self._clients.get(region)
        if client is None:
            # Two threads may make two; the second one stays.
            client = self._clients[region] = self._make_client(region)
        return client


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    arn: str

    @property
    def ref(self) -> KekRef:
        return KekRef(kek_uri=f"aws-kms:{self.arn}")


def _default_client(region: str) -> Any:
    return boto3.client("kms", region_name=region, config=_CONFIG)


def _context(*, tenant_id: str, key_id: UUID, version: int, kek_uri: str) -> dict[str, str]:
    """Return what a data key is bound to; KMS takes no empty value, and a tenant's id has no empty one, so nobody is a dash apart."""
    pairs = dict(wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek_uri))
    encode_context(pairs.items())  # refuses what is no Unicode text, which botocore would send on
    if not tenant_id:
        pairs["tenant"], pairs["purpose"] = _NOBODY, "canary"
    return pairs


def _meaning_of(error: ClientError, kek: _Kek) -> CloudIntegrationsError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _CHANGED:
        return DecryptError()
    if code in _PROBLEMS:
        return KeyringError(key_id=kek.ref.kek_uri, problem=_PROBLEMS[code])
    # Throttling, DependencyTimeout, KMSInternal, 5xx, and whatever is new: nothing is lost by asking again.
    return KeyServiceUnavailableError(reason=code if code.isalnum() else type(error).__name__)
