"""Wrapping keys that stay in Google Cloud KMS.

Sources: https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1 and
https://cloud.google.com/kms/docs/data-integrity-guidelines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final
from uuid import UUID

from google.api_core.exceptions import (
    BadRequest,
    DeadlineExceeded,
    FailedPrecondition,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.kms_v1 import DecryptRequest, EncryptRequest, EncryptResponse, KeyManagementServiceClient
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.backends.log_filter import quiet_logs
from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey, encode_context, wrap_context, wrapped_context
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.ports.key_service import KekRef

from .key_list import KeyList, require_data_key

# Three attempts of three seconds each; for longer outages the flows have rules of their own.
_TRIES: Final = 3
_EACH: Final = 3.0
_LONGEST: Final = 4096
_NAME: Final = re.compile(r"projects/[A-Za-z0-9.:_-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}")

_Ask = Callable[[KeyManagementServiceClient], bytes]


class GcpKmsKeys(KeyList["_Kek"]):
    """Symmetric keys of Google Cloud KMS: the first wraps, all unwrap.  Implements `KeyService`.

    A key is named `projects/…/locations/…/keyRings/…/cryptoKeys/…`, never with a version, because Google finds the version that
    wrapped; so Google's own rotation needs no change here.  The key's URI is `gcp-kms:` followed by that name.  The context of a data
    key is sent as associated data.

    Without *client*, one is made at the first call with the application's default credentials.  A *client* must use gRPC and belongs
    to the caller, who closes it.

    Raises `ConfigurationError` for a name or a client that cannot be right; sends no request.
    """

    __slots__ = ("_client", "_making")

    _place = "among the keys of Google Cloud KMS that are set up"

    def __init__(self, key_name: str, /, *more: str, client: KeyManagementServiceClient | None = None) -> None:
        super().__init__()
        if client is not None and not isinstance(client.transport, KeyManagementServiceGrpcTransport):
            # Over REST, a disabled key and a changed value raise the same class of error.
            raise ConfigurationError(setting="client", problem="must use the transport grpc")
        self._client = client
        self._making = Lock()
        for name in (key_name, *more):
            self._add(_read_name(name), setting="key_name", again=f"names {name} twice")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Encrypt a data key in Google Cloud KMS; see `KeyService.wrap`."""
        kek = self._first
        try:
            require_data_key(data_key)
            context = encode_context(wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri))
            refused = KeyringError(key_id=kek.ref.kek_uri, problem="is not a key that encrypts (purpose ENCRYPT_DECRYPT)")
            return kek.ref, self._ask(kek, lambda client: _encrypt(client, kek, data_key, context), refused=refused)
        finally:
            data_key = b""

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Decrypt a data key in Google Cloud KMS; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        context = wrapped_context(wrapped)
        if not 0 < len(wrapped.wrapped) <= _LONGEST:
            raise DecryptError
        opened = self._ask(kek, lambda client: _decrypt(client, kek, wrapped.wrapped, context), refused=DecryptError())
        if len(opened) != KEY_LENGTH:
            opened = b""
            raise DecryptError
        return opened

    def _ask(self, kek: _Kek, ask: _Ask, /, *, refused: CloudIntegrationsError) -> bytes:
        """Return the result of *ask*; raise *refused* if Google refuses the request itself (`BadRequest`).

        An empty result is asked for again, because it was damaged on its way.  Raises `KeyringError` or `KeyServiceUnavailableError`
        otherwise.
        """
        problem: CloudIntegrationsError = KeyServiceUnavailableError()
        for _ in range(_TRIES):
            try:
                with quiet_logs("google", "grpc", "urllib3"):
                    answer = ask(self._connect())
            except (ServiceUnavailable, DeadlineExceeded) as error:
                problem = KeyServiceUnavailableError(reason=type(error).__name__)
                continue
            except GoogleAPICallError as error:
                problem = _meaning_of(error, kek, refused)
                break
            except GoogleAuthError:
                problem = KeyringError(key_id=kek.ref.kek_uri, problem="cannot be used: there are no credentials for Google")
                break
            except Exception as error:  # noqa: BLE001  # whatever the SDK lets out may hold a key: none of it leaves this file
                problem = KeyServiceUnavailableError(reason=type(error).__name__)
                break
            if answer:
                return answer
        raise alone(problem)

    def _connect(self) -> KeyManagementServiceClient:
        """Return the client; the default client is made at the first call, because it looks for credentials on the network."""
        with self._making:
            if self._client is None:
                self._client = KeyManagementServiceClient()
            return self._client


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    name: str

    @property
    def ref(self) -> KekRef:
        return KekRef(kek_uri=f"gcp-kms:{self.name}")


