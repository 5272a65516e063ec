"""Whatever comes, the decoder, the context and the keyring answer or raise what they declare, and take no more memory than came."""

from __future__ import annotations

import base64
import struct
import tracemalloc
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.tracebacks import shown_by

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import OVERHEAD, PLAINTEXT_LIMIT, build_header, encode_context, key_id_of
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError, SealingError
from cloud_integrations.testing.contracts.cipher import KEY, KEY_ID, OTHER_KEY, OTHER_KEY_ID, PAIRS, PLAINTEXT

pytestmark = pytest.mark.requirement("ENC-17")

SEALED = AesGcmCipher().seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
NEIGHBOURS = [
    AesGcmCipher().seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS[1:]),
    AesGcmCipher().seal(PLAINTEXT * 9, key=KEY, key_id=KEY_ID, context=PAIRS),
    AesGcmCipher().seal(PLAINTEXT, key=OTHER_KEY, key_id=OTHER_KEY_ID, context=PAIRS),
]


@contextmanager
def no_more_memory_than(size: int):
    """Fail if the block takes more than a few copies of what came, and what the objects around them cost."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * size + 64 * 1024


# A value, then changed in steps as a fuzzer changes it.

spots = st.integers(0, 300)


def flip(at, bit):
    return lambda data: data[: at % len(data)] + bytes([data[at % len(data)] ^ 1 << bit]) + data[at % len(data) + 1 :] if data else data


def overwrite(at, some):
    return lambda data: data[:at] + some + data[at + len(some) :]


def insert(at, some):
    return lambda data: data[:at] + some + data[at:]


def remove(at, length):
    return lambda data: data[:at] + data[at + length :]


def repeat(at, length, times):
    return lambda data: data[:at] + data[at : at + length] * times + data[at + length :]


def splice(at, other):
    return lambda data: data[:at] + other[at:]


changes = st.one_of(
    st.builds(flip, spots, st.integers(0, 7)),
    st.builds(overwrite, spots, st.binary(min_size=1, max_size=40)),
    st.builds(insert, spots, st.binary(min_size=1, max_size=40)),
    st.builds(remove, spots, st.integers(1, 60)),
    st.builds(repeat, spots, st.integers(1, 120), st.integers(2, 600)),
    st.builds(splice, st.sampled_from([2, 3, 5, 21, 53, 85, 100]), st.sampled_from(NEIGHBOURS)),
)


@st.composite
def mutated(draw):
    data = SEALED
    for change in draw(st.lists(changes, min_size=1, max_size=6)):
        data = change(data)
    return data


@given(mutated() | st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: build_header(KEY_ID) + tail))
@example(b"")
@example(build_header(KEY_ID))
@example(SEALED[:85] + bytes(PLAINTEXT_LIMIT + 16))
@example(SEALED[:85] + bytes(5_000_000))
def test_a_changed_value_is_refused_with_the_one_error(data):
    with no_more_memory_than(len(data)):
        try:
            opened = AesGcmCipher().open(data, key=KEY, key_id=KEY_ID, context=PAIRS)
        except DecryptError as error:
            refused = (str(error), error.args, error.details)
        else:
            refused = None
    if refused is None:
        # The changes undid each other, or a whole neighbour from the same place was spliced in.
        assert (data, opened) in {(SEALED, PLAINTEXT), (NEIGHBOURS[1], PLAINTEXT * 9)}
    else:
        assert refused == (str(DecryptError()), DecryptError().args, DecryptError().details)


@given(mutated() | st.binary(max_size=400))
def test_the_key_id_of_anything_is_16_bytes_or_refused(data):
    with no_more_memory_than(len(data)):
        try:
            found = key_id_of(data)
        except DecryptError:
            found = None
    well_formed = data[:5] == b"CI\x01\x00\x01" and OVERHEAD <= len(data) <= OVERHEAD + PLAINTEXT_LIMIT
    assert found == (data[5:21] if well_formed else None)


# Contexts, surrogates among them.

any_text = st.text(st.characters(exclude_categories=()), max_size=12)
any_pairs = st.lists(st.tuples(any_text, any_text), max_size=8)


def read_context(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read a context as the page has it, strictly; the product only writes them."""
    (count,) = struct.unpack_from(">H", data)
    at, pairs = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", data, at)
        key = data[at + 2 : at + 2 + length]
        at += 2 + length
        (length,) = struct.unpack_from(">I", data, at)
        pairs.append((key, data[at + 4 : at + 4 + length]))
        at += 4 + length
    assert at == len(data)
    return pairs


