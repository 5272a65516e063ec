"""Write docs/reference/ci1-vectors.json: values sealed in format CI1, and values that no reader may open.

The writer here follows docs/reference/ci1.md with SHA-512 and HMAC of the standard library, and shares no code with the product.
So it may fix the salt, and may be wrong on purpose.  What it writes is always the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TARGET = Path(__file__).parents[1] / "docs/reference/ci1-vectors.json"
NONCE = bytes(12)
KEY = bytes(range(32))
KEY_ID = bytes.fromhex("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b")
SALT = bytes(range(32, 64))
PLAINTEXT = b"tGzv3JOkF0XG5Qx2TlKWIA"

Pairs = list[tuple[str, str]]
Vector = dict[str, Any]

CONTEXT: Pairs = [("tenant", "t-1"), ("table", "credential"), ("row", "c-1"), ("field", "refresh_token"), ("gen", "7")]
WRAP_CONTEXT: Pairs = [
    ("purpose", "dek"),
    ("tenant", "t-1"),
    ("key_id", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
    ("version", "1"),
    ("kek_uri", "local:test"),
]
CANARY_CONTEXT: Pairs = [
    ("purpose", "dek"),
    ("tenant", ""),
    ("key_id", "00000000-0000-0000-0000-000000000000"),
    ("version", "0"),
    ("kek_uri", "local:test"),
]
KEK_ID = hashlib.sha256(b"cloud_integrations/1/KEKID\x00local:test").digest()[:16]


# The format, as the page has it.


def write_context(pairs: Iterable[tuple[str, str]], /) -> bytes:
    """Write pairs in the order given; a writer that does no wrong gives them to `ordered` first."""
    written = [(key.encode(), value.encode()) for key, value in pairs]
    return struct.pack(">H", len(written)) + b"".join(
        struct.pack(">H", len(key)) + key + struct.pack(">I", len(value)) + value for key, value in written
    )


def ordered(pairs: Iterable[tuple[str, str]], /) -> Pairs:
    """Sort pairs by the UTF-8 bytes of their keys."""
    return sorted(pairs, key=lambda pair: pair[0].encode())


def derive(key: bytes, bound: bytes, context: bytes, /) -> tuple[bytes, bytes]:
    """Return message key and commitment; *bound* is header and salt."""
    prk = hmac.new(bound[21:53], key, "sha512").digest()
    transcript = hashlib.sha512(bound + context).digest()
    message_key, commitment = (
        hmac.new(prk, b"cloud_integrations/1/" + label + b"\x00" + transcript + b"\x01", "sha512").digest()[:32]
        for label in (b"DERIVEKEY", b"COMMITKEY")
    )
    return message_key, commitment


def write(
    plaintext: bytes,
    /,
    *,
    context: bytes,
    key: bytes = KEY,
    key_id: bytes = KEY_ID,
    salt: bytes = SALT,
    preamble: bytes = b"CI\x01\x00\x01",
    nonce: bytes = NONCE,
    associated: int = 85,
) -> bytes:
    """Seal a value; the last three are for values that are wrong on purpose."""
    bound = preamble + key_id + salt
    message_key, commitment = derive(key, bound, context)
    prefix = bound + commitment
    return prefix + AESGCM(message_key).encrypt(nonce, plaintext, prefix[:associated])


# The two-key ciphertext ("salamander"): GHASH is linear in the ciphertext, so one free block makes two tags meet.


def _gf_multiply(x: int, y: int) -> int:
    """Multiply in GF(2^128) with GCM's bit order (NIST SP 800-38D §6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        product ^= x * (y >> bit & 1)
        x = x >> 1 ^ (x & 1) * (0xE1 << 120)
    return product


def _gf_power(x: int, exponent: int) -> int:
    result = 1 << 127  # the one of this field
    while exponent:
        if exponent & 1:
            result = _gf_multiply(result, x)
        x = _gf_multiply(x, x)
        exponent >>= 1
    return result


