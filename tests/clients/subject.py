"""What the table of every client knows of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .conftest import TENANT


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One client: *make* makes the live object from a manager and the API's URL, and *send* sends a GET with it and returns the status."""

    make: Callable[..., Any]
    send: Callable[..., Any]
    awaits: bool = False
    challenge: str = ""
    """The challenge of a 401 that the client's library answers; empty: the usual one."""
    body: Any = None
    """What the client's library reads of an answer; None: anything."""
    refusal: tuple[int, Any] | None = None
    """The status and the body with which its server refuses a token; None: 401."""


def auth(manager, url):
    return manager.auth(TENANT, "simulated")
