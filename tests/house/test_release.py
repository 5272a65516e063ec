"""A release: the same bytes from every build, from a tag, with a bill of materials and without any secret."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

SCHEMA = json.loads(Path(__file__).with_name("cyclonedx-1.6.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("release")


@pytest.fixture(scope="module")
def release(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    assert tool.main(["--untagged", str(folder)]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.requirement("SUP-04")
def test_two_builds_of_one_commit_at_two_places_are_the_same_bytes(release: Path) -> None:
    # `build` refuses where they differ; here stands what it wrote.
    sums = dict(line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    written = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in release.iterdir() if file.name != "SHA256SUMS"}
    assert written == sums
    assert sorted(file.suffix for file in release.iterdir()) == [""] + [".gz"] * 3 + [".json"] * 3 + [".whl"] * 3


@pytest.mark.requirement("SUP-04")
def test_what_two_builds_do_not_agree_on_is_no_release(tool: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    builds = iter([{"a.whl": b"one", "b.tar.gz": b"same"}, {"a.whl": b"other", "b.tar.gz": b"same"}])
    monkeypatch.setattr(tool, "_built_once", lambda: next(builds))
    assert tool.main(["--untagged", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "two builds of one commit differ: a.whl\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.requirement("SUP-04")
@pytest.mark.parametrize(
    ("status", "tags", "said"),
    [(" M README.md", "v0.1.0", "has changes that are in no commit"), ("", "v0.0.9", "has no tag v"), ("", "", "has no tag v")],
)
def test_a_release_is_built_from_the_tag_of_its_version(
    tool: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any, status: str, tags: str, said: str
) -> None:
    monkeypatch.setattr(tool, "_git", lambda command, *_: {"status": status, "tag": tags}[command])
    assert tool.main([str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.requirement("SUP-04")
def test_what_checks_and_builds_is_installed_by_its_hash_and_asks_for_no_secret(root: Path) -> None:
    # No service of another runs them: there is no file whose actions could move.
    assert [
        name for name in (".github", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "Jenkinsfile") if (root / name).exists()
    ] == []
    texts = [(root / name).read_text(encoding="utf-8") for name in (".ci/run", "noxfile.py", "tools/release.py")]
    assert [match for text in texts for match in re.findall(r"[A-Z_]*(?:TOKEN|PASSWORD|SECRET|API_KEY)[A-Z_]*", text)] == []
    assert "-r requirements/nox.txt" in texts[0]
    assert "--require-hashes" in texts[1]


@pytest.mark.slow
@pytest.mark.requirement("SUP-03")
@pytest.mark.parametrize("package", ["cloud_integrations", "cloud_integrations_fastapi", "cloud_integrations_cli"])
def test_each_wheel_has_a_bill_of_materials_that_follows_the_schema(package: str, release: Path) -> None:
    [wheel] = release.glob(f"{package}-*.whl")
    bill = json.loads((release / wheel.name.replace(".whl", ".cdx.json")).read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(bill)] == []
    itself = bill["metadata"]["component"]
    assert itself["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    refs = {itself["bom-ref"], *(component["bom-ref"] for component in bill["components"])}
    assert {edge["ref"] for edge in bill["dependencies"]} == refs
    assert {ref for edge in bill["dependencies"] for ref in edge["dependsOn"]} | {itself["bom-ref"]} == refs
    # Ours are built here; everything else is locked by its hashes.
    foreign = [component for component in bill["components"] if not component["name"].startswith("cloud-integrations")]
    assert [component["name"] for component in foreign if not component.get("hashes")] == []


@pytest.mark.requirement("SUP-03")
@pytest.mark.parametrize("wrong", [{"bomFormat": "SPDX"}, {"components": [{"type": "thing", "name": "a"}]}, {"more": 1}])
def test_the_schema_refuses_what_is_no_bill_of_materials(wrong: dict[str, Any]) -> None:
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(bill)) == []
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(bill | wrong))