def _aes_block(key: bytes, block: bytes) -> int:
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305  # one block, for GCM's own arithmetic
    return int.from_bytes(encryptor.update(block), "big")


def _ghash(secret: int, blocks: list[int]) -> int:
    total = 0
    for block in blocks:
        total = _gf_multiply(total ^ block, secret)
    return total


def two_key_ciphertext(one: bytes, other: bytes, associated: bytes, /) -> bytes:
    """Return a 48-byte ciphertext and its tag that AES-256-GCM accepts under both keys, with the nonce of zeros."""
    padded = associated + bytes(-len(associated) % 16)
    front = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    lengths = len(associated) * 8 << 64 | 48 * 8
    blocks = [*front, 0x11 << 64, 0, 0x22 << 64, lengths]  # the 0 is the block to find
    secrets = [_aes_block(key, bytes(16)) for key in (one, other)]
    masks = [_aes_block(key, NONCE + b"\x00\x00\x00\x01") for key in (one, other)]
    gap = _ghash(secrets[0], blocks) ^ _ghash(secrets[1], blocks) ^ masks[0] ^ masks[1]
    factor = _gf_power(secrets[0], 3) ^ _gf_power(secrets[1], 3)  # the block is third from the end
    blocks[-3] = _gf_multiply(gap, _gf_power(factor, 2**128 - 2))
    tag = _ghash(secrets[0], blocks) ^ masks[0]
    return b"".join(block.to_bytes(16, "big") for block in [*blocks[-4:-1], tag])


def write_for_two_keys(keys: tuple[bytes, bytes], /, *, key_id: bytes, context: bytes, salt: bytes = SALT) -> bytes:
    """Return a value whose tag is right under both keys and whose commitment is the first one's."""
    bound = b"CI\x01\x00\x01" + key_id + salt
    (one, commitment), (other, _) = (derive(key, bound, context) for key in keys)
    prefix = bound + commitment
    return prefix + two_key_ciphertext(one, other, prefix)


# The vectors.


def _made(label: str, size: int) -> bytes:
    """Bytes that look random and are always the same."""
    return hashlib.shake_256(b"ci1 vectors: " + label.encode()).digest(size)


def _positive(
    name: str, plaintext: bytes, pairs: Pairs, /, *, key: bytes = KEY, key_id: bytes = KEY_ID, salt: bytes = SALT, sealed: bytes = b""
) -> Vector:
    context = write_context(ordered(pairs))
    return {
        "name": name,
        "key": key.hex(),
        "key_id": key_id.hex(),
        "salt": salt.hex(),
        "context": pairs,
        "context_bytes": context.hex(),
        "plaintext": plaintext.hex(),
        "sealed": (sealed or write(plaintext, context=context, key=key, key_id=key_id, salt=salt)).hex(),
    }


def _generated(name: str, size: int, pairs: Pairs, /) -> Vector:
    return _positive(name, _made(name, size), pairs, key=_made(f"key, {name}", 32), key_id=_made(f"id, {name}", 16), salt=_made(name, 32))


