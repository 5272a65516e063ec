"""Work that callers share, and threads that call it."""

from __future__ import annotations

import threading

from cloud_integrations.runtime.sync import run_inline


class Work:
    """Counts how often it is begun; lasts until `go_on`."""

    def __init__(self, outcome="done"):
        self.begun = 0
        self.outcome = outcome
        self.running, self.go_on = threading.Event(), threading.Event()

    async def __call__(self):
        self.begun += 1
        self.running.set()
        assert self.go_on.wait(300)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def call(single_flight, work, key="key"):
    return run_inline(single_flight.run(key, work))
