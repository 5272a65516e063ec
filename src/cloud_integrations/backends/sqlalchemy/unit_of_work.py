"""The unit of work: changes of one transaction, made in order.

Nothing here begins or ends a transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection

from cloud_integrations.ports.store import Change, Record

from .tables import audit
from .tables.handlers import HANDLERS


def apply(connection: Connection, *changes: Change) -> None:
    """Make all *changes* in one transaction, or none and raise what the refused change says."""
    for change in changes:
        if not isinstance(change, Record):
            HANDLERS[type(change)](connection, change)
    # Events come last: a chain is locked for as short as can be.
    audit.append_events(connection, [change.event for change in changes if isinstance(change, Record)])
