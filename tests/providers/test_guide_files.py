"""Guide files: how they are found, read and refused."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.providers import Catalogue

pytestmark = pytest.mark.requirement("Q73")

ACME = """
id = "acme"
name = "Acme"
[[methods]]
id = "token"
kind = "key"
inputs = [{ name = "token" }, { name = "account", secret = false }]
present = { headers = { X-Key = "{token}", X-Account = "{account}" } }
"""
GUIDE = """
provider = "acme"
[[methods]]
method = "token"
title = "A token"
steps = ["Make it for {{account}}."]
undo = ["Delete it."]
[[methods.documents]]
file = "make.sh"
title = "Make it"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "acme.toml").write_text(ACME, encoding="utf-8")
    (tmp_path / "guides/acme").mkdir(parents=True)
    (tmp_path / "guides/acme.toml").write_text(GUIDE, encoding="utf-8")
    (tmp_path / "guides/acme/make.sh").write_text("make --for={{account}}\n", encoding="utf-8")
    return tmp_path


def test_guides_are_read_beside_the_providers_of_a_folder(folder):
    loaded = Catalogue.load(folder)
    guides = loaded.guides_of(loaded.require("acme"))
    assert guides.find().documents[0].text == "make --for={{account}}\n"
    assert guides.find("token") is guides.find()
    assert guides.find("other") is None
    # A file alone has no folder with guides.
    alone = Catalogue.load(folder / "acme.toml")
    assert alone.guides_of(alone.require("acme")) is None


def test_an_operator_replaces_the_guide_of_a_built_in_provider(folder):
    (folder / "acme.toml").unlink()
    text = (
        GUIDE.replace("acme", "hetzner_cloud")
        .replace('"token"', '"api_token"')
        .replace(" for {{account}}", "")
        .partition("[[methods.documents]]")[0]
    )
    (folder / "guides/acme.toml").unlink()
    (folder / "guides/hetzner_cloud.toml").write_text(text, encoding="utf-8")
    loaded = Catalogue.load(folder)
    assert loaded.guides_of(loaded.require("hetzner_cloud")).find().steps == ("Make it.",)


def test_a_provider_that_is_replaced_loses_its_guide(folder):
    builtin = Catalogue.builtin()
    aws = builtin.require("aws")
    assert builtin.guides_of(aws) is not None
    assert builtin.guides_of(builtin.disable("aws").require("aws")) is not None
    assert builtin.with_(providers=[aws]).guides_of(aws) is None
    assert builtin.with_(providers=[aws], guides=[builtin.guides_of(aws)]).guides_of(aws) is not None
    loaded = Catalogue.load(folder)
    assert loaded.with_(providers=[loaded.require("acme")]).guides_of(loaded.require("acme")) is None


def test_a_guide_without_its_provider_is_refused():
    guides = ProviderGuides.model_validate({"provider": "acme", "methods": [{"method": "x", "title": "x", "steps": ["x"], "undo": ["x"]}]})
    with pytest.raises(ConfigurationError, match="the guide acme is for a provider that the catalogue does not have"):
        Catalogue.builtin().with_(guides=[guides])


@pytest.mark.parametrize(
    ("change", "setting", "problem"),
    [
        (('provider = "acme"', 'provider = "other"'), "provider", "is not the name of its file"),
        (('provider = "acme"', ""), "provider", "is not the name of its file"),
        (("[[methods]]", "[[methods"), None, "is not TOML"),
        (('"make.sh"', '"../../acme.toml"'), "documents.file", "is not the name of a file"),
        (('"make.sh"', '"/etc/passwd"'), "documents.file", "is not the name of a file"),
        (('"make.sh"', "5"), "documents.file", "is not the name of a file"),
        (('"make.sh"', '"gone.sh"'), "documents.gone.sh", "cannot be read"),
        (('title = "A token"', ""), "methods.0.title", "Field required"),
        (("steps", "stepz"), "methods.0.steps", "Field required"),
        (("[[methods.documents]]", "[methods.documents]"), "methods.0.documents", "valid tuple"),
        (("[[methods]]", "[methods]"), "methods", "valid tuple"),
        (("{{account}}", "{{token}}"), "token.steps.0", "has the placeholder token, which is a secret"),
        (('method = "token"', 'method = "gone"'), "gone.method", "is no method of this provider"),
    ],
)
def test_an_error_names_the_file_and_the_field(folder, change, setting, problem):
    file = folder / "guides/acme.toml"
    file.write_text(GUIDE.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        Catalogue.load(folder)
    where = "the guide acme" if problem.startswith(("has the placeholder", "is no method")) else str(file)
    assert refused.value.setting == (where if setting is None else f"{where}: {setting}")
    assert problem in str(refused.value)


def test_a_document_that_is_no_text_is_refused(folder):
    (folder / "guides/acme/make.sh").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"documents.make.sh is not UTF-8"):
        Catalogue.load(folder)


def test_a_document_with_a_place_that_cannot_be_quoted_is_refused(folder):
    (folder / "guides/acme/make.sh").write_text("make '{{account}}'\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"token.documents.make.sh has the placeholder account inside quotes"):
        Catalogue.load(folder)
