"""Wrapping keys that stay in Azure Key Vault or a Managed HSM.

Sources: https://learn.microsoft.com/en-us/rest/api/keyvault/keys/wrap-key/wrap-key and
https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Literal
from uuid import UUID

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.domain.envelope import KEY_LENGTH, OVERHEAD, WrappedKey, wrap_context
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.ports.key_service import KekRef
from cloud_integrations.protocol.http import read_json_object

from .key_list import KeyList, require_data_key

# Three attempts of three seconds each; for longer outages the flows have rules of their own.
_TRIES: Final = 3
_EACH: Final = 3.0
_ALGORITHM: Final = "RSA-OAEP-256"
_RSA_LENGTHS: Final = frozenset({256, 384, 512})
"""The lengths in bytes of values wrapped by RSA keys of 2048, 3072 and 4096 bits; Azure has no other RSA keys."""
_KEY_ID: Final = re.compile(r"(https://[a-z0-9-]+(?:\.[a-z0-9-]+)+)(/keys/[A-Za-z0-9-]{1,127})/([0-9a-f]{32})")
_UNVERSIONED: Final = re.compile(r"https://[^/]+/keys/[^/]+/?")


class AzureKeyVaultKeys(KeyList["_Kek"]):
    """RSA keys of Azure Key Vault: the first wraps, all unwrap.  Implements `KeyService`.

    A key is named `https://<vault>/keys/<name>/<version>`, with its version, because Azure unwraps with the version in the request
    and does not find the one that wrapped.  The key's URI is `azure-kv:` followed by that name.

    RSA-OAEP takes no associated data, so Azure could not distinguish one tenant's data key from another's.  Therefore a random key is
    made for each data key: Azure wraps the random key, and the data key is sealed under it with its context (format CI1).  The wrapped
    value consists of 2 bytes with a length, Azure's bytes, and CI1.  The data key itself is never sent to Azure.

    RSA wraps with the public key.  A person who can read it (permission `get`) *and* write to the database could insert a data key
    that they know, so do not give `get` to anybody who may write to the database; this class does not need it.

    Without *credential*, a `DefaultAzureCredential` is made at the first call.  A *transport* of azure-core belongs to the caller, who
    closes it.

    Raises `ConfigurationError` for a name that cannot be right; sends no request.
    """

    __slots__ = ("_cipher", "_clients", "_credential", "_making", "_transport")

    _place = "among the keys of Azure Key Vault that are set up"

    def __init__(
        self,
        key_id: str,
        /,
        *more: str,
        credential: TokenCredential | None = None,
        transport: HttpTransport[Any, Any] | None = None,
    ) -> None:
        super().__init__()
        self._cipher = AesGcmCipher()
        self._clients: dict[str, KeyClient] = {}
        self._credential = credential
        self._making = Lock()
        self._transport = transport
        for name in (key_id, *more):
            self._add(_read_key_id(name), setting="key_id", again=f"names {name} twice")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key under a random key that Azure wraps; see `KeyService.wrap`."""
        kek = self._first
        wrapping_key = b""
        try:
            require_data_key(data_key)
            wrapping_key = os.urandom(KEY_LENGTH)
            context = wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri)
            sealed = self._cipher.seal(data_key, key=wrapping_key, key_id=kek.ref.kek_key_id, context=context)
            by_azure = self._wrap(kek, wrapping_key)
            return kek.ref, len(by_azure).to_bytes(2, "big") + by_azure + sealed
        finally:
            data_key = wrapping_key = b""

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Unwrap the random key in Azure and open the data key with it; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        by_azure, sealed = _split(wrapped.wrapped)
        context = wrap_context(tenant_id=wrapped.tenant_id, key_id=wrapped.key_id, version=wrapped.version, kek_uri=wrapped.kek_uri)
        wrapping_key = b""
        try:
            wrapping_key = self._ask(kek, "unwrapkey", by_azure, refused=DecryptError())
            return self._cipher.open(sealed, key=wrapping_key, key_id=wrapped.kek_key_id, context=context)
        finally:
            wrapping_key = b""

    def _wrap(self, kek: _Kek, wrapping_key: bytes) -> bytes:
        """Wrap *wrapping_key* in Azure, and unwrap it again, because Azure also wraps with a disabled key and only unwrapping fails."""
        opened = b""
        try:
            refused = KeyringError(key_id=kek.ref.kek_uri, problem="is not an RSA key that wraps and unwraps with RSA-OAEP-256")
            by_azure = self._ask(kek, "wrapkey", wrapping_key, refused=refused)
            if len(by_azure) not in _RSA_LENGTHS:
                raise KeyServiceUnavailableError
            opened = self._ask(kek, "unwrapkey", by_azure, refused=refused)
            if not hmac.compare_digest(opened, wrapping_key):
                raise KeyServiceUnavailableError
            return by_azure
        finally:
            wrapping_key = opened = b""

    def _ask(self, kek: _Kek, action: Literal["wrapkey", "unwrapkey"], value: bytes, *, refused: CloudIntegrationsError) -> bytes:
        """Return the value in Azure's answer; raise *refused* if Azure refuses the request itself (status 400).

        Raises `KeyringError` or `KeyServiceUnavailableError` otherwise.
        """
        problem: CloudIntegrationsError = KeyServiceUnavailableError()
        try:
            # Not the SDK's `wrap_key`: that fetches the public key and then wraps locally.
            request = HttpRequest("POST", f"{kek.path}/{action}", json={"alg": _ALGORITHM, "value": _encode(value)})
            for _ in range(_TRIES):
                try:
                    response = self._send(kek, request)
                except ClientAuthenticationError as error:
                    if error.status_code is None or error.status_code in {400, 401, 403}:
                        problem = KeyringError(
                            key_id=kek.ref.kek_uri, problem="cannot be used: there are no credentials that Azure accepts"
                        )
                    break
                except AzureError as error:
                    problem = KeyServiceUnavailableError(reason=type(error).__name__)
                    continue
                except Exception as error:  # noqa: BLE001  # whatever the SDK lets out may hold a key: none of it leaves this file
                    problem = KeyServiceUnavailableError(reason=type(error).__name__)
                    break
                if response.status_code == 200:
                    return _read_value(response)
                if response.status_code < 500:
                    problem = _meaning_of(response, kek, refused)
                    break
        finally:
            value = b""
        raise alone(problem)

    def _send(self, kek: _Kek, request: HttpRequest) -> HttpResponse:
        # Without the SDK's retries, because they wait as long as an answer demands.  The SDK logs no bodies unless a client asks for them.
        return self._connect(kek).send_request(request, retry_total=0, permit_redirects=False, connection_timeout=_EACH, read_timeout=_EACH)

    def _connect(self, kek: _Kek) -> KeyClient:
        """Return the client for the key's vault, made at the first call."""
        with self._making:
            if kek.vault not in self._clients:
                if self._credential is None:
                    self._credential = DefaultAzureCredential()
                self._clients[kek.vault] = KeyClient(kek.vault, self._credential, transport=self._transport)
            return self._clients[kek.vault]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    vault: str
    path: str

    @property
    def ref(self) -> KekRef:
        return KekRef(kek_uri=f"azure-kv:{self.vault}{self.path}")


