"""Each guard is shown to matter: without it, the test that is named beside it fails."""

from __future__ import annotations

import multiprocessing
import shutil

import pytest

from . import access_mutants, incident_mutants, key_mutants, refresh_mutants
from .mutant import FAILED, PASSED, ROOT, end_with_tests

MUTANTS = refresh_mutants.MUTANTS | key_mutants.MUTANTS | access_mutants.MUTANTS | incident_mutants.MUTANTS
# What the tests import takes longer than they do: each process begins as a copy of one that has imported it, and nothing of ours.
IMPORTED = ["pytest", "sqlalchemy", "alembic", "pydantic", "cryptography", "hypothesis", "authlib", "joserfc", "httpx"]


def passes(copy, *tests):
    """Run *tests* against the source in *copy*, with as few plugins as they need."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(IMPORTED)
    shown = copy / "shown.txt"
    process = processes.Process(target=end_with_tests, args=(copy, tests, shown))
    process.start()
    process.join()
    assert process.exitcode in {PASSED, FAILED}, shown.read_text(encoding="utf-8")
    return process.exitcode == PASSED


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
