"""Wrapping keys that stay in HashiCorp Vault or OpenBao: their Transit engine wraps and unwraps.

Sources: https://developer.hashicorp.com/vault/api-docs/secret/transit and
https://developer.hashicorp.com/vault/api-docs#http-status-codes; OpenBao answers in the same way.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.domain.conformance import require_part
from cloud_integrations.domain.envelope import KEY_LENGTH, WrappedKey, encode_context, wrap_context, wrapped_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    CloudIntegrationsError,
    ConfigurationError,
    DecryptError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
)
from cloud_integrations.ports.key_service import KekRef
from cloud_integrations.ports.transport import Transport
from cloud_integrations.protocol.egress import EndpointRefusedError, read_target
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, UnusableBodyError, find_path, read_json_object

from .key_list import KeyList, require_data_key

WITHIN: Final = timedelta(seconds=10)

# The names of keys that Vault accepts (GenericNameRegex); each part of a mount and of a namespace must match it too.
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_CIPHERTEXT: Final = re.compile(rb"vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/]+={0,2}")
_LONGEST: Final = 4096
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_DIGEST_LENGTH: Final = sha256().digest_size


class VaultTransitKeys(KeyList["_Kek"]):
    """Keys of one Transit mount: the first wraps, all unwrap.  Implements `KeyService`.

    A key must be of a type with associated data (`aes256-gcm96`, `aes128-gcm96`, `chacha20-poly1305`) and not `derived`.
    A key's URI is `vault:<mount>/<name>`.  Wrapped keys keep Vault's prefix with the version, such as `vault:v3:`, so Vault's own
    rotation (`transit/keys/<name>/rotate`) needs no change here.

    *address* is https, also on a private network, or http to this machine (an agent).  *token* is a `Secret`, or the path of a file
    that is read again for each call, because an agent renews the token.  *transport* belongs to the caller, who closes it.

    Raises `ConfigurationError` for an address, a name or a token that cannot be right; sends no request.
    """

    __slots__ = ("_address", "_namespace", "_token", "_transport")

    _place = "among the keys of Vault that are set up"

    def __init__(
        self,
        key: str,
        /,
        *more: str,
        address: str,
        token: Secret | Path,
        mount: str = "transit",
        namespace: str | None = None,
        transport: Transport,
    ) -> None:
        super().__init__()  # first, so that a half-made service can be shown in a traceback
        if not isinstance(token, Secret | Path):
            token = Secret("")  # the argument may be the token itself
            raise ConfigurationError(setting="token", problem="must be a Secret, or the Path of a file")
        require_part("transport", transport, Transport)
        self._address = _read_address(address)
        self._token = token
        self._namespace = None if namespace is None else _read_path(namespace, setting="namespace")
        self._transport = transport
        path = _read_path(mount, setting="mount")
        for name in (key, *more):
            kek = _Kek(mount=path, name=_read_path(name, setting="key", most=1))
            self._add(kek, setting="key", again=f"names {name} twice")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Encrypt a data key in Vault; see `KeyService.wrap`."""
        kek = self._first
        try:
            require_data_key(data_key)
            context = encode_context(wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri))
            # The digest of the context is encrypted with the key, because Vault before 1.13 silently ignores associated data.
            response = self._send(kek, "encrypt", {"plaintext": _encode(sha256(context).digest() + data_key)}, context)
        finally:
            data_key = b""
        if response.status == 400:
            raise KeyringError(key_id=kek.ref.kek_uri, problem="is not there, or not of a type that takes associated data")
        wrapped = _read_member(response, "data.ciphertext")
        if not _is_ciphertext(wrapped):
            raise KeyServiceUnavailableError
        return kek.ref, wrapped

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Decrypt a data key in Vault; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        context = wrapped_context(wrapped)
        if not _is_ciphertext(wrapped.wrapped):
            raise DecryptError
        response = self._send(kek, "decrypt", {"ciphertext": wrapped.wrapped.decode()}, context)
        if response.status == 400:
            raise _refusal_to_decrypt(response, kek)
        return _open(response, context)

    def _send(self, kek: _Kek, action: str, values: dict[str, str], context: bytes) -> HttpResponse:
        """Send a request to Vault and return an answer with status 200 or 400.

        Raises `KeyringError` or `KeyServiceUnavailableError` otherwise.
        """
        problem: CloudIntegrationsError
        try:
            request = self._build(kek, action, values, context)
            response = self._transport.send(request, deadline=WITHIN)
        except ProviderUnavailableError as error:
            problem = KeyServiceUnavailableError(reason=error.reason)
            if error.reason == "endpoint_not_allowed":
                problem = KeyringError(
                    key_id=kek.ref.kek_uri, problem="cannot be asked: the address of Vault leads where no request may go"
                )
        else:
            if response.status in {200, 400}:
                return response
            problem = _meaning_of(response.status, kek)
        finally:
            values = {}  # the plaintext, in base64
        raise alone(problem)

    def _build(self, kek: _Kek, action: str, values: dict[str, str], context: bytes) -> HttpRequest:
        try:
            headers = {"X-Vault-Token": self._read_token(kek).reveal(), "Content-Type": "application/json"}
            if self._namespace is not None:
                headers["X-Vault-Namespace"] = self._namespace
            return HttpRequest(
                method="POST",
                url=f"{self._address}/v1/{kek.mount}/{action}/{kek.name}",
                headers=headers,
                body=json.dumps({**values, "associated_data": _encode(context)}).encode(),
                provider_id="vault",
                loopback=True,
                private_host=True,  # the operator configures the address, never a tenant
            )
        finally:
            values = {}

    def _read_token(self, kek: _Kek) -> Secret:
        token = self._token
        if isinstance(token, Path):
            token = _read_file(token)
        if not _TOKEN.fullmatch(token.reveal()):
            raise KeyringError(key_id=kek.ref.kek_uri, problem="cannot be used: there is no token for Vault")
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kek:
    mount: str
    name: str

    @property
    def ref(self) -> KekRef:
        return KekRef(kek_uri=f"vault:{self.mount}/{self.name}")


