"""The function that makes each class of change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from cloud_integrations.ports.store import Change

C = TypeVar("C", bound=Change)

HANDLERS: dict[type, Callable[[Connection, Any], None]] = {}
"""The function that makes each class of change, or raises what the change documents."""


def handles(kind: type[C]) -> Callable[[Callable[[Connection, C], None]], Callable[[Connection, C], None]]:
    """Register the decorated function as the one that makes changes of class *kind*."""

    def register(handler: Callable[[Connection, C], None]) -> Callable[[Connection, C], None]:
        HANDLERS[kind] = handler
        return handler

    return register
