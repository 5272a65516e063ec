"""The store over the host's SQLAlchemy engine, blocking and awaiting."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import update_wrapper
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine

from cloud_integrations.domain.integration import DueIntegration
from cloud_integrations.errors import ConfigurationError, SchemaError
from cloud_integrations.ports.clock import Clock, require_clock
from cloud_integrations.ports.store import DamagedRow, StoreReport

from . import schema, unit_of_work
from .databases import ConnectionGuard, database_of, names_of, require_driver
from .engine import require_blocking
from .execution import AwaitedEngine, BlockingEngine, Operation, ThreadedEngine
from .row_security import TableSecurity, find_security, require_row_security, row_security_of
from .tables import (
    announcements,
    applications,
    audit,
    connect_sessions,
    freezes,
    incidents,
    integrations,
    outbox,
    overview,
    overview_counts,
    pending,
    refresh,
    sealed,
    sessions,
    webhooks,
)
from .tables import keys as key_table
from .version import find_version
from .visibility import sight_of

if TYPE_CHECKING:
    # A blocking host need not import it, and does not need greenlet.
    from sqlalchemy.ext.asyncio import AsyncEngine

P = ParamSpec("P")
T = TypeVar("T")


# Each store has functions of its own instead of one descriptor for both: pyright does not resolve descriptors when it compares a class
# with a Protocol.
def _method(call: Callable[..., Any], operation: Callable[..., Any]) -> Callable[..., Any]:
    """Give *call* the name, the docstring and the parameters of *operation*.  Raises `TypeError` if it does not say whose rows it sees."""
    sight_of(operation)
    signature = inspect.signature(operation)
    connection, *others = signature.parameters.values()
    update_wrapper(call, operation)
    itself = connection.replace(name="self", annotation=inspect.Parameter.empty)
    vars(call)["__signature__"] = signature.replace(parameters=[itself, *others])
    return call


class SqlAlchemyStore:
    """A `Store` over a blocking engine.

    The engine belongs to the host: the store shares its pool, does not change its settings, and uses only transactions that it began
    itself.  *clock* replaces the database's clock, for tests.  With *row_security*, each transaction tells the database whose rows it may
    see.  Raises `ConfigurationError` for a database or a driver that is not supported; `prepare` raises it for a server that is not
    supported (MySQL, for example), and if *row_security* does not fit the policies of the tables.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None, row_security: bool = False) -> None:
        if not isinstance(engine, Engine):
            raise ConfigurationError(setting="engine", problem="must be an Engine; AsyncSqlAlchemyStore takes an AsyncEngine")
        require_clock(clock)
        require_blocking(engine)
        _require_possible(engine, row_security=row_security)
        self._engine = BlockingEngine(engine, clock, row_security=row_security)
        self._row_security = row_security
        self._dialect = engine.dialect
        self._front = refresh.DueFront()

    def prepare(self) -> None:
        """Check that the tables exist and have this version; raise `SchemaError` otherwise."""
        _require_version(self._engine.read(find_version))
        self._engine.read(require_row_security, wanted=self._row_security)

    def report(self) -> StoreReport:
        """Return the database, its driver and the version of its schema."""
        version = self._engine.read(find_version)
        security = self._engine.read(find_security) if self._row_security else ()
        return _report(*names_of(self._dialect), version, guard=self._engine.guard, security=security)

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the *limit* integrations that have been due for longest, in no order, and hold them."""
        return self._engine.write(refresh.claim_due, self._front, limit=limit, hold=hold)

    @staticmethod
    def _read(operation: Operation[P, T], /) -> Callable[Concatenate[SqlAlchemyStore, P], T]:
        def call(self: SqlAlchemyStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return self._engine.read(operation, *args, **kwargs)

        return _method(call, operation)

    @staticmethod
    def _write(operation: Operation[P, T], /) -> Callable[Concatenate[SqlAlchemyStore, P], T]:
        def call(self: SqlAlchemyStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return self._engine.write(operation, *args, **kwargs)

        return _method(call, operation)

    apply = _write(unit_of_work.apply)
    find_integration = _read(integrations.find_integration)
    find_credential = _read(integrations.find_credential)
    list_integrations = _read(integrations.list_integrations)
    find_holders = _read(integrations.find_holders)
    count_integrations = _read(integrations.count_integrations)
    count_endings = _read(integrations.count_endings)
    others_renewed = _read(refresh.others_renewed)
    list_unrenewed = _read(refresh.list_unrenewed)
    count_due = _read(refresh.count_due)
    find_pending = _read(pending.find_pending)
    find_closed = _read(pending.find_closed)
    take_pending = _write(pending.take_pending)
    sweep_pending = _write(pending.sweep_pending)
    has_pending = _read(pending.has_pending)
    list_applications = _read(applications.list_applications)
    find_session = _read(sessions.find_session)
    list_sessions = _read(sessions.list_sessions)
    sweep_sessions = _write(sessions.sweep_sessions)
    find_connect_session = _read(connect_sessions.find_connect_session)
    list_connect_sessions = _read(connect_sessions.list_connect_sessions)
    sweep_connect_sessions = _write(connect_sessions.sweep_connect_sessions)
    list_freezes = _read(freezes.list_freezes)
    find_incident = _read(incidents.find_incident)
    list_incidents = _read(incidents.list_incidents)
    list_items = _read(incidents.list_items)
    count_items = _read(incidents.count_items)
    find_key = _read(key_table.find_key)
    find_keys = _read(key_table.find_keys)
    find_active_key = _read(key_table.find_active_key)
    last_key_version = _read(key_table.last_key_version)
    list_keys = _read(key_table.list_keys)
    list_replaced_keys = _read(key_table.list_replaced_keys)
    list_returned_keys = _read(key_table.list_returned_keys)
    list_destroyed_keys = _read(key_table.list_destroyed_keys)
    list_key_checks = _read(key_table.list_key_checks)
    list_kek_ids = _read(key_table.list_kek_ids)
    list_sealed = _read(sealed.list_sealed)
    list_key_usage = _read(sealed.list_key_usage)
    claim_entries = _write(outbox.claim_entries)
    list_due_keys = _read(outbox.list_due_keys)
    count_entries = _read(outbox.count_entries)
    count_outbox = _read(outbox.count_outbox)
    list_entries = _read(outbox.list_entries)
    list_ending = _read(announcements.list_ending)
    find_webhook = _read(webhooks.find_webhook)
    list_webhooks = _read(webhooks.list_webhooks)
    list_audit = _read(audit.list_audit)
    list_audit_newest = _read(audit.list_audit_newest)
    find_audit_head = _read(audit.find_audit_head)
    list_audit_heads = _read(audit.list_audit_heads)
    find_audit_cut = _read(audit.find_audit_cut)
    count_uses = _read(audit.count_uses)
    search_integrations = _read(overview.search_integrations)
    count_matching = _read(overview.count_matching)
    count_renewals = _read(overview_counts.count_renewals)
    count_ends = _read(overview_counts.count_ends)
    count_errors = _read(overview_counts.count_errors)


class AsyncSqlAlchemyStore:
    """An `AsyncStore` over the host's engine.

    An `AsyncEngine` is awaited.  A blocking `Engine` runs each call in a thread: that is faster on SQLite and on PostgreSQL, but a call
    that is cancelled goes on in its thread and may still commit.  *clock* replaces the database's clock, for tests.  With *row_security*,
    each transaction tells the database whose rows it may see.  Raises as `SqlAlchemyStore` does.
    """

    def __init__(self, engine: AsyncEngine | Engine, *, clock: Clock | None = None, row_security: bool = False) -> None:
        if not isinstance(engine, Engine) and not isinstance(getattr(engine, "sync_engine", None), Engine):
            raise ConfigurationError(setting="engine", problem="must be an AsyncEngine, as create_async_engine makes, or an Engine")
        require_clock(clock)
        if isinstance(engine, Engine):
            require_blocking(engine)
        else:
            require_driver(engine)
        _require_possible(engine, row_security=row_security)
        self._engine: AwaitedEngine | ThreadedEngine
        if isinstance(engine, Engine):
            self._engine = ThreadedEngine(engine, clock, row_security=row_security)
        else:
            self._engine = AwaitedEngine(engine, clock, row_security=row_security)
        self._row_security = row_security
        self._dialect = engine.dialect
        self._front = refresh.DueFront()

    async def prepare(self) -> None:
        """Check that the tables exist and have this version; raise `SchemaError` otherwise."""
        _require_version(await self._engine.read(find_version))
        await self._engine.read(require_row_security, wanted=self._row_security)

    async def report(self) -> StoreReport:
        """Return the database, its driver and the version of its schema."""
        version = await self._engine.read(find_version)
        security = await self._engine.read(find_security) if self._row_security else ()
        return _report(*names_of(self._dialect), version, guard=self._engine.guard, security=security)

    async def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the *limit* integrations that have been due for longest, in no order, and hold them."""
        return await self._engine.write(refresh.claim_due, self._front, limit=limit, hold=hold)

    @staticmethod
    def _read(operation: Operation[P, T], /) -> Callable[Concatenate[AsyncSqlAlchemyStore, P], CoroutineType[Any, Any, T]]:
        async def call(self: AsyncSqlAlchemyStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return await self._engine.read(operation, *args, **kwargs)

        return _method(call, operation)

    @staticmethod
    def _write(operation: Operation[P, T], /) -> Callable[Concatenate[AsyncSqlAlchemyStore, P], CoroutineType[Any, Any, T]]:
        async def call(self: AsyncSqlAlchemyStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return await self._engine.write(operation, *args, **kwargs)

        return _method(call, operation)

    apply = _write(unit_of_work.apply)
    find_integration = _read(integrations.find_integration)
    find_credential = _read(integrations.find_credential)
    list_integrations = _read(integrations.list_integrations)
    find_holders = _read(integrations.find_holders)
    count_integrations = _read(integrations.count_integrations)
    count_endings = _read(integrations.count_endings)
    others_renewed = _read(refresh.others_renewed)
    list_unrenewed = _read(refresh.list_unrenewed)
    count_due = _read(refresh.count_due)
    find_pending = _read(pending.find_pending)
    find_closed = _read(pending.find_closed)
    take_pending = _write(pending.take_pending)
    sweep_pending = _write(pending.sweep_pending)
    has_pending = _read(pending.has_pending)
    list_applications = _read(applications.list_applications)
    find_session = _read(sessions.find_session)
    list_sessions = _read(sessions.list_sessions)
    sweep_sessions = _write(sessions.sweep_sessions)
    find_connect_session = _read(connect_sessions.find_connect_session)
    list_connect_sessions = _read(connect_sessions.list_connect_sessions)
    sweep_connect_sessions = _write(connect_sessions.sweep_connect_sessions)
    list_freezes = _read(freezes.list_freezes)
    find_incident = _read(incidents.find_incident)
    list_incidents = _read(incidents.list_incidents)
    list_items = _read(incidents.list_items)
    count_items = _read(incidents.count_items)
    find_key = _read(key_table.find_key)
    find_keys = _read(key_table.find_keys)
    find_active_key = _read(key_table.find_active_key)
    last_key_version = _read(key_table.last_key_version)
    list_keys = _read(key_table.list_keys)
    list_replaced_keys = _read(key_table.list_replaced_keys)
    list_returned_keys = _read(key_table.list_returned_keys)
    list_destroyed_keys = _read(key_table.list_destroyed_keys)
    list_key_checks = _read(key_table.list_key_checks)
    list_kek_ids = _read(key_table.list_kek_ids)
    list_sealed = _read(sealed.list_sealed)
    list_key_usage = _read(sealed.list_key_usage)
    claim_entries = _write(outbox.claim_entries)
    list_due_keys = _read(outbox.list_due_keys)
    count_entries = _read(outbox.count_entries)
    count_outbox = _read(outbox.count_outbox)
    list_entries = _read(outbox.list_entries)
    list_ending = _read(announcements.list_ending)
    find_webhook = _read(webhooks.find_webhook)
    list_webhooks = _read(webhooks.list_webhooks)
    list_audit = _read(audit.list_audit)
    list_audit_newest = _read(audit.list_audit_newest)
    find_audit_head = _read(audit.find_audit_head)
    list_audit_heads = _read(audit.list_audit_heads)
    find_audit_cut = _read(audit.find_audit_cut)
    count_uses = _read(audit.count_uses)
    search_integrations = _read(overview.search_integrations)
    count_matching = _read(overview.count_matching)
    count_renewals = _read(overview_counts.count_renewals)
    count_ends = _read(overview_counts.count_ends)
    count_errors = _read(overview_counts.count_errors)


def _require_possible(engine: Engine | AsyncEngine, *, row_security: bool) -> None:
    if row_security:
        row_security_of(database_of(engine))


def _require_version(found: str | None) -> None:
    if found != schema.VERSION:
        raise SchemaError(found=found, expected=schema.VERSION)


def _report(database: str, driver: str, version: str | None, *, guard: ConnectionGuard, security: Collection[TableSecurity]) -> StoreReport:
    facts = {"driver": driver, "expected_schema": schema.VERSION}
    if security:
        facts["row_security"] = "on, but this user can take it away" if any(each.is_own for each in security) else "on"
    if guard.found:
        facts["pooler"] = "stands before the database; statements are not prepared"
    return StoreReport(kind=f"sqlalchemy+{database}", schema=version, facts=facts)
