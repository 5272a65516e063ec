"""Signing keys that stay in AWS KMS.

Sources: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html and API_GetPublicKey.html.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cloud_integrations.domain.issuing import LEAST_BITS, PublicSigningKey
from cloud_integrations.domain.secret import NeverCopied
from cloud_integrations.errors import ConfigurationError, KeyringError

from .aws_kms_client import AwsKmsClient, check_arn, key_uri

_ALGORITHM: Final = "RSASSA_PKCS1_V1_5_SHA_256"


class AwsKmsSigningKeys(NeverCopied):
    """Asymmetric RSA keys of KMS (`SIGN_VERIFY`), named by their ARN: the first signs, all are published.  Implements `SigningKeys`.

    Needs the permissions `kms:GetPublicKey` and `kms:Sign`.  A public key is asked for once: KMS never changes it.

    *client* is a function that returns a boto3 KMS client for a region; the default is `boto3.client("kms", region_name=…)` with the
    credentials that boto3 finds.

    Raises `ConfigurationError` for a text that is no key ARN, or is there twice; sends no request.
    """

    __slots__ = ("_arns", "_kms", "_public")

    def __init__(self, key_arn: str, /, *more: str, client: Callable[[str], Any] | None = None) -> None:
        self._arns = tuple(check_arn(arn) for arn in (key_arn, *more))
        if len(set(self._arns)) != len(self._arns):
            raise ConfigurationError(setting="key_arn", problem="names a key twice")
        self._kms = AwsKmsClient(client)
        self._public: dict[str, PublicSigningKey] = {}

    @property
    def waits(self) -> bool:
        """True: it waits for a service."""
        return True

    def public_keys(self) -> tuple[PublicSigningKey, ...]:
        """Return the public part of every key, the one that signs first; see `SigningKeys.public_keys`."""
        return tuple(map(self._public_key, self._arns))

    def sign(self, key_id: str, message: bytes, /) -> bytes:
        """Have KMS sign the SHA-256 of *message*; see `SigningKeys.sign`."""
        arn = next((arn for arn in self._arns if self._public_key(arn).key_id == key_id), None)
        if arn is None:
            raise KeyringError(key_id=key_id, problem="is not among the signing keys of AWS KMS that are set up")
        digest = sha256(message).digest()
        answer = self._kms.ask(
            arn, lambda client: client.sign(KeyId=arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=_ALGORITHM)
        )
        _require_same(arn, answer)
        signature: bytes = answer["Signature"]
        return signature

    def __repr__(self) -> str:
        return f"AwsKmsSigningKeys({', '.join(self._arns)})"

    def _public_key(self, arn: str) -> PublicSigningKey:
        known = self._public.get(arn)
        if known is None:
            answer = self._kms.ask(arn, lambda client: client.get_public_key(KeyId=arn))
            _require_same(arn, answer)
            # Two threads may each ask; both get the same key.
            known = self._public[arn] = _read(arn, answer)
        return known


def _require_same(arn: str, answer: Any) -> None:
    # moto answers with the last part of the ARN alone.
    if answer.get("KeyId") not in {arn, arn.rpartition("/")[2]}:
        raise KeyringError(key_id=key_uri(arn), problem="was asked for, and another key answered")


def _read(arn: str, answer: Any) -> PublicSigningKey:
    try:
        key: object = load_der_public_key(answer["PublicKey"])
    except (ValueError, UnsupportedAlgorithm):
        key = None
    signs = answer.get("KeyUsage") == "SIGN_VERIFY" and _ALGORITHM in answer.get("SigningAlgorithms", ())
    if not signs or not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise KeyringError(key_id=key_uri(arn), problem=f"is no RSA key of at least {LEAST_BITS} bits that signs")
    numbers = key.public_numbers()
    return PublicSigningKey(modulus=numbers.n, exponent=numbers.e)
