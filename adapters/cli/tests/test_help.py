"""The commands as they present themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_integrations_cli.exits import MEANINGS
from cloud_integrations_cli.reference import build_page, walk
from cloud_integrations_cli.summaries import SUMMARIES

from .conftest import PATIENCE

PAGE = Path(__file__).parents[3] / "docs/reference/cli.md"
COMMANDS = [path for path, _ in walk()]
HEAVY = (
    "alembic",
    "cryptography",
    "fastapi",
    "httpx",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sqlalchemy",
    "uvicorn",
    "asyncio",
    "cloud_integrations",
)
LOADED = """
import sys
from cloud_integrations_cli.__main__ import main
sys.argv = ["cloud-integrations", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print("\\nLOADED", *sys.modules)
"""


@pytest.mark.parametrize("words", [["--help"], ["integrations", "--help"], ["connect", "--help"], ["--version"]], ids="-".join)
def test_help_loads_nothing_heavy(words):
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert "typer" in loaded
    # Newer versions of Typer read the first value with pydantic.
    theirs = {"pydantic"} if words != ["--help"] else set()
    heavy = set(HEAVY) - theirs - ({"cloud_integrations"} if words == ["--version"] else set())
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["keys", "--help"], {"commands.keys"}),
        (["keys", "lst"], {"commands.keys"}),
        (["keyz"], set()),
        (["import", "--help"], {"commands.import_"}),
        (["db", "sql"], {"commands.db", "actions.db"}),
        (["tokens", "generate", "--actor", "service:a", "-t", "acme"], {"commands.tokens", "actions.tokens"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_call_loads_its_own_command_alone(words, loaded):
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True)
    modules = done.stdout.rpartition("LOADED ")[2].split()
    ours = {name.removeprefix("cloud_integrations_cli.") for name in modules}
    assert {name for name in ours if name.startswith(("commands.", "actions."))} == loaded


def test_what_the_root_says_of_a_command_is_what_the_command_says():
    said = {path.split()[1]: command.get_short_help_str(200) for path, command in walk() if len(path.split()) == 2}
    assert list(said.items()) == list(SUMMARIES.items())


def test_a_list_of_providers_loads_no_database_no_http_client_and_no_cryptography(home):
    done = subprocess.run([sys.executable, "-c", LOADED, "providers", "list"], capture_output=True, text=True, check=True, cwd=home)
    assert "simulated_keys" in done.stdout
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    needless = {"alembic", "cryptography", "fastapi", "httpcore", "httpx", "rich", "sqlalchemy", "starlette", "uvicorn", "platformdirs"}
    assert loaded & needless == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command):
    words = command.split()[1:]
    ran = run(*words, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: {command}")
    assert ran.out.isascii()
    assert all(len(line) <= 100 for line in ran.out.splitlines())


def test_every_command_and_option_has_words():
    for path, command in walk():
        assert command.help, path
        assert [parameter.name for parameter in command.params if not parameter.help] == [], path


def test_a_list_of_commands_is_not_cut_short(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for path, command in walk():
        if hasattr(command, "commands"):
            assert "..." not in run(*path.split()[1:], "--help").out.partition("Commands:")[2], path


@pytest.mark.requirement("ISO-20")
def test_no_option_takes_a_secret():
    options = {option for _, command in walk() for parameter in command.params for option in parameter.opts if option.startswith("--")}
    secretive = {option for option in options if re.search(r"key|secret|token|password|code", option)}
    # What stands behind these is a file, standard input, a switch, a number, or an address.
    assert secretive == {
        "--client-secret-file",
        "--client-secret-stdin",
        "--api-key-file",
        "--api-key-stdin",
        "--secret-key-file",
        "--fernet-key-file",
        "--data-keys",
        "--keep-keys",
        "--key-version",
        "--revoke-key",
        "--token-url",
    }


@pytest.mark.requirement("ISO-20")
def test_exit_codes_are_in_the_help_and_never_change(run):
    shown = run("--help").out
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", shown, re.MULTILINE)
    assert list(MEANINGS) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("IntegrationNotFoundError", 3),
        ("ValidationFailedError", 4),
        ("InvalidCredentialsError", 5),
        ("ReconnectRequiredError", 5),
        ("GrantRefusedError", 5),
        ("AnswerLostError", 6),
        ("RefreshInProgressError", 6),
        ("CommitUnknownError", 7),
        ("KeyringError", 8),
        ("SchemaError", 8),
        ("ConfigurationError", 8),
        ("AppMisconfiguredError", 8),
        ("DecryptError", 8),
        ("IntegrationExistsError", 9),
        ("IntegrationInactiveError", 9),
        ("ForbiddenError", 10),
        ("CloudIntegrationsError", 1),
    ],
)
def test_each_class_of_error_has_its_code(name, code):
    from cloud_integrations import errors
    from cloud_integrations_cli.exits import exit_code

    kind = getattr(errors, name)
    assert exit_code(kind.__new__(kind)) == code


def test_a_mistake_of_ours_is_one_line_without_its_text(run, monkeypatch):
    def fail(*_):
        raise RuntimeError("fake-secret in a text")

    monkeypatch.setattr("cloud_integrations_cli.settings.load", fail)
    ran = run("keys", "list")
    assert ran.code == 1
    assert re.fullmatch(r"error: internal error \(RuntimeError at test_help\.py:\d+\)\n  Please report this line\.\n", ran.err)


def test_an_interruption_has_its_code(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cloud_integrations_cli.settings.load", interrupt)
    assert run("keys", "list").code == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("integration", "no such command; did you mean 'integrations'?"),
        ("integrations lst", "no such command; did you mean 'list'?"),
        ("integrations remove", "no such command; did you mean 'delete'?"),
        ("db migrate", "no such command; did you mean 'upgrade'?"),
        ("rotate", "no such command; did you mean 'cloud-integrations incident rotate' or 'cloud-integrations keys rotate'?"),
        (
            "verify",
            "no such command; did you mean 'cloud-integrations integrations verify' or 'cloud-integrations audit verify'?",
        ),
        ("xyzzy", "no such command"),
        ("integrations list --tennant acme", "no such option: --tennant; did you mean '--tenant'?"),
        ("providers list --json", "no such option: --json; did you mean '--output json'?"),
        (
            "integrations add github -t acme --api-key fake",
            "no such option: --api-key; did you mean '--api-key-file' or '--api-key-stdin'?",
        ),
        ("providers list --config file", "--config goes before the command: cloud-integrations --config …"),
        ("providers list --xyzzy", "no such option: --xyzzy"),
    ],
)
def test_a_wrong_word_is_answered_with_a_near_one(run, words, said):
    ran = run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"error: {said}"
    assert re.fullmatch(r"  Try 'cloud-integrations[ \w-]* --help'\.", ran.err.splitlines()[1])


@pytest.mark.requirement("ISO-20")
@pytest.mark.parametrize(
    "words",
    [
        ("fake-pasted-secret",),
        ("providers", "fake-pasted-secret"),
        ("providers", "list", "fake-pasted-secret"),
        ("providers", "list", "-----BEGIN fake-pasted-secret"),
        ("providers", "list", "--api-key=fake-pasted-secret"),
        ("audit", "list", "-t", "acme", "--limit", "fake-pasted-secret"),
        ("integrations", "add", "github", "-t", "acme", "--api-key-stdin=fake-pasted-secret"),
    ],
)
def test_what_was_pasted_in_the_wrong_place_is_not_repeated(run, words):
    ran = run(*words)
    assert ran.code == 2
    assert "fake-pasted" not in ran.out + ran.err


@pytest.mark.parametrize("path", [path for path, command in walk() if hasattr(command, "commands")])
def test_a_call_without_a_command_shows_help_and_is_no_error(run, path):
    words = path.split()[1:]
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == run(*words, "--help").out
    assert "no command" in MEANINGS[ran.code]


def test_usage_errors_are_json_for_programs(run):
    import json

    assert json.loads(run("keys", "list", "--nonsense", "--output", "json").err)["error"]["code"] == "usage"


def test_the_shell_completes_commands_and_providers():
    import os

    def complete(line: str) -> str:
        env = {**os.environ, "_CLOUD_INTEGRATIONS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        done = subprocess.run(
            [sys.executable, "-m", "cloud_integrations_cli"], env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        return done.stdout

    assert "integrations" in complete("cloud-integrations integ").split()
    assert "github" in complete("cloud-integrations providers show gith").split()


def test_the_reference_page_is_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == build_page(), "python -m cloud_integrations_cli.reference > docs/reference/cli.md"


def test_version(run):
    assert re.fullmatch(r"cloud-integrations \d+\.\d+\.\d+\n", run("--version").out)
