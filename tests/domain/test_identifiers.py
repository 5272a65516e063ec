"""The names of things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.domain.identifiers import context_id, provider_id, tenant_id, uuid7
from cloud_integrations.errors import ValidationFailedError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["a", "acme", "x" * 255, "5f0c-…", "org/unit:7"])
def test_a_tenant_id_is_1_to_255_visible_characters(text):
    assert tenant_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 256, "a b", "a\n", "\u00a0", "a\u202eb", "a\x00", 7, None])
def test_anything_else_is_no_tenant_id(text):
    with pytest.raises(ValidationFailedError) as caught:
        tenant_id(text)
    assert caught.value.field == "tenantId"


def test_a_provider_has_the_same_id_for_ever():
    assert str(provider_id("github")) == str(provider_id("github"))
    assert provider_id("github") != provider_id("gitlab")
    assert provider_id("github").version == 5


@pytest.mark.parametrize("slug", ["", "GitHub", "a b", "a-b", "x" * 65, "a\n"])
def test_a_slug_has_1_to_64_small_letters_digits_and_underscores(slug):
    with pytest.raises(ValidationFailedError) as caught:
        provider_id(slug)
    assert caught.value.field == "provider"


@pytest.mark.requirement("OAU-019")
def test_every_part_of_a_server_is_in_the_name_of_its_context():
    usual = {"authorize_url": "https://a.example/authorize", "token_url": "https://a.example/token", "client_id": "client-1"}
    names = {context_id(provider_id("github"), **usual), context_id(provider_id("gitlab"), **usual)}
    for changed, value in usual.items():
        names.add(context_id(provider_id("github"), **{**usual, changed: value + "x"}))
    assert len(names) == 5


@pytest.mark.requirement("ISO-07")
def test_ids_sort_by_age_and_carry_74_random_bits():
    ids = [uuid7(NOW + timedelta(milliseconds=number), bytes([255 - number]) * 10) for number in range(5)]
    assert ids == sorted(ids)
    assert {made.version for made in ids} == {7}
    assert {made.variant for made in ids} == {"specified in RFC 4122"}
    assert ids[0].int >> 80 == int(NOW.timestamp() * 1000)
    assert uuid7(NOW, bytes(10)) != uuid7(NOW, bytes(9) + b"\x01")
    free = uuid7(NOW, bytes(10)).int ^ uuid7(NOW, b"\xff" * 10).int
    assert free.bit_count() == 74


@pytest.mark.parametrize("chance", [b"", bytes(9), bytes(11)])
def test_an_id_takes_ten_random_bytes(chance):
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(NOW, chance)
