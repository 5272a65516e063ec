"""The secret parts of a credential as one text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.domain.parts import pack, unpack
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import DecryptError


@given(st.dictionaries(st.text(), st.text()))
def test_parts_come_back_as_they_were_and_in_order(texts):
    parts = {name: Secret(text) for name, text in texts.items()}
    assert list(unpack(pack(parts)).items()) == list(parts.items())


def test_packed_parts_are_a_secret():
    assert "fake" not in repr(pack({"key": Secret("fake-key")}))


@pytest.mark.parametrize("text", ["", "fake-token", "[]", "null", '"fake"', "{", '{"key": 1}', '{"key": null}', '{"key": {"a": "b"}}'])
def test_what_is_no_object_of_texts_does_not_open(text):
    with pytest.raises(DecryptError) as caught:
        unpack(Secret(text))
    assert "fake" not in str(caught.value)
    assert caught.value.__cause__ is None
