"""What is wrong with provider files and guides is found before a tenant finds it."""

from __future__ import annotations

from datetime import date

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.providers.lint import is_anchored, lint, provider_problems

pytestmark = pytest.mark.requirement("Q73", "OAU-072")

GOOD = """
id = "acme"
name = "Acme"
base_urls = { api = "https://{region}.acme.example" }
[[variables]]
name = "region"
pattern = "^[a-z]+$"
default = "eu"
in_host = true
[[methods]]
id = "token"
kind = "key"
inputs = [{ name = "token", patterns = ["^t_[a-z]+$"] }, { name = "account", secret = false }]
present = { headers = { Authorization = "Bearer {value}", X-Account = "{account}" } }
revoke = { manual_url = "https://acme.example/tokens" }
[[verifications]]
url = "https://{region}.acme.example/me"
"""
GUIDE = """
provider = "acme"
[[methods]]
method = "token"
title = "A token"
steps = ["Make it."]
undo = ["Delete it."]
documents = [{ file = "make.sh", title = "Make it" }]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "acme.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "guides/acme").mkdir(parents=True)
    (tmp_path / "guides/acme.toml").write_text(GUIDE, encoding="utf-8")
    (tmp_path / "guides/acme/make.sh").write_text("make\n", encoding="utf-8")
    return tmp_path


def _found(folder):
    return [(found.file.removeprefix(f"{folder}/"), found.field, found.problem) for found in Catalogue.lint(folder)]


def test_nothing_is_wrong_with_the_built_in_files():
    assert Catalogue.lint() == ()


def test_nothing_is_wrong_with_a_good_folder(folder):
    assert _found(folder) == []
    assert Catalogue.lint(folder / "acme.toml", folder) == ()


@pytest.mark.parametrize(
    ("before", "after", "field", "problem"),
    [
        ('"^[a-z]+$"', '"[a-z]+"', "variables.region.pattern", "is not anchored"),
        ('"^t_[a-z]+$"', '"^t_|[a-z]+$"', "methods.token.inputs.token.patterns.0", "is not anchored"),
        (
            "secret = false }",
            'secret = false, derives = [{ variable = "region", pattern = "^t_([a-z]+)" }] }',
            "methods.token.inputs.account.derives.0.pattern",
            "is not anchored",
        ),
        ('"^[a-z]+$"', '"^.*$"', "variables.region.pattern", "lets a tenant choose the domain"),
        ("https://{region}.acme.example/me", "https://{region}/me", "variables.region.pattern", "lets a tenant choose the domain"),
        ('[[verifications]]\nurl = "https://{region}.acme.example/me"', "", "methods.token.verification", "is missing"),
        ('revoke = { manual_url = "https://acme.example/tokens" }', "", "methods.token.revoke", "is missing"),
        ("[[methods]]", '[[variables]]\nname = "zone"\nchoices = ["a"]\n[[methods]]', "variables.zone", "is read nowhere"),
        ("secret = false }", 'secret = false }, { name = "more", required = false }', "methods.token.inputs.more", "is read nowhere"),
        ('name = "Acme"', 'name = "Acme"\ncategory = "clouds"', "category", "is not one of cloud, "),
        ('name = "Acme"', 'name = "Acme"\nunread = 1', "unread", "Extra inputs are not permitted"),
        ('id = "acme"', 'id = "other"', "id", "is not the name of its file"),
        ("[[methods]]", "[[methods", "", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_provider_is_found(folder, before, after, field, problem):
    assert before in GOOD
    (folder / "acme.toml").write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    found = [each for each in _found(folder) if each[0] == "acme.toml"]
    assert any(each[1] == field and each[2].startswith(problem) for each in found), found


@pytest.mark.parametrize(
    ("before", "after", "field", "problem"),
    [
        ('"Make it."', '"Make {{token}}."', "token.steps.0", "has the placeholder token, which is a secret"),
        ('method = "token"', 'method = "gone"', "gone.method", "is no method of this provider"),
        ('undo = ["Delete it."]', "", "methods.0.undo", "Field required"),
    ],
)
def test_what_is_wrong_with_a_guide_is_found(folder, before, after, field, problem):
    (folder / "guides/acme.toml").write_text(GUIDE.replace(before, after, 1), encoding="utf-8")
    assert _found(folder) == [("guides/acme.toml", field, problem)]


def test_a_method_whose_revocation_may_fail_needs_a_page_for_people():
    provider = Catalogue.builtin().require("google_cloud")
    oauth, *others = provider.methods
    without = oauth.model_copy(update={"revoke": oauth.revoke.model_copy(update={"manual_url": None})})
    [(field, problem)] = provider_problems(provider.model_copy(update={"methods": (without, *others)}))
    assert (field, problem) == ("methods.oauth2.revoke.manual_url", "is missing: a person needs a page if the request fails")


def test_files_that_nobody_reads_are_found(folder):
    (folder / "guides/acme/more.sh").write_text("more\n", encoding="utf-8")
    (folder / "guides/other").mkdir()
    assert _found(folder) == [("guides/acme/more.sh", "", "is named by no guide"), ("guides/other", "", "belongs to no guide")]


def test_a_guide_for_a_built_in_provider_is_checked_against_it(folder):
    text = GUIDE.replace('"acme"', '"hetzner_cloud"').replace('"token"', '"api_token"').partition("documents =")[0]
    (folder / "guides/hetzner_cloud.toml").write_text(text, encoding="utf-8")
    assert _found(folder) == []
    (folder / "guides/nowhere.toml").write_text(text.replace("hetzner_cloud", "nowhere"), encoding="utf-8")
    assert _found(folder) == [("guides/nowhere.toml", "provider", "is no provider that is known")]


def test_where_evidence_is_kept_each_provider_and_guide_has_some(folder):
    (folder / "evidence").mkdir()
    _aged(folder, "checked = 2026-11-28")
    assert _found(folder) == [("evidence/acme.json", "", "is missing, or no JSON")]
    (folder / "evidence/acme.json").write_text("{}", encoding="utf-8")
    assert _found(folder) == [("evidence/acme.json", "guides", "has no source for the guide")]
    (folder / "evidence/acme.json").write_text('{"guides.token": ["x", "memory", "2026-11-28"]}', encoding="utf-8")
    assert _found(folder) == []


def test_a_path_that_is_not_there_is_found(tmp_path):
    [found] = Catalogue.lint(tmp_path / "gone")
    assert found.problem == "is not there"


@pytest.mark.parametrize(
    ("pattern", "anchored"),
    [
        ("^a$", True),
        ("^(?:a|b)$", True),
        ("^[|]$", True),
        (r"^a\|b$", True),
        ("^((a|b)|c)$", True),
        ("^a|b$", False),
        ("a$", False),
        ("^a", False),
        (r"^a\$", False),
        (r"^[\]|]$", True),
        ("^(a)|(b)$", False),
    ],
)
def test_a_pattern_is_anchored_as_a_whole(pattern, anchored):
    assert is_anchored(pattern) is anchored


@pytest.mark.parametrize(
    ("programs", "problem"),
    [
        ('environment = { ACME_TOKEN = "{value}", ACME_REGION = "{region}", ACME_ACCOUNT = "{account}" }', None),
        ('environment = { ACME_TOKEN = "{secret}" }', "names secret, which is no part of a credential of token"),
        ('git = { hosts = ["{region}.git.acme.example"], user = "x" }', None),
        (
            'git = { hosts = ["{account}.example"], user = "x" }',
            "has account in a host; only a variable that is marked in_host may stand there",
        ),
        ("kubernetes = {}\n[[programs]]\nkubernetes = {}", "is for no method: those before it take them all"),
    ],
)
def test_programs_name_what_a_credential_has(folder, programs, problem):
    (folder / "acme.toml").write_text(f"{GOOD}[[programs]]\n{programs}\n", encoding="utf-8")
    assert [found for _, _, found in _found(folder)] == ([] if problem is None else [problem])


TODAY = date(2026, 11, 29)


def _found_on(day, folder):
    return [(found.file.removeprefix(f"{folder}/"), found.field, found.problem) for found in lint(folder, today=day)]


def _aged(folder, *lines):
    (folder / "acme.toml").write_text("\n".join([*lines, GOOD]), encoding="utf-8")


def test_a_folder_with_evidence_says_when_its_files_were_checked(folder):
    (folder / "evidence").mkdir()
    (folder / "evidence/acme.json").write_text('{"guides.token": ["page", "verified", "2026-11-20"]}', encoding="utf-8")
    assert _found_on(TODAY, folder) == [("acme.toml", "checked", "is missing: when was it compared with its sources?")]
    _aged(folder, "checked = 2026-11-19")
    assert _found_on(TODAY, folder) == [("acme.toml", "checked", "is older than its evidence, which is of 2026-11-20")]
    _aged(folder, "checked = 2026-11-20")
    assert _found_on(TODAY, folder) == []


def test_a_file_was_not_checked_in_the_future(folder):
    _aged(folder, "checked = 2026-11-30")
    assert _found_on(TODAY, folder) == [("acme.toml", "checked", "is later than today, 2026-11-29")]
    assert _found_on(date(2026, 11, 30), folder) == []


def test_an_end_has_a_source_and_closes_the_provider(folder):
    ends = 'deprecations = [{ ends = 2026-11-30, instead = "Use another one.", source = "http://acme.example/end" }]'
    _aged(folder, ends)
    source = ("acme.toml", "deprecations.0.source", "is not the https address of a page")
    assert _found_on(TODAY, folder) == [source]
    closed = ("acme.toml", "active", "offers new connections, and the provider ended on 2026-11-30")
    assert _found_on(date(2026, 11, 30), folder) == [source, closed]
    _aged(folder, ends, "active = false")
    assert _found_on(date(2026, 11, 30), folder) == [source]
