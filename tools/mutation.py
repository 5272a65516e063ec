"""Change the code that guards access, one small change at a time, and have the tests notice: `mutation.py [ROOM...]`.

mutmut makes the changes and runs the tests. What is changed, which tests must notice, and which changes they need not notice, each with
its reason, is in `tests/mutation`, a file for each room.  The session `mutation` installs mutmut.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT = Path(__file__).parents[1]
ROOMS = ROOT / "tests/mutation"
REPORT = ROOT / ".cache/requirements/mutation.json"
LEAST: Final = 0.9
"""The share of changes that tests must notice in each room."""
NOTICED: Final = frozenset({"killed", "timeout"})
COPIED: Final = ("conftest.py", "pyproject.toml", "tests", "tools", "docs")
SENTENCES: Final = (r'^\s*raise \w+\(f?"[^"]*"\)', r"""field="\w+", problem=["'].*["']""")
"""Lines without changes: what an error says is for people. That it is raised is behaviour."""
# Each change starts pytest anew. So it loads the plugins that the tests need and no other, and collects no garbage twice.
PYTEST: Final = ("no:cacheprovider", "no:unraisableexception", "no:threadexception")
ENVIRONMENT: Final = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "pytest_asyncio.plugin,pytest_timeout",
    # The same result each time: Hypothesis chooses the same values where CI is set.
    "CI": "true",
    "PYTHONHASHSEED": "0",
}


class Room(NamedTuple):
    """What is changed together, and what must notice."""

    name: str
    files: Mapping[str, Sequence[str]]
    """Path of each file → the functions and methods in it that are changed; none: all."""
    tests: Sequence[str]
    without: Sequence[str]
    """Those of the tests that are left out: in the copy they would fail, or they take long."""
    unnoticed: Mapping[tuple[str, str], str]
    """Function and change → why no test need notice."""


class Mutant(NamedTuple):
    """One change."""

    function: str
    """Module, class and function, as in `sealing.Sealer.seal`."""
    status: str
    """What mutmut calls the result."""
    change: str = ""
    """The changed lines, as they are after the change; lines that are gone stand after `-`.

    It is read for what no test noticed, and for functions of which something is listed.
    """


class Result(NamedTuple):
    """What the tests of a room noticed."""

    lines: list[str]
    problems: list[str]


