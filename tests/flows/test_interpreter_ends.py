"""The interpreter ends, or forks, while a callback is under way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.flows.conftest import ACME, World
from tests.flows.watching import Interruption
from cloud_integrations.runtime.sync import run_inline

world = World("blocking")
begun = run_inline(world.begin())
params = world.approve(begun)
interruption = Interruption(KeyboardInterrupt)

def interrupt(_request, _response):
    world.on_answer = None
    interruption.strike()

world.on_answer = interrupt

def stored(name, _):
    if name == "apply" and world.rows.list_integrations(ACME):
        os.write(1, b"stored")

world.store.after = stored
try:
    with interruption:
        run_inline(world.come_back(begun, params))
except KeyboardInterrupt:
    pass
{then}
interruption.leave()
"""


def run_script(then=""):
    root = Path(__file__).parents[2]
    text = SCRIPT.format(root=str(root), then=then)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=300, cwd=root, check=False)


def test_the_interpreter_does_not_end_before_the_grant_is_stored():
    ended = run_script()
    assert (ended.returncode, ended.stdout) == (0, b"stored"), ended.stderr.decode()


def test_a_child_that_was_forked_meanwhile_closes_its_manager_and_waits_for_nobody():
    then = "if os.fork() == 0:\n    signal.alarm(20); world.door.manager.close(); os.write(1, b'child '); os._exit(0)\nos.wait()"
    ended = run_script(then)
    assert (ended.returncode, ended.stdout) == (0, b"child stored"), ended.stderr.decode()
