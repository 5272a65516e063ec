"""Wrapping keys that stay in a PKCS#11 token: a hardware security module, a smart card, SoftHSM.

Sources: PKCS #11 Cryptographic Token Interface 2.40 (OASIS; AES-GCM in "Current Mechanisms" §2.13) and RFC 7512 (the URI).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.domain.envelope import KEY_LENGTH, TAG_LENGTH, WrappedKey, encode_context, wrap_context, wrapped_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.ports.key_service import KekRef

from .key_list import KeyList, require_data_key

T = TypeVar("T")

_NONCE_LENGTH: Final = 12
_WRAPPED_LENGTH: Final = _NONCE_LENGTH + KEY_LENGTH + TAG_LENGTH
_PIN_REFUSED: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)


class Pkcs11Keys(KeyList["_KeyUri"]):
    """AES-256 keys that never leave their token: the first wraps, all unwrap.  Implements `KeyService`.

    A key is named by an RFC 7512 URI of `token` or `serial`, and `object` or `id`: `pkcs11:token=main;object=ci-2026;type=secret-key`.
    The URI has no PIN and no library; it is stored in one spelling, whatever its order and escapes were.
    For keys in tokens with another PIN or library, use another `Pkcs11Keys`.

    A key that is not sensitive, or that is extractable, is refused (`KeyringError`), because it protects no better than a file.
    A wrong PIN is tried once and never again by this object, because a token locks itself after a few wrong PINs.

    One thread at a time uses the library.  No other code in the process should use it: after a failure and after a fork it is
    initialised again, which ends all sessions in it.  A call waits as long as the library does; there is no time limit.

    Raises `ConfigurationError` for a URI that does not name a key in this way, without showing the URI; no token is used.
    """

    __slots__ = ("_library", "_pin", "_pin_refused")

    _place = "among the keys of PKCS#11 that are set up"

    def __init__(self, uri: str, /, *more: str, library: str | Path, pin: Secret) -> None:
        super().__init__()  # first, so that a half-made service can be shown in a traceback
        uris = [Secret(text) for text in (uri, *more)]  # a wrong one may contain a PIN
        uri, more = "", ()
        if not isinstance(pin, Secret):
            pin = Secret("")  # the argument may be the PIN itself
            raise ConfigurationError(setting="pin", problem="must be a Secret")
        self._library = str(library)
        self._pin = pin
        self._pin_refused = False
        for position, secret in enumerate(uris, start=1):
            key = _read_uri(secret)
            if key is None:
                problem = "is not pkcs11:token=…;object=…;type=secret-key (also serial and id; no PIN, no library, nothing else)"
                raise ConfigurationError(setting=f"uri {position}", problem=problem)
            self._add(key, setting=f"uri {position}", again="names a key again")

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """Seal a data key in the token, with AES-GCM and a random nonce of 12 bytes; see `KeyService.wrap`."""
        kek = self._first
        try:
            require_data_key(data_key)
            context = encode_context(wrap_context(tenant_id=tenant_id, key_id=key_id, version=version, kek_uri=kek.ref.kek_uri))
            wrapped = self._use(kek, lambda key: key.seal(data_key, context))
        finally:
            data_key = b""
        if wrapped is None:
            raise KeyringError(key_id=kek.ref.kek_uri, problem="does not open what it sealed")
        return kek.ref, wrapped

    def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """Return the data key; see `KeyService.unwrap`."""
        kek = self._kek_of(wrapped)
        context = wrapped_context(wrapped)
        if len(wrapped.wrapped) != _WRAPPED_LENGTH:
            raise DecryptError
        return self._use(kek, lambda key: key.open(wrapped.wrapped, context))

    def _use(self, kek: _KeyUri, work: Callable[[_TokenKey], T]) -> T:
        """Call *work* with the key, while no other thread uses the library; after a failure the next call initialises it again."""
        problem: CloudIntegrationsError
        module = _module(self._library)
        with module.lock:
            try:
                return work(self._find(module, kek))
            except CloudIntegrationsError as error:
                problem = error
            except Exception as error:  # noqa: BLE001  # whatever the SDK lets out may hold a key: none of it leaves this file
                module.is_well = False
                problem = KeyServiceUnavailableError(reason=type(error).__name__)
        raise alone(problem)

    def _find(self, module: _Module, kek: _KeyUri) -> _TokenKey:
        library = module.ready()
        known = module.keys.get(kek)
        if known is None:
            known = module.keys[kek] = _find_key(self._session(module, library, kek), kek)
        return known

    def _session(self, module: _Module, library: Any, kek: _KeyUri) -> Any:
        token_name = (kek.token, kek.serial)
        if token_name not in module.sessions:
            module.sessions[token_name] = self._open_session(_find_token(library, kek), kek)
        return module.sessions[token_name]

    def _open_session(self, token: Any, kek: _KeyUri) -> Any:
        if not self._pin_refused:
            try:
                return token.open(user_pin=self._pin.reveal())
            except pkcs11.UserAlreadyLoggedIn:
                return token.open()  # a login applies to the whole process, and other code in it has logged in
            except _PIN_REFUSED:
                self._pin_refused = True
        raise KeyringError(key_id=kek.ref.kek_uri, problem="cannot be used: the token refused the PIN")


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyUri:
    """The attributes of an RFC 7512 URI that identify a key permanently: not the slot, not the library."""

    token: str | None = None
    serial: str | None = None
    object: str | None = None
    id: bytes | None = None

    @property
    def ref(self) -> KekRef:
        """The key's reference, with the URI in one spelling: fixed order, every character escaped that may be, all bytes of an id.

        See RFC 7512 §2.3.
        """
        parts = [f"{name}={quote(text, safe='')}" for name in ("token", "serial", "object") if (text := getattr(self, name)) is not None]
        if self.id is not None:
            parts.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        return KekRef(kek_uri=f"pkcs11:{';'.join(parts)};type=secret-key")


def _read_uri(uri: Secret) -> _KeyUri | None:
    """Read a URI; return None instead of raising, because the traceback of an error would contain the text."""
    scheme, _, path = uri.reveal().partition(":")
    parts = [part.partition("=") for part in path.split(";")]
    texts = {name: text for name, _, text in parts}
    kinds = texts.keys() - {"type"}
    well_formed = scheme == "pkcs11" and len(texts) == len(parts) and all(texts.values()) and "?" not in path
    if not well_formed or kinds - {"token", "serial", "object", "id"} or texts.get("type", "secret-key") != "secret-key":
        return None
    if not kinds & {"token", "serial"} or not kinds & {"object", "id"}:
        return None
    try:
        values = {name: unquote_to_bytes(texts[name]) for name in kinds}
        return _KeyUri(id=values.pop("id", None), **{name: value.decode() for name, value in values.items()})
    except UnicodeError:
        return None


@dataclass(slots=True, kw_only=True)
class _Module:
    """A PKCS#11 library in this process, shared by all objects that use it, because a login to a token applies to the whole process."""

    path: str
    is_well: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    library: Any = field(default=None, repr=False)
    sessions: dict[tuple[str | None, str | None], Any] = field(default_factory=dict, repr=False)
    keys: dict[_KeyUri, _TokenKey] = field(default_factory=dict, repr=False)

    def ready(self) -> Any:
        """Return the library, initialised; the caller holds the lock."""
        if self.library is None:
            self.library = _load(self.path)
        if not self.is_well:
            # A library that lost its token finds it only after it is initialised again; sessions and handles are then invalid.
            self.sessions.clear()
            self.keys.clear()
            with suppress(pkcs11.PKCS11Error):  # after a fork it may report that it was never initialised
                self.library.finalize()
            self.library.initialize()
            self.is_well = True
        return self.library


