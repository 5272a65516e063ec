"""What the pages list is what there is."""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

import cloud_integrations
from cloud_integrations import Settings, errors, testing
from cloud_integrations.domain import check, envelope
from cloud_integrations.domain.events import DETAILS, EVENTS, FACT_KEYS, Keys
from cloud_integrations.domain.integration import HEALTH, Health, Integration, State, Status
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import CloudIntegrationsError, http_status
from cloud_integrations.manager.audit import AuditLog
from cloud_integrations_fastapi.errors import problem_of

FLOWS = Path(inspect.getfile(cloud_integrations)).parent / "flows"


@pytest.fixture(scope="module")
def docs() -> Path:
    return Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def api(docs: Path) -> str:
    return (docs / "api.md").read_text(encoding="utf-8")


PARENTS = {"CredentialError", "OAuthError"}
"""Errors that nothing raises; they are there to be caught."""
ERRORS = [found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, CloudIntegrationsError)]


def test_the_reference_shows_each_method_as_it_is_called_and_what_it_raises(docs: Path, api: str) -> None:
    tool = runpy.run_path(str(docs.parent / "tools/api_page.py"))
    assert tool["written"](api) == api


@pytest.mark.parametrize("name", [*cloud_integrations.__all__, *testing.__all__])
def test_the_reference_names_everything_public(name: str, api: str) -> None:
    assert re.search(rf"`{name}\b", api)


def test_the_reference_has_each_setting_with_its_default(api: str) -> None:
    for setting in dataclasses.fields(Settings):
        default = setting.default if setting.default_factory is dataclasses.MISSING else setting.default_factory()
        shown = f"{default.total_seconds():.12g}" if hasattr(default, "total_seconds") else f"`{default}`"
        assert f"| `{setting.name}` | {shown} |" in api


@pytest.mark.parametrize(
    "name",
    [name for name in cloud_integrations.__all__ if dataclasses.is_dataclass(getattr(cloud_integrations, name)) and name != "Settings"],
)
def test_the_reference_names_each_field_of_a_value(name: str, api: str) -> None:
    kept = {"PendingAuthorization"}  # a value that hosts read a few fields of
    fields = [] if name in kept else [field.name for field in dataclasses.fields(getattr(cloud_integrations, name)) if field.name[0] != "_"]
    assert [field for field in fields if not re.search(rf"`{field}\b|\b{field}=", api)] == []


def test_an_integration_has_no_field_for_a_secret() -> None:
    assert {field.type for field in dataclasses.fields(Integration)} & {"Secret", "Secret | None", "bytes", "bytes | None"} == set()


def test_every_audit_action_and_fact_is_listed(api: str) -> None:
    listed = api.partition("## Audit actions")[2].partition("## Errors")[0]
    methods = {f"audit.{name}" for name in vars(AuditLog)}
    assert set(re.findall(r"`([a-z_]+\.[a-z_]+)`", listed)) - methods == DETAILS.keys()


