"""The tools that hold the bars hold them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def check_coverage(load_tool: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.cloud_integrations.full_coverage]\nfiles = ["src/seal*.py"]\n')
    tool = load_tool("check_coverage")

    def check(**files: dict[str, list[Any]]) -> int:
        (tmp_path / "coverage.json").write_text(json.dumps({"files": {f"src/{name}.py": facts for name, facts in files.items()}}))
        return int(tool.main("coverage.json"))

    return check


@pytest.mark.requirement("TST-05")
def test_full_coverage_is_asked_of_the_files_named(check_coverage: Callable[..., int]) -> None:
    whole = {"missing_lines": [], "missing_branches": []}
    assert check_coverage(seal=whole, other={"missing_lines": [1], "missing_branches": []}) == 0
    assert check_coverage(seal={"missing_lines": [7], "missing_branches": []}) == 1
    assert check_coverage(seal=whole, sealing={"missing_lines": [], "missing_branches": [[3, 4]]}) == 1


@pytest.mark.requirement("TST-05")
def test_a_pattern_that_names_no_file_is_a_problem(check_coverage: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert check_coverage(other={"missing_lines": [], "missing_branches": []}) == 1
    assert "src/seal*.py: no such file was measured" in capsys.readouterr().out


def test_the_report_shows_every_requirement(load_tool: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps(
            {
                "t.py::test_a": {"requirements": ["ENC-01", "OAU-085", "Q07"], "result": "passed"},
                "t.py::test_b": {"requirements": ["ENC-01"], "result": "failed", "reason": "E   assert 1 == 2"},
                "t.py::test_c": {"requirements": ["REF-02"], "result": "skipped"},
                "t.py::test_d": {"requirements": [], "result": "failed", "reason": "E   OSError"},
            }
        )
    )
    assert load_tool("requirements").main([str(report)]) == 1
    shown = capsys.readouterr().out
    assert "ENC-01   failed\n           passed   t.py::test_a\n           failed   t.py::test_b\n" in shown
    assert "180 requirements: 1 passed, 1 skipped, 1 failed, 177 no test" in shown
    assert "Q07      passed\n           passed   t.py::test_a\nQ08      no test\n" in shown
    assert "76 quirks of providers: 1 passed, 0 skipped, 0 failed, 75 no test" in shown
    assert "21 classes of bugs: 0 passed, 0 skipped, 0 failed, 21 no test" in shown
    assert "Q45      no test\n           but: a token that works is never spent" in shown
    # Last, so that whoever sees only the end of a long log still learns what to mend.
    assert shown.endswith("FAILED in report: t.py::test_b: E   assert 1 == 2\nFAILED in report: t.py::test_d: E   OSError\n")


def test_each_quirk_is_named_by_a_test(root: Path, load_tool: Callable[[str], Any]) -> None:
    files = [file for where in ("tests", "adapters") for file in (root / where).rglob("test_*.py")]
    named = {name for file in files for name in _requirements(ast.parse(file.read_text(encoding="utf-8")))}
    tool = load_tool("requirements")
    assert set(tool.QUIRKS) - named == set()
    assert tool.LIMITS.keys() <= set(tool.QUIRKS)


@pytest.mark.requirement("TST-16")
def test_each_class_of_bugs_that_others_had_has_a_test_that_names_it(root: Path, load_tool: Callable[[str], Any]) -> None:
    files = [file for where in ("tests", "adapters") for file in (root / where).rglob("test_*.py")]
    named = {name for file in files for name in _requirements(ast.parse(file.read_text(encoding="utf-8")))}
    assert load_tool("requirements").BUGS.keys() - named == set()


def _requirements(tree: ast.AST) -> set[str]:
    marks = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "requirement"]
    return {str(name.value) for mark in marks for name in mark.args if isinstance(name, ast.Constant)}


def test_a_name_that_no_requirement_has_is_refused_when_tests_are_collected(tmp_path: Path) -> None:
    test = tmp_path / "test_a.py"
    test.write_text("import pytest\n\n\n@pytest.mark.requirement('Q07', 'ENC-99')\ndef test_a(): ...\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--confcutdir={ROOT}"]
    run = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), "-p", "conftest", str(test)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "::test_a names ENC-99, which is no requirement, quirk or class of bugs" in run.stderr


@pytest.mark.requirement("TST-14")
def test_no_test_sleeps_longer_than_fifty_milliseconds(root: Path) -> None:
    files = [file for where in ("tests", "adapters") for file in (root / where).rglob("*.py") if "integration" not in file.parts]
    sleeps = [f"{file.relative_to(root)}:{line}" for file in files for line in _long_sleeps(ast.parse(file.read_text(encoding="utf-8")))]
    assert sleeps == []


def _long_sleeps(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) == "sleep"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, int | float)
        and node.args[0].value > 0.05
    ]


def test_every_program_of_a_how_to_page_stands_behind_a_line_that_installs(load_tool: Callable[[str], Any]) -> None:
    howto = load_tool("howto")
    parts = [part for page in howto.PAGES for part in howto.parts(page)]
    assert all(part.install for part in parts)
    assert {part.page.name for part in parts} >= {"first-integration.md", "embed-in-fastapi.md", "test-your-integration.md"}


def test_a_page_is_read_in_parts(load_tool: Callable[[str], Any], tmp_path: Path) -> None:
    howto = load_tool("howto")
    page = tmp_path / "a-page.md"
    page.write_text(
        "```console\npython3 -m venv .venv && .venv/bin/pip install '.[httpx]'\n```\n```python\none\n```\n```python no-run\ntwo\n```\n"
        "```console\n$ pip install . 'flask<4'  # a second one\n```\n```console run\n$ flask\n```\n```console\n$ not run\n```\n"
    )
    first, second = howto.parts(page)
    assert (first.install, first.python, first.commands, first.program) == ((".[httpx]",), ["one\n"], [], "a_page.py")
    assert (second.install, second.python, second.commands) == ((".", "flask<4"), [], ["$ flask\n"])
    page.write_text("```python\none\n```\n")
    with pytest.raises(ValueError, match="stands before"):
        list(howto.parts(page))


def test_the_plain_data_of_key_formats_is_what_the_provider_files_say(load_tool: Callable[[str], Any]) -> None:
    tool = load_tool("key_formats")
    assert tool.TARGET.read_text(encoding="utf-8") == tool.written(), "run python tools/key_formats.py"
