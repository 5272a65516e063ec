"""The unit of work: the changes of one transaction, made in order.

The caller begins and ends the transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection

from cloud_integrations.ports.store import Change, Record

from .tables import audit
from .tables.handlers import HANDLERS
from .visibility import without_tenant


@without_tenant
def apply(connection: Connection, *changes: Change) -> None:
    """Make all *changes* in one transaction; if one is refused, make none and raise the error that this change documents."""
    # Each change says its tenant itself, because a unit of work may have changes of several.
    for change in changes:
        if not isinstance(change, Record):
            HANDLERS[type(change)](connection, change)
    # Events come last, so that the tenant's audit chain is locked as briefly as possible.
    audit.append_events(connection, [change.event for change in changes if isinstance(change, Record)])
