"""Fuzz the decoder of sealed values, the context and the keyring, guided by coverage: `fuzz_sealing.py decoder -runs=200000`.

The targets are `decoder`, `context` and `keyring`; what follows is for libFuzzer.  It needs the package atheris, which no
lock file holds.  The same promises are held by Hypothesis in tests/backends/test_ci1_fuzz.py, without coverage as a guide.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cloud_integrations"]):
    from cloud_integrations.backends.aes_gcm import AesGcmCipher
    from cloud_integrations.backends.keys.local import LocalKeyring
    from cloud_integrations.domain.envelope import encode_context
    from cloud_integrations.errors import ConfigurationError, DecryptError, SealingError

KEY, KEY_ID, CONTEXT, PLAINTEXT = bytes(32), bytes(16), [("tenant", "t-1"), ("gen", "7")], b"fake token"
SEALED = AesGcmCipher().seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=CONTEXT)
ENTRY = b"fake-2026:" + b"ZmFrZS13cmFwcGluZy1rZXktMi1vZi0zMi1ieXRlcy4="


def decoder(data: bytes) -> None:
    """Nothing but the value itself opens, and nothing but `DecryptError` is raised."""
    with suppress(DecryptError):
        opened = AesGcmCipher().open(data, key=KEY, key_id=KEY_ID, context=CONTEXT)
        if (data, opened) != (SEALED, PLAINTEXT):
            raise AssertionError("a value opened that was never sealed")


def context(data: bytes) -> None:
    """Pairs of any text are written, or refused with `SealingError`."""
    some = atheris.FuzzedDataProvider(data)
    pairs = [(some.ConsumeUnicode(8), some.ConsumeUnicode(8)) for _ in range(some.ConsumeIntInRange(0, 6))]
    with suppress(SealingError):
        if len(encode_context(pairs)) < 2 + 6 * len(pairs):
            raise AssertionError("a pair was lost")


def keyring(data: bytes) -> None:
    """Any lines are a keyring, or refused with `ConfigurationError`."""
    with suppress(ConfigurationError):
        keys = LocalKeyring(data.decode(errors="surrogateescape").split("\n"))
        if keys.kids != tuple(dict.fromkeys(keys.kids)):
            raise AssertionError("a kid names two keys")


TARGETS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "decoder": (decoder, SEALED),
    "context": (context, b"\x02tenant\x00t-1"),
    "keyring": (keyring, ENTRY + b"\n" + ENTRY.replace(b"2026", b"2027")),
}


def main(name: str, *options: str) -> None:
    """Begin at a good one and change it."""
    target, seed = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "seed").write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, folder], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
