"""The values that a provider asks for come from options, files, standard input and a person at the terminal."""

from __future__ import annotations

import json
import logging
import os
import pty
from pathlib import Path

import pytest

from cloud_integrations.testing import SimulatedProvider

from .conftest import PATIENCE, start

T = ("-t", "acme")
JSON = ("-o", "json")
ZONE = ("--variable", "zone=us")
PASSWORD = "fake-password-7f3a"

ROBOTS = """
id = "robots"
name = "Robots"
loopback = true

[[variables]]
name = "zone"
label = "Zone"
hint = "Where it lives."
choices = ["eu", "us"]

[[methods]]
id = "token"
kind = "key"
inputs = [{{ name = "token", label = "API token" }}]

[[methods]]
id = "file"
kind = "key"
inputs = [
    {{ name = "key_file", label = "Key file", hint = "Download it from the console.", form = "json", must = {{ type = "robot" }}, parts = {{ token = "key.token", robot = "name" }} }},
    {{ name = "team", label = "Team", secret = false }},
    {{ name = "password", label = "Password", one_of = "proof" }},
    {{ name = "cert", label = "Certificate", form = "pem", one_of = "proof" }},
    {{ name = "note", label = "Note", secret = false, required = false }},
]
present = {{ headers = {{ Authorization = "Bearer {{token}}", X-Team = "{{team}}" }} }}

[[verifications]]
url = "{url}/me?zone={{zone}}"
identity = ["json:id"]
status_rules = {{ 401 = "dead" }}
"""  # noqa: E501  # an inline table of TOML has one line


@pytest.fixture
def robots(home: Path, provider: SimulatedProvider) -> Path:
    """A folder whose settings know a provider with a file, a choice and a variable; the file lies in it."""
    (home / "robots.toml").write_text(ROBOTS.format(url=provider.base_url))
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text().replace('provider_files = ["', 'provider_files = ["robots.toml", "', 1))
    key = {"type": "robot", "name": "robby", "key": {"token": provider.valid_api_key.reveal()}}
    (home / "key.json").write_text(json.dumps(key, indent=2))
    (home / "password").write_text(PASSWORD + "\n")
    return home


def _talk(home: Path, *words: str, answers: list[tuple[str, str]]) -> tuple[int, str, str]:
    """Run a command and answer each question, which ends in the first text, with the second."""
    keyboard, terminal = pty.openpty()
    process = start(*words, cwd=home, stdin=terminal, start_new_session=True)
    assert process.stderr is not None
    said = ""
    try:
        for question, answer in answers:
            asked = ""
            while not asked.endswith(question):
                asked += (letter := process.stderr.read(1))
                assert letter, said + asked
            said += asked
            os.write(keyboard, f"{answer}\n".encode())
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)
        os.close(keyboard)
    return process.returncode, out, said + err


def test_files_and_plain_values_connect_without_a_terminal(run, robots):
    given = ("--input", "key_file=@key.json", "--input", "team=blue", "--input", "password=@password")
    added = run("integrations", "add", "robots", *T, *ZONE, *given, *JSON)
    assert added.code == 0, added.err
    shown = run("token", "robots", *T, "--reveal", "--yes", *JSON).data()
    assert shown["headers"]["X-Team"] == "blue"


def test_one_value_comes_from_standard_input(run, robots):
    words = ("integrations", "add", "robots", *T, *ZONE, "--method", "file", "--input", "team=blue", "--input", "password=@password")
    added = run(*words, "--input", "key_file=-", given=(robots / "key.json").read_text())
    assert added.code == 0, added.err


def test_what_is_not_given_is_asked_for(robots):
    code, out, err = _talk(
        robots, "integrations", "add", "robots", *T, *ZONE,
        answers=[
            ("1 to 2: ", "3"), ("1 to 2: ", "2"), ("1 to 2: ", "1"),
            ("Key file (the path of its JSON file): ", "key.json"), ("Team: ", "blue"),
            ("Password (hidden): ", PASSWORD), ("Note (empty for none): ", ""),
        ],
    )  # fmt: skip
    assert code == 0, err
    assert "Which of these do you have?\n  1  Password\n  2  Certificate" in err
    assert "Download it from the console." in err
    assert PASSWORD not in out + err


def test_only_the_rest_is_asked_for(robots):
    given = ("--input", "key_file=@key.json", "--input", "password=@password", "--input", "note=x")
    code, _, err = _talk(robots, "integrations", "add", "robots", *T, *ZONE, *given, answers=[("Team: ", "blue")])
    assert code == 0, err


