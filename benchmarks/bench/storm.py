"""Fifty callers that come at once, and what they are told."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

CALLERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process of callers must know.  Secrets are fakes of the simulated provider."""

    mode: Any
    url: str
    client_id: str
    client_secret: str
    refresh_token: str = ""
    database: str = ""
    keyring_entry: str = ""
    lease: float = 30.0
    deadline: float = 15.0
    warm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a caller got: nothing, or the name of an error, and how long it waited."""

    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One storm."""

    requests: int
    told: list[Told]
    alive: bool
    hanging: int
    """How many processes have callers that did not come back."""

    @property
    def failed(self) -> int:
        """How many callers got an error."""
        return sum(told.error is not None for told in self.told)

    @property
    def p95(self) -> float:
        """The wait that one caller in twenty exceeds, in milliseconds."""
        return statistics.quantiles([told.seconds for told in self.told], n=20)[18] * 1000


Storm = Callable[[], tuple[list[Told], str]]
"""Lets the callers go; returns what they got and the refresh token that is held afterwards ("" where a store holds it)."""


def in_threads(call: Callable[[], object]) -> list[Told]:
    """Let every caller go at once, each in a thread."""
    together = threading.Barrier(CALLERS)

    def one(_: int) -> Told:
        together.wait()
        began = time.perf_counter()
        try:
            call()
        except Exception as error:  # noqa: BLE001  # counted by its name
            return Told(error=type(error).__name__, seconds=time.perf_counter() - began)
        return Told(error=None, seconds=time.perf_counter() - began)

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(one, range(CALLERS)))


async def in_tasks(call: Callable[[], Any]) -> list[Told]:
    """Let every caller go at once, each in a task."""

    async def one() -> Told:
        began = time.perf_counter()
        try:
            await call()
        except Exception as error:  # noqa: BLE001  # as above
            return Told(error=type(error).__name__, seconds=time.perf_counter() - began)
        return Told(error=None, seconds=time.perf_counter() - began)

    return list(await asyncio.gather(*(one() for _ in range(CALLERS))))
