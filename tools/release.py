"""Build a release: `release.py FOLDER`, from the tag of this version.

Each distribution is built twice, in two copies of the commit at different places, and must come out the same, byte for byte.  Beside the
wheels and source distributions stand a bill of materials for each wheel (CycloneDX 1.6) and `SHA256SUMS`.  Nothing is uploaded, and no
secret is needed.  `--untagged` builds any commit, to try it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import uuid
import zipfile
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = (".", "adapters/fastapi", "adapters/cli")
LOCK = ROOT / "requirements/dev.txt"
LOCKED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+) (?P<hashes>.*)$", re.MULTILINE)
_BOM_IDS = uuid.UUID("6f1f0c55-7f1e-5d8e-9d5b-0f9c3c1f5c11")


class ReleaseError(Exception):
    """Why there is no release."""


def main(arguments: list[str]) -> int:
    """Build everything into a folder; return 1, and leave the folder empty, where something is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--untagged", action="store_true", help="build a commit that has no tag of this version")
    asked = parser.parse_args(arguments)
    try:
        if not asked.untagged:
            _require_tag()
        files = build()
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (asked.folder / name).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {name}")
    return 0


def build() -> dict[str, bytes]:
    """Return every file of the release by its name.  Raises `ReleaseError` where two builds differ."""
    built = _built_once()
    again = _built_once()
    if different := sorted(name for name in built.keys() | again.keys() if built.get(name) != again.get(name)):
        raise ReleaseError(f"two builds of one commit differ: {', '.join(different)}")
    at = datetime.fromtimestamp(int(_git("log", "-1", "--format=%ct")), UTC)
    for name in [name for name in built if name.endswith(".whl")]:
        bom = bill_of_materials(name, built[name], at=at)
        built[name.removesuffix(".whl") + ".cdx.json"] = (json.dumps(bom, indent=1, sort_keys=True) + "\n").encode()
    built["SHA256SUMS"] = "".join(f"{hashlib.sha256(built[name]).hexdigest()}  {name}\n" for name in sorted(built)).encode()
    return built


def bill_of_materials(name: str, wheel: bytes, /, *, at: datetime) -> dict[str, Any]:
    """Return the bill of a wheel: itself, and what it requires without any extra, in the versions that our tests were run with."""
    metadata = _metadata_of(wheel)
    locked = _locked_hashes()
    itself = _component(metadata.name, str(metadata.version), [hashlib.sha256(wheel).hexdigest()])
    components: dict[str, dict[str, Any]] = {}
    edges: dict[str, set[str]] = {itself["bom-ref"]: set()}
    waiting = [(itself["bom-ref"], each) for each in _needed(metadata.requires_dist or (), frozenset())]
    seen: set[tuple[str, str]] = set()
    while waiting:
        ref, requirement = waiting.pop()
        needed = canonicalize_name(requirement.name)
        try:
            found = distribution(needed)
        except PackageNotFoundError:
            raise ReleaseError(f"{needed} is required and not installed: run `nox -s release`") from None
        component = _component(needed, found.version, locked.get((needed, found.version), []))
        components[component["bom-ref"]] = component
        edges.setdefault(component["bom-ref"], set())
        if ref != component["bom-ref"]:  # an extra may ask for another one of the same distribution
            edges[ref].add(component["bom-ref"])
        if (ref, str(requirement)) not in seen:
            seen.add((ref, str(requirement)))
            waiting += [(component["bom-ref"], each) for each in _needed(map(Requirement, found.requires or ()), requirement.extras)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_BOM_IDS, name + hashlib.sha256(wheel).hexdigest())}",
        "version": 1,
        "metadata": {
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {**itself, "licenses": [{"expression": metadata.license_expression}]},
        },
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(edges.items())],
    }


def _needed(required: Iterable[Requirement], extras: Collection[str], /) -> Iterator[Requirement]:
    """Return what is required on this machine, with these *extras* and without any other."""
    return (each for each in required if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras)))


def _component(name: str, version: str, sha256: list[str], /) -> dict[str, Any]:
    purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
    shown = {"type": "library", "bom-ref": purl, "name": canonicalize_name(name), "version": version, "purl": purl}
    return shown | ({"hashes": [{"alg": "SHA-256", "content": digest} for digest in sha256]} if sha256 else {})


def _metadata_of(wheel: bytes, /) -> Metadata:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Metadata.from_email(archive.read(name), validate=True)


def _locked_hashes() -> dict[tuple[str, str], list[str]]:
    text = LOCK.read_text(encoding="utf-8").replace("\\\n", " ")
    found = LOCKED.finditer(text)
    return {(canonicalize_name(one["name"]), one["version"]): sorted(re.findall(r"sha256:([0-9a-f]{64})", one["hashes"])) for one in found}


def _built_once() -> dict[str, bytes]:
    """Build every distribution from a copy of the commit, at a place that no other build has."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "source")
        with tarfile.open(fileobj=io.BytesIO(_archive())) as archive:
            archive.extractall(source, filter="data")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct"), "PYTHONHASHSEED": "random"}
        for where in DISTRIBUTIONS:
            command = [sys.executable, "-m", "hatchling", "build", "-d", str(Path(place, "built"))]
            subprocess.run(command, cwd=source / where, env=environment, check=True, capture_output=True)  # our own command
        return {file.name: file.read_bytes() for file in sorted(Path(place, "built").iterdir())}


def _require_tag() -> None:
    """Raise `ReleaseError` unless the checkout is clean and its commit has the tag of the version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if _git("status", "--porcelain"):
        raise ReleaseError("the checkout has changes that are in no commit")
    if f"v{version}" not in _git("tag", "--points-at", "HEAD").split():
        raise ReleaseError(f"this commit has no tag v{version}: a release is built from its tag")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)  # our own arguments
    return done.stdout.strip()


def _archive() -> bytes:
    return subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
