"""What users install: the content of the three wheels and source distributions, and the library alone with what it must have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import readme_renderer.markdown
from packaging.metadata import Metadata

PACKAGES = {".": "cloud_integrations", "adapters/fastapi": "cloud_integrations_fastapi", "adapters/cli": "cloud_integrations_cli"}

# Public names that need an extra; asking for one without it raises an ImportError.
NEED_AN_EXTRA = frozenset(
    {
        "AsyncHttpxTransport",
        "AsyncSqlAlchemyStore",
        "AwsKmsKeys",
        "AwsKmsSigningKeys",
        "AzureKeyVaultKeys",
        "GcpKmsKeys",
        "HttpxTransport",
        "OpenTelemetry",
        "Pkcs11Keys",
        "SqlAlchemyStore",
    },
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each package, with its wheel and its source distribution."""
    folders = {package: tmp_path_factory.mktemp(package) for package in PACKAGES.values()}
    for where, package in PACKAGES.items():
        _build(root / where, folders[package])
    return folders


@pytest.fixture(scope="module")
def wheels(built: dict[str, Path]) -> dict[str, Path]:
    return {package: next(folder.glob("*.whl")) for package, folder in built.items()}


@pytest.fixture(scope="module")
def metadata(wheels: dict[str, Path]) -> dict[str, Metadata]:
    found = {}
    for package, path in wheels.items():
        with zipfile.ZipFile(path) as wheel:
            [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
            found[package] = Metadata.from_email(wheel.read(name), validate=True)
    return found


def _build(project: Path, target: Path, *options: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), *options]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.mark.requirement("SUP-06", "B20")
@pytest.mark.parametrize("package", PACKAGES.values())
def test_a_wheel_holds_its_package_and_nothing_else(package: str, wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels[package]).namelist()
    assert {re.sub(r"-[\d.]+\.dist-info$", "", name.partition("/")[0]) for name in names} == {package}
    assert f"{package}/py.typed" in names
    expected = re.compile(
        rf"{package}/(?:py\.typed|[\w/]+\.py|providers/\w+\.toml|providers/evidence/\w+\.json|providers/guides/\w+(?:\.toml|/[\w-]+\.(?:json|sh|tf|yaml|txt|sql))|backends/sqlalchemy/migrations/script\.py\.mako|host/templates/\w+\.(?:html|css|js)|pages/static/\w+\.(?:css|js|svg)|pages/templates/[\w/]+\.html|pages/locales/\w+\.po)|.*\.dist-info/.*"
    )
    assert [name for name in names if not expected.fullmatch(name)] == []
    assert [name for name in names if re.search(r"\.pth$|(?:^|/)(?:tests?/|test_|conftest)", name)] == []


@pytest.mark.requirement("SUP-06")
@pytest.mark.parametrize("package", PACKAGES.values())
def test_no_file_in_a_wheel_names_the_machine_that_built_it(package: str, wheels: dict[str, Path], root: Path) -> None:
    places = [str(root).encode(), str(Path.home()).encode() + b"/", sys.prefix.encode()]
    with zipfile.ZipFile(wheels[package]) as wheel:
        assert [name for name in wheel.namelist() if any(place in wheel.read(name) for place in places)] == []


@pytest.mark.requirement("SUP-06")
def test_the_library_brings_its_providers_and_migrations(wheels: dict[str, Path], root: Path) -> None:
    names = set(zipfile.ZipFile(wheels["cloud_integrations"]).namelist())
    package = root / "src/cloud_integrations"
    needed = [
        *package.glob("providers/*.toml"),
        *package.glob("providers/guides/*.toml"),
        *package.glob("providers/guides/*/*.*"),
        *package.glob("backends/sqlalchemy/migrations/**/*.py"),
    ]
    assert {file.suffix for file in needed} >= {".toml", ".py", ".sh"}
    assert {file.relative_to(root / "src").as_posix() for file in needed} <= names


def test_the_router_brings_the_templates_of_its_host(wheels: dict[str, Path], root: Path) -> None:
    names = set(zipfile.ZipFile(wheels["cloud_integrations_fastapi"]).namelist())
    source = root / "adapters/fastapi/src"
    needed = list(source.glob("cloud_integrations_fastapi/host/templates/*"))
    assert {file.suffix for file in needed} == {".html", ".css", ".js"}
    assert {file.relative_to(source).as_posix() for file in needed} <= names


