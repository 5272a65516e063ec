"""Sealing and opening 1.5 KiB, about the size of a large access token (goal P3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from uuid import UUID

from bench.measure import Contestant, Goal, Table, blocking, compare, main
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud_integrations import AesGcmCipher

_PLAINTEXT = os.urandom(1536)
_OURS = "AesGcmCipher (CI1)"


def tables(*, quick: bool) -> Iterator[Table]:
    """Measure both directions."""
    measure = partial(compare, rounds=2 if quick else 60, count=50 if quick else 2_000)
    goals = [Goal(name="µs", value=lambda samples: samples[_OURS], bound=11)]
    key = os.urandom(32)
    raw = AESGCM(key)
    nonce = bytes(12)
    raw_sealed = raw.encrypt(nonce, _PLAINTEXT, None)
    fernet = Fernet(Fernet.generate_key())
    token = fernet.encrypt(_PLAINTEXT)
    key_id = UUID(int=1).bytes
    context = (("field", "access_token"), ("gen", "1"), ("row", str(UUID(int=2))), ("table", "ci_integration"), ("tenant", "acme"))
    ours = AesGcmCipher()
    sealed = ours.seal(_PLAINTEXT, key=key, key_id=key_id, context=context)
    yield measure(
        "P3 · seal 1.5 KiB",
        [
            Contestant(role="limit", name="AES-256-GCM, random nonce", run=blocking(lambda: raw.encrypt(os.urandom(12), _PLAINTEXT, None))),
            Contestant(role="peer", name="Fernet", run=blocking(lambda: fernet.encrypt(_PLAINTEXT))),
            Contestant(role="ours", name=_OURS, run=blocking(lambda: ours.seal(_PLAINTEXT, key=key, key_id=key_id, context=context))),
        ],
        goals=goals,
    )
    yield measure(
        "P3 · open 1.5 KiB",
        [
            Contestant(role="limit", name="AES-256-GCM", run=blocking(lambda: raw.decrypt(nonce, raw_sealed, None))),
            Contestant(role="peer", name="Fernet", run=blocking(lambda: fernet.decrypt(token))),
            Contestant(role="ours", name=_OURS, run=blocking(lambda: ours.open(sealed, key=key, key_id=key_id, context=context))),
        ],
        goals=goals,
    )


if __name__ == "__main__":
    main(__doc__, tables)
