from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cloud_integrations.testing as package
from cloud_integrations.testing import plugin

pytest_plugins = ["pytester"]
DOCS = Path(__file__).parents[2] / "docs"
FIXTURES = ["ci_async_manager", "ci_clock", "ci_manager", "ci_provider", "ci_provider_server"]


@pytest.fixture(autouse=True)
def _children_find_the_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parents[2]))


@pytest.fixture
def ini(pytester):
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nasyncio_mode = "auto"\nasyncio_default_fixture_loop_scope = "function"\nfilterwarnings = ["error"]\n'
    )
    return pytester


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", ["reference/testing.md", "how-to/test-your-integration.md"])
def test_what_the_page_shows_works(ini, page):
    ini.makepyfile("\n".join(blocks(page)))
    result = ini.runpytest_subprocess("-p", "cloud_integrations.testing.plugin", "-p", "no:cloud_integrations", "-p", "no:randomly")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "skipped"}
    assert outcomes["passed"] >= 2


def test_the_page_names_every_fixture_and_public_name():
    page = (DOCS / "reference/testing.md").read_text(encoding="utf-8")
    for name in [*FIXTURES, *package.__all__]:
        assert f"`{name}" in page


def test_every_fixture_says_what_it_is(ini):
    result = ini.runpytest_subprocess("-p", "cloud_integrations.testing.plugin", "-p", "no:cloud_integrations", "--fixtures")
    for name in FIXTURES:
        result.stdout.re_match_lines_random([rf"{name}\b.*"])
        assert getattr(plugin, name).__doc__


def test_the_public_names_are_sorted_and_there():
    assert package.__all__ == sorted(package.__all__, key=lambda name: (name[0].islower(), name))
    for name in package.__all__:
        assert getattr(package, name)
        assert name in dir(package)
    with pytest.raises(AttributeError):
        _ = package.nothing


def test_loading_the_plugin_loads_nothing_heavy():
    program = (
        "import sys, cloud_integrations.testing.plugin\n"
        "print(*(name for name in ('pydantic', 'httpx', 'cryptography', 'authlib', 'sqlalchemy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