def _positives() -> Iterator[Vector]:
    yield _positive("ascii token", PLAINTEXT, CONTEXT)
    yield _positive("nothing, in no context", b"", [], key=bytes(32), salt=bytes(32))
    yield _positive(
        "not ASCII, largest generation",
        "sécret✓".encode(),
        [("tenant", "ténant/ü"), ("table", "credential"), ("row", "0"), ("field", "access_token"), ("gen", "18446744073709551615")],
        key=b"\xff" * 32,
        salt=hashlib.sha256(b"salt").digest(),
    )
    for size in (1, 15, 16, 17, 255, 1024):
        yield _generated(f"{size} bytes", size, [*CONTEXT[:-1], ("gen", str(size))])
    yield _positive("context in another order", PLAINTEXT, CONTEXT[::-1])
    yield _generated("empty key and empty values", 20, [("", ""), ("a", ""), ("b", "")])
    yield _generated("keys sorted by UTF-8, not by UTF-16", 20, [("\U00010000", "1"), ("\uff5e", "2"), ("z", "3")])
    yield _generated("one key is the beginning of another", 20, [("ab", "1"), ("a", "2"), ("abc", "3")])
    yield _generated("value of 256 bytes", 20, [("long", "v" * 256)])
    parts = [("tenant", "t-1"), ("table", "ci_authorization"), ("row", "00" * 32), ("field", "parts"), ("gen", "0")]
    yield _generated("secret parts of an authorization", 43, parts)
    row = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c"
    yield _generated(
        "entry of the outbox", 40, [("tenant", "t-1"), ("table", "ci_outbox"), ("row", row), ("field", "payload"), ("gen", "0")]
    )
    for field in ("presented", "renewal"):
        pairs = [("tenant", "t-1"), ("table", "ci_integration"), ("row", row), ("field", field), ("gen", "1")]
        yield _generated(f"{field} parts of an integration", 40, pairs)
    kek = _made("wrapping key", 32)
    yield _positive("wrapped data key", _made("data key", 32), WRAP_CONTEXT, key=kek, key_id=KEK_ID, salt=_made("wrapped", 32))
    canary = b"cloud_integrations/1/CANARY".ljust(32, b"\x00")
    yield _positive("canary of a wrapping key", canary, CANARY_CONTEXT, key=kek, key_id=KEK_ID, salt=_made("canary", 32))
    forged, one, _ = _forged()
    message_key, _ = derive(one, forged[:53], write_context(ordered(CONTEXT)))
    opened = AESGCM(message_key).decrypt(NONCE, forged[85:], forged[:85])
    yield _positive("two-key ciphertext, under the key it commits to", opened, CONTEXT, key=one, sealed=forged)


def _forged() -> tuple[bytes, bytes, bytes]:
    keys = _made("one of two keys", 32), _made("other of two keys", 32)
    return write_for_two_keys(keys, key_id=KEY_ID, context=write_context(ordered(CONTEXT))), *keys


def _two_keys() -> Vector:
    """Show that the ciphertext of the two-key value is a real attack on AES-GCM alone."""
    forged, *keys = _forged()
    message_keys = [derive(key, forged[:53], write_context(ordered(CONTEXT)))[0] for key in keys]
    return {
        "nonce": NONCE.hex(),
        "associated": forged[:85].hex(),
        "sealed": forged[85:].hex(),
        "message_keys": [key.hex() for key in message_keys],
        "plaintexts": [AESGCM(key).decrypt(NONCE, forged[85:], forged[:85]).hex() for key in message_keys],
    }


def _negative(
    name: str, reason: str, sealed: bytes, /, *, key: bytes = KEY, key_id: bytes = KEY_ID, context: Pairs | None = None
) -> Vector:
    pairs = CONTEXT if context is None else context
    return {"name": name, "reason": reason, "key": key.hex(), "key_id": key_id.hex(), "context": pairs, "sealed": sealed.hex()}


def _with_byte(sealed: bytes, at: int) -> bytes:
    return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]


def _wrong_bytes(good: bytes) -> Iterator[Vector]:
    fields = [(2, "unknown magic"), (3, "unknown version"), (5, "unknown suite"), (21, "another key id"), (85, "commitment differs")]
    for at in range(len(good)):
        reason = next((reason for end, reason in fields if at < end), "tag differs")
        yield _negative(f"byte {at} changed", reason, _with_byte(good, at))
    for length in range(len(good)):
        yield _negative(f"truncated to {length}", "too short" if length < 101 else "tag differs", good[:length])
    yield _negative("first byte missing", "unknown magic", good[1:])
    yield _negative("trailing byte", "tag differs", good + b"\x00")
    yield _negative("twice in a row", "tag differs", good + good)
    oversized = write(bytes(49153), context=write_context(ordered(CONTEXT)))
    yield _negative("one byte over the limit, and sealed well", "too long", oversized)
    for name, sealed in {
        "base64 text of it": base64.b64encode(good),
        "base64url text of it": base64.urlsafe_b64encode(good),
        "hexadecimal text of it": good.hex().encode(),
        "a long plaintext": PLAINTEXT * 5,
        "zeros": bytes(123),
    }.items():
        yield _negative(name, "unknown magic", sealed)
    yield _negative("the plaintext itself", "too short", PLAINTEXT)