def main(
    names: Sequence[str] = (), *, rooms: Path = ROOMS, report: Path = REPORT, mutate: Callable[[Room], Sequence[Mutant]] | None = None
) -> int:
    """Print what was noticed in each room, write the report for `requirements.py`, and return 1 where a room has a problem."""
    tests: dict[str, dict[str, Any]] = {}
    for file in sorted(rooms.glob("*.toml")):
        if names and file.stem not in names:
            continue
        room = read_room(file)
        result = judge(room, (mutate or run)(room))
        print(*result.lines, *(f"    PROBLEM: {problem}" for problem in result.problems), sep="\n", flush=True)
        outcome = {"result": "failed", "reason": "; ".join(result.problems)[:600]} if result.problems else {"result": "passed"}
        tests[f"tests/mutation/{file.name}"] = {"requirements": ["TST-10"], **outcome}
    if not tests:
        print(f"no such room: {', '.join(names)}")
        return 1
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(tests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return int(any(test["result"] == "failed" for test in tests.values()))


def read_room(file: Path, /) -> Room:
    """Read a file of `tests/mutation`."""
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    listed = [((each["function"], change), each["reason"]) for each in read.get("unnoticed", ()) for change in each["changes"]]
    unnoticed = dict(listed)
    if len(unnoticed) != len(listed) or not all(unnoticed.values()):
        raise ValueError(f"{file.name}: a change is listed once, with a reason")
    return Room(name=file.stem, files=read["files"], tests=read["tests"], without=read.get("without", ()), unnoticed=unnoticed)


def judge(room: Room, mutants: Sequence[Mutant], /) -> Result:
    """Compare what the tests noticed with what the room lists."""
    survivors = [mutant for mutant in mutants if mutant.status not in NOTICED]
    noticed = len(mutants) - len(survivors)
    share = noticed / len(mutants) if mutants else 0.0
    result = Result([f"{room.name.replace('_', ' ')}: {len(mutants)} changes, {noticed} noticed, {share:.1%}"], [])
    if share < LEAST:
        result.problems.append(f"fewer than {LEAST:.0%} of the changes were noticed")
    found = dict.fromkeys((mutant.function, mutant.change) for mutant in survivors)
    for function, change in found:
        if reason := room.unnoticed.get((function, change)):
            result.lines.append(f"    {function}: {change}: {reason}")
        else:
            result.problems.append(f"not noticed, and not listed: {function}: {change}")
    made = {(mutant.function, mutant.change) for mutant in mutants}
    for function, change in room.unnoticed.keys() - found.keys():
        if (function, change) in made:
            # No failure, because some tests use what differs between two runs, and notice it in one of them.
            result.lines.append(f"    {function}: {change}: noticed this time; if it always is, it need not be listed")
        else:
            result.problems.append(f"listed, but it cannot be made any more: {function}: {change}")
    return result


def run(room: Room, /) -> list[Mutant]:
    """Have mutmut make the changes of a room in a copy of what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        _copy(tree)
        (tree / "setup.cfg").write_text(_settings(room), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1", *_patterns(room)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ENVIRONMENT
        ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(f"{room.name}: mutmut ended with {ran.returncode}\n{ran.stdout[-6000:]}{ran.stderr[-6000:]}")
        with contextlib.chdir(tree):
            return list(_read(room))


def _copy(tree: Path) -> None:
    """Copy the three packages into one folder, which mutmut takes for the one that they are imported from."""
    for where in (".", "adapters/fastapi", "adapters/cli"):
        for package in (ROOT / where / "src").glob("cloud_integrations*"):
            shutil.copytree(package, tree / "src" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*COPIED, "adapters/fastapi/tests"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)


def _settings(room: Room) -> str:
    lists = {
        "source_paths": ["src"],
        "only_mutate": [_in_copy(file) for file in room.files],
        "also_copy": [*COPIED, "adapters"],
        "do_not_mutate_patterns": SENTENCES,
        "pytest_add_cli_args_test_selection": room.tests,
        "pytest_add_cli_args": [
            "--quick",
            *(part for plugin in PYTEST for part in ("-p", plugin)),
            *(f"--deselect={test}" for test in room.without),
        ],
    }
    # mutmut allows a change fifteen times this constant, in seconds: five minutes, which only a hang reaches.
    return "[mutmut]\ntimeout_constant=20\n" + "".join(
        f"{name}=\n" + "".join(f"    {value}\n" for value in values) for name, values in lists.items()
    )


def _in_copy(file: str) -> str:
    return "src/" + file.rpartition("src/")[2]


def _patterns(room: Room) -> Iterator[str]:
    """Give mutmut's names for the functions of a room."""
    for file, functions in room.files.items():
        module = _in_copy(file).removeprefix("src/").removesuffix(".py").replace("/", ".")
        for function in functions or ("*",):
            class_name, _, name = function.rpartition(".")
            mangled = f"xǁ{class_name}ǁ{name}" if class_name else "x*" if name == "*" else f"x_{name}"
            yield f"{module}.{mangled}__mutmut_*"


def _read(room: Room) -> Iterator[Mutant]:
    """Read what mutmut has found out in the current folder; every function that the room names must have changes."""
    from mutmut.configuration import reset_config  # noqa: PLC0415  # the session `mutation` alone has it
    from mutmut.mutation.data import SourceFileMutationData  # noqa: PLC0415  # as above
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415  # as above
    from mutmut.stats import status_by_exit_code  # noqa: PLC0415  # as above

    reset_config()
    unused, listed = {*_patterns(room)}, {function for function, _ in room.unnoticed}
    for file in map(_in_copy, room.files):
        data = SourceFileMutationData(path=file)
        data.load()
        for name, exit_code in data.exit_code_by_key.items():
            chosen = {pattern for pattern in _patterns(room) if fnmatchcase(name, pattern)}
            if not chosen:
                continue
            unused -= chosen
            status = status_by_exit_code[exit_code]
            function = _function(name)
            is_named = status not in NOTICED or function in listed
            yield Mutant(function=function, status=status, change=_change(get_diff_for_mutant(name, path=file)) if is_named else "")
    if unused:
        raise SystemExit(f"{room.name} names functions without changes: {', '.join(sorted(unused))}")


def _function(mutant: str) -> str:
    module, _, mangled = mutant.partition("__mutmut_")[0].rpartition(".")
    name = mangled[2:].replace("ǁ", ".") if mangled.startswith("xǁ") else mangled.removeprefix("x_")
    return f"{module.rpartition('.')[2]}.{name}"


def _change(diff: str) -> str:
    """Return the lines that a change has made, or those that it has taken away."""
    changed = [line for line in diff.splitlines() if re.match(r"[+-](?!\+\+ |-- )", line)]
    made = [line[1:].strip() for line in changed if line.startswith("+")]
    return "\n".join(made or [f"- {line[1:].strip()}" for line in changed])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
