"""The unit of work: changes of one transaction, made in order.

Nothing here begins or ends a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from cloud_integrations.ports.store import Change, Record

from .tables import audit
from .tables.handlers import HANDLERS


def apply(connection: Connection, changes: Sequence[Change]) -> None:
    """Make *changes* in the transaction that is open, or raise what the refused one says; events are written last."""
    for change in changes:
        if not isinstance(change, Record):
            HANDLERS[type(change)](connection, change)
    audit.append_events(connection, [change.event for change in changes if isinstance(change, Record)])
