"""Somebody who is told what happened and cannot change it."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.events import Fact


class Observer(Protocol):
    """Is told facts, each when its change is committed; what it raises is logged and goes no further."""

    def tell(self, fact: Fact, /) -> None:
        """Take note of *fact*; return quickly."""
        ...
