"""The library's fields are named in the words of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cloud_integrations
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations_cli.exits import tell
from cloud_integrations_cli.reference import walk

SOURCES = [
    file
    for package in (Path(cloud_integrations.__file__).parent, Path(__file__).parents[1] / "src")
    for file in sorted(package.rglob("*.py"))
    if "testing" not in file.parts
]
NOT_OURS = re.compile(r"\b[a-z]+(?:[A-Z][a-z0-9]*)+\b|\b[a-z]+(?:_[a-z0-9]+)+\b")


def _literal(node: ast.expr) -> list[str]:
    """The texts that an argument may be: every part that is not known stands as `x`."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)]
    return [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)] or ["x"]


def _errors() -> Iterator[tuple[str, str]]:
    for file in SOURCES:
        source = file.read_text(encoding="utf-8")
        # Parsing takes long, and is done each time that tests are collected.
        for node in ast.walk(ast.parse(source)) if "ValidationFailedError(" in source else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ValidationFailedError":
                given = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
                yield from ((field, problem) for field in given["field"] for problem in given["problem"])


ERRORS = sorted({*_errors(), *((field, "is wrong") for field in ("accessToken", "credentials.apiKey", "expiresAt", "variables.domain"))})
COMMANDS = {path.removeprefix("cloud-integrations "): command for path, command in walk()}


def test_the_errors_were_found():
    assert len(ERRORS) > 40
    assert {"tenantId", "returnTo", "redirectUri", "name"} <= {field for field, _ in ERRORS}


@pytest.mark.parametrize(("field", "problem"), ERRORS)
def test_no_message_names_a_field_of_the_http_api(capsys, field, problem):
    for command in (COMMANDS["connect"], COMMANDS["integrations rename"], COMMANDS["audit list"], None):
        assert tell(ValidationFailedError(field=field, problem=problem), as_json=False, command=command) == 4
        shown = capsys.readouterr().err
        assert shown.startswith("error: ")
        assert not NOT_OURS.search(shown.replace("callback_url", "")), shown


@pytest.mark.parametrize(
    ("field", "command", "said"),
    [
        ("tenantId", "connect", "--tenant"),
        ("providerId", "connect", "PROVIDER"),
        ("integration", "token", "INTEGRATION"),
        ("integration", "integrations show", "INTEGRATION"),
        ("name", "connect", "--name"),
        ("name", "integrations rename", "NAME"),
        ("scopes", "connect", "--scope"),
        ("variables.domain", "connect", "--variable domain"),
        ("variables", "connect", "--variable"),
        ("retiredBefore", "keys reseal", "--destroy-after"),
        ("credentials.apiKey", "integrations add", "the API key"),
        ("returnTo", "connect", "the page to return to"),
        ("redirectUri", "connect", "the redirect URI"),
        ("name", "doctor", "the name"),
    ],
)
def test_a_field_is_called_what_the_command_calls_it(capsys, field, command, said):
    tell(ValidationFailedError(field=field, problem="is wrong"), as_json=False, command=COMMANDS[command])
    assert capsys.readouterr().err == f"error: {said} is wrong\n"


def test_programs_are_told_the_field_of_the_http_api(run, home):
    import json

    error = json.loads(run("integrations", "list", "-t", "two words", "-o", "json").err)["error"]
    assert error["message"].startswith("--tenant ")
    assert error["details"]["fields"][0]["field"] == "tenantId"
