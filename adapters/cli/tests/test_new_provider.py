"""`providers new`: a person who knows a provider gets from nothing to a checked file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.actions import new_provider

from .conftest import Run

KNOWN = {
    "api_key": ("--place", "header:X-Api-Key", "--account", "json:data.0.id", "--pattern", r"^acme_[a-z0-9]{32}$", "--dead-status", "403"),
    "oauth2": (
        *("--authorize-url", "https://login.acme.example/authorize", "--token-url", "https://login.acme.example/token"),
        *("--rotates", "always", "--account", "json:id", "--dead-status", "401"),
    ),
    "client_credentials": ("--token-url", "https://login.acme.example/token", "--account", "header:X-Account", "--dead-status", "401"),
    "basic": ("--account", "json:user.id", "--dead-status", "401"),
}
ALSO = (
    *("--name", 'Acme "Cloud"', "--documentation", "https://docs.acme.example/", "--category", "cloud"),
    *("--check-url", "https://api.acme.example/v1/me?limit=1", "--revoke-page", "https://acme.example/keys"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("known", [True, False], ids=["with all answers", "with none"])
@pytest.mark.parametrize("kind", KNOWN)
def test_what_is_written_has_nothing_wrong_and_its_test_passes(run: Run, folder: Path, kind: str, known: bool):
    ran = run("providers", "new", "--id", "acme", "--kind", kind, *((*ALSO, *KNOWN[kind]) if known else ()))
    assert (ran.code, ran.out.split()) == (0, ["acme.toml", "evidence/acme.json", "guides/acme.toml", "test_acme.py"]), ran.err
    assert Catalogue.lint(folder) == ()
    assert run("providers", "lint", ".").code == 0
    assert run("providers", "check", "acme.toml").code == 0
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder), "test_acme.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    guide = Catalogue.load(folder).guides_of(Catalogue.load(folder).require("acme"))
    assert guide is not None
    assert guide.methods[0].method == kind


@pytest.mark.parametrize("place", ["bearer", "query:api_key"])
def test_a_key_may_go_elsewhere(run: Run, folder: Path, place: str):
    assert run("providers", "new", "--id", "acme", "--place", place).code == 0
    present = Catalogue.load(folder / "acme.toml").require("acme").methods[0].present
    assert (present.query, "Authorization" in present.headers) == (({"api_key": "{api_key}"}, False) if place != "bearer" else ({}, True))


def test_what_is_not_known_is_counted_and_named(run: Run, folder: Path):
    made = run("providers", "new", "--id", "acme", "-o", "json").data()
    assert made["files"][0] == "acme.toml"
    found = run("providers", "check", "acme.toml", "-o", "json").data()
    assert (found["ok"], len(found["unknown"])) == (True, made["unknown"])
    line = found["unknown"][0]["line"]
    assert "Not known yet" in (folder / "acme.toml").read_text().splitlines()[line - 1]


@pytest.mark.parametrize("taken", ["acme.toml", "evidence/acme.json", "guides/acme.toml", "test_acme.py"])
def test_nothing_is_overwritten_and_nothing_else_is_left(run: Run, folder: Path, taken: str):
    (folder / taken).parent.mkdir(exist_ok=True)
    (folder / taken).write_text("mine")
    before = _files(folder)
    ran = run("providers", "new", "--id", "acme")
    assert (ran.code, ran.out) == (8, "")
    assert f"{taken} exists already, and is left as it is" in ran.err
    assert (_files(folder), (folder / taken).read_text()) == (before, "mine")


BAD = {
    "--id": "Acme Cloud",
    "--documentation": "http://docs.acme.example/",
    "--category": "clouds",
    "--kind": "oauth",
    "--place": "header:X Key",
    "--check-url": "https://user:password@acme.example/",
    "--account": "id",
    "--dead-status": "500",
    "--pattern": "acme_.*",
    "--revoke-page": "acme.example",
}


@pytest.mark.parametrize("option", BAD)
def test_an_option_that_is_not_valid_is_told(run: Run, folder: Path, option: str):
    ran = run("providers", "new", *(() if option == "--id" else ("--id", "acme")), option, BAD[option])
    assert (ran.code, ran.err.startswith(f"error: {option} must "), _files(folder)) == (2, True, []), ran.err


def test_an_option_of_another_kind_is_told(run: Run, folder: Path):
    for words in (("--kind", "basic", "--place", "bearer"), ("--token-url", "https://acme.example/token")):
        ran = run("providers", "new", "--id", "acme", *words)
        assert (ran.code, "is not for" in ran.err, _files(folder)) == (2, True, [])


def test_a_built_in_provider_is_not_described_again(run: Run, folder: Path):
    ran = run("providers", "new", "--id", "github")
    assert (ran.code, ran.err) == (2, "error: --id is built in already\n")


def test_without_a_terminal_the_slug_must_be_given(run: Run, folder: Path):
    ran = run("providers", "new")
    assert (ran.code, _files(folder)) == (2, [])
    assert "give --id" in ran.err


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_provider, "can_ask", lambda: True)


@pytest.mark.usefixtures("asking")
def test_a_bad_answer_is_told_and_asked_again(run: Run, folder: Path):
    answers = ["Acme!", "github", "acme", "", "docs", "https://docs.acme.example", "", "key", "basic", "", "", "", "x", "", ""]
    ran = run("providers", "new", given="\n".join(answers) + "\n" * 3)
    assert ran.code == 0, ran.err
    for said in ("That must be 1 to 64 of", "That is built in already", "That must be an https URL", "That must be one of api_key"):
        assert said in ran.err
    assert ran.err.count("Slug, which never changes [acme]: ") == 3
    provider = Catalogue.load(folder / "acme.toml").require("acme")
    assert (provider.name, provider.documentation, provider.methods[0].id) == ("Acme", "https://docs.acme.example", "basic")


@pytest.mark.usefixtures("asking")
def test_who_only_presses_enter_gets_an_api_key(run: Run, folder: Path):
    assert run("providers", "new", given="\n" * 20).code == 0
    assert Catalogue.load(folder / "acme.toml").require("acme").methods[0].id == "api_key"


@pytest.mark.usefixtures("asking")
def test_options_are_not_asked_for(run: Run, folder: Path):
    ran = run("providers", "new", "--id", "acme", "--kind", "basic", given="\n" * 20)
    assert ("Slug" in ran.err, "How it connects" in ran.err, "Name for people" in ran.err) == (False, False, True)


@pytest.mark.usefixtures("asking")
def test_who_goes_away_leaves_nothing(run: Run, folder: Path):
    ran = run("providers", "new", given="acme\nAcme\n")
    assert (ran.code, _files(folder)) == (130, [])


class _Interrupted(dict[Path, str]):
    def items(self) -> Iterator[tuple[Path, str]]:  # type: ignore[override]
        yield from islice(super().items(), 2)
        raise KeyboardInterrupt


def test_an_interruption_while_writing_leaves_nothing(folder: Path):
    files: Mapping[Path, str] = {folder / "new/a.toml": "a", folder / "new/guides/a.toml": "b", folder / "c": "c"}
    with pytest.raises(KeyboardInterrupt):
        new_provider.write_all(_Interrupted(files))
    assert _files(folder) == []


def test_a_folder_that_cannot_be_made_leaves_nothing(folder: Path):
    (folder / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        new_provider.write_all({folder / "a.toml": "a", folder / "file/guides/a.toml": "b"})
    assert _files(folder) == ["file"]