def _read_name(name: str) -> _Kek:
    if not _NAME.fullmatch(name):
        problem = "must be projects/…/locations/…/keyRings/…/cryptoKeys/…"
        if "/cryptoKeyVersions/" in name:
            problem += ", without a version"
        raise ConfigurationError(setting="key_name", problem=problem)
    return _Kek(name=name)


def _encrypt(client: KeyManagementServiceClient, kek: _Kek, data_key: bytes, context: bytes) -> bytes:
    """Return the ciphertext, or no bytes if the request or the answer was damaged on its way."""
    request = EncryptRequest(
        name=kek.name,
        plaintext=data_key,
        plaintext_crc32c=crc32c(data_key),
        additional_authenticated_data=context,
        additional_authenticated_data_crc32c=crc32c(context),
    )
    response = client.encrypt(request, retry=None, timeout=_EACH)
    ciphertext: bytes = response.ciphertext
    whole = (
        response.verified_plaintext_crc32c
        and response.verified_additional_authenticated_data_crc32c
        and response.ciphertext_crc32c == crc32c(ciphertext)
        and len(ciphertext) <= _LONGEST
        and _is_of(kek, response)
    )
    return ciphertext if whole else b""


def _decrypt(client: KeyManagementServiceClient, kek: _Kek, ciphertext: bytes, context: bytes) -> bytes:
    """Return the plaintext, or no bytes if the answer was damaged on its way."""
    request = DecryptRequest(
        name=kek.name,
        ciphertext=ciphertext,
        ciphertext_crc32c=crc32c(ciphertext),
        additional_authenticated_data=context,
        additional_authenticated_data_crc32c=crc32c(context),
    )
    response = client.decrypt(request, retry=None, timeout=_EACH)
    plaintext: bytes = response.plaintext
    return plaintext if response.plaintext_crc32c == crc32c(plaintext) else b""


def _is_of(kek: _Kek, response: EncryptResponse) -> bool:
    """Return whether a version of this key encrypted; the project is not compared, because it may be named by its id or its number."""
    expected = kek.name.partition("/locations/")[2]
    answered: str = response.name.partition("/locations/")[2]
    return answered.startswith(f"{expected}/cryptoKeyVersions/")


def _meaning_of(error: GoogleAPICallError, kek: _Kek, refused: CloudIntegrationsError) -> CloudIntegrationsError:
    if isinstance(error, FailedPrecondition):
        return KeyringError(key_id=kek.ref.kek_uri, problem="is switched off or destroyed, or the version that wrapped is")
    if isinstance(error, BadRequest):
        # Google also compares the checksums: then the request was damaged, and not the stored value.
        return KeyServiceUnavailableError() if "crc32c" in str(error.message) else refused
    if isinstance(error, NotFound):
        return KeyringError(key_id=kek.ref.kek_uri, problem="is not there")
    if isinstance(error, Forbidden | Unauthorized):
        return KeyringError(key_id=kek.ref.kek_uri, problem="may not be used with these credentials, or is not there")
    return KeyServiceUnavailableError(reason=type(error).__name__)


def crc32c(data: bytes, /) -> int:
    """Return the CRC-32C of *data* (RFC 3720 §12.1), computed bit by bit, because there are a few hundred bytes at most."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