def test_reconnecting_asks_for_the_same_method_or_for_another(run, robots, provider):
    given = ("--input", "key_file=@key.json", "--input", "team=blue", "--input", "password=@password")
    held = run("integrations", "add", "robots", *T, *ZONE, *given, *JSON).data()["id"]
    again = run("integrations", "reconnect", held, *T, *given, *JSON)
    assert (again.code, again.data()["id"]) == (0, held)
    secret = provider.issue_api_key().reveal()
    answers = [("API token (hidden): ", secret)]
    code, out, err = _talk(robots, "integrations", "reconnect", "robots", *T, "--method", "token", answers=answers)
    assert code == 0, err
    assert secret not in out + err
    assert run("token", "robots", *T, "--reveal", "--yes").out.strip() == secret


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--input", f"password={PASSWORD}"), 2, "password is a secret, and an argument is seen in ps"),
        (("--input", PASSWORD), 2, "--input takes NAME=@FILE"),
        (("--input", f"{PASSWORD}=x"), 2, "it asks for token, key_file, team, password, cert, note"),
        (("--input", "team=a", "--input", "team=b"), 2, "--input team is there twice"),
        (("--input", "password=-", "--input", "cert=-"), 2, "only one --input"),
        (("--input", "password=@none"), 2, "--input password cannot be read"),
        (("--input", "team="), 4, "--input team is empty"),
        (("--input", "team=a", "--input", "token=@password"), 2, "--method says which one"),
        (("--input", "team=a"), 2, "give --input NAME=@FILE or NAME=- for key_file, password, cert"),
        (("--method", "nothing"), 2, "--method must be one of token, file"),
        (("--input", "team=a", "--api-key-file", "password"), 2, "exclude each other"),
        (("--input", "key_file=@password", "--input", "team=a", "--input", "password=@password"), 4, "--input key_file must be a whole"),
        (("--method", "token", "--input", "team=a"), 2, "it asks for token"),
    ],
)
def test_a_mistake_has_one_line_and_repeats_no_value(run, robots, words, code, says):
    ran = run("integrations", "add", "robots", *T, *ZONE, *words, given=PASSWORD)
    assert (ran.code, ran.out) == (code, "")
    assert says in " ".join(ran.err.split())
    assert PASSWORD not in ran.err


def test_a_consent_takes_no_inputs(run, robots, added):
    ran = run("integrations", "reconnect", added, *T, "--method", "nothing", "--input", "key=@password")
    assert (ran.code, ran.out) == (2, "")
    refused = run("connect", "simulated", *T, "--method", "nothing", "--no-browser", "--paste")
    assert (refused.code, "--method must be" in refused.err) == (4, True)


def test_a_provider_shows_its_methods_inputs_and_variables(run, robots):
    shown = run("providers", "show", "robots").out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Method token apikey" in lines
    assert "--input key_file Key file (secret, JSON file). Download it from the console." in lines
    assert "--input team Team" in lines
    assert "--input cert Certificate (secret, PEM file, one of the group proof)" in lines
    assert "--input note Note (optional)" in lines
    assert "--variable zone Zone (one of eu, us). Where it lives." in lines
    data = run("providers", "show", "robots", *JSON).data()
    assert [given["oneOf"] for given in data["methods"][1]["inputs"]] == [None, None, "proof", "proof", None]
    assert data["variables"][0]["choices"] == ["eu", "us"]


@pytest.mark.requirement("OAU-081", "ISO-20")
def test_a_secret_input_is_in_no_argument_output_or_log(run, robots, provider, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = [provider.valid_api_key.reveal(), PASSWORD, '"robby"']
    given = ("--input", "key_file=@key.json", "--input", "team=blue", "--input", "password=@password")
    seen = ""
    for words in (
        ("integrations", "add", "robots", *T, *ZONE, *given),
        ("integrations", "add", "robots", *T, *ZONE, *given),
        ("integrations", "reconnect", "robots", *T, *given),
        ("integrations", "show", "robots", *T),
        ("integrations", "verify", "robots", *T),
        ("audit", "list", *T),
    ):
        assert not any(secret in word for secret in secrets for word in words)
        for form in ("table", "json"):
            ran = run("--log-level", "debug", "--output", form, *words)
            seen += ran.out + ran.err
    seen += caplog.text
    assert "robots" in seen
    assert [secret for secret in secrets if secret in seen] == []


def test_a_file_of_another_kind_is_not_sent(run, robots, provider):
    (robots / "wrong.json").write_text(json.dumps({"type": "human", "key": {"token": "fake"}}))
    given = ("--input", "key_file=@wrong.json", "--input", "team=blue", "--input", "password=@password")
    ran = run("integrations", "add", "robots", *T, *ZONE, *given)
    assert (ran.code, "in which type is robot" in " ".join(ran.err.split())) == (4, True)
    assert provider.requests == ()


# Import


def test_an_imported_line_may_have_inputs(run, robots, provider):
    text = (robots / "key.json").read_text()
    line = {"tenantId": "acme", "provider": "robots", "variables": {"zone": "us"}, "method": "file"}
    inputs = {"key_file": text, "team": "blue", "password": PASSWORD}
    lines = [
        line | {"inputs": inputs},
        line | {"tenantId": "globex", "inputs": json.dumps(inputs)},
        line | {"tenantId": "initech", "inputs": {PASSWORD: ["x"]}},
        line | {"tenantId": "initech", "inputs": {"team": "blue"}},
        line | {"tenantId": "initech", "inputs": inputs, "apiKey": PASSWORD},
        line | {"tenantId": "initech", "inputs": PASSWORD},
        line | {"tenantId": "initech", "accessToken": PASSWORD},
        line | {"tenantId": "initech", "inputs": inputs, "accessToken": PASSWORD},
    ]
    (robots / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ran = run("import", "lines.jsonl", *JSON)
    assert {problem["line"]: problem["problem"] for problem in ran.data()["problems"]} == {
        3: "inputs: value error, must be text",
        4: "credentials.inputs.key_file is required by this provider",
        5: "inputs cannot be given together with apiKey or secretKey",
        6: "inputs: must be a JSON object",
        7: "method is only for apiKey or inputs",
        8: "inputs and OAuth2 tokens exclude each other",
    }
    assert ran.data()["imported"] == 2
    for secret in (PASSWORD, provider.valid_api_key.reveal()):
        assert secret not in ran.out + ran.err
    assert run("token", "robots", "-t", "globex", "--reveal", "--yes", *JSON).data()["headers"]["X-Team"] == "blue"
