"""Freezes, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, time, time_or_none
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.freezing import Freeze, Selection
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddFreeze, DamagedRow, LiftFreeze

from .handlers import handles

_f = schema.freeze.c

_COLUMNS = tuple(_f)
_LIST_ALL = select(*_COLUMNS).order_by(_f.begun_at, _f.freeze_id)
_LIST = _LIST_ALL.where(_f.lifted_at.is_(None))
_ADD = insert(schema.freeze)
_LIFT = (
    update(schema.freeze)
    .where(_f.freeze_id == bindparam("if_freeze"), _f.lifted_at.is_(None))
    .values(
        lifted_at=bindparam("set_lifted"),
        lifter_type=bindparam("set_type"),
        lifter_id=bindparam("set_id"),
        lift_reason=bindparam("set_reason"),
    )
)


@across_tenants
def list_freezes(connection: Connection, *, lifted: bool = False) -> tuple[Freeze | DamagedRow, ...]:
    """Return the freezes that are in force, the oldest first; with *lifted*, also those that are not any more."""
    return _ROWS.each(connection.execute(_LIST_ALL if lifted else _LIST).all())


@handles(AddFreeze)
@across_tenants
def _add_freeze(connection: Connection, change: AddFreeze) -> None:
    freeze, selection = change.freeze, change.freeze.selection
    row = {
        "freeze_id": freeze.id,
        "tenant_id": selection.tenant_id,
        "provider_id": selection.provider_id,
        "context_id": selection.application_id,
        "integration_id": selection.integration_id,
        "actor_type": None if selection.actor is None else selection.actor.type,
        "actor_id": None if selection.actor is None else selection.actor.id,
        "renewals": int(freeze.renewals),
        "reason": freeze.reason,
        "begun_at": micros(freeze.begun_at),
        "beginner_type": freeze.begun_by.type,
        "beginner_id": freeze.begun_by.id,
        "lifted_at": micros_or_none(freeze.lifted_at),
        "lifter_type": None if freeze.lifted_by is None else freeze.lifted_by.type,
        "lifter_id": None if freeze.lifted_by is None else freeze.lifted_by.id,
        "lift_reason": freeze.lift_reason,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)


@handles(LiftFreeze)
@across_tenants
def _lift_freeze(connection: Connection, change: LiftFreeze) -> None:
    where = {
        "if_freeze": change.freeze_id,
        "set_lifted": micros(change.lifted_at),
        "set_type": change.lifted_by.type,
        "set_id": change.lifted_by.id,
        "set_reason": change.reason,
    }
    unless_stale(connection.execute(_LIFT, where).rowcount == 1)


def _freeze(row: AnyRow) -> Freeze:
    return Freeze(
        id=row.freeze_id,
        selection=Selection(
            tenant_id=row.tenant_id,
            provider_id=row.provider_id,
            application_id=row.context_id,
            integration_id=row.integration_id,
            actor=_actor(row.actor_type, row.actor_id),
        ),
        renewals={0: False, 1: True}[row.renewals],
        reason=row.reason,
        begun_at=time(row.begun_at),
        begun_by=Actor(type=row.beginner_type, id=row.beginner_id),
        lifted_at=time_or_none(row.lifted_at),
        lifted_by=_actor(row.lifter_type, row.lifter_id),
        lift_reason=row.lift_reason,
    )


def _actor(kind: str | None, name: str | None) -> Actor | None:
    if kind is None and name is None:
        return None
    if kind is None or name is None:
        raise ValueError
    return Actor(type=kind, id=name)


_ROWS = Rows(schema.freeze, _COLUMNS, _freeze, names=("freeze_id",))