def _read_key_id(key_id: str) -> _Kek:
    match = _KEY_ID.fullmatch(key_id)
    if match is None:
        problem = "must be https://<vault>/keys/<name>/<version>"
        if _UNVERSIONED.fullmatch(key_id):
            problem += ": the version is missing, and the latest is not always the one that wrapped"
        raise ConfigurationError(setting="key_id", problem=problem)
    vault, path, version = match.groups()
    return _Kek(vault=vault, path=f"{path}/{version}")


def _split(wrapped: bytes) -> tuple[bytes, bytes]:
    """Return Azure's part and the CI1 part of a wrapped key.  Raises `DecryptError` for a value that `wrap` cannot have made."""
    length = int.from_bytes(wrapped[:2], "big")
    if length not in _RSA_LENGTHS or len(wrapped) != 2 + length + OVERHEAD + KEY_LENGTH:
        raise DecryptError
    return wrapped[2 : 2 + length], wrapped[2 + length :]


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _read_value(response: HttpResponse) -> bytes:
    """Return the answer's value.  Raises `KeyServiceUnavailableError` if it has none."""
    value: object = None
    decoded = b""
    try:
        value = read_json_object(response.content).get("value")
        if isinstance(value, str):
            decoded = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError:
        decoded = b""
    finally:
        value = None
    if not decoded:
        raise KeyServiceUnavailableError
    return decoded


def _meaning_of(response: HttpResponse, kek: _Kek, refused: CloudIntegrationsError) -> CloudIntegrationsError:
    match response.status_code:
        case 400:
            return refused
        case 403 if b'"KeyDisabled"' in response.content:
            return KeyringError(key_id=kek.ref.kek_uri, problem="is switched off")
        case 401 | 403:
            return KeyringError(key_id=kek.ref.kek_uri, problem="may not be used with these credentials, from here, or at this time")
        case 404 | 409:
            return KeyringError(key_id=kek.ref.kek_uri, problem="is not there, or was deleted")
        case _:  # 429 and 408, and redirects, which are not followed
            return KeyServiceUnavailableError(reason=f"status {response.status_code}")
