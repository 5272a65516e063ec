"""What every `Store` and `AsyncStore` promises, as tests.

Inherit the class and provide one fixture, an empty store that follows the fixture `clock`:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, clock, runner):
            yield MyStore(clock=clock)

The same class tests an awaiting store.  The store runs in the event loop of `runner`; close what it opened with `runner.run(...)`.
"""

from __future__ import annotations

from .audit import verified, write_in_parallel
from .base import BlockingStore, everything, refused
from .contract import StoreContract
from .keys.sealing import SEALING, sealing
from .values import (
    ACME,
    GLOBEX,
    INSTANT,
    NEWCOMER,
    NEXT_KEY,
    PROVIDER,
    SEALING_KEY,
    SECOND,
    a_credential,
    a_key,
    a_pending,
    add_sealing_keys,
    an_entry,
    an_event,
    an_integration,
    applying,
    lease,
    resealed,
    rotated,
    row_of,
)

__all__ = [
    "ACME",
    "GLOBEX",
    "INSTANT",
    "NEWCOMER",
    "NEXT_KEY",
    "PROVIDER",
    "SEALING",
    "SEALING_KEY",
    "SECOND",
    "BlockingStore",
    "StoreContract",
    "a_credential",
    "a_key",
    "a_pending",
    "add_sealing_keys",
    "an_entry",
    "an_event",
    "an_integration",
    "applying",
    "everything",
    "lease",
    "refused",
    "resealed",
    "rotated",
    "row_of",
    "sealing",
    "verified",
    "write_in_parallel",
]
