"""What the page about adding a provider claims of provider files is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.domain.provider import Provider, RefreshTokenFacts
from cloud_integrations.kinds import check_provider
from cloud_integrations_cli.skeleton_answers import Kind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-a-provider.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WHOLE = {"id": "acme", "name": "Acme", "methods": [{"id": "key", "kind": "key", "inputs": [{"name": "token"}]}]}


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_is_taken_as_it_stands_in_a_file(text: str) -> None:
    assert check_provider(Provider.model_validate({**WHOLE, **tomllib.loads(text)})) is None


def test_nothing_is_wrong_with_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(EXAMPLES[0], encoding="utf-8")
    assert Catalogue.lint(tmp_path / "acme.toml") == ()


PLACES = re.findall(r"^\| .+ \| `(present = [^`]+)`", PAGE, re.MULTILINE)


def _inputs(text: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in dict.fromkeys(re.findall(r"\{([a-z_]+)\}", text))] or [{"name": "token"}]


@pytest.mark.parametrize("text", PLACES)
def test_each_place_of_a_credential_is_one_that_there_is(text: str) -> None:
    Provider.model_validate({**WHOLE, "methods": [{"id": "key", "kind": "key", "inputs": _inputs(text), **tomllib.loads(text)}]})


RULES = {
    "repeats the request": {"none", "tolerant"},
    "repeats it within that time": {"grace"},
    "uses the access token to its end, then tries once": {"strict"},
}
REFRESHES = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.partition("## 2. ")[2].partition("## 3. ")[0], re.MULTILINE)[2:]


@pytest.mark.parametrize(("behaviour", "written", "after"), REFRESHES)
def test_each_row_of_the_table_of_refreshes_is_the_rule_that_its_fields_give(behaviour: str, written: str, after: str) -> None:
    facts = tomllib.loads("\n".join(re.findall(r"`([^`]+)`", written)))
    assert RefreshTokenFacts.model_validate(facts).reuse_rule in RULES[after], behaviour


def test_the_page_names_the_kinds_that_files_are_written_for() -> None:
    said = PAGE.partition("`--kind` says")[2].partition(". It chooses")[0]
    assert set(re.findall(r"`([a-z0-9_]+)`", said)) == set(get_args(Kind))


def test_each_file_and_each_table_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:src|tests|tools)/[a-z_/.]+[a-z]/?)`", PAGE)
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists() and "acme" not in path] == []
    rows = PAGE.partition("| A method | Tables |")[2].partition("\n\n")[0]
    tables = re.findall(r"((?:`[A-Z_]+`(?: and )?)+) in `([^`]+)`", rows)
    assert len(tables) > 4
    for tables_of, path in tables:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert all(re.search(rf"^{name}\b", text, re.MULTILINE) for name in re.findall(r"[A-Z_]+", tables_of)), path
