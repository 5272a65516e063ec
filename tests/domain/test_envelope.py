from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback
import tracemalloc
from datetime import UTC, datetime
from uuid import UUID

import pydantic
import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.domain.envelope import (
    OVERHEAD,
    PLAINTEXT_LIMIT,
    DataKey,
    KeyCheck,
    KeyState,
    SealingContext,
    WrappedKey,
    build_header,
    encode_context,
    key_id_of,
    wrap_context,
    wrapped_context,
)
from cloud_integrations.errors import DecryptError, SealingError

KEY_ID = bytes.fromhex("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b")
GOOD = b"CI\x01\x00\x01" + KEY_ID + bytes([1]) * 32 + bytes([2]) * 32 + b"text" + bytes([3]) * 16
CANARY = b"fake-key-canary-of-32-test-bytes"

texts = st.text(st.characters(codec="utf-8"), max_size=8)
contexts = st.dictionaries(texts, texts, max_size=5)


def test_the_context_has_the_published_bytes():
    pairs = SealingContext(tenant="t-1", table="credential", row="c-1", field="refresh_token", gen=7).pairs()
    assert encode_context(pairs).hex() == (
        "000500056669656c640000000d726566726573685f746f6b656e000367656e00000001370003726f7700000003632d31"
        "00057461626c650000000a63726564656e7469616c000674656e616e7400000003742d31"
    )


def test_an_empty_context_is_a_count_of_zero():
    assert encode_context([]) == b"\x00\x00"


def test_keys_are_sorted_by_their_utf_8_bytes():
    # As text, U+FF5E sorts after U+10000 in UTF-16 and before it in UTF-8.
    encoded = encode_context([("\U00010000", ""), ("\uff5e", ""), ("z", "")])
    assert encoded == b"\x00\x03\x00\x01z\x00\x00\x00\x00\x00\x03\xef\xbd\x9e\x00\x00\x00\x00\x00\x04\xf0\x90\x80\x80\x00\x00\x00\x00"


@given(contexts, st.randoms())
def test_the_order_of_the_pairs_does_not_matter(context, chance):
    pairs = list(context.items())
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert encode_context(pairs) == encode_context(shuffled)


@pytest.mark.requirement("ENC-02")
@given(contexts, contexts)
def test_two_contexts_never_share_their_bytes(one, other):
    assert (encode_context(one.items()) == encode_context(other.items())) == (one == other)


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1"), ("a", "2")],
        [("a", "1"), ("b", "1"), ("a", "1")],
        [("\ud800", "1")],
        [("a", "\ud800")],
        [("k" * 65536, "")],
        [(str(number), "") for number in range(65536)],
    ],
    ids=["one key, two values", "one pair twice", "a key not Unicode", "a value not Unicode", "a key too long", "too many pairs"],
)
def test_a_context_that_is_ambiguous_or_too_long_is_refused(pairs):
    with pytest.raises(SealingError):
        encode_context(pairs)


def test_the_context_of_a_wrapped_key_names_its_row_and_the_wrapping_key():
    key_id = UUID(bytes=KEY_ID)
    assert dict(wrap_context(tenant_id="t-1", key_id=key_id, version=2, kek_uri="local:a")) == {
        "purpose": "dek",
        "tenant": "t-1",
        "key_id": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "version": "2",
        "kek_uri": "local:a",
    }


def test_a_key_service_that_takes_bytes_is_given_the_context_of_the_row():
    row = stored_key()
    pairs = wrap_context(tenant_id="t-1", key_id=row.key_id, version=3, kek_uri="local:a")
    assert wrapped_context(row) == encode_context(pairs)
    with pytest.raises(DecryptError):
        wrapped_context(dataclasses.replace(row, kek_uri="\ud800"))


def test_a_header_is_magic_version_suite_and_key_id():
    assert build_header(KEY_ID) == GOOD[:21]


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_key_id_is_16_bytes(size):
    with pytest.raises(SealingError):
        build_header(bytes(size))


def test_the_key_id_is_read():
    assert key_id_of(GOOD) == KEY_ID


@pytest.mark.requirement("ENC-04")
@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, b"c"), (1, b"J"), (0, b"IC"), (2, b"\x00"), (2, b"\x02"), (3, b"\x00\x00"), (3, b"\x00\x02"), (3, b"\x01\x00"), (3, b"\xff\xff")],
)
def test_another_magic_version_or_suite_is_refused(offset, value):
    with pytest.raises(DecryptError):
        key_id_of(GOOD[:offset] + value + GOOD[offset + len(value) :])


