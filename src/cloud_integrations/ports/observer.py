"""The observer: it is told what happened and cannot change it."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.events import Fact


class Observer(Protocol):
    """Is told each fact after its change is committed; an error that it raises is logged and ignored."""

    def tell(self, fact: Fact, /) -> None:
        """Take *fact*, and return quickly, because the flow waits for it."""
        ...