# By process: a forked child has its parent's memory, but not its login and sessions, and no thread that would release a lock.
_modules: Final[dict[tuple[int, str], _Module]] = {}


def _module(path: str) -> _Module:
    found = _modules.get((os.getpid(), path))
    if found is None:
        inherited = any(known == path for _, known in list(_modules))
        found = _modules.setdefault((os.getpid(), path), _Module(path=path, is_well=not inherited))
    return found


def _load(path: str) -> Any:
    with suppress(pkcs11.PKCS11Error):
        return pkcs11.lib(path)
    raise ConfigurationError(setting="library", problem="cannot be loaded as a PKCS#11 library")


def _find_token(library: Any, kek: _KeyUri) -> Any:
    serial = None if kek.serial is None else kek.serial.encode()
    with suppress(pkcs11.MultipleTokensReturned):
        return library.get_token(token_label=kek.token, token_serial=serial)
    raise KeyringError(key_id=kek.ref.kek_uri, problem="could be in several tokens; name the serial number too")


def _find_key(session: Any, kek: _KeyUri) -> _TokenKey:
    """Return the only key of this name.  Raises `KeyringError` if there is none, if there are several, or if it may not be used."""
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
    if kek.object is not None:
        wanted[Attribute.LABEL] = kek.object
    if kek.id is not None:
        wanted[Attribute.ID] = kek.id
    found = [_TokenKey(handle) for handle in session.get_objects(wanted)]
    if len(found) != 1:
        raise KeyringError(key_id=kek.ref.kek_uri, problem="is there more than once" if found else "is not in the token")
    (key,) = found
    if problem := key.problem():
        raise KeyringError(key_id=kek.ref.kek_uri, problem=problem)
    return key