def _wrong_headers() -> Iterator[Vector]:
    """Sealed well, by somebody who believes another header."""
    context = write_context(ordered(CONTEXT))
    for suite in (0x0000, 0x0002, 0x0100, 0xFFFF):
        sealed = write(PLAINTEXT, context=context, preamble=b"CI\x01" + suite.to_bytes(2, "big"))
        yield _negative(f"suite 0x{suite:04x}", "unknown suite", sealed)
    for version in (0, 2, 255):
        sealed = write(PLAINTEXT, context=context, preamble=b"CI" + bytes([version]) + b"\x00\x01")
        yield _negative(f"version {version}", "unknown version", sealed)
    for magic in (b"ci", b"IC", b"\x00\x00"):
        yield _negative(f"magic {magic.hex()}", "unknown magic", write(PLAINTEXT, context=context, preamble=magic + b"\x01\x00\x01"))


def _wrong_keys(good: bytes) -> Iterator[Vector]:
    context = write_context(ordered(CONTEXT))
    other_id = _made("another id", 16)
    yield _negative("wrong key", "commitment differs", good, key=_made("wrong key", 32))
    yield _negative("key too short", "not a key", good, key=KEY[:-1])
    yield _negative("key too long", "not a key", good, key=KEY + b"\x00")
    yield _negative("wrong key id asked for", "another key id", good, key_id=other_id)
    yield _negative("key id rewritten", "commitment differs", good.replace(KEY_ID, other_id), key_id=other_id)
    other = write(b"another fake token here", context=context, salt=_made("another salt", 32))
    yield _negative("salt of another value", "commitment differs", good[:21] + other[21:53] + good[53:])
    yield _negative("commitment of another value", "commitment differs", good[:53] + other[53:85] + good[85:])
    yield _negative("salt and commitment of another value", "tag differs", good[:21] + other[21:85] + good[85:])
    yield _negative("ciphertext of another value", "tag differs", good[:85] + other[85:])
    yield _negative("salt and commitment exchanged", "commitment differs", good[:21] + good[53:85] + good[21:53] + good[85:])
    forged, _, second = _forged()
    yield _negative("two-key ciphertext, under the other key", "commitment differs", forged, key=second)


def _wrong_contexts(good: bytes) -> Iterator[Vector]:
    for name, value in CONTEXT:
        changed = [(key, held + "x" if key == name else held) for key, held in CONTEXT]
        yield _negative(f"context: {name} changed", "commitment differs", good, context=changed)
        renamed = [(key + "x" if key == name else key, held) for key, held in CONTEXT]
        yield _negative(f"context: {name} renamed", "commitment differs", good, context=renamed)
        yield _negative(f"context: {name} missing", "commitment differs", good, context=[pair for pair in CONTEXT if pair[0] != name])
        yield _negative(f"context: {name} twice", "key twice", good, context=[*CONTEXT, (name, value)])
        yield _negative(f"context: {name} twice, with another value", "key twice", good, context=[*CONTEXT, (name, value + "x")])
    moved = [("tenan", "tt-1") if key == "tenant" else (key, value) for key, value in CONTEXT]
    exchanged = [(key, {"t-1": "c-1", "c-1": "t-1"}.get(value, value)) for key, value in CONTEXT]
    yield _negative("context: a pair added", "commitment differs", good, context=[*CONTEXT, ("extra", "")])
    yield _negative("context: nothing", "commitment differs", good, context=[])
    yield _negative("context: a boundary moved", "commitment differs", good, context=moved)
    yield _negative("context: two values exchanged", "commitment differs", good, context=exchanged)
    yield _negative("context: a value that is not Unicode", "not Unicode", good, context=[*CONTEXT, ("extra", "\ud800")])
    yield _negative("context: a key that is not Unicode", "not Unicode", good, context=[*CONTEXT, ("\udfff", "")])
    yield _negative("context: a key of 65536 bytes", "too long to encode", good, context=[*CONTEXT, ("k" * 65536, "")])
    composed, decomposed = "t\u00e9nant", "te\u0301nant"
    sealed = write(PLAINTEXT, context=write_context([("tenant", composed)]))
    yield _negative("context: normalized otherwise", "commitment differs", sealed, context=[("tenant", decomposed)])


