"""Roles on the command line: what the tenant sets up is shown, and stays the same until it is completed."""

from __future__ import annotations

import shlex

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")
PRINCIPAL = "arn:aws:iam::999999999999:role/product"
SECRET = "fake-platform-secret"


@pytest.fixture
def configured(home, monkeypatch):
    (home / "aws.secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv(
        "CLOUD_INTEGRATIONS_PLATFORM",
        f'{{"aws": {{"principal": "{PRINCIPAL}", "parts": {{"access_key_id": "AKIAFAKEFAKEFAKEFAKE"}},'
        ' "part_files": {"secret_access_key": "aws.secret"}}}',
    )
    return home


def begin(run, *more):
    return run("connect", "aws", "--method", "role", *T, *more)


@pytest.mark.requirement("Q57")
def test_a_setup_shows_the_external_id_and_whom_to_trust_and_stays_the_same(run, configured):
    shown = begin(run)
    assert shown.code == 0, shown.err
    setup = begin(run, *JSON).data()
    assert setup["principal"] == PRINCIPAL
    assert setup["inputs"] == ["role_arn"]
    assert len(setup["made"]["external_id"]) >= 22
    assert setup["made"]["external_id"] in shown.out
    assert PRINCIPAL in shown.out
    assert "integrations add aws --method role --tenant acme --input role_arn=…" in shown.err
    assert SECRET not in shown.out + shown.err
    assert run("integrations", "list", *T, *JSON).data() == []


def test_a_command_to_copy_quotes_what_a_shell_would_run(run, configured):
    shown = run("connect", "aws", "--method", "role", "-t", "acme;rm$(id)'")
    words = shlex.split(shown.err.splitlines()[-1].removeprefix("then: "))
    assert words[words.index("--tenant") + 1] == "acme;rm$(id)'"


def test_the_operator_is_told_what_is_missing(run, home):
    refused = begin(run)
    assert refused.code == 8
    assert "platform.aws is missing" in refused.err


def test_a_file_that_is_not_there_is_named_by_its_setting(run, configured):
    (configured / "aws.secret").unlink()
    refused = begin(run)
    assert refused.code == 8
    assert "platform.aws.part_files cannot be read" in refused.err


@pytest.mark.parametrize(
    "given",
    [
        '{"source": "botocore", "parts": {"a": "fake-part"}}',
        '{"source": "boto4"}',
        '{"principal": "p"}',
        '{"parts": {"a": "fake-part"}, "part_files": {"a": "b"}}',
        '{"parts": {"a": "fake-part"}, "other": 1}',
    ],
)
def test_a_setting_that_cannot_work_is_refused_without_its_values(run, home, monkeypatch, given):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_PLATFORM", f'{{"aws": {given}}}')
    refused = run("integrations", "list", *T)
    assert refused.code == 8
    assert "platform.aws" in refused.err
    assert "fake-part" not in refused.err


def test_a_role_without_a_setup_says_how_to_begin(run, configured):
    refused = run("integrations", "add", "aws", "--method", "role", *T, "--input", "role_arn=arn:aws:iam::123456789012:role/ours")
    assert refused.code == 4
    assert "has no open setup that could be completed; begin one first" in refused.err


def test_botocore_is_no_source_for_another_cloud(run, home, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_PLATFORM", '{"alibaba_cloud": {"source": "botocore"}}')
    refused = run("integrations", "list", *T)
    assert (refused.code, "source of alibaba_cloud may not be botocore" in refused.err) == (8, True), refused.err


def test_a_connection_without_a_method_is_the_one_that_is_set_up_where_nobody_uses_a_browser(run, configured):
    assert run("connect", "aws", *T, *JSON).data()["method"] == "role"
    # A provider with an application goes on in the browser.
    assert "platform" not in run("connect", "simulated", *T, "--no-browser", "--paste", given="").err
