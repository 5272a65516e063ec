"""The program that has the code changed says when the tests notice too little."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

LISTED = """
tests = ["tests/test_seal.py"]
[files]
"src/cloud_integrations/seal.py" = []
[[unnoticed]]
function = "seal.wait"
changes = ["return 2", "return 3"]
reason = "equivalent: both are too long"
"""


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("mutation")


@pytest.fixture
def judged(tool: ModuleType, tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Return a function that judges changes that were not noticed, beside some that were."""

    def judge(*unnoticed: tuple[str, str], noticed: int = 100, listed: str = LISTED, names: tuple[str, ...] = ()) -> SimpleNamespace:
        (tmp_path / "seals.toml").write_text(listed, encoding="utf-8")
        mutants = [tool.Mutant(function="seal.seal", status="killed") for _ in range(noticed)]
        mutants += [tool.Mutant(function=function, status="survived", change=change) for function, change in unnoticed]
        code = tool.main(names, rooms=tmp_path, report=tmp_path / "report.json", mutate=lambda room: mutants)
        return SimpleNamespace(code=code, tests=json.loads((tmp_path / "report.json").read_text()))

    return judge


@pytest.mark.requirement("TST-10")
def test_a_room_whose_unnoticed_changes_are_listed_proves_the_requirement(judged: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = judged(("seal.wait", "return 2"), ("seal.wait", "return 3"))
    assert (result.code, result.tests) == (0, {"tests/mutation/seals.toml": {"requirements": ["TST-10"], "result": "passed"}})
    shown = capsys.readouterr().out
    assert "seals: 102 changes, 100 noticed, 98.0%" in shown
    assert "seal.wait: return 3: equivalent: both are too long" in shown


@pytest.mark.requirement("TST-10")
@pytest.mark.parametrize(
    ("unnoticed", "noticed", "problem"),
    [
        ([("seal.wait", "return 2"), ("seal.wait", "return 3"), ("seal.wait", "return 4")], 100, "not listed: seal.wait: return 4"),
        ([("seal.wait", "return 2"), ("seal.wait", "return 3"), ("seal.open", "return 3")], 100, "not listed: seal.open: return 3"),
        ([("seal.wait", "return 2")], 100, "cannot be made any more: seal.wait: return 3"),
        ([("seal.wait", "return 2"), ("seal.wait", "return 3")], 17, "fewer than 90% of the changes were noticed"),
        ([], 0, "fewer than 90% of the changes were noticed"),
    ],
)
def test_what_is_not_listed_what_is_listed_in_vain_and_a_low_share_each_fail(
    judged: Any, unnoticed: list[tuple[str, str]], noticed: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = judged(*unnoticed, noticed=noticed)
    [test] = result.tests.values()
    assert (result.code, test["result"]) == (1, "failed")
    assert problem in test["reason"]
    assert f"PROBLEM: {test['reason'].split('; ')[0]}" in capsys.readouterr().out


def test_what_is_listed_and_was_noticed_once_is_said_and_fails_nothing(tool: ModuleType) -> None:
    room = tool.Room(name="seals", files={}, tests=(), without=(), unnoticed={("seal.wait", "return 2"): "equivalent"})
    result = tool.judge(room, [tool.Mutant(function="seal.wait", status="killed", change="return 2")])
    assert result.problems == []
    assert "seal.wait: return 2: noticed this time" in result.lines[-1]


def test_nine_of_ten_are_enough(judged: Any) -> None:
    assert judged(("seal.wait", "return 2"), ("seal.wait", "return 3"), noticed=18).code == 0


@pytest.mark.parametrize("status", ["survived", "no tests", "not checked", "suspicious", "segfault", "check was interrupted by user"])
def test_only_a_test_that_fails_or_takes_too_long_has_noticed(tool: ModuleType, status: str) -> None:
    room = tool.Room(name="seals", files={}, tests=(), without=(), unnoticed={})
    of_a_hundred = [tool.Mutant(function="seal.seal", status=noticed) for noticed in ("killed", "timeout") * 50]
    assert tool.judge(room, of_a_hundred).problems == []
    assert len(tool.judge(room, [*of_a_hundred, tool.Mutant(function="seal.seal", status=status, change="x")]).problems) == 1


def test_a_change_is_listed_once_and_with_a_reason(judged: Any) -> None:
    for wrong in (LISTED.replace("return 3", "return 2"), LISTED.replace("equivalent: both are too long", "")):
        with pytest.raises(ValueError, match=r"seals\.toml: a change is listed once, with a reason"):
            judged(listed=wrong)


def test_a_room_that_does_not_exist_proves_nothing(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["no_room"], rooms=tmp_path, report=tmp_path / "report.json") == 1
    assert "no such room: no_room" in capsys.readouterr().out
    assert not (tmp_path / "report.json").exists()


def test_a_change_is_named_by_its_lines(tool: ModuleType) -> None:
    head = "--- src/seal.py\n+++ src/seal.py\n@@ -1,3 +1,3 @@\n def seal():\n"
    assert tool._change(f"{head}-    return 1\n+    return 2\n") == "return 2"
    assert tool._change(f"{head}-        case 1:\n-            return 2\n     x\n") == "- case 1:\n- return 2"


def test_functions_and_methods_have_their_own_names(tool: ModuleType) -> None:
    room = tool.Room(
        name="seals",
        files={"adapters/fastapi/src/cloud_integrations_fastapi/gate.py": ["Gate.admit", "read"], "src/cloud_integrations/a/seal.py": []},
        tests=(),
        without=(),
        unnoticed={},
    )
    assert list(tool._patterns(room)) == [
        "cloud_integrations_fastapi.gate.xǁGateǁadmit__mutmut_*",
        "cloud_integrations_fastapi.gate.x_read__mutmut_*",
        "cloud_integrations.a.seal.x*__mutmut_*",
    ]
    assert tool._function("cloud_integrations_fastapi.gate.xǁGateǁ_ask__mutmut_3") == "gate.Gate._ask"
    assert tool._function("cloud_integrations.a.seal.x__derive__mutmut_12") == "seal._derive"


def test_every_room_names_files_tests_and_reasons(tool: ModuleType, root: Path) -> None:
    rooms = [tool.read_room(file) for file in sorted((root / "tests/mutation").glob("*.toml"))]
    assert {room.name for room in rooms} == {"authorization", "oauth_callback", "oauth_messages", "sealing", "state_machine"}
    for room in rooms:
        named = [*room.files, *(test.partition("::")[0] for test in (*room.tests, *room.without))]
        assert [name for name in named if not (root / name).is_file()] == []
