"""What the pages name exists: extras, commands, settings, Python names, files, sessions, numbers; and what they say is absent, is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pydoc
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud_integrations import Catalogue, IntegrationManager, Settings
from cloud_integrations.backends.sqlalchemy.databases import registered
from cloud_integrations.backends.sqlalchemy.databases.mariadb import unsupported_mysql
from cloud_integrations.backends.transport.httpx_transport import MAX_HEADERS
from cloud_integrations.domain import envelope, pending
from cloud_integrations.domain.replacement import LONGEST_WAIT, SHORTEST_WAIT
from cloud_integrations.flows.operate.audit_trail import MAX_PAGE
from cloud_integrations.flows.renew.refresh_due import AT_ONCE, HOLD
from cloud_integrations.flows.shared.revocation import KEEP_TRYING
from cloud_integrations.protocol import error_text as prose
from cloud_integrations.protocol import http, token_answer
from cloud_integrations.runtime import breaker
from cloud_integrations.runtime.caches import DenialWindows
from cloud_integrations_cli.reference import walk
from cloud_integrations_cli.settings import PREFIX, Configuration, Limits
from cloud_integrations_fastapi import reading
from cloud_integrations_fastapi.host import app

ROOT = Path(__file__).parents[2]
DRIVERS = {name: tuple(database.drivers) for database in registered() for name in database.names}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("adapters/*/*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
# The changelog and the decisions speak of what was, or was given up.
PRESENT = {name: text for name, text in TEXTS.items() if name != "CHANGELOG.md" and "/decisions/" not in name}

BLOCK = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
ROUTER: dict[str, Any] = tomllib.loads((ROOT / "adapters/fastapi/pyproject.toml").read_text(encoding="utf-8"))["project"]
DRIVER_NAMES = re.compile(
    r"\b(?:psycopg2?(?:cffi)?|pg8000|asyncpg|aiopg|pymysql|asyncmy|aiomysql|mysqlclient|mysqldb|mysqlconnector|mariadbconnector|aiosqlite|apsw"
    r"|pyodbc|aioodbc|oracledb|cx_oracle|pymssql|duckdb)\b",
    re.IGNORECASE,
)
# Names that are Python's, a framework's, a provider's SDK's or HTTP's.
FOREIGN = {
    *("AccessDenied", "AssumeRoleWithWebIdentity", "ExpiredTokenException", "InvalidIdentityToken", "StringEquals"),  # AWS
    *("AsyncWebClient", "ExceptionGroup", "RequestError", "RequestFailed", "SlackApiError", "WebClient"),
    *("AppConfig", "AsyncEngine", "BaseHTTPMiddleware", "DefaultAzureCredential", "HTTPException", "MultiFernet", "PermissionError"),
    *("ApiClient", "ApiException", "BadCredentialsException"),  # Kubernetes, PyGithub
    *(
        "CommandError",
        "ProcessPoolExecutor",
        "SoftTimeLimitExceeded",
        "TaskGroup",
        "HttpOnly",
        "SameSite",
        "ready",
        "create_engine",
        "CHAR",
        "VARCHAR",
        "varchar",
        "varbinary",
    ),
}
ROOT_COMMAND: Any = dict(walk())["cloud-integrations"]
WORDS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
}
UNITS = {"s": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


def _prose(text: str) -> str:
    return BLOCK.sub("", text)


def _found(pattern: str, texts: dict[str, str] = PRESENT) -> Iterator[tuple[str, re.Match[str]]]:
    return ((name, match) for name, text in texts.items() for match in re.finditer(pattern, text, re.MULTILINE))


def test_every_extra_that_a_page_names_exists() -> None:
    named = [(name, extra.strip()) for name, match in _found(r"(?:'\.|cloud-integrations)\[([\w, -]+)\]") for extra in match[1].split(",")]
    named += [(name, extra) for name, match in _found(r"\bextras? ((?:`[\w-]+`(?:, | and )?)+)") for extra in SPAN.findall(match[1])]
    assert len(named) > 20
    assert [found for found in named if found[1] not in EXTRAS | set(ROUTER["optional-dependencies"])] == []


def test_the_first_page_lists_every_extra() -> None:
    table = TEXTS["docs/index.md"].partition("## Install")[2].partition("\n## ")[0]
    listed = {extra for row in re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", table, re.MULTILINE) for extra in SPAN.findall(row)}
    assert listed == EXTRAS


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Give what follows `cloud-integrations` in code, split as a shell does."""
    for name, text in PRESENT.items():
        spans = SPAN.findall(_prose(text))
        lines = "\n".join(block[0] for block in BLOCK.finditer(text)).replace("\\\n", " ").splitlines()
        for code in (*spans, *lines):
            if match := re.search(r"(?:^|[\s/])cloud-integrations (?P<words>[a-z-][^#>|;]*)", code):
                yield name, shlex.split(match["words"].replace("<", ""))