def test_the_router_brings_the_templates_and_files_of_its_pages(wheels: dict[str, Path], root: Path) -> None:
    names = set(zipfile.ZipFile(wheels["cloud_integrations_fastapi"]).namelist())
    source = root / "adapters/fastapi/src"
    needed = [file for file in source.glob("cloud_integrations_fastapi/pages/**/*.*") if file.suffix != ".pyc"]
    assert {file.suffix for file in needed} >= {".html", ".css", ".js", ".svg"}
    assert {file.relative_to(source).as_posix() for file in needed} <= names


def test_the_pages_name_their_extra_where_it_is_missing(wheels: dict[str, Path], root: Path) -> None:
    program = """
import sys
sys.modules[sys.argv[1]] = None
try:
    import cloud_integrations_fastapi.pages
except ImportError as error:
    print(error)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for missing in ("babel", "jinja2"):
        done = subprocess.run([sys.executable, "-c", program, missing], env=env, capture_output=True, text=True, check=True)
        assert "needs the extra pages: pip install 'cloud-integrations-fastapi[pages]'" in done.stdout


@pytest.mark.requirement("SUP-07")
def test_the_library_works_without_any_extra(wheels: dict[str, Path], tmp_path: Path) -> None:
    python = _bare_environment(tmp_path, wheels["cloud_integrations"])
    program = """
import sys
import cloud_integrations
for name in sys.argv[1:]:
    try:
        exec(f"from cloud_integrations import {name}")
    except ImportError as error:
        assert name not in cloud_integrations.__all__ and "needs the extra" in str(error), error
        print(name)
"""
    done = subprocess.run([python, "-I", "-W", "error", "-c", program, *_public_names()], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert set(_public_names()) >= NEED_AN_EXTRA
    assert set(done.stdout.split()) == NEED_AN_EXTRA


@pytest.mark.requirement("SUP-06")
@pytest.mark.parametrize("package", PACKAGES.values())
def test_a_source_distribution_builds_the_same_wheel(package: str, built: dict[str, Path], wheels: dict[str, Path], tmp_path: Path) -> None:
    [source] = built[package].glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    [project] = tmp_path.iterdir()
    _build(project, tmp_path / "again", "-t", "wheel")
    [again] = (tmp_path / "again").glob("*.whl")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheels[package]) as other:
        assert {name: one.read(name) for name in one.namelist()} == {name: other.read(name) for name in other.namelist()}


@pytest.mark.parametrize("package", PACKAGES.values())
def test_the_license_is_in_every_wheel_and_source_distribution(
    package: str, built: dict[str, Path], wheels: dict[str, Path], metadata: dict[str, Metadata], root: Path
) -> None:
    license_text = (root / "LICENSE").read_bytes()
    assert (metadata[package].license_expression, metadata[package].license_files) == ("Apache-2.0", ["LICENSE"])
    with zipfile.ZipFile(wheels[package]) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
        assert wheel.read(name) == license_text
    [source] = built[package].glob("*.tar.gz")
    with tarfile.open(source) as archive:
        copied = archive.extractfile(f"{source.name.removesuffix('.tar.gz')}/LICENSE")
        assert copied is not None
        assert copied.read() == license_text


@pytest.mark.parametrize("package", PACKAGES.values())
def test_an_index_page_can_show_the_description(package: str, metadata: dict[str, Metadata]) -> None:
    assert metadata[package].description_content_type == "text/markdown"
    shown = readme_renderer.markdown.render(metadata[package].description or "")
    assert "<h1" in (shown or "")
    # A page of an index has no files beside it, and the project has no public address.
    assert [target for target in re.findall(r'(?:href|src)="([^"#][^"]*)', shown) if not target.startswith("https://")] == []
    assert metadata[package].project_urls in (None, {})


def _public_names() -> list[str]:
    import cloud_integrations

    return list(cloud_integrations.__all__)


def _bare_environment(where: Path, wheel: Path) -> str:
    """Make an environment with the wheel and, linked from this one, only the distributions that it must have."""
    venv.create(where, with_pip=False)
    paths = sysconfig.get_paths(scheme="venv", vars={"base": str(where), "platbase": str(where)})
    site = Path(paths["purelib"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    waiting = _required(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
            (site / top).symlink_to(Path(str(found.locate_file(top))))
        waiting |= _required(found.requires or [])
    return str(Path(paths["scripts"]) / "python")


def _required(lines: list[str]) -> set[str]:
    """The names of what is required here and without any extra."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in lines]
    return {each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})}
