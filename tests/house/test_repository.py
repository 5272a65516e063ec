"""What the files of this repository may and must hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cloud_integrations.backends.sqlalchemy.databases import registered

DISTRIBUTIONS = (".", "adapters/fastapi", "adapters/cli")
LOCKS = ("aiobotocore", "clients", "demo", "dev", "drivers", "examples", "httpx", "httpx2", "lowest", "mutation", "nox", "sqlalchemy-2.0")
# With its extras: the pip that Python 3.11 brings takes `coverage==…` for no answer to `coverage[toml]`.
LOCKED = r"([\w.-]+)(?:\[[\w, -]+\])?=="

MOST_LINES = 400
# Files with more lines than that, each for its reason.
LONG_FILES = {
    "src/cloud_integrations/errors.py": "one tree, drawn at its top; beside each class stands what its reader is told",
    "tests/protocol/test_token_answer_shapes.py": "one table of 300 cases",
}

# Written so that no pattern matches its own text.
PLACES = re.compile(
    r"/wor[k]/|/roo[t]/|/(?:home|Users)/[a-z][\w-]*/|/opt/[p]ypi|/opt/[w]heels|(?:test\.)?pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com"
)
SECRETS = re.compile(
    r"(?:AKIA|ASIA)[0-9A-Z]{16}|gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"
    r"|do[opr]_v1_[0-9a-f]{40,}|xox[abprs]-[\w-]{10,}|[rs]k_live_\w{16,}|eyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[\w+/=]{32,}"
)
MARKED = re.compile(r"fake|test|example", re.IGNORECASE)


def _project(root: Path, distribution: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((root / distribution / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _dependencies(project: dict[str, Any]) -> list[str]:
    return [*project.get("dependencies", []), *(line for extra in project.get("optional-dependencies", {}).values() for line in extra)]


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower()


def test_the_three_distributions_have_one_version(root: Path) -> None:
    import cloud_integrations

    assert {_project(root, distribution)["version"] for distribution in DISTRIBUTIONS} == {cloud_integrations.__version__}


def test_adapters_pin_the_library_of_their_own_version(root: Path) -> None:
    version = _project(root, ".")["version"]
    ours = [
        line
        for distribution in DISTRIBUTIONS[1:]
        for line in _dependencies(_project(root, distribution))
        if line.startswith("cloud-integrations")
    ]
    assert ours
    assert [line for line in ours if not line.endswith(f"=={version}")] == []


@pytest.mark.requirement("SUP-01")
def test_every_dependency_has_its_reason_written_down(root: Path) -> None:
    reasons = (root / "docs/decisions/0001-dependencies.md").read_text(encoding="utf-8")
    names = {_name(line) for distribution in DISTRIBUTIONS for line in _dependencies(_project(root, distribution))}
    assert {name for name in names if not name.startswith("cloud-integrations") and f"| {name} |" not in reasons} == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_hold_hashes_and_no_address(lock: str, root: Path) -> None:
    text = (root / f"requirements/{lock}.txt").read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    assert [entry for entry in entries if not re.match(LOCKED + r"\S+ .*--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert "://" not in text


@pytest.mark.requirement("SUP-05", "B20")
def test_only_versions_that_are_a_week_old_are_locked(root: Path) -> None:
    assert "--exclude-newer P7D " in (root / "noxfile.py").read_text(encoding="utf-8")


def test_every_dependency_is_locked(root: Path) -> None:
    # `aiobotocore` and `clients` are installed on top of `dev`.
    texts = [(root / f"requirements/{lock}.txt").read_text(encoding="utf-8") for lock in ("dev", "aiobotocore", "clients")]
    locked = {name for text in texts for name in re.findall(rf"^{LOCKED}", text, re.MULTILINE)}
    wanted = {_name(line) for distribution in DISTRIBUTIONS for line in _dependencies(_project(root, distribution))}
    assert {name for name in wanted if not name.startswith("cloud-integrations")} <= locked


def test_no_file_names_a_machine_or_a_package_registry(tracked: list[Path], root: Path) -> None:
    found = [f"{file.relative_to(root)}: {match[0]}" for file in tracked for match in PLACES.finditer(file.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.requirement("SUP-08")
def test_no_file_holds_what_looks_like_a_real_secret(tracked: list[Path], root: Path) -> None:
    found = [
        f"{file.relative_to(root)}: {match[0][:10]}…"
        for file in tracked
        for match in SECRETS.finditer(file.read_text(encoding="utf-8"))
        if not MARKED.search(match[0])
    ]
    assert found == []


@pytest.mark.requirement("SUP-08")
@pytest.mark.parametrize("prefix", ["AKIA" + "Q" * 16, "ghp_" + "a1" * 18, "GOCSPX-" + "x9" * 12, "dop_v1_" + "0f" * 32])
def test_the_search_for_secrets_finds_them(prefix: str) -> None:
    assert SECRETS.search(f'token = "{prefix}"')
    assert not MARKED.search(prefix)


def test_every_module_says_what_it_is(sources: list[Path], root: Path) -> None:
    assert [str(file.relative_to(root)) for file in sources if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))] == []


def test_no_file_has_more_lines_than_one_subject_takes(root: Path) -> None:
    rooms = ("src", "adapters", "tests", "tools", "benchmarks", "examples")
    files = [root / "noxfile.py", *(file for room in rooms for file in sorted((root / room).rglob("*.py")))]
    lines = {str(file.relative_to(root)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    # A file that has become short enough is no exception any more.
    assert {name for name, count in lines.items() if count > MOST_LINES} == set(LONG_FILES)


def test_no_module_is_a_thing_looking_for_its_name(sources: list[Path], root: Path) -> None:
    nameless = {"common", "helper", "helpers", "misc", "util", "utils"}
    assert [str(file.relative_to(root)) for file in sources if nameless & {file.stem, *file.relative_to(root).parts}] == []


def _names_a_database(node: ast.AST) -> bool:
    names = {name for database in registered() for name in (*database.names, *database.drivers)}
    match node:
        case ast.Constant():
            return node.value in names
        case ast.keyword():
            return (node.arg or "").partition("_")[0] in names
        case ast.Attribute():
            return ast.unparse(node).endswith(("dialect.name", "dialect.driver"))
        case ast.ImportFrom():
            return (node.module or "").startswith("sqlalchemy.dialects")
    return False


def test_only_the_room_of_databases_names_one(sources: list[Path], root: Path) -> None:
    room = root / "src/cloud_integrations/backends/sqlalchemy/databases"
    found = {
        str(file.relative_to(root))
        for file in sources
        if file.is_relative_to(root / "src") and any(map(_names_a_database, ast.walk(ast.parse(file.read_text(encoding="utf-8")))))
    }
    assert found == {str((room / f"{name}.py").relative_to(root)) for name in ("__init__", "mariadb", "poolers", "postgresql", "sqlite")}


def _asks_for_a_kind(node: ast.AST) -> bool:
    match node:
        case ast.Compare():
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            asks = any(side.endswith(("method.kind", ".methods[0].kind")) for side in sides)
            return asks or any("AuthType." in side for side in sides)
        case ast.ImportFrom():
            return (node.module or "").startswith("cloud_integrations.kinds.") and node.module != "cloud_integrations.kinds.kind"
    return False


def test_only_the_room_of_kinds_asks_which_kind_of_credential_it_is(sources: list[Path], root: Path) -> None:
    found = {
        file.relative_to(root / "src/cloud_integrations").parts[0]
        for file in sources
        if file.is_relative_to(root / "src") and any(map(_asks_for_a_kind, ast.walk(ast.parse(file.read_text(encoding="utf-8")))))
    }
    assert found == {"kinds"}


def test_every_package_says_that_it_is_typed(root: Path) -> None:
    packages = [
        package
        for distribution in DISTRIBUTIONS
        for package in (root / distribution / "src").glob("cloud_integrations*")
        if package.is_dir()
    ]
    assert len(packages) == len(DISTRIBUTIONS)
    assert [package.name for package in packages if not (package / "py.typed").is_file()] == []


def test_the_checks_begin_with_the_readmes_commands_and_run_every_session(root: Path) -> None:
    lines = re.findall(r"^ *(?:\.venv/bin/nox -s|sessions) ([\w ]+)", (root / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    run = " ".join(lines).split()
    assert run[0] == "bare"  # finds the two commands in the README
    sessions = set(re.findall(r"^@nox\.session.*\ndef (\w+)", (root / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    # `bare` runs `tests`, and `versions` is that with other Pythons; the pages are run with the house; locking changes files.
    assert sessions - set(run) == {"tests", "versions", "docs", "lock"}


def test_the_checks_run_every_supported_python(root: Path) -> None:
    text = (root / "noxfile.py").read_text(encoding="utf-8")
    run = (root / ".ci/run").read_text(encoding="utf-8").split()
    pinned = re.findall(r'^@nox\.session\(python="([\d.]+)".*\ndef (\w+)', text, re.MULTILINE)
    chosen = {version for version, session in pinned if session in run}
    [supported] = re.findall(r"^@nox\.session\(python=\[(.*?)\]", text, re.MULTILINE)
    assert set(re.findall(r"[\d.]+", supported)) == chosen


def test_each_floor_is_the_version_that_the_oldest_lock_tests(root: Path) -> None:
    # What is in `aiobotocore` or `clients` alone is tested in that version.
    locks = [(root / f"requirements/{lock}.txt").read_text(encoding="utf-8") for lock in ("aiobotocore", "clients", "lowest")]
    tested = {name: version for lock in locks for name, version in re.findall(rf"^{LOCKED}(\S+)", lock, re.MULTILINE)}
    floors = [
        match.groups()
        for distribution in DISTRIBUTIONS
        for line in _dependencies(_project(root, distribution))
        if (match := re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line))
    ]
    assert len(floors) > 20
    assert {name: floor for name, floor in floors if not f"{tested[name.lower()]}.".startswith(f"{floor}.")} == {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[1:])
def test_each_distribution_has_the_same_license(distribution: str, root: Path) -> None:
    assert (root / distribution / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()
