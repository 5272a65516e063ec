"""Integrations and their credentials, in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, null, select, union, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import given_time, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, pairs, time, time_or_none, words
from cloud_integrations.backends.sqlalchemy.tables.handlers import handles
from cloud_integrations.backends.sqlalchemy.tables.integration_rows import (
    AT_GENERATION,
    AUTH_TYPES,
    FACTS,
    IS_RENEWED,
    NAMED_INTEGRATION,
    RULES,
    STATES,
    STORED,
    THIS,
    credential_columns,
    fact_columns,
    facts,
    require_one,
    stored_integration,
)
from cloud_integrations.backends.sqlalchemy.tables.keys import require_active_key
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration, Phase, StoredCredential, StoredIntegration
from cloud_integrations.errors import IntegrationExistsError
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddIntegration,
    DamagedRow,
    EraseIntegration,
    ReplaceCredential,
    SaveFacts,
)

_i = schema.integration.c

_a = schema.authorization.c
_e = schema.audit.c
_h = schema.audit_head.c
_FIND_INTEGRATION = select(*STORED).where(THIS)
_FIND_CREDENTIAL = select(
    _i.integration_id,
    _i.auth_type,
    _i.method_id,
    _i.state,
    _i.reason,
    _i.generation,
    _i.presented,
    _i.renewal_rule,
    _i.sent_at.is_not(None),
    func.coalesce(_i.refreshed_at, _i.created_at),
    _i.expires_at,
    _i.scopes,
    _i.missing_scopes,
    _i.variables,
).where(_i.tenant_id == bindparam("if_tenant"), _i.provider_id == bindparam("if_provider"), _i.slot == bindparam("if_slot"))
_LIST_INTEGRATIONS = select(*FACTS).where(_i.tenant_id == bindparam("if_tenant")).order_by(_i.created_at, _i.integration_id)
_LIST_WITH_PROVIDER = _LIST_INTEGRATIONS.where(_i.provider_id == bindparam("if_provider"))
# One SELECT per index: for an OR over the three columns, no database uses all three indexes.
_HOLDERS = [
    select(_i.tenant_id, _i.integration_id).where(_i.provider_id == bindparam("if_provider"), column == bindparam("if_fingerprint"))
    for column in (_i.presented_fingerprint, _i.renewal_fingerprint, _i.account_fingerprint)
]
_FIND_HOLDERS = union(*_HOLDERS).limit(MAX_HOLDERS)
_FIND_OTHER_HOLDERS = union(*[each.where(_i.tenant_id != bindparam("but_tenant")) for each in _HOLDERS]).limit(MAX_HOLDERS)
_ADD_INTEGRATION = insert(schema.integration)
_SAVE_FACTS = update(schema.integration).where(THIS, _i.state == bindparam("if_state"))
_SAVE_FACTS_NOT_DUE = _SAVE_FACTS.values(due_at=null())
_SAVE_FACTS_DUE_AT_THE_END = _SAVE_FACTS.values(due_at=case((IS_RENEWED, _i.expires_at), else_=null()), refused_since=null())
_REPLACE_CREDENTIAL = (
    update(schema.integration)
    .where(THIS, AT_GENERATION, _i.state != "disabled")
    .values(writer_lease=_i.lease_token + 1, lease_token=_i.lease_token + 1)
)
_ERASE_INTEGRATION = delete(schema.integration).where(THIS, AT_GENERATION)


def find_integration(connection: Connection, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
    """Return the tenant's integration, or None."""
    row = connection.execute(_FIND_INTEGRATION, {"if_tenant": tenant_id, "if_id": integration_id, "clock": given_time(connection)}).first()
    return _STORED_ROWS.one(row)