def _parse(command: Any, words: list[str], /) -> None:
    """Parse as the program does, without running anything; raises for an unknown command or option."""
    below = getattr(command, "commands", {})
    _, rest, _ = command.make_parser(command.context_class(command)).parse_args(list(words))
    if below and rest:
        _parse(below[rest[0]], rest[1:])


def test_every_command_and_option_that_a_page_names_exists() -> None:
    commands = list(_commands())
    assert len(commands) > 30
    for name, words in commands:
        try:
            _parse(ROOT_COMMAND, words)
        except Exception as error:  # noqa: BLE001  # the parser that Typer brings has error classes of its own
            pytest.fail(f"{name}: cloud-integrations {' '.join(words)}: {error}")


@pytest.mark.parametrize("line", ["key list", "keys lists", "keys list --nothing", "--nothing keys list", "serve --demon"])
def test_the_search_for_commands_finds_wrong_ones(line: str) -> None:
    with pytest.raises(Exception, match=r"key|lists|nothing|demon"):
        _parse(ROOT_COMMAND, line.split())


def test_every_setting_that_a_page_names_exists() -> None:
    known = {field.name for field in dataclasses.fields(Settings)}
    named = {(name, match[1] or match[2]) for name, match in _found(r"\bSettings\.(\w+)|\bSettings\((\w+)=")}
    assert len(named) > 10
    assert {found for found in named if found[1] not in known} == set()


def test_the_servers_page_lists_every_setting_of_the_command_line() -> None:
    page = TEXTS["docs/how-to/run-the-server.md"]
    [limits] = re.findall(r"^\| `\[limits\]` \|(.*)\|$", page, re.MULTILINE)
    assert set(SPAN.findall(limits)) == set(Limits.model_fields)
    pages = page + TEXTS["docs/how-to/keep-keys-in-a-key-service.md"]
    assert {
        name
        for name in Configuration.model_fields
        if name != "file" and not re.search(rf"(?:`|\[)\[?{name}\b|^{name} = ", pages, re.MULTILINE)
    } == set()


def test_every_environment_variable_that_a_page_names_is_read() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8") for where in ("adapters", "tests", "benchmarks") for file in (ROOT / where).rglob("*.py")
    )
    settings = {f"{PREFIX}{name.upper()}" for name in Configuration.model_fields}
    named = {(name, match[0]) for name, match in _found(r"\bC(?:LOUD_INTEGRATIONS|I_TEST)_[A-Z_]+\b")}
    assert len(named) > 5
    assert {found for found in named if found[1] not in settings and found[1] not in code} == set()


