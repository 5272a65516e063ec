"""Wrapping keys that stay in AWS KMS.

Sources: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html and
https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey, encode_context, wrap_context, wrapped_context
from cloud_integrations.errors import DecryptError, KeyringError
from cloud_integrations.ports.key_service import KekRef

from .aws_kms_client import AwsKmsClient, check_arn, key_uri
from .key_list import KeyList, require_data_key

_LONGEST: Final = 4096
_NOBODY: Final = "-"


class AwsKmsKeys(KeyList["_Kek"]):
    """Symmetric KMS keys, named by their ARN: the first wraps, all unwrap.  Implements `KeyService`.

    A key's URI is `aws-kms:<ARN>`.  Aliases are refused, because they can be moved to another key.  The identity of a data key (tenant,
    id, version) is sent as encryption context, so it appears in CloudTrail and can be a condition in a policy.  KMS's automatic
    rotation needs no change here.

    *client* is a function that returns a boto3 KMS client for a region; the default is `boto3.client("kms", region_name=…)` with the
    credentials that boto3 finds.  A multi-Region key (`mrk-…`) is used in the region of its ARN.

    Raises `ConfigurationError` for a text that is no key ARN; sends no request.
    """

    __slots__ = ("_kms",)

    _place = "among the keys of AWS KMS that are set up"

    def __init__(self, key_arn: str, /, *more: str, client: Callable[[str], Any] | None = None) -> None:
        super().__init__()
        self._kms = AwsKmsClient(client)
        for arn in (key_arn, *more):
            self._add(_Kek(arn=check_arn(arn)), setting="key_arn", again=f"names {arn} twice")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Encrypt a data key in KMS; see `KeyService.wrap`."""
        kek = self._first
        try:
            require_data_key(data_key)
            context = _context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri)
            answer = self._kms.ask(kek.arn, lambda client: client.encrypt(KeyId=kek.arn, Plaintext=data_key, EncryptionContext=context))
        finally:
            data_key = b""
        if answer.get("KeyId") != kek.arn:
            raise KeyringError(key_id=kek.ref.kek_uri, problem="was asked for, and another key answered")
        return kek.ref, answer["CiphertextBlob"]

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Decrypt a data key in KMS; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        wrapped_context(wrapped)  # raises `DecryptError` for text that cannot be encoded
        if not 0 < len(wrapped.wrapped) <= _LONGEST:
            raise DecryptError
        context = _context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        # KeyId is given, because otherwise KMS uses the key that the ciphertext names.
        answer = self._kms.ask(
            kek.arn, lambda client: client.decrypt(KeyId=kek.arn, CiphertextBlob=wrapped.wrapped, EncryptionContext=context)
        )
        opened: bytes = answer["Plaintext"]
        if len(opened) != KEY_LENGTH:
            answer, opened = {}, b""
            raise DecryptError
        return opened


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    arn: str

    @property
    def ref(self) -> KekRef:
        return KekRef(kek_uri=key_uri(self.arn))


def _context(*, tenant_id: str, key_id: UUID, version: int, kek_uri: str) -> dict[str, str]:
    """Return the encryption context of a data key.

    KMS accepts no empty value, so the check value, which has no tenant, gets a dash and a purpose of its own.
    """
    pairs = dict(wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek_uri))
    encode_context(pairs.items())  # raises for text that cannot be encoded, which botocore would send
    if not tenant_id:
        pairs["tenant"], pairs["purpose"] = _NOBODY, "canary"
    return pairs