def find_credential(connection: Connection, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None:
    """Return what is needed to hand out the tenant's credential with this provider in this slot, or None."""
    row = connection.execute(_FIND_CREDENTIAL, {"if_tenant": tenant_id, "if_provider": provider_id, "if_slot": slot}).first()
    found = _CREDENTIAL_ROWS.one(row)
    # Columns that the caller knows are not selected, because this is the most frequent read.
    return None if found is None else StoredCredential(tenant_id=tenant_id, provider_id=provider_id, **found)


def find_holders(
    connection: Connection, provider_id: ProviderId, fingerprint: bytes, /, *, but: TenantId | None = None
) -> tuple[tuple[TenantId, IntegrationId], ...]:
    """Return at most `MAX_HOLDERS` integrations in which *fingerprint* is that of a token or of the account.

    They are of any tenant except *but*.
    """
    where: dict[str, Any] = {"if_provider": provider_id, "if_fingerprint": fingerprint}
    if but is None:
        return _HOLDER_ROWS.all(connection.execute(_FIND_HOLDERS, where))
    return _HOLDER_ROWS.all(connection.execute(_FIND_OTHER_HOLDERS, {**where, "but_tenant": but}))


def list_integrations(
    connection: Connection, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None
) -> tuple[Integration | DamagedRow, ...]:
    """Return the tenant's integrations (with one provider), oldest first; at most one per provider and slot."""
    if provider_id is None:
        return _FACTS_ROWS.each(connection.execute(_LIST_INTEGRATIONS, {"if_tenant": tenant_id}).all())
    return _FACTS_ROWS.each(connection.execute(_LIST_WITH_PROVIDER, {"if_tenant": tenant_id, "if_provider": provider_id}).all())


@handles(AddIntegration)
def _add_integration(connection: Connection, change: AddIntegration) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    row = {
        "tenant_id": facts.tenant_id,
        "integration_id": facts.id,
        "provider_id": facts.provider_id,
        "slot": facts.slot,
        "created_at": micros(facts.created_at),
        **fact_columns(facts),
        **credential_columns(change.credential),
        "writer_lease": 0,
        "lease_token": 0,
        "phase": Phase.IDLE.value,
        "attempts": 0,
        "refreshed_at": micros(facts.updated_at),
        "due_at": micros_or_none(change.due_at) if facts.state.is_refreshed else None,
    }
    with refused_as(IntegrationExistsError(tenant_id=facts.tenant_id, provider_id=str(facts.provider_id), slot=facts.slot)):
        connection.execute(_ADD_INTEGRATION, row)


@handles(SaveFacts)
def _save_facts(connection: Connection, change: SaveFacts) -> None:
    facts = change.facts
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    if not facts.state.is_refreshed:
        statement = _SAVE_FACTS_NOT_DUE
    elif not change.expected_state.is_refreshed:
        statement = _SAVE_FACTS_DUE_AT_THE_END
    else:
        statement = _SAVE_FACTS
    written = connection.execute(
        statement,
        {
            **where,
            "if_state": change.expected_state.value,
            "name": facts.name,
            "state": facts.state.value,
            "state_since": micros(facts.state_since),
            "reason": facts.reason,
            "updated_at": micros(facts.updated_at),
        },
    )
    require_one(connection, written.rowcount, where)


@handles(ReplaceCredential)
def _replace_credential(connection: Connection, change: ReplaceCredential) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    written = connection.execute(
        _REPLACE_CREDENTIAL,
        {
            **where,
            "if_generation": change.expected_generation,
            **{column: value for column, value in fact_columns(facts).items() if column != "name"},
            **credential_columns(change.credential),
            "lease_until": None,
            "lease_owner": RECONNECT_OWNER,
            "phase": Phase.IDLE.value,
            "attempt_id": None,
            "sent_at": None,
            "attempts": 0,
            "next_attempt_at": None,
            "last_error": None,
            "failed_at": None,
            "refused_since": None,
            "refreshed_at": micros(facts.updated_at),
            "due_at": micros_or_none(change.due_at) if facts.state.is_refreshed else None,
        },
    )
    require_one(connection, written.rowcount, where)


@handles(EraseIntegration)
def _erase_integration(connection: Connection, change: EraseIntegration) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.integration_id}
    erased = connection.execute(_ERASE_INTEGRATION, {**where, "if_generation": change.expected_generation})
    require_one(connection, erased.rowcount, where)


def _to_use(row: AnyRow) -> dict[str, Any]:
    (
        integration_id,
        auth_type,
        method_id,
        state,
        reason,
        generation,
        presented,
        renewal_rule,
        in_doubt,
        obtained_at,
        expires_at,
        scopes,
        missing_scopes,
        variables,
    ) = row
    return {
        "integration_id": integration_id,
        "auth_type": AUTH_TYPES[auth_type],
        "method_id": method_id,
        "state": STATES[state],
        "reason": reason,
        "generation": count(generation, least=1),
        "presented": presented,
        "renewal_rule": RULES[renewal_rule],
        "in_doubt": bool(in_doubt),
        "obtained_at": time(obtained_at),
        "expires_at": time_or_none(expires_at),
        "scopes": words(scopes),
        "missing_scopes": words(missing_scopes),
        "variables": pairs(variables),
    }


_HOLDER_ROWS = Rows(schema.integration, (_i.tenant_id, _i.integration_id), lambda row: (row[0], row[1]), names=NAMED_INTEGRATION)
_FACTS_ROWS = Rows(schema.integration, FACTS, facts, names=NAMED_INTEGRATION)
_CREDENTIAL_ROWS = Rows(schema.integration, _FIND_CREDENTIAL.selected_columns, _to_use, names=NAMED_INTEGRATION)
_STORED_ROWS = Rows(schema.integration, _FIND_INTEGRATION.selected_columns, stored_integration, names=NAMED_INTEGRATION)