def _written() -> set[str]:
    """Every name that the code of the three distributions, or a test tool, binds."""
    names: set[str] = set()
    for file in [*ROOT.glob("src/**/*.py"), *ROOT.glob("adapters/*/src/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


def test_every_python_name_that_a_page_uses_exists() -> None:
    known = _written() | FOREIGN
    wrong = set()
    for name, text in PRESENT.items():
        for span in SPAN.findall(_prose(text)):
            if re.fullmatch(r"cloud_integrations[\w.]*\.\w+(?:\(.*\))?", span):
                found = pydoc.locate(span.partition("(")[0]) is not None
            elif match := re.fullmatch(r"([A-Z][a-z]+[A-Z]\w*|\w+(?=\())(\(.*\))?", span):
                found = match[1] in known
            elif match := re.fullmatch(r"([A-Z][a-z]\w*)\.([a-z]\w*)(\(.*\))?", span):
                found = match[1] in known and match[2] in known
            else:
                continue
            if not found:
                wrong.add((name, span))
    assert wrong == set()


def test_every_file_that_a_page_names_exists() -> None:
    roots = "adapters|benchmarks|docs|examples|requirements|src|tests|tools"
    named = {(name, span) for name, text in PRESENT.items() for span in SPAN.findall(text) if re.fullmatch(rf"(?:{roots})/[\w./*-]*", span)}
    assert len(named) > 60
    assert {found for found in named if not any(ROOT.glob(found[1].rstrip("/")))} == set()


def test_every_nox_session_that_a_page_names_exists() -> None:
    sessions = set(re.findall(r"^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    named = {(name, match[1]) for name, match in _found(r"nox (?:-\w )*-s (\w+)")}
    assert {found for found in named if found[1] not in sessions} == set()
    assert set(re.findall(r"^\| `(\w+)` \|", TEXTS["CONTRIBUTING.md"], re.MULTILINE)) == sessions


def test_a_number_beside_a_setting_is_its_default() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(Settings) if isinstance(field.default, timedelta)}
    named = [
        (name, match) for name, match in _found(r"`(?:Settings\.)?(\w+)`,? \((\d+) (s|minutes|hours|days)[,;) ]") if match[1] in defaults
    ]
    assert len(named) > 5
    wrong = [(name, match[0]) for name, match in named if defaults[match[1]] != timedelta(seconds=int(match[2]) * UNITS[match[3]])]
    assert wrong == []


def test_a_number_beside_an_option_is_its_default() -> None:
    defaults = {name: option.default for _, command in walk() for option in command.params for name in option.opts}
    named = [(name, match) for name, match in _found(r"`(--[\w-]+)` \((\d+)\b")]
    assert len(named) > 1
    assert [(name, match[0]) for name, match in named if float(match[2]) != defaults[match[1]]] == []


def test_the_counts_of_providers_and_the_version_of_python_are_true() -> None:
    counted = [(name, WORDS[match[1].lower()]) for name, match in _found(rf"(?i)\b({'|'.join(WORDS)}) providers(?= as data|\b against)")]
    # Better no number than one that the next file makes wrong.
    assert {count for _, count in counted} <= {len(Catalogue.builtin().list_providers())}
    pythons = {match[1] for _, match in _found(r"Python (\d\.\d+) or (?:newer|later)")}
    assert {f">={python}" for python in pythons} == {PROJECT["requires-python"]}


# What a page says is absent, and how that is seen.  Another such sentence needs a line here.
ABSENT: dict[str, Callable[[], bool]] = {
    "Not released yet": lambda: "(not released)" in TEXTS["CHANGELOG.md"],
    "Nothing is released yet": lambda: "(not released)" in TEXTS["CHANGELOG.md"],
    "MySQL is not supported": lambda: "MySQL" in unsupported_mysql().message,
    "What is known and not used yet": lambda: True,  # a heading of data that the evidence files hold
}
NOT_YET = re.compile(r"[^.|\n]*(?:\b[Nn]ot (?:\w+ )?yet\b|, yet\b|\bnot (?:built|supported|implemented)\b|[Nn]othing is \w+ yet)[^.|\n]*")
# These speak of the state of a row or of a caller, and of no capability.
OTHER = (
    "does not exist yet",
    "does not know yet",
    "not yet; it waits",
    "not built in",
    "yet keep queries",
    "yet never named",
    "what does not yet",
    "cannot authenticate",
)


def _methods() -> list[str]:
    return [name for name, _ in inspect.getmembers(IntegrationManager, inspect.isfunction)]


def test_what_a_page_says_is_absent_is_absent() -> None:
    sentences = [(name, match[0]) for name, match in _found(NOT_YET.pattern) if not any(words in match[0] for words in OTHER)]
    known = {said: [sentence for sentence in sentences if said in sentence[1]] for said in ABSENT}
    assert [sentence for sentence in sentences if not any(said in sentence[1] for said in ABSENT) and sentence[1] != "## Not yet"] == []
    assert [said for said, found in known.items() if not found] == []
    assert [said for said, absent in ABSENT.items() if not absent()] == []


def test_each_line_under_not_yet_is_absent() -> None:
    listed = re.findall(r"^- (.*)$", TEXTS["status.md"].partition("## Not yet\n")[2], re.MULTILINE)
    assert [line for line in listed if not any(line.startswith(begin) for begin in MISSING)] == []
    assert [begin for begin in MISSING if not any(line.startswith(begin) for line in listed)] == []
    assert [begin for begin, absent in MISSING.items() if not absent()] == []


MISSING: dict[str, Callable[[], bool]] = {
    "Scheduled rotation": lambda: not any("schedule" in name for name in _methods()),
}


KIB = 1024
# Sentences with a number, each made from the constant that the code uses.
NUMBERS = [
    ("docs/how-to/prove-the-audit-log.md", f"in {DenialWindows.WINDOW:.0f} seconds and one process"),
    ("docs/how-to/prove-the-audit-log.md", f"at most {DenialWindows.PER_ACTOR}, a tenant at most {DenialWindows.PER_TENANT}."),
    ("docs/how-to/prove-the-audit-log.md", f"at most {MAX_PAGE} at once"),
    ("docs/how-to/refresh-in-the-background.md", f"at most {AT_ONCE} things at a time"),
    ("docs/how-to/refresh-in-the-background.md", f"At most {AT_ONCE} requests are out at once"),
    ("docs/how-to/refresh-in-the-background.md", f"out of the others' sight for {HOLD.total_seconds() / 60:.0f} minutes"),
    ("docs/how-to/use-tokens.md", f"of {SHORTEST_WAIT.seconds} seconds at first and {LONGEST_WAIT.seconds // 60} minutes at most"),
    ("docs/explanation/refresh.md", f"at least {SHORTEST_WAIT.seconds} seconds and at most {LONGEST_WAIT.seconds // 60} minutes"),
    ("docs/how-to/use-in-clients.md", f"after {SHORTEST_WAIT.seconds} seconds at first, later every {LONGEST_WAIT.seconds // 60} minutes"),
    ("docs/how-to/remove-for-good.md", f"for {KEEP_TRYING.days} days"),
    ("docs/how-to/handle-errors.md", f"at most {prose.MAX_PROSE} printable characters"),
    ("docs/how-to/run-the-server.md", f"retried every {app.RETRY_EVERY:.0f} seconds"),
    (
        "docs/explanation/security.md",
        f"answers end at {http.MAX_BODY // KIB} KiB, those of a token endpoint at {http.MAX_TOKEN_BODY // KIB} KiB",
    ),
    ("docs/explanation/security.md", f"which may have {envelope.PLAINTEXT_LIMIT // KIB} KiB"),
    ("docs/explanation/security.md", f"{pending.MAX_PENDING} for an actor in a tenant, {pending.MAX_PENDING_OF_TENANT} for a tenant"),
    ("docs/explanation/security.md", f"at most {DenialWindows.PER_ACTOR} rows for an actor and {DenialWindows.PER_TENANT} for a tenant"),
    ("docs/explanation/refresh.md", f"ASCII characters, at most {token_answer.MAX_TOKEN // KIB} KiB"),
    (
        "docs/explanation/refresh.md",
        f"may have {http.MAX_TOKEN_BODY // KIB} KiB, its headers {MAX_HEADERS // KIB} KiB, and JSON {http.MAX_DEPTH} levels",
    ),
    ("docs/explanation/refresh.md", f"five within {breaker.WINDOW_SECONDS:.0f} s"),
    ("docs/explanation/refresh.md", f"probes every {breaker.PROBE_SECONDS:.0f} s"),
    ("docs/reference/http.md", f"has at most {reading.BODY_LIMIT // KIB} KiB and is nested at most {reading.DEPTH_LIMIT} deep"),
    ("docs/reference/http.md", f"A query has at most {reading.QUERY_LIMIT // KIB} KiB"),
    ("docs/reference/http.md", f"at most {reading.FORM_LIMIT // KIB} KiB and {reading.FIELD_LIMIT} fields"),
    ("docs/reference/schema.md", f"at most {pending.MAX_PENDING} open rows in a tenant, a tenant at most {pending.MAX_PENDING_OF_TENANT}"),
]


@pytest.mark.parametrize(("page", "sentence"), NUMBERS)
def test_a_number_on_a_page_is_the_one_in_the_code(page: str, sentence: str) -> None:
    assert sentence in " ".join(TEXTS[page].split())


def test_the_page_on_databases_names_the_drivers_that_are_let_in_and_tested() -> None:
    named = set(re.findall(r"`(\w+\+\w+)`", TEXTS["docs/reference/databases.md"]))
    assert {name: set(drivers) for name, drivers in DRIVERS.items() if name != "mysql"} == {
        name: {found.partition("+")[2] for found in named if found.startswith(f"{name}+")} for name in ("sqlite", "postgresql", "mariadb")
    }
    # What the fixtures `sqlite`, `postgresql` and `mariadb` connect with, and what names a driver by itself.
    tested = {"sqlite+pysqlite", "postgresql+psycopg", "mariadb+pymysql"}
    for file in ("test_sqlalchemy_store", "test_drivers"):
        tested.update(re.findall(r"\"(\w+\+\w+)\"", (ROOT / f"tests/backends/{file}.py").read_text(encoding="utf-8")))
    assert named - tested == set()


def test_no_page_names_a_driver_that_is_not_let_in() -> None:
    allowed = {f"{name}+{driver}" for name, drivers in DRIVERS.items() for driver in drivers}
    found = {(page, url) for page, text in TEXTS.items() for url in re.findall(r"\b((?:sqlite|postgresql|mysql|mariadb)\+\w+)", text)}
    assert {(page, url) for page, url in found if url not in allowed} == set()
    names = {driver for drivers in DRIVERS.values() for driver in drivers} | {"mysqlclient"}  # the distribution of mysqldb
    said = {(page, match[0].lower()) for page, text in PRESENT.items() for match in DRIVER_NAMES.finditer(text)}
    assert {driver for _, driver in said} >= {"psycopg", "asyncpg"}
    assert {(page, driver) for page, driver in said if driver not in names} == set()
