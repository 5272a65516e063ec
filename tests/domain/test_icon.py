"""Every provider has an icon that can be read, shows nobody's trademark and loads nothing."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations import Catalogue
from cloud_integrations.domain.icon import LEAST_CONTRAST, ProviderIcon, contrast_with_white

SVG = "{http://www.w3.org/2000/svg}"
BUILTIN = [(provider.id, provider.name) for provider in Catalogue.builtin().list_providers()]
SLUGS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789_"), min_size=1, max_size=64)


def _elements(svg):
    # The text is our own, and has neither a document type nor entities.
    assert "<!" not in svg
    root = ET.fromstring(svg)  # the assertion above
    return root, [each.tag.removeprefix(SVG) for each in root.iter()]


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Amazon Web Services", "AW"),
        ("DigitalOcean", "DO"),
        ("OVHcloud", "OC"),
        ("Fly.io", "FI"),
        ("Stripe", "St"),
        ("IONOS Cloud", "IC"),
        ("IBM", "Ib"),
        ("X", "X"),
        ("élan", "Él"),
        ("1Password", "1P"),
        ("日本", "日本"),
        ("ß", "S"),
        ("--", "Ac"),
    ],
)
def test_the_letters_are_the_first_of_two_words_or_of_one(name, letters):
    assert ProviderIcon.of(slug="acme", name=name).letters == letters


@given(SLUGS)
def test_white_letters_have_enough_contrast_with_every_background(slug):
    background = ProviderIcon.of(slug=slug, name="Acme").background
    assert len(background) == 7
    assert contrast_with_white(background) >= LEAST_CONTRAST


@pytest.mark.parametrize(("colour", "ratio"), [("#ffffff", 1), ("#000000", 21), ("#767676", 4.54), ("#ff0000", 4.0), ("#0000ff", 8.59)])
def test_the_contrast_is_that_of_wcag(colour, ratio):
    assert contrast_with_white(colour) == pytest.approx(ratio, abs=0.01)


@given(SLUGS, st.text(max_size=60))
def test_an_icon_is_an_xml_document_of_a_square_and_letters_whatever_the_name(slug, name):
    icon = ProviderIcon.of(slug=slug, name=name)
    root, elements = _elements(icon.svg())
    assert elements == ["svg", "rect", "text"]
    assert (root.get("width"), root.get("height")) == ("64", "64")
    assert root[1].text == icon.letters
    assert 1 <= len(icon.letters) <= 2
    attributes = {name.lower() for each in root.iter() for name in each.attrib}
    assert attributes.isdisjoint({"href", "style", "class", "src"})
    assert not [name for name in attributes if name.startswith(("on", "{"))]


def test_markup_in_a_name_stays_text():
    root, elements = _elements(ProviderIcon.of(slug="acme", name="<script>\"&'").svg())
    assert elements == ["svg", "rect", "text"]
    assert root.get("aria-label") == "<script>\"&'"


def test_an_icon_is_the_same_everywhere():
    icon = ProviderIcon.of(slug="github", name="GitHub")
    assert (icon.letters, icon.background) == ("GH", "#7d37be")
    assert icon.svg() == ProviderIcon.of(slug="github", name="GitHub").svg()


def test_few_built_in_providers_look_the_same():
    icons = [(icon.letters, icon.background) for icon in (ProviderIcon.of(slug=slug, name=name) for slug, name in BUILTIN)]
    assert len(set(icons)) == len(icons)