def _wrong_writers() -> Iterator[Vector]:
    """Sealed by a writer that misread the page."""
    context = write_context(ordered(CONTEXT))
    utf16 = [("z", "3"), ("\U00010000", "1"), ("\uff5e", "2")]
    for name, pairs, written in (
        ("did not sort the context", CONTEXT, write_context(CONTEXT)),
        ("sorted by UTF-16", utf16, write_context(utf16)),
        ("wrote no count", CONTEXT, context[2:]),
        ("counted in little-endian", CONTEXT, context[1::-1] + context[2:]),
        ("left the context out", CONTEXT, b""),
    ):
        yield _negative(f"a writer {name}", "commitment differs", write(PLAINTEXT, context=written), context=pairs)
    twice = [*CONTEXT, ("gen", "8")]
    yield _negative("a writer wrote a key twice", "key twice", write(PLAINTEXT, context=write_context(ordered(twice))), context=twice)
    surrogate = write(PLAINTEXT, context=write_context([("a", "\ufffd")]))
    yield _negative("a writer replaced what is not Unicode", "not Unicode", surrogate, context=[("a", "\ud800")])
    yield _negative("a writer took a nonce", "tag differs", write(PLAINTEXT, context=context, nonce=_made("nonce", 12)))
    yield _negative("a writer authenticated no prefix", "tag differs", write(PLAINTEXT, context=context, associated=0))
    yield _negative("a writer authenticated the header alone", "tag differs", write(PLAINTEXT, context=context, associated=21))
    yield _negative("a writer authenticated no commitment", "tag differs", write(PLAINTEXT, context=context, associated=53))
    bound = b"CI\x01\x00\x01" + KEY_ID + SALT
    message_key, commitment = derive(KEY, bound, context)
    crossed = bound + message_key
    yield _negative(
        "a writer exchanged the two labels", "commitment differs", crossed + AESGCM(commitment).encrypt(NONCE, PLAINTEXT, crossed)
    )
    raw = bound + commitment
    yield _negative("a writer used the data key itself", "tag differs", raw + AESGCM(KEY).encrypt(NONCE, PLAINTEXT, raw))


def _negatives() -> Iterator[Vector]:
    good = write(PLAINTEXT, context=write_context(ordered(CONTEXT)))
    yield from _wrong_bytes(good)
    yield from _wrong_headers()
    yield from _wrong_keys(good)
    yield from _wrong_contexts(good)
    yield from _wrong_writers()


def text() -> str:
    """Return the whole file: JSON with one vector a line."""
    parts = [f'{{"format": "CI1",\n"two_keys": {json.dumps(_two_keys())}']
    for name, vectors in (("positive", _positives()), ("negative", _negatives())):
        lines = ",\n".join(json.dumps(vector) for vector in vectors)
        parts.append(f'"{name}": [\n{lines}\n]')
    return ",\n".join(parts) + "}\n"


def main() -> None:
    """Write the file."""
    TARGET.write_text(text(), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
