"""Each guard is shown to matter: without it, the test that is named beside it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import access_mutants, incident_mutants, key_mutants, refresh_mutants

ROOT = Path(__file__).parents[2]
MUTANTS = refresh_mutants.MUTANTS | key_mutants.MUTANTS | access_mutants.MUTANTS | incident_mutants.MUTANTS


def passes(copy, *tests):
    """Run *tests* against the source in *copy*, with as few plugins as they need."""
    # The copies are not the source whose coverage is measured.
    measured_by_nobody = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-o", f"pythonpath={copy}"),
            *("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
            *tests,
        ],
        cwd=ROOT,
        env={**measured_by_nobody, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}, ran.stdout + ran.stderr
    return ran.returncode == pytest.ExitCode.OK


def copied(folder):
    shutil.copytree(ROOT / "src/cloud_integrations", folder / "cloud_integrations", ignore=shutil.ignore_patterns("evidence"))
    return folder


@pytest.mark.slow
@pytest.mark.requirement("TST-17")
def test_every_named_test_passes_while_its_guard_is_there(tmp_path):
    assert passes(copied(tmp_path), *sorted({mutant.noticed_by for mutant in MUTANTS.values()}))


@pytest.mark.slow
@pytest.mark.requirement("TST-17")
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=[name.replace(" ", "-") for name in MUTANTS])
def test_without_the_guard_its_test_fails(mutant, tmp_path):
    target = copied(tmp_path) / "cloud_integrations" / mutant.file
    source = target.read_text(encoding="utf-8")
    assert source.count(mutant.guard) == 1, "the guard has moved: say here how it is written now"
    target.write_text(source.replace(mutant.guard, mutant.without), encoding="utf-8")
    assert not passes(tmp_path, mutant.noticed_by)
