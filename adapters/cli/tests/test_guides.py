"""Setup guides and the check of provider files, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.requirement("Q73")

POLICY = """
[policies.aws]
Version = "2012-10-17"
Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::fake-${x}/*" }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cloud-integrations.toml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [("providers", "guide", "aws"), ("connect", "aws", "--tenant", "acme", "--guide")])
def test_a_guide_is_shown_to_people(run: Callable[..., Any], folder: Path, words: tuple[str, ...]) -> None:
    ran = run(*words, "--method", "access_key")
    assert ran.code == 0, ran.err
    for part in ("What to do", "1. ", "--- permissions.json", "arn:aws:s3:::fake-${x}/*", "--- user.sh", "To undo it later"):
        assert part in ran.out
    assert "cloud-integrations" in ran.out  # the product
    assert "not known yet" not in ran.err


@pytest.mark.parametrize("words", [("providers", "guide", "aws"), ("connect", "aws", "--guide")])
def test_a_tenant_sees_the_subject_of_its_own_tokens(run: Callable[..., Any], folder: Path, words: tuple[str, ...]) -> None:
    # No key is read for a guide.
    issuer = '[issuer]\nurl = "https://id.example/t"\nkeys = ["file:gone.pem"]\n'
    (folder / "cloud-integrations.toml").write_text(issuer + POLICY, encoding="utf-8")
    ran = run(*words, "--tenant", "acme", "--method", "web_identity")
    assert ran.code == 0, ran.err
    for part in ('"id.example/t:sub": "tenant:acme"', '"id.example/t:aud": "sts.amazonaws.com"', "--url=https://id.example/t"):
        assert part in ran.out
    assert "not known yet" not in ran.err


def test_what_is_not_known_is_named(run: Callable[..., Any], folder: Path) -> None:
    ran = run("providers", "guide", "aws", "--method", "web_identity")
    assert "not known yet, to be filled in where <…> stands: issuer, issuer_host, subject" in ran.err


def test_a_guide_is_a_document_for_programs(run: Callable[..., Any], folder: Path) -> None:
    ran = run("providers", "guide", "aws", "--variable", "region=eu-central-1", "--input", "access_key_id=AKIAFAKE", "--output", "json")
    assert ran.code == 0, ran.err
    [policy] = [document for document in ran.data()["documents"] if document["form"] == "json"]
    assert json.loads(policy["text"])["Statement"][0]["Action"] == ["s3:GetObject"]


def test_the_documents_of_a_guide_are_written_once(run: Callable[..., Any], folder: Path) -> None:
    ran = run("providers", "guide", "aws", "--to", folder / "out")
    assert ran.code == 0, ran.err
    assert sorted(file.name for file in (folder / "out").iterdir()) == ["permissions.json", "undo.sh", "user.sh"]
    assert "--- user.sh" not in ran.out
    (folder / "out/user.sh").write_text("mine", encoding="utf-8")
    (folder / "out/permissions.json").unlink()
    again = run("providers", "guide", "aws", "--to", folder / "out")
    assert again.code == 8
    assert "exists already" in again.err
    assert (folder / "out/user.sh").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("given", ["secret_access_key=fake-secret", "access_key_id=@key.txt", "access_key_id=-", "nothing"])
def test_no_secret_goes_into_a_guide(run: Callable[..., Any], folder: Path, given: str) -> None:
    ran = run("providers", "guide", "aws", "--input", given)
    assert ran.code in {2, 4}
    assert "fake-secret" not in ran.out + ran.err


def test_a_guide_without_permissions_says_what_is_missing(run: Callable[..., Any], folder: Path) -> None:
    (folder / "cloud-integrations.toml").write_text("", encoding="utf-8")
    ran = run("providers", "guide", "aws")
    assert ran.code == 9
    assert "has no permissions configured here, in policies.aws," in ran.err


def test_empty_permissions_are_refused_with_the_settings(run: Callable[..., Any], folder: Path) -> None:
    (folder / "cloud-integrations.toml").write_text("[policies.aws]\n", encoding="utf-8")
    ran = run("providers", "guide", "aws")
    assert ran.code == 8
    assert "policies.aws" in ran.err


def test_a_provider_says_which_methods_have_a_guide(run: Callable[..., Any], folder: Path) -> None:
    assert "has a guide" in run("providers", "show", "aws").out
    assert "access_key" in run("providers", "show", "aws", "--output", "json").data()["guides"]
    assert run("providers", "show", "linode", "--output", "json").data()["guides"] == ["pat"]


def test_provider_files_are_checked(run: Callable[..., Any], folder: Path) -> None:
    assert run("providers", "lint").code == 0
    (folder / "providers").mkdir()
    (folder / "providers/acme.toml").write_text(
        'id = "acme"\nname = "Acme"\nmethods = [{ id = "t", kind = "key", inputs = [{ name = "t" }] }]\n'
    )
    ran = run("providers", "lint", folder / "providers")
    assert ran.code == 4
    assert "methods.t.verification is missing" in ran.out
    (folder / "cloud-integrations.toml").write_text('provider_files = ["providers"]\n', encoding="utf-8")
    told = run("providers", "lint", "--output", "json")
    assert told.code == 4
    assert not told.data()["ok"]
    assert {finding["field"] for finding in told.data()["findings"]} == {"methods.t.verification", "methods.t.revoke"}
