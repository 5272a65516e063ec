"""A person finds a provider by whatever they type for it, the best match first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations import Catalogue
from cloud_integrations.domain.provider_search import Match, find_match, search_providers, within_one_edit

BUILTIN = Catalogue.builtin().list_providers()
ACME = BUILTIN[0].model_copy(
    update={
        "id": "acme_cloud",
        "name": "Acmé DigitalStore",
        "category": "storage",
        "aliases": ("AWS", "Old Name Inc."),
        "description": "Keeps files & photos safely",
    }
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("acme_cloud", Match.EXACT),
        ("ACME Cloud", Match.EXACT),
        ("acmecloud", Match.EXACT),
        ("acme digital store", Match.EXACT),
        ("  aws ", Match.EXACT),
        ("old-name inc", Match.EXACT),
        ("ac", Match.PREFIX),
        ("ＡＣＭＥ ｄｉｇ", Match.PREFIX),
        ("old n", Match.PREFIX),
        ("cloud", Match.NAME_WORD),
        ("digital", Match.NAME_WORD),
        ("cloud acme", Match.NAME_WORD),
        ("storage", Match.WORD),
        ("photo", Match.WORD),
        ("acme photos", Match.WORD),
        ("store", Match.PART),
        ("loud", Match.PART),
        ("cluod", Match.TYPO),
        ("clod", None),
        ("digitalstoer", Match.TYPO),
        ("digitlastore", Match.TYPO),
        ("cloudd", Match.TYPO),
        ("clxxd", None),
        ("awz", None),
        ("acme nothing", None),
        ("hotos", None),
        ("phtoos", None),
        ("!!!", None),
    ],
)
def test_how_well_a_provider_fits_what_was_typed(text, match):
    found = search_providers(text, [ACME])
    assert bool(found) == (match is not None)
    if match is not None:
        assert find_match(text, ACME) == match


@pytest.mark.parametrize(
    ("one", "other", "within"),
    [
        ("cloud", "cloud", True),
        ("cloud", "clouds", True),
        ("cloud", "loud", True),
        ("cloud", "clod", True),
        ("cloud", "cload", True),
        ("cloud", "colud", True),
        ("cloud", "clodu", True),
        ("", "a", True),
        ("", "", True),
        ("cloud", "claad", False),
        ("cloud", "clo", False),
        ("cloud", "duolc", False),
        ("abcd", "badc", False),
    ],
)
def test_one_edit_is_a_letter_replaced_added_missing_or_exchanged(one, other, within):
    assert within_one_edit(one, other) is within
    assert within_one_edit(other, one) is within


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("aws", "aws"),
        ("amazon", "aws"),
        ("s3", "aws"),
        ("gcp", "google_cloud"),
        ("bigquery", "google_cloud"),
        ("do", "digitalocean"),
        ("digital ocean", "digitalocean"),
        ("k8s", "kubernetes"),
        ("oci", "oracle_cloud"),
        ("azure ad", "azure"),
        ("akamai cloud", "linode"),
        ("packet", "equinix_metal"),
        ("heroku postgres", "heroku"),
        ("claude", "anthropic"),
        ("chatgpt", "openai"),
        ("fly.io", "fly_io"),
        ("mongo", "mongodb_atlas"),
        ("aliyun", "alibaba_cloud"),
        ("cloudfalre", "cloudflare"),
        ("kuberntes", "kubernetes"),
        ("hetzner", "hetzner_cloud"),
    ],
)
def test_what_people_type_finds_the_built_in_provider_first(typed, slug):
    assert search_providers(typed, BUILTIN)[0].id == slug


def test_every_slug_name_and_alias_of_a_built_in_provider_finds_it_first():
    for provider in BUILTIN:
        for typed in (provider.id, provider.name, *provider.aliases, provider.name.upper()):
            assert search_providers(typed, BUILTIN)[0] is provider, typed


def test_equal_matches_keep_their_order_and_blank_text_finds_all():
    cloud = [provider.id for provider in search_providers("cloud", BUILTIN) if find_match("cloud", provider) is Match.NAME_WORD]
    assert cloud == sorted(cloud)
    assert len(cloud) > 5
    assert search_providers(" \t", BUILTIN) == BUILTIN


def test_every_built_in_provider_says_what_it_is():
    for provider in BUILTIN:
        assert provider.description, provider.id
        assert not provider.description.endswith("."), provider.id
        assert provider.description[0].isupper(), provider.id


@given(st.text(max_size=100))
def test_any_text_can_be_searched_for(text):
    found = search_providers(text, BUILTIN)
    assert {provider.id for provider in found} <= {provider.id for provider in BUILTIN}
