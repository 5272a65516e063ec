"""Sealing and opening 200 bytes and 1.5 KiB, a short and a large access token (goal P3), beside what others offer for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal
from uuid import UUID

from bench.measure import Contestant, Goal, Skipped, Table, blocking, compare, main, ratio
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud_integrations import AesGcmCipher

_SIZES = {"200 B": 200, "1.5 KiB": 1536}
_OURS = "AesGcmCipher (CI1)"
_FERNET = "Fernet"
_CONTEXT = (("field", "access_token"), ("gen", "1"), ("row", str(UUID(int=2))), ("table", "ci_integration"), ("tenant", "acme"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Something that seals and opens."""

    role: Literal["limit", "peer", "ours"]
    name: str
    seal: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]


def _raw() -> _Box:
    cipher = AESGCM(os.urandom(32))

    def seal(plaintext: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + cipher.encrypt(nonce, plaintext, None)

    return _Box(
        role="limit", name="AES-256-GCM, random nonce", seal=seal, open=lambda sealed: cipher.decrypt(sealed[:12], sealed[12:], None)
    )


def _ours() -> _Box:
    cipher, where = AesGcmCipher(), {"key": os.urandom(32), "key_id": UUID(int=1).bytes, "context": _CONTEXT}
    return _Box(role="ours", name=_OURS, seal=partial(cipher.seal, **where), open=partial(cipher.open, **where))


def _fernet() -> _Box:
    fernet = Fernet(Fernet.generate_key())
    return _Box(role="peer", name=_FERNET, seal=fernet.encrypt, open=fernet.decrypt)


def _multi_fernet() -> _Box:
    """Sealed before a key was put in front, opened after."""
    old, new = (Fernet(Fernet.generate_key()) for _ in range(2))
    return _Box(role="peer", name="MultiFernet, second key", seal=MultiFernet([old]).encrypt, open=MultiFernet([new, old]).decrypt)


def _tink() -> Iterator[_Box]:
    import tink  # noqa: PLC0415  # it may be absent
    from tink import aead  # noqa: PLC0415

    aead.register()
    associated = repr(_CONTEXT).encode()
    template = aead.aead_key_templates.AES256_GCM
    cipher = tink.new_keyset_handle(template).primitive(aead.Aead)
    envelope = aead.KmsEnvelopeAead(template, cipher)
    for name, box in (("Tink, AES-256-GCM", cipher), ("Tink, envelope with a local key", envelope)):
        yield _Box(
            role="peer",
            name=name,
            seal=partial(box.encrypt, associated_data=associated),
            open=partial(box.decrypt, associated_data=associated),
        )


def _aws() -> Iterator[_Box]:
    import aws_encryption_sdk as sdk  # noqa: PLC0415  # it may be absent
    from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm  # noqa: PLC0415
    from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey  # noqa: PLC0415
    from aws_encryption_sdk.key_providers.raw import RawMasterKey  # noqa: PLC0415

    wrapping = WrappingKey(
        wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
        wrapping_key=os.urandom(32),
        wrapping_key_type=EncryptionKeyType.SYMMETRIC,
    )
    keys = RawMasterKey(key_id=b"fake", provider_id="bench", wrapping_key=wrapping)
    client = sdk.EncryptionSDKClient()

    def seal(plaintext: bytes) -> bytes:
        suite = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY  # committing and not signing, as CI1
        return client.encrypt(source=plaintext, key_provider=keys, encryption_context=dict(_CONTEXT), algorithm=suite)[0]

    yield _Box(role="peer", name="aws-encryption-sdk", seal=seal, open=lambda sealed: client.decrypt(source=sealed, key_provider=keys)[0])


_OPTIONAL = {"tink": _tink, "aws_encryption_sdk": _aws}


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure both directions for both sizes."""
    # Many short turns: one of 30 is over before a busy machine gives the processor to somebody else.
    measure = partial(compare, rounds=2 if quick else 300, count=30)
    boxes = [_raw(), _fernet(), _multi_fernet()]
    for module, make in _OPTIONAL.items():
        if find_spec(module) is None:
            yield Skipped(title=f"P3 · {module}", reason="it is not installed")
        else:
            boxes += make()
    boxes.append(_ours())
    for title, size in _SIZES.items():
        plaintext = os.urandom(size)
        sealed = {box.name: box.seal(plaintext) for box in boxes}
        assert {box.open(sealed[box.name]) for box in boxes} == {plaintext}
        goals = [Goal(name="µs", value=lambda samples: samples[_OURS], bound=11)]
        if size > 1024:
            goals.append(Goal(name="ours / Fernet", value=ratio(_OURS, _FERNET), bound=1))
        for verb, work in (
            ("seal", {box.name: partial(box.seal, plaintext) for box in boxes}),
            ("open", {box.name: partial(box.open, sealed[box.name]) for box in boxes}),
        ):
            contestants = [Contestant(role=box.role, name=box.name, run=blocking(work[box.name])) for box in boxes]
            yield measure(f"P3 · {verb} {title}", contestants, goals=goals)


if __name__ == "__main__":
    main(__doc__, tables)