@pytest.mark.parametrize(("page", "table"), [("facts", FACT_KEYS), ("audit", DETAILS)])
def test_the_tables_of_facts_and_of_actions_are_the_ones_in_code(docs: Path, page: str, table: Mapping[str, Keys]) -> None:
    page = (docs / f"reference/{page}.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if re.match(r"\| `[a-z_]+\.", line)]
    words = re.compile(r"`([a-z_]+)`")
    written = {name.strip("`"): (set(words.findall(keys)), set(words.findall(more))) for name, _, keys, more in rows}
    assert written == {name: (set(keys.always), set(keys.sometimes)) for name, keys in table.items()}
    explained = set(words.findall("".join(line.split("|")[1] for line in page.splitlines() if re.match(r"\| `[a-z_]+`", line))))
    assert explained == {key for keys in table.values() for key in keys.always | keys.sometimes}


def test_each_event_happens_in_a_flow_and_no_other_does() -> None:
    flows = "\n".join(path.read_text(encoding="utf-8") for path in FLOWS.rglob("*.py"))
    rooms = "|".join(sorted({name.partition(".")[0] for name in EVENTS}))
    assert set(re.findall(rf'"((?:{rooms})\.[a-z_]+)"', flows)) == EVENTS.keys()


def test_what_is_recorded_and_told_is_made_in_one_file() -> None:
    made = re.compile(r"\b(AuditEvent|Record|Fact)\(|observer\.tell\(")
    assert [str(path.relative_to(FLOWS)) for path in FLOWS.rglob("*.py") if made.search(path.read_text(encoding="utf-8"))] == [
        "shared/events.py"
    ]


_WORDS = {"RotationReason": "open", "SessionRefusal": "ended"}
"""A word of each closed list whose words an error explains."""


def _example(kind: type[CloudIntegrationsError]) -> CloudIntegrationsError:
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty:
            given[name] = timedelta(seconds=1) if name == "retry_after" else _WORDS.get(parameter.annotation, "test")
    return kind(**given)


def test_the_table_of_errors_is_true(docs: Path) -> None:
    page = (docs / "how-to/handle-errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([a-z/-]+)` \| (\d+) \| (yes|no) \|", page, re.MULTILINE)
    assert len(rows) > 20
    for name, code, status, retryable in rows:
        kind = getattr(errors, name)
        error = kind("test") if kind is errors.SetupError else _example(kind)
        assert (error.code, problem_of(error).status, error.retryable) == (code, int(status), retryable == "yes")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_on_the_page_of_errors(kind: type[CloudIntegrationsError], docs: Path) -> None:
    page = (docs / "how-to/handle-errors.md").read_text(encoding="utf-8")
    assert kind.__name__ in PARENTS or f"`{kind.__name__}`" in page


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Status", tuple(Status)),
        ("Health", tuple(Health)),
        ("State", tuple(State)),
        ("What became of a token", tuple(RevocationOutcome)),
        ("What a check found", get_args(check.CheckOutcome)),
    ],
)
def test_the_page_of_states_explains_each_word(heading: str, words: tuple[str, ...], docs: Path) -> None:
    section = (docs / "reference/states.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)) == set(words)


def test_the_page_of_errors_explains_each_reason_to_reconnect(docs: Path) -> None:
    reasons = (docs / "how-to/handle-errors.md").read_text(encoding="utf-8").partition("## Reasons\n")[2]
    assert re.findall(r"^\| `([a-z_]+)` \|", reasons, re.MULTILINE) == list(get_args(errors.ReconnectReason))


def test_each_state_has_the_status_and_health_that_the_page_says(docs: Path) -> None:
    page = (docs / "reference/states.md").read_text(encoding="utf-8")
    for state in State:
        [row] = re.findall(rf"^\| `{state.value}` \| (`{state.status.value}`) \| (.*) \|$", page, re.MULTILINE)
        assert row[1].startswith(f"`{HEALTH[state].value}`")


def test_a_front_end_finds_what_to_show_for_each_error_of_any_door(docs: Path) -> None:
    raised = {(f"{http_status(kind.__new__(kind))}", kind.code) for kind in ERRORS if kind.__name__ not in PARENTS}
    answered = set(re.findall(r"^\| (\d+) \| `([a-z/-]+)` \|", (docs / "reference/http.md").read_text(encoding="utf-8"), re.MULTILINE))
    shown = set(re.findall(r"^\| (\d+) \| `([a-z/-]+)` \|", (docs / "reference/states.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert shown == answered == raised


def test_the_layout_of_a_sealed_value_is_as_drawn(docs: Path) -> None:
    page = (docs / "explanation/security.md").read_text(encoding="utf-8")
    drawn = [(int(offset), int(length)) for offset, length in re.findall(r"^\| (\d+) \| (\d+) \|", page, re.MULTILINE)]
    header = [(0, 2), (2, 1), (3, 2), (5, envelope.KEY_ID_LENGTH)]
    salt, commitment = (21, envelope.SALT_LENGTH), (53, envelope.COMMITMENT_LENGTH)
    assert drawn == [*header, salt, commitment]
    assert (envelope.HEADER_LENGTH, envelope.PREFIX_LENGTH, envelope.OVERHEAD) == (21, 85, 101)


def test_every_page_can_be_reached_from_the_first(docs: Path) -> None:
    index = (docs / "index.md").read_text(encoding="utf-8")
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if "decisions" not in path.parts} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([^)#]+\.md)\)", index)) == set()


def test_decisions_are_numbered_without_a_gap(docs: Path) -> None:
    pages = sorted((docs / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for number, page in enumerate(pages, start=1):
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")
