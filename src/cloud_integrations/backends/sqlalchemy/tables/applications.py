"""Tenants' own OAuth applications, in SQL."""

from __future__ import annotations

import json
from typing import cast

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, pairs, time, words
from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.tenant_application import StoredApplication, TenantApplication
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import RemoveApplication, SaveApplication

from .announcements import forget_announcements
from .handlers import handles
from .keys import require_active_key

_p = schema.application.c
_i = schema.integration.c

_COLUMNS = tuple(_p)
_OF_TENANT = _p.tenant_id == bindparam("if_tenant")
_THIS = and_(_OF_TENANT, _p.context_id == bindparam("if_context"), _p.generation == bindparam("if_generation"))
_LIST = select(*_COLUMNS).where(_OF_TENANT).order_by(_p.created_at.desc(), _p.context_id.desc())
_ADD = insert(schema.application)
_REPLACE = update(schema.application).where(_THIS)
_IN_USE = exists().where(_i.tenant_id == bindparam("if_tenant"), _i.context_id == bindparam("if_context"))
_REMOVE = delete(schema.application).where(_THIS, ~_IN_USE)


def list_applications(connection: Connection, tenant_id: TenantId, /) -> tuple[StoredApplication, ...]:
    """Return the applications of a tenant, the one that was created last first."""
    return _ROWS.all(connection.execute(_LIST, {"if_tenant": tenant_id}))


@handles(SaveApplication, tenant="application.facts.tenant_id")
def _save_application(connection: Connection, change: SaveApplication) -> None:
    new, facts = change.application, change.application.facts
    require_active_key(connection, facts.tenant_id, new.key_id)
    values = {
        "method_id": facts.method_id,
        "client_id": facts.client_id,
        "secrets": facts.secrets,
        "scopes": json.dumps(facts.scopes),
        "client_auth": facts.client_auth,
        "issuer": facts.issuer,
        "variables": json.dumps(dict(facts.variables)),
        "generation": new.generation,
        "key_id": new.key_id,
        "sealed_secrets": new.sealed_secrets,
        "updated_at": micros(facts.updated_at),
    }
    if new.generation == 1:
        fixed = {
            "tenant_id": facts.tenant_id,
            "context_id": facts.id,
            "provider_id": facts.provider_id,
            "created_at": micros(facts.created_at),
        }
        with refused_as(StaleWriteError()):
            connection.execute(_ADD, {**fixed, **values})
        return
    where = {"if_tenant": facts.tenant_id, "if_context": facts.id, "if_generation": new.generation - 1}
    if connection.execute(_REPLACE, {**where, **values}).rowcount != 1:
        raise StaleWriteError


@handles(RemoveApplication)
def _remove_application(connection: Connection, change: RemoveApplication) -> None:
    where = {"if_tenant": change.tenant_id, "if_context": change.application_id, "if_generation": change.expected_generation}
    if connection.execute(_REMOVE, where).rowcount != 1:
        raise StaleWriteError
    forget_announcements(connection, change.tenant_id, change.application_id)


def _stored(row: AnyRow) -> StoredApplication:
    return StoredApplication(
        facts=TenantApplication(
            id=row.context_id,
            tenant_id=row.tenant_id,
            provider_id=row.provider_id,
            method_id=row.method_id,
            client_id=row.client_id,
            secrets=count(row.secrets),
            scopes=words(row.scopes),
            client_auth=cast("ClientAuth | None", row.client_auth),
            issuer=row.issuer,
            variables=pairs(row.variables),
            created_at=time(row.created_at),
            updated_at=time(row.updated_at),
        ),
        generation=count(row.generation, least=1),
        key_id=row.key_id,
        sealed_secrets=row.sealed_secrets,
    )


_ROWS = Rows(schema.application, _COLUMNS, _stored, names=("context_id",))