@pytest.mark.requirement("ENC-04")
@pytest.mark.parametrize("sealed", [GOOD.hex(), bytearray(GOOD), memoryview(GOOD), None, 7], ids=lambda sealed: type(sealed).__name__)
def test_only_bytes_are_an_envelope(sealed):
    with pytest.raises(DecryptError):
        key_id_of(sealed)


@pytest.mark.requirement("ENC-17")
def test_the_length_has_two_bounds():
    head = GOOD[:85]
    for length in (16, 16 + PLAINTEXT_LIMIT):
        assert key_id_of(head + bytes(length)) == KEY_ID
    assert len(head + bytes(16)) == OVERHEAD == 101
    for length in (15, 17 + PLAINTEXT_LIMIT):
        with pytest.raises(DecryptError):
            key_id_of(head + bytes(length))


@pytest.mark.requirement("ENC-17")
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: GOOD[:5] + tail))
def test_any_bytes_are_read_or_refused(sealed):
    try:
        found = key_id_of(sealed)
    except DecryptError:
        assert len(sealed) < OVERHEAD or sealed[:5] != GOOD[:5]
    else:
        assert len(sealed) >= OVERHEAD
        assert sealed.startswith(build_header(found))


@pytest.mark.requirement("ENC-17")
@pytest.mark.parametrize("length", [OVERHEAD + PLAINTEXT_LIMIT, 5_000_000])
def test_reading_takes_no_more_memory_than_the_input(length):
    sealed = GOOD[:85] + bytes(length - 85)
    tracemalloc.start()
    try:
        try:
            key_id_of(sealed)
        except DecryptError:
            assert length > OVERHEAD + PLAINTEXT_LIMIT
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8192  # the id and the error; never a copy of the input


def data_key() -> DataKey:
    return DataKey(key_id=UUID(bytes=KEY_ID), tenant_id="t-1", version=1, key=CANARY)


def shows_the_canary(text: object) -> bool:
    return any(form in str(text) for form in (CANARY.decode(), CANARY.hex(), repr(list(CANARY))[1:-1]))


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("show", [repr, str, format, ascii])
def test_a_data_key_shows_everything_but_the_key(show):
    for text in (show(data_key()), f"{data_key()!r:>200}", repr([data_key()])):
        assert "t-1" in text
        assert not shows_the_canary(text)


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_data_key_is_not_pickled(protocol):
    with pytest.raises(TypeError) as caught:
        pickle.dumps(data_key(), protocol)
    assert not shows_the_canary("".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()))


@pytest.mark.requirement("ENC-18")
def test_copying_a_data_key_makes_no_second_one():
    key = data_key()
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


@pytest.mark.requirement("ENC-18")
def test_no_dump_of_a_data_key_holds_the_key():
    @dataclasses.dataclass
    class Holder:
        key: DataKey

    class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
        key: DataKey

    with pytest.raises(TypeError):
        dataclasses.asdict(data_key())
    with pytest.raises(TypeError):
        vars(data_key())
    assert not shows_the_canary(dataclasses.asdict(Holder(data_key())))
    model = Model(key=data_key())
    assert not shows_the_canary((model, model.model_dump()))
    with pytest.raises(pydantic.ValidationError) as wrong:
        pydantic.TypeAdapter(int).validate_python(data_key())
    assert not shows_the_canary(wrong.value)
    with pytest.raises(pydantic.PydanticSchemaGenerationError):
        pydantic.TypeAdapter(DataKey)
    with pytest.raises(pydantic_core.PydanticSerializationError) as refused:
        model.model_dump_json()
    assert not shows_the_canary(refused.value)


@pytest.mark.parametrize("name", ["key", "tenant_id", "other"])
def test_a_data_key_does_not_change(name):
    key = data_key()
    with pytest.raises(AttributeError):
        setattr(key, name, b"fake")
    with pytest.raises(AttributeError):
        delattr(key, name)
    assert (key.key, key.tenant_id, key.version, key.key_id) == (CANARY, "t-1", 1, UUID(bytes=KEY_ID))


def stored_key() -> WrappedKey:
    return WrappedKey(
        key_id=UUID(bytes=KEY_ID),
        tenant_id="t-1",
        version=3,
        state=KeyState.DECRYPT_ONLY,
        suite=1,
        kek_uri="local:a",
        kek_key_id=bytes(16),
        wrapped=GOOD,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        retired_at=None,
        destroyed_at=None,
    )


def test_stored_keys_are_values():
    row = stored_key()
    assert dataclasses.replace(row, state=KeyState.ACTIVE) != row
    assert "wrapped" not in repr(row)
    assert [str(state) for state in KeyState] == ["active", "decrypt_only", "destroyed"]
    check = KeyCheck(kek_uri="local:a", kek_key_id=bytes(16), canary=bytes(32))
    assert check == dataclasses.replace(check)
