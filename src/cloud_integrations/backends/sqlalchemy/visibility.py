"""Whose rows each store operation may see, for databases that hide the rows of other tenants (`row_security`).

It stands beside each operation: one with an argument `tenant_id` sees that tenant's rows, one that is marked with `@across_tenants` sees
those of all tenants, and one that is marked with `@without_tenant` sees none.  An operation that is none of these is refused when a store
is defined.  In a unit of work, each change says its own tenant (`tables/handlers.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, text

from .databases import database_of

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_OPTION: Final = "cloud_integrations_view"
_MARK: Final = "__cloud_integrations_sees__"


class Sees(Enum):
    """What is seen where no single tenant is meant."""

    ALL = "all"
    NONE = "none"


def across_tenants(operation: F, /) -> F:
    """Mark an operation, or the handler of a change, that sees the rows of all tenants; where it has a `tenant_id`, only without one."""
    vars(operation)[_MARK] = Sees.ALL
    return operation


def without_tenant(operation: F, /) -> F:
    """Mark an operation, or the handler of a change, that needs no tenant's rows, or that says with `see` whose it needs."""
    vars(operation)[_MARK] = Sees.NONE
    return operation


def mark_of(operation: Callable[..., Any], /) -> Sees | None:
    """Return how *operation* is marked."""
    found: Sees | None = vars(operation).get(_MARK)
    return found


@cache
def sight_of(operation: Callable[..., Any], /) -> Callable[[tuple[Any, ...], Mapping[str, Any]], str | Sees]:
    """Return a function that takes the arguments of *operation* after the connection and returns whose rows it sees.

    Raises `TypeError` for an operation that has neither a tenant nor a mark.
    """
    mark = mark_of(operation)
    parameters = list(inspect.signature(operation).parameters.values())[1:]
    position = next((position for position, each in enumerate(parameters) if each.name == "tenant_id"), None)
    optional = position is not None and "None" in str(parameters[position].annotation)
    if mark is None and (position is None or optional):
        raise TypeError(f"{operation.__qualname__} does not say whose rows it sees: mark it with @across_tenants or @without_tenant")
    otherwise = mark or Sees.NONE
    if position is None:
        return lambda _args, _kwargs: otherwise
    if parameters[position].kind is inspect.Parameter.POSITIONAL_ONLY:
        return lambda args, _kwargs: otherwise if args[position] is None else args[position]
    return lambda _args, kwargs: otherwise if kwargs.get("tenant_id") is None else kwargs["tenant_id"]


def seeing(operation: Callable[Concatenate[Connection, P], T], /) -> Callable[Concatenate[Connection, P], T]:
    """Return *operation* as one that first says whose rows it sees, in the transaction that its caller has begun."""
    sight = sight_of(operation)

    def run(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        connection.execution_options(**{_OPTION: _View(connection)})
        see(connection, sight(args, kwargs))
        return operation(connection, *args, **kwargs)

    return run


def see(connection: Connection, whose: str | Sees, /) -> None:
    """Let the statements that follow see this tenant's rows, those of all or none; do nothing in a store without row security."""
    view: _View | None = connection.get_execution_options().get(_OPTION)
    if view is not None:
        view.turn_to(whose)


class _View:
    """What one transaction sees; a statement is sent only when that changes."""

    def __init__(self, connection: Connection) -> None:
        security = database_of(connection).row_security
        assert security is not None  # the store refused other databases  # noqa: S101
        self._connection = connection
        self._choose = text(security.choose)
        self._whose: str | Sees = Sees.NONE

    def turn_to(self, whose: str | Sees) -> None:
        if whose == self._whose:
            return
        tenant = "" if isinstance(whose, Sees) else whose
        self._connection.execute(self._choose, {"tenant": tenant, "across": "on" if whose is Sees.ALL else "off"})
        self._whose = whose
