"""Replicas that are real processes, and the wait for what they do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cloud_integrations

PATIENCE = 300
"""Seconds after which something that must happen is said not to happen; nothing waits so long when all is well."""


def until(condition, what):
    """Look again and again until *condition* gives something; fail when it never does."""
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > give_up:
            pytest.fail(f"did not happen: {what}")
        time.sleep(0.002)
    return found


class Replica:
    """One process, as the test sees it."""

    def __init__(self, connection):
        connection.settimeout(PATIENCE)
        self._connection = connection
        self._lines = connection.makefile("r")
        self.told = []
        self.over = False
        self.pid = self.until("ready")["ready"]

    def until(self, name):
        """Read until the replica tells *name*."""
        while True:
            facts = self._read()
            assert facts is not None, f"the replica ended before it said {name!r}: {self.told}"
            if name in facts:
                return facts

    def go(self):
        self._connection.sendall(b"go\n")
        return self

    def end(self):
        """Wait for the process to end, and return what its callers got."""
        while self._read() is not None:
            pass
        return self.outcomes

    def end_one(self):
        """The same, for a single caller."""
        (outcome,) = self.end()
        return outcome

    def stopped(self):
        """Wait until the process stands still."""
        until(lambda: self._state().startswith("T"), "a stopped process")

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)
        return self.go()

    def kill(self):
        if not self.over:
            os.kill(self.pid, signal.SIGKILL)
            self.end()

    def close(self):
        self.kill()
        self._lines.close()
        self._connection.close()

    @property
    def outcomes(self):
        return [facts["outcome"] for facts in self.told if "outcome" in facts]

    @property
    def received(self):
        return [facts["received"] for facts in self.told if "received" in facts]

    def _read(self):
        line = self._lines.readline()
        if not line:
            self.over = True
            return None
        self.told.append(json.loads(line))
        return self.told[-1]

    def _state(self):
        return subprocess.run(["ps", "-o", "stat=", "-p", str(self.pid)], capture_output=True, text=True, check=False).stdout.strip()


class Nursery:
    """The program that forks replicas."""

    def __init__(self, folder):
        self._folder = folder
        self._count = 0
        source = Path(cloud_integrations.__file__).parents[1]
        self._program = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("replica.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        assert self._program.stdout.readline() == "ready\n"

    def start(self, order):
        self._count += 1
        path = self._folder / f"{self._count}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(PATIENCE)
            self._program.stdin.write(json.dumps({**order, "wire": str(path)}) + "\n")
            self._program.stdin.flush()
            connection, _ = listener.accept()
        return Replica(connection)

    def close(self):
        self._program.stdin.close()
        self._program.wait(PATIENCE)
        self._program.stdout.close()
