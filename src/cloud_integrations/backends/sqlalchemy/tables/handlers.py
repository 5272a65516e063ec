"""The function that makes each class of change."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection

from cloud_integrations.backends.sqlalchemy.visibility import mark_of, see
from cloud_integrations.ports.store import Change

C = TypeVar("C", bound=Change)

HANDLERS: dict[type, Callable[[Connection, Any], None]] = {}
"""The function that makes each class of change, or raises what the change documents."""


def handles(kind: type[C], /, *, tenant: str = "tenant_id") -> Callable[[Callable[[Connection, C], None]], Callable[[Connection, C], None]]:
    """Register the decorated function as the one that makes changes of class *kind*.

    It sees the rows of the tenant that stands in the change as *tenant*, or those that its mark says (`visibility`).
    """

    def register(handler: Callable[[Connection, C], None]) -> Callable[[Connection, C], None]:
        mark = mark_of(handler)
        if mark is None and tenant.partition(".")[0] not in kind.__dataclass_fields__:
            raise TypeError(f"{kind.__name__} has no {tenant}: name its tenant, or mark {handler.__qualname__} with @across_tenants")
        tenant_of = attrgetter(tenant)

        def make(connection: Connection, change: C) -> None:
            see(connection, tenant_of(change) if mark is None else mark)
            handler(connection, change)

        HANDLERS[kind] = make
        return handler

    return register
