"""The catalogue: what it finds, what it loads, and how it refuses."""

from __future__ import annotations

from uuid import UUID

import pytest

from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.errors import ConfigurationError, ProviderNotFoundError
from cloud_integrations.providers import Catalogue, catalogue

ACME = """
id = "acme"
name = "Acme"
[[methods]]
id = "oauth2"
kind = "code"
authorize_url = "https://login.acme.example/authorize"
token_url = "https://login.acme.example/token"
"""


@pytest.fixture
def acme(tmp_path):
    file = tmp_path / "acme.toml"
    file.write_text(ACME, encoding="utf-8")
    return file


@pytest.mark.parametrize("provider", ["github", provider_id("github"), str(provider_id("github")), UUID(str(provider_id("github")))])
def test_a_provider_is_found_by_slug_and_by_uuid(provider) -> None:
    builtin = Catalogue.builtin()
    assert builtin.require(provider).id == "github"
    assert builtin.find(provider) is not None
    assert provider in builtin


@pytest.mark.parametrize("provider", ["acme", UUID(int=1), str(UUID(int=1)), "", "GitHub", "../github"])
def test_an_unknown_provider_is_refused(provider) -> None:
    builtin = Catalogue.builtin()
    assert builtin.find(provider) is None
    assert provider not in builtin
    with pytest.raises(ProviderNotFoundError):
        builtin.require(provider)


def test_a_catalogue_holds_nothing_but_providers() -> None:
    assert 7 not in Catalogue.builtin()
    assert len(Catalogue.builtin()) == len(Catalogue.builtin().list_providers())


def test_a_pasted_secret_is_not_repeated_as_a_provider() -> None:
    with pytest.raises(ProviderNotFoundError) as error:
        Catalogue.builtin().require("fake" * 15)
    assert error.value.details == {"providerId": "?"}
    with pytest.raises(ProviderNotFoundError) as error:
        Catalogue.builtin().require("acme")
    assert error.value.details == {"providerId": "acme"}


def test_nothing_is_parsed_until_it_is_asked_for(monkeypatch) -> None:
    parsed = []
    okta = Catalogue.builtin().require("okta")
    monkeypatch.setattr(catalogue, "read_provider", lambda _, *, where, built_in: parsed.append(where) or okta)
    catalogue._read_builtin.cache_clear()
    builtin = Catalogue.builtin()
    assert provider_id("okta") in builtin
    assert parsed == []
    assert builtin.require(provider_id("okta")) is Catalogue.builtin().require("okta") is okta
    assert parsed == ["okta.toml"]


def test_an_operators_file_is_added(acme) -> None:
    loaded = Catalogue.load(acme)
    assert loaded.require("acme").name == "Acme"
    assert loaded.require(provider_id("acme")).id == "acme"
    assert len(loaded) == len(Catalogue.builtin()) + 1
    assert "acme" not in Catalogue.builtin()


def test_a_folder_of_files_is_added_and_other_files_in_it_are_left(acme) -> None:
    (acme.parent / "notes.txt").write_text("no TOML", encoding="utf-8")
    assert "acme" in Catalogue.load(acme.parent)


def test_an_operators_file_takes_the_place_of_a_builtin(acme) -> None:
    acme.write_text(ACME.replace('"acme"', '"github"'), encoding="utf-8")
    loaded = Catalogue.load(acme)
    assert loaded.require("github").name == "Acme"
    assert len(loaded) == len(Catalogue.builtin())


def test_a_catalogue_of_exactly_these() -> None:
    okta = Catalogue.builtin().require("okta")
    assert [provider.id for provider in Catalogue.of(okta).list_providers()] == ["okta"]


def test_a_provider_that_is_switched_off_is_found_inactive() -> None:
    builtin = Catalogue.builtin()
    less = builtin.disable("okta", "slack")
    assert not less.require("okta").active
    assert not less.require(provider_id("slack")).active
    assert less.require("github").active
    assert builtin.require("okta").active
    assert not builtin.require("equinix_metal").active, "its service has ended"
    assert not less.with_(inactive=["github"]).require("okta").active


def test_switching_off_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="acme"):
        Catalogue.builtin().disable("acme")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id = fake-hidden\n", r"acme\.toml is not TOML \(at line 1, column 6\)"),
        (ACME + "client_secret = 'fake-hidden'", r"acme\.toml: methods\.0\.client_secret Extra inputs"),
        (ACME.replace('"code"', '"fake-hidden"'), r"acme\.toml: methods\.0\.kind String should match"),
        (ACME.replace('"code"', '"fake_hidden"'), r"acme\.toml: methods oauth2\.kind must be one of code, device, installation, key"),
        (
            ACME.replace("https://login.acme.example/token", "http://fake-hidden.example"),
            r"acme\.toml: the provider oauth2\.token_url must be an https",
        ),
        (ACME.replace('"acme"', '"Fake Hidden"'), r"acme\.toml: id "),
    ],
)
def test_a_bad_file_is_named_with_its_field_and_no_value_is_repeated(acme, text, says) -> None:
    acme.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says) as error:
        Catalogue.load(acme)
    assert "hidden" not in str(error.value).lower()
    assert error.value.__cause__ is None


def test_a_file_that_is_no_text_or_not_there_is_named(acme) -> None:
    acme.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"acme\.toml is not UTF-8"):
        Catalogue.load(acme)
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read"):
        Catalogue.load(acme.parent / "none.toml")


def test_toml_errors_without_a_place_are_told_without_it(acme) -> None:
    acme.write_text('a = "', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"acme\.toml is not TOML"):
        Catalogue.load(acme)


def test_a_builtin_file_is_named_after_its_provider(acme, monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "_builtin_files", lambda: {"other_name": acme})
    with pytest.raises(ConfigurationError, match="is not the name of its file"):
        catalogue._read_builtin("other_name")


@pytest.mark.parametrize(
    "pasted", ["0123456789abcdef" * 2, "a1b2c3d4" * 5, "abcdefabcdefabcdef", "x" * 25, "fake_12345_key", str(UUID(int=1).hex)]
)
def test_what_may_be_a_key_is_not_repeated(pasted) -> None:
    with pytest.raises(ProviderNotFoundError) as error:
        Catalogue.builtin().require(pasted)
    assert error.value.details == {"providerId": "?"}


@pytest.mark.parametrize("name", ["githbu", "google_clod", "office365", str(UUID(int=1))])
def test_a_mistyped_provider_is_repeated(name) -> None:
    with pytest.raises(ProviderNotFoundError) as error:
        Catalogue.builtin().require(name)
    assert error.value.details == {"providerId": name}
