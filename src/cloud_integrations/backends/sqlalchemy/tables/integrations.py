"""Integrations and their credentials, in SQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, literal, null, or_, select, union, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import given_time, length, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, Unreadable, count, pairs, time, time_or_none, words
from cloud_integrations.backends.sqlalchemy.tables.announcements import forget_announcements
from cloud_integrations.backends.sqlalchemy.tables.handlers import handles
from cloud_integrations.backends.sqlalchemy.tables.integration_rows import (
    AT_GENERATION,
    AUTH_TYPES,
    FACTS,
    IS_RENEWED,
    IS_UNCHOSEN,
    LAST_USED,
    NAMED_INTEGRATION,
    REFRESHED,
    RULES,
    STATE_NOW,
    STATES,
    STORED,
    THIS,
    credential_columns,
    fact_columns,
    facts,
    replacement_columns,
    require_one,
    stored_integration,
)
from cloud_integrations.backends.sqlalchemy.tables.keys import require_active_key
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import (
    APPLICATION_REASONS,
    Health,
    Integration,
    Phase,
    StoredCredential,
    StoredIntegration,
    health_of,
)
from cloud_integrations.domain.readiness import IntegrationCount
from cloud_integrations.errors import IntegrationExistsError
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    USES_EVERY,
    AddIntegration,
    DamagedRow,
    EraseIntegration,
    MarkUsed,
    ReplaceCredential,
    SaveFacts,
    SaveVariables,
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
    _i.context_id,
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
    LAST_USED,
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
_REASON_NOW = case((_i.reason.in_(sorted(APPLICATION_REASONS)), _i.reason)).label("reason")
_STATES_NOW = select(_i.provider_id, STATE_NOW.label("state"), _REASON_NOW, IS_UNCHOSEN.label("is_unchosen")).subquery()
_COUNT_INTEGRATIONS = select(_STATES_NOW, func.count().label("integrations")).group_by(
    _STATES_NOW.c.provider_id, _STATES_NOW.c.state, _STATES_NOW.c.reason, _STATES_NOW.c.is_unchosen
)
_ENDING = and_(REFRESHED, _i.reconnect_before < bindparam("if_before"))
# Every column is in the index `ci_integration_states`, in whose order the rows are counted: the wide rows are not read, nothing is sorted.
_COUNT_ENDINGS = select(
    _i.provider_id,
    _i.method_id,
    func.count().label("total"),
    func.count(case((_ENDING, 1))).label("ending"),
    func.min(case((_ENDING, _i.reconnect_before))).label("first_end"),
).group_by(_i.state, _i.provider_id, _i.method_id)
_ADD_INTEGRATION = insert(schema.integration)
_SAVE_FACTS = update(schema.integration).where(THIS, _i.state == bindparam("if_state"))
_SAVE_FACTS_NOT_DUE = _SAVE_FACTS.values(due_at=null())
_SAVE_FACTS_DUE_AT_THE_END = _SAVE_FACTS.values(due_at=case((IS_RENEWED, _i.expires_at), else_=null()), refused_since=null())
_SAVE_VARIABLES = _SAVE_FACTS.where(AT_GENERATION)
_REPLACE_IN_ANY_STATE = (
    update(schema.integration).where(THIS, AT_GENERATION).values(writer_lease=_i.lease_token + 1, lease_token=_i.lease_token + 1)
)
_REPLACE_CREDENTIAL = _REPLACE_IN_ANY_STATE.where(_i.state != "disabled")
_MARK_USED = update(schema.integration).where(
    THIS, or_(_i.idle_since <= bindparam("if_before"), _i.idle_since <= _i.created_at), _i.idle_since < bindparam("if_at")
)
_ERASE_INTEGRATION = delete(schema.integration).where(THIS, AT_GENERATION)
_OWN_ENTRY = select(literal(1)).where(schema.outbox.c.tenant_id == bindparam("if_tenant"), schema.outbox.c.entry_id == bindparam("if_id"))


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


@across_tenants
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


@across_tenants
def count_integrations(connection: Connection) -> Mapping[tuple[ProviderId, Health], int]:
    """Return how many integrations of all tenants there are, by provider and health; rows that cannot be read are not counted."""
    counts: Counter[tuple[ProviderId, Health]] = Counter()
    for row in connection.execute(_COUNT_INTEGRATIONS, {"clock": given_time(connection)}):
        state = STATES.get(row.state) if isinstance(row.state, str) else None
        if state is not None and not isinstance(row.provider_id, Unreadable):
            health = health_of(state, row.reason)
            if health is Health.OK and row.is_unchosen:
                health = Health.CHOOSE_RESOURCE
            counts[row.provider_id, health] += row.integrations
    return counts


@across_tenants
def count_endings(connection: Connection, *, ending_before: datetime) -> tuple[IntegrationCount | DamagedRow, ...]:
    """Count the integrations of all tenants by provider and method, and those that end before a time."""
    damaged: list[DamagedRow] = []
    counts: dict[tuple[ProviderId, str], IntegrationCount] = {}
    for found in _COUNT_ROWS.each(connection.execute(_COUNT_ENDINGS, {"if_before": micros(ending_before)}).all()):
        if isinstance(found, DamagedRow):
            damaged.append(found)
        else:
            named = (found.provider_id, found.method_id)
            counts[named] = _added(counts[named], found) if named in counts else found
    return (*damaged, *counts.values())


@handles(AddIntegration, tenant="facts.tenant_id")
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
        "idle_since": micros(facts.created_at),
    }
    with refused_as(IntegrationExistsError(tenant_id=facts.tenant_id, provider_id=str(facts.provider_id), slot=facts.slot)):
        connection.execute(_ADD_INTEGRATION, row)


@handles(SaveFacts, tenant="facts.tenant_id")
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


@handles(SaveVariables, tenant="facts.tenant_id")
def _save_variables(connection: Connection, change: SaveVariables) -> None:
    facts = change.facts
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    written = connection.execute(
        _SAVE_VARIABLES,
        {
            **where,
            "if_state": facts.state.value,
            "if_generation": change.expected_generation,
            "variables": json.dumps(facts.variables),
            "state_since": micros(facts.state_since),
            "updated_at": micros(facts.updated_at),
        },
    )
    require_one(connection, written.rowcount, where)


@handles(ReplaceCredential, tenant="facts.tenant_id")
def _replace_credential(connection: Connection, change: ReplaceCredential) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    written = connection.execute(
        _REPLACE_IN_ANY_STATE if change.while_disabled else _REPLACE_CREDENTIAL,
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
            **replacement_columns(change.replacement),
            "due_at": micros_or_none(change.due_at) if facts.state.is_refreshed else None,
        },
    )
    require_one(connection, written.rowcount, where)


@handles(MarkUsed)
def _mark_used(connection: Connection, change: MarkUsed) -> None:
    at = micros(change.at)
    where = {"if_tenant": change.tenant_id, "if_id": change.integration_id, "if_at": at, "if_before": at - length(USES_EVERY)}
    connection.execute(_MARK_USED, {**where, "idle_since": at})


@handles(EraseIntegration)
def _erase_integration(connection: Connection, change: EraseIntegration) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.integration_id}
    erased = connection.execute(_ERASE_INTEGRATION, {**where, "if_generation": change.expected_generation})
    require_one(connection, erased.rowcount, where)
    # A statement of its own: it sees what the transaction that held the row before has committed.
    unless_stale(connection.execute(_OWN_ENTRY, where).first() is None)
    forget_announcements(connection, change.tenant_id, change.integration_id)


def _to_use(row: AnyRow) -> dict[str, Any]:
    (
        integration_id,
        auth_type,
        method_id,
        context_id,
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
        last_used_at,
    ) = row
    return {
        "integration_id": integration_id,
        "auth_type": AUTH_TYPES[auth_type],
        "method_id": method_id,
        "context_id": context_id,
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
        "last_used_at": time_or_none(last_used_at),
    }


def _counted(row: AnyRow) -> IntegrationCount:
    return IntegrationCount(provider_id=row[0], method_id=row[1], total=count(row[2]), ending=count(row[3]), first_end=time_or_none(row[4]))


def _added(one: IntegrationCount, other: IntegrationCount) -> IntegrationCount:
    ends = [end for end in (one.first_end, other.first_end) if end is not None]
    return replace(one, total=one.total + other.total, ending=one.ending + other.ending, first_end=min(ends, default=None))


_HOLDER_ROWS = Rows(schema.integration, (_i.tenant_id, _i.integration_id), lambda row: (row[0], row[1]), names=NAMED_INTEGRATION)
_FACTS_ROWS = Rows(schema.integration, FACTS, facts, names=NAMED_INTEGRATION)
_CREDENTIAL_ROWS = Rows(schema.integration, _FIND_CREDENTIAL.selected_columns, _to_use, names=NAMED_INTEGRATION)
_COUNT_ROWS = Rows(schema.integration, _COUNT_ENDINGS.selected_columns, _counted, names=("provider_id", "method_id"))
_STORED_ROWS = Rows(schema.integration, _FIND_INTEGRATION.selected_columns, stored_integration, names=NAMED_INTEGRATION)