@given(any_pairs | any_pairs.map(lambda pairs: pairs + pairs[:1]) | any_pairs.map(lambda pairs: [*pairs, ("k" * 65536, "")]))
def test_a_context_is_written_so_that_it_can_be_read_back_or_refused(pairs):
    with no_more_memory_than(sum(4 * len(text) for pair in pairs for text in pair)):
        try:
            written = encode_context(pairs)
        except SealingError:
            written = None
    surrogate = any("\ud800" <= character <= "\udfff" for pair in pairs for text in pair for character in text)
    names = [name for name, _ in pairs]
    if surrogate or len(set(names)) < len(names) or max(map(len, names), default=0) > 0xFFFF:
        assert written is None
    else:
        assert read_context(written) == sorted((name.encode(), value.encode()) for name, value in pairs)


# Keyrings, as text and as files.

FAKE_KEYS = [b"fake-kek-canary-%d-32-test-bytes." % number for number in range(3)]
kids = st.text("abcXYZ019._-", min_size=1, max_size=64)
entries = st.builds(lambda kid, key: f"{kid}:{base64.b64encode(key).decode()}", kids, st.sampled_from(FAKE_KEYS))
text_changes = st.one_of(
    st.builds(lambda at, some: lambda text: text[:at] + some + text[at:], st.integers(0, 70), any_text),
    st.builds(lambda at, length: lambda text: text[:at] + text[at + length :], st.integers(0, 70), st.integers(1, 20)),
    st.builds(lambda at, some: lambda text: text[:at] + some + text[at + len(some) :], st.integers(0, 70), any_text),
    st.sampled_from([str.upper, str.swapcase, lambda text: text + "\n", lambda text: text.replace("=", ""), lambda text: text[::-1]]),
)


@st.composite
def mutated_entry(draw):
    text = draw(entries)
    for change in draw(st.lists(text_changes, max_size=3)):
        text = change(text)
    return text


CANARIES = [form for key in FAKE_KEYS for form in (key.decode(), base64.b64encode(key).decode()[:-4])]


def assert_a_keyring_or_the_declared_error(make, size):
    with no_more_memory_than(size):
        try:
            keys = make()
        except ConfigurationError as error:
            keys, refused = None, error
    if keys is None:
        shown = shown_by(refused)
        assert not [canary for canary in CANARIES if canary in shown]
        return
    assert keys.kids
    assert len(set(keys.kids)) == len(keys.kids)
    assert all(len(kek.key) == 32 for kek in keys._by_id.values())
    assert not [canary for canary in CANARIES if canary in repr(keys)]


@pytest.mark.requirement("ENC-18")
@given(st.lists(mutated_entry() | any_text | st.none() | st.binary(max_size=60), max_size=4), st.booleans())
def test_any_entries_make_a_keyring_or_are_refused_without_being_shown(texts, hidden):
    given_as = [Secret(text) if hidden and isinstance(text, str) else text for text in texts]
    assert_a_keyring_or_the_declared_error(lambda: LocalKeyring(given_as), sum(4 * len(text or "") for text in texts))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keyring") / "keys"
    path.touch(mode=0o600)
    return path


lines = (mutated_entry() | any_text).map(lambda text: text.encode(errors="surrogatepass"))


@pytest.mark.requirement("ENC-18")
@given(st.lists(lines | lines.map(lambda line: b"# " + line), max_size=5).map(b"\n".join) | st.binary(max_size=200))
def test_any_file_makes_a_keyring_or_is_refused_without_being_shown(key_file, content):
    key_file.write_bytes(content)
    assert_a_keyring_or_the_declared_error(lambda: LocalKeyring.from_file(key_file), len(content))