def _read_address(address: str) -> str:
    base = address.removesuffix("/")
    problem = ""
    try:
        read_target(base, loopback=True, private_host=True)
    except EndpointRefusedError:
        problem = "must be https, or http to this machine"
    if not problem and (base.count("/") != 2 or "?" in base):
        problem = "must have no path"
    if problem:
        raise ConfigurationError(setting="address", problem=problem)
    return base


def _read_path(path: str, *, setting: str, most: int = 8) -> str:
    names = path.strip("/").split("/")
    if len(names) > most or not all(_NAME.fullmatch(name) for name in names):
        raise ConfigurationError(setting=setting, problem="must be made of A-Z a-z 0-9 _ . -")
    return "/".join(names)


def _read_file(path: Path) -> Secret:
    """Read the token; return an empty one instead of raising, because the traceback of an error would contain the text."""
    try:
        return Secret(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return Secret("")


def _is_ciphertext(value: bytes) -> bool:
    return len(value) <= _LONGEST and _CIPHERTEXT.fullmatch(value) is not None


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _meaning_of(status: int, kek: _Kek) -> CloudIntegrationsError:
    if status == 403:
        return KeyringError(key_id=kek.ref.kek_uri, problem="may not be used with this token")
    if status in {404, 405}:
        return KeyringError(key_id=kek.ref.kek_uri, problem="is not there: no Transit engine is mounted at its path")
    # 412, 429, 472 and 473 mean "not this server, or not now"; 503 is sealed.
    return KeyServiceUnavailableError(reason=f"status {status}")


def _refusal_to_decrypt(response: HttpResponse, kek: _Kek) -> CloudIntegrationsError:
    """Return the error for an answer with status 400: most often the value is wrong, sometimes the key."""
    reasons = _read_errors(response)
    if "encryption key not found" in reasons:
        return KeyringError(key_id=kek.ref.kek_uri, problem="is not there")
    if "disallowed by policy" in reasons:
        return KeyringError(key_id=kek.ref.kek_uri, problem="no longer unwraps with this version (min_decryption_version)")
    return DecryptError()


def _read_errors(response: HttpResponse) -> str:
    try:
        return str(read_json_object(response.body).get("errors"))
    except UnusableBodyError:
        return ""


def _read_member(response: HttpResponse, path: str) -> bytes:
    """Return the text at *path* in the answer as bytes, empty if there is none."""
    try:
        found = find_path(read_json_object(response.body), path)
    except UnusableBodyError:
        return b""
    return found.encode(errors="replace") if isinstance(found, str) else b""


def _open(response: HttpResponse, context: bytes) -> bytes:
    """Return the data key from the answer.

    Raises `DecryptError` if it does not belong to *context*, `KeyServiceUnavailableError` if the answer has no plaintext.
    """
    opened = b""
    try:
        with suppress(ValueError):
            opened = base64.b64decode(_read_member(response, "data.plaintext"), validate=True)
        if not opened:
            raise KeyServiceUnavailableError
        expected = sha256(context).digest()
        if len(opened) != _DIGEST_LENGTH + KEY_LENGTH or not hmac.compare_digest(opened[:_DIGEST_LENGTH], expected):
            raise DecryptError
        return opened[_DIGEST_LENGTH:]
    finally:
        opened = b""