class _TokenKey:
    """A key in its token.

    It has a `repr` of its own, because the library's `repr` asks the token, and a traceback may be shown at any time.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: Any, /) -> None:
        self._handle = handle

    def __repr__(self) -> str:
        return "<key in its token>"

    def problem(self) -> str:
        """Return why the key must not be used, or an empty text if it may be used."""
        if self._handle[Attribute.VALUE_LEN] != KEY_LENGTH:
            return "is not an AES key of 256 bits"
        if not self._handle[Attribute.SENSITIVE] or self._handle[Attribute.EXTRACTABLE]:
            return "can be taken out of the token; it must be sensitive and not extractable"
        return ""

    def seal(self, data_key: bytes, context: bytes, /) -> bytes | None:
        """Return the sealed data key, or None if it cannot be opened again, because some tokens replace the nonce by one of their own."""
        try:
            sealed = self._encrypt(data_key, context)
            with suppress(pkcs11.PKCS11Error):
                if self._decrypt(sealed, context) == data_key:
                    return sealed
            return None
        finally:
            data_key = b""

    def open(self, sealed: bytes, context: bytes, /) -> bytes:
        """Return the data key.  Raises `DecryptError` for a value that does not open, `PKCS11Error` if the token does not work."""
        with suppress(pkcs11.PKCS11Error):
            return self._decrypt(sealed, context)
        # Tokens report a wrong tag with different errors, some with a general one.  So a test value shows whether the token works.
        self._decrypt(self._encrypt(bytes(KEY_LENGTH), context), context)
        raise DecryptError

    def _encrypt(self, data_key: bytes, context: bytes) -> bytes:
        try:
            nonce = os.urandom(_NONCE_LENGTH)
            sealed = self._handle.encrypt(data_key, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(nonce, context))
            return nonce + bytes(sealed)
        finally:
            data_key = b""

    def _decrypt(self, sealed: bytes, context: bytes) -> bytes:
        nonce, rest = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
        return bytes(self._handle.decrypt(rest, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(nonce, context)))


def _parameters(nonce: bytes, context: bytes) -> GCMParams:
    return GCMParams(nonce, context, TAG_LENGTH * 8)
