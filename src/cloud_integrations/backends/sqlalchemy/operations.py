"""What the store does, each operation a plain function over SQLAlchemy's `Connection`.

Nothing here begins or ends a transaction.  Statements are built once, at import.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    tuple_,
    union,
    update,
)
from sqlalchemy.exc import DBAPIError

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import (
    AccountFacts,
    DueIntegration,
    Integration,
    Phase,
    RefreshMarks,
    SealedCredential,
    State,
    StoredCredential,
    StoredIntegration,
)
from cloud_integrations.errors import IntegrationExistsError, IntegrationNotFoundError, StaleWriteError
from cloud_integrations.ports.store import (
    MAX_COUNTED,
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddIntegration,
    DamagedRow,
    EraseIntegration,
    MarkSent,
    ReplaceCredential,
    SaveFacts,
    SaveRenewal,
    SettleAttempt,
    TakeLease,
)

from . import schema
from .clock import NOW, NOW_ONCE, given_time, length, micros, micros_or_none
from .db_errors import is_missing_table, refused_as, unless_stale
from .engine import require_server
from .rows import AnyRow, Rows, Unreadable, count, pairs, time, time_or_none, words
from .tables.handlers import handles
from .tables.keys import require_active_key

# Names of parameters begin with `if_` in conditions, so that they never meet a column that is set.
_i = schema.integration.c
_a = schema.authorization.c
_r = schema.revocation.c
_e = schema.audit.c
_h = schema.audit_head.c

_THIS = and_(_i.tenant_id == bindparam("if_tenant"), _i.integration_id == bindparam("if_id"))
_AT_GENERATION = _i.generation == bindparam("if_generation")
_WITH_LEASE = and_(_i.lease_token == bindparam("if_lease"), _i.attempt_id == bindparam("if_attempt"))

# Integrations

# A list is made of many rows: a look-up costs a tenth of the enum's call.
_AUTH_TYPES = {auth_type.value: auth_type for auth_type in AuthType}
_STATES = {state.value: state for state in State}
_NO_ACCOUNT = AccountFacts()

_FACTS = (
    _i.integration_id,
    _i.tenant_id,
    _i.provider_id,
    _i.name,
    _i.auth_type,
    _i.state,
    _i.state_since,
    _i.reason,
    _i.created_at,
    _i.updated_at,
    _i.scopes,
    _i.requested_scopes,
    _i.missing_scopes,
    _i.expires_at,
    _i.refresh_token.is_not(None),
    _i.granted_at,
    _i.reconnect_before,
    _i.account_id,
    _i.account_label,
    _i.variables,
    _i.context_id,
    _i.method_id,
)
_HELD = (
    *_FACTS,
    _i.generation,
    _i.key_id,
    _i.access_token,
    _i.refresh_token,
    _i.api_key,
    _i.api_secret,
    _i.access_fingerprint,
    _i.refresh_fingerprint,
    _i.account_fingerprint,
    _i.lease_token,
    _i.lease_until,
    _i.lease_owner,
    _i.phase,
    _i.attempt_id,
    _i.sent_at,
    _i.writer_lease,
    _i.attempts,
    _i.next_attempt_at,
    _i.last_error,
    _i.failed_at,
    _i.refused_since,
    _i.refreshed_at,
    _i.due_at,
    NOW,
)
_FIND_INTEGRATION = select(*_HELD).where(_THIS)
_FIND_CREDENTIAL = select(
    _i.integration_id,
    _i.auth_type,
    _i.method_id,
    _i.state,
    _i.reason,
    _i.generation,
    func.coalesce(_i.access_token, _i.api_key),
    _i.api_secret,
    _i.refresh_token.is_not(None),
    _i.sent_at.is_not(None),
    func.coalesce(_i.refreshed_at, _i.created_at),
    _i.expires_at,
    _i.scopes,
    _i.missing_scopes,
    _i.variables,
).where(_i.tenant_id == bindparam("if_tenant"), _i.provider_id == bindparam("if_provider"))
_LIST_INTEGRATIONS = select(*_FACTS).where(_i.tenant_id == bindparam("if_tenant")).order_by(_i.created_at, _i.integration_id)
# One look into each index: for an OR across them, no database uses all three.
_FIND_HOLDERS = union(
    *[
        select(_i.tenant_id, _i.integration_id).where(_i.provider_id == bindparam("if_provider"), column == bindparam("if_fingerprint"))
        for column in (_i.access_fingerprint, _i.refresh_fingerprint, _i.account_fingerprint)
    ]
).limit(MAX_HOLDERS)
_OTHERS_OF_APPLICATION = and_(_i.provider_id == bindparam("if_provider"), _i.integration_id != bindparam("if_id"))
_OTHERS_RENEWED = select(
    func.max(case((_i.refreshed_at >= bindparam("if_since"), 1), else_=0)),
    func.max(case((_i.failed_at >= bindparam("if_since"), 1), else_=0)),
).where(_OTHERS_OF_APPLICATION)
_OTHERS_RENEWED_OF_CONTEXT = _OTHERS_RENEWED.where(_i.context_id == bindparam("if_context"))
_OTHERS_RENEWED_OF_NONE = _OTHERS_RENEWED.where(_i.context_id.is_(None))
_LIST_UNRENEWED = (
    select(_i.tenant_id, _i.integration_id, _i.provider_id, _i.generation)
    .where(_i.provider_id == bindparam("if_provider"), _i.state == State.NEEDS_REAUTH.value, _i.refresh_token.is_not(None))
    .order_by(_i.tenant_id, _i.integration_id)
    .limit(bindparam("count"))
)
_BEYOND = or_(
    _i.tenant_id > bindparam("after_tenant"), and_(_i.tenant_id == bindparam("after_tenant"), _i.integration_id > bindparam("after_id"))
)
_INTEGRATION_EXISTS = select(literal(1)).where(_THIS)

_ADD_INTEGRATION = insert(schema.integration)
_REFRESHED = _i.state.in_([state.value for state in State if state.is_refreshed])
_SAVE_FACTS = update(schema.integration).where(_THIS, _i.state == bindparam("if_state"))
_SAVE_FACTS_NOT_DUE = _SAVE_FACTS.values(due_at=null())
_SAVE_FACTS_DUE_AT_THE_END = _SAVE_FACTS.values(
    due_at=case((_i.refresh_token.is_not(None), _i.expires_at), else_=null()), refused_since=null()
)
_REPLACE_CREDENTIAL = (
    update(schema.integration)
    .where(_THIS, _AT_GENERATION, _i.state != "disabled")
    .values(writer_lease=_i.lease_token + 1, lease_token=_i.lease_token + 1)
)
_ERASE_INTEGRATION = delete(schema.integration).where(_THIS, _AT_GENERATION)

_IN_FLIGHT = _i.phase.in_(("sent", "unknown"))
_REST_AFTER_SENDING = case((_IN_FLIGHT, bindparam("if_delay")), else_=0)
_TAKE_ANY_LEASE = (
    update(schema.integration)
    .where(
        _THIS,
        _AT_GENERATION,
        _i.state != "disabled",
        or_(_i.lease_until.is_(None), _i.lease_until + _REST_AFTER_SENDING < NOW),
    )
    .values(lease_token=_i.lease_token + 1, lease_until=NOW + bindparam("set_length"))
)
_TAKE_LEASE = _TAKE_ANY_LEASE.where(_REFRESHED)
_MARK_ANY_SENT = (
    update(schema.integration)
    .where(_THIS, _WITH_LEASE, _AT_GENERATION, _i.state != "disabled", _i.lease_until > NOW + bindparam("if_needed"))
    .values(phase="sent", sent_at=func.coalesce(_i.sent_at, NOW))
)
_MARK_SENT = _MARK_ANY_SENT.where(_REFRESHED)
_SAVE_RENEWAL = (
    update(schema.integration)
    .where(_THIS, _i.writer_lease < bindparam("if_lease"), _AT_GENERATION)
    .values(
        lease_until=case((_WITH_LEASE, null()), else_=_i.lease_until),
        lease_owner=case((_WITH_LEASE, null()), else_=_i.lease_owner),
        phase=case((_WITH_LEASE, literal(Phase.IDLE.value)), else_=_i.phase),
        sent_at=case((and_(not_(_WITH_LEASE), _IN_FLIGHT), _i.sent_at), else_=null()),
    )
)
_SAVE_RENEWAL_OF_DISABLED = _SAVE_RENEWAL.where(_i.state == "disabled")
_SAVE_RENEWAL_OF_ACTIVE = _SAVE_RENEWAL.where(_i.state != "disabled")
_SAVE_RENEWAL_AND_TAKE_NOTHING_BACK = _SAVE_RENEWAL_OF_ACTIVE.where(or_(_WITH_LEASE, _i.state != "needs_reauth"))
_SETTLE = update(schema.integration).where(_THIS, _WITH_LEASE, _AT_GENERATION, _i.state != "disabled")
_SETTLE_AND_END_LEASE = _SETTLE.values(attempts=_i.attempts + bindparam("set_count"), lease_until=null(), lease_owner=null())
_SETTLE_AND_KEEP_LEASE = _SETTLE.values(attempts=_i.attempts + bindparam("set_count"))


def find_integration(connection: Connection, tenant_id: TenantId, integration_id: IntegrationId) -> StoredIntegration | None:
    """Return the tenant's integration, or None."""
    row = connection.execute(_FIND_INTEGRATION, {"if_tenant": tenant_id, "if_id": integration_id, "clock": given_time(connection)}).first()
    return _HELD_ROWS.one(row)


def find_credential(connection: Connection, tenant_id: TenantId, provider_id: ProviderId) -> StoredCredential | None:
    """Return what handing out the tenant's credential with this provider takes, or None."""
    row = connection.execute(_FIND_CREDENTIAL, {"if_tenant": tenant_id, "if_provider": provider_id}).first()
    found = _CREDENTIAL_ROWS.one(row)
    # What the caller knows is not read again: this is the way that is taken most.
    return None if found is None else StoredCredential(tenant_id=tenant_id, provider_id=provider_id, **found)


def find_holders(connection: Connection, provider_id: ProviderId, fingerprint: bytes) -> tuple[tuple[TenantId, IntegrationId], ...]:
    """Return which integrations have this fingerprint as that of a token or of their account."""
    return _HOLDER_ROWS.all(connection.execute(_FIND_HOLDERS, {"if_provider": provider_id, "if_fingerprint": fingerprint}))


def others_renewed(
    connection: Connection, provider_id: ProviderId, context_id: ContextId | None, *, since: datetime, but: IntegrationId
) -> bool | None:
    """Say how all other integrations of an OAuth application did since then."""
    where: dict[str, Any] = {"if_provider": provider_id, "if_id": but, "if_since": micros(since)}
    if context_id is None:
        row = connection.execute(_OTHERS_RENEWED_OF_NONE, where).one()
    else:
        row = connection.execute(_OTHERS_RENEWED_OF_CONTEXT, {**where, "if_context": context_id}).one()
    renewed, failed = row
    if renewed:
        return True
    return False if failed else None


def list_unrenewed(
    connection: Connection, provider_id: ProviderId, *, reason: str | None, after: tuple[TenantId, IntegrationId] | None, limit: int
) -> tuple[DueIntegration, ...]:
    """Return integrations that are in state needs_reauth and hold a refresh token, ordered by tenant and id."""
    statement, named = _LIST_UNRENEWED, {"if_provider": provider_id, "count": limit}
    if reason is not None:
        statement, named = statement.where(_i.reason == bindparam("if_reason")), {**named, "if_reason": reason}
    if after is not None:
        statement, named = statement.where(_BEYOND), {**named, "after_tenant": after[0], "after_id": after[1]}
    return _DUE_ROWS.all(connection.execute(statement, named))


def list_integrations(connection: Connection, tenant_id: TenantId) -> tuple[Integration | DamagedRow, ...]:
    """Return the tenant's integrations, oldest first."""
    return _FACTS_ROWS.each(connection.execute(_LIST_INTEGRATIONS, {"if_tenant": tenant_id}).all())


@handles(AddIntegration)
def _add_integration(connection: Connection, change: AddIntegration) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    row = {
        "tenant_id": facts.tenant_id,
        "integration_id": facts.id,
        "provider_id": facts.provider_id,
        "created_at": micros(facts.created_at),
        **_fact_columns(facts),
        **_credential_columns(change.credential),
        "writer_lease": 0,
        "lease_token": 0,
        "phase": Phase.IDLE.value,
        "attempts": 0,
        "refreshed_at": micros(facts.updated_at),
        "due_at": micros_or_none(change.due_at) if facts.state.is_refreshed else None,
    }
    with refused_as(IntegrationExistsError(tenant_id=facts.tenant_id, provider_id=str(facts.provider_id))):
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
    _require_one(connection, written.rowcount, where)


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
            **{column: value for column, value in _fact_columns(facts).items() if column != "name"},
            **_credential_columns(change.credential),
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
    _require_one(connection, written.rowcount, where)


@handles(EraseIntegration)
def _erase_integration(connection: Connection, change: EraseIntegration) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.integration_id}
    erased = connection.execute(_ERASE_INTEGRATION, {**where, "if_generation": change.expected_generation})
    _require_one(connection, erased.rowcount, where)


@handles(TakeLease)
def _take_lease(connection: Connection, change: TakeLease) -> None:
    written = connection.execute(
        _TAKE_ANY_LEASE if change.asks_again else _TAKE_LEASE,
        {
            "if_tenant": change.tenant_id,
            "if_id": change.integration_id,
            "if_generation": change.expected_generation,
            "if_delay": length(change.takeover_delay),
            "set_length": length(change.length),
            "clock": given_time(connection),
            "lease_owner": change.owner,
            "phase": Phase.LEASED.value,
            "attempt_id": change.attempt_id,
        },
    )
    unless_stale(written.rowcount == 1)


@handles(MarkSent)
def _mark_sent(connection: Connection, change: MarkSent) -> None:
    statement = _MARK_ANY_SENT if change.asks_again else _MARK_SENT
    written = connection.execute(statement, {**_own_attempt(change), "if_needed": length(change.needed), "clock": given_time(connection)})
    unless_stale(written.rowcount == 1)


@handles(SaveRenewal)
def _save_renewal(connection: Connection, change: SaveRenewal) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    if facts.state is State.DISABLED:
        statement = _SAVE_RENEWAL_OF_DISABLED
        state: dict[str, Any] = {"reason": facts.reason}
    else:
        statement = _SAVE_RENEWAL_OF_ACTIVE if change.takes_back else _SAVE_RENEWAL_AND_TAKE_NOTHING_BACK
        state = {
            "state": facts.state.value,
            "state_since": micros(facts.state_since),
            "reason": facts.reason,
            "due_at": micros_or_none(change.due_at),
        }
    written = connection.execute(
        statement,
        {
            **where,
            "if_lease": change.lease_token,
            "if_attempt": change.attempt_id,
            "if_generation": change.credential.generation - 1,
            **{column: value for column, value in _credential_columns(change.credential).items() if column != "account_fingerprint"},
            **state,
            "scopes": json.dumps(facts.scopes),
            "missing_scopes": json.dumps(facts.missing_scopes),
            "expires_at": micros_or_none(facts.expires_at),
            "reconnect_before": micros_or_none(facts.reconnect_before),
            "variables": json.dumps(facts.variables),
            "updated_at": micros(facts.updated_at),
            "writer_lease": change.lease_token,
            "attempts": 0,
            "next_attempt_at": micros_or_none(change.next_attempt_at),
            "last_error": None,
            "failed_at": None,
            "refused_since": None,
            "refreshed_at": micros(change.refreshed_at),
        },
    )
    _require_one(connection, written.rowcount, where)


@handles(SettleAttempt)
def _settle_attempt(connection: Connection, change: SettleAttempt) -> None:
    statement = _SETTLE_AND_KEEP_LEASE if change.phase is Phase.UNKNOWN else _SETTLE_AND_END_LEASE
    written = connection.execute(
        statement,
        {
            **_own_attempt(change),
            "set_count": int(change.count_attempt),
            "phase": change.phase.value,
            "state": change.state.value,
            "reason": change.reason,
            "state_since": micros(change.state_since),
            "last_error": change.error,
            "failed_at": micros_or_none(change.failed_at),
            "refused_since": micros_or_none(change.refused_since),
            "next_attempt_at": micros_or_none(change.next_attempt_at),
            "due_at": micros_or_none(change.due_at) if change.state.is_refreshed else None,
            **({} if change.state is State.UNKNOWN else {"sent_at": None}),
        },
    )
    unless_stale(written.rowcount == 1)


def _own_attempt(change: MarkSent | SettleAttempt) -> dict[str, Any]:
    return {
        "if_tenant": change.tenant_id,
        "if_id": change.integration_id,
        "if_lease": change.lease_token,
        "if_attempt": change.attempt_id,
        "if_generation": change.generation,
    }


def _fact_columns(facts: Integration) -> dict[str, Any]:
    return {
        "name": facts.name,
        "auth_type": facts.auth_type.value,
        "method_id": facts.method_id,
        "context_id": facts.context_id,
        "state": facts.state.value,
        "state_since": micros(facts.state_since),
        "reason": facts.reason,
        "updated_at": micros(facts.updated_at),
        "scopes": json.dumps(facts.scopes),
        "requested_scopes": json.dumps(facts.requested_scopes),
        "missing_scopes": json.dumps(facts.missing_scopes),
        "expires_at": micros_or_none(facts.expires_at),
        "granted_at": micros_or_none(facts.granted_at),
        "reconnect_before": micros_or_none(facts.reconnect_before),
        "account_id": facts.account.account_id,
        "account_label": facts.account.label,
        "variables": json.dumps(facts.variables),
    }


def _credential_columns(credential: SealedCredential) -> dict[str, Any]:
    return {
        "generation": credential.generation,
        "key_id": credential.key_id,
        "access_token": credential.access_token,
        "refresh_token": credential.refresh_token,
        "api_key": credential.api_key,
        "api_secret": credential.api_secret,
        "access_fingerprint": credential.access_fingerprint,
        "refresh_fingerprint": credential.refresh_fingerprint,
        "account_fingerprint": credential.account_fingerprint,
    }


def _facts(row: AnyRow | tuple[Any, ...]) -> Integration:
    (
        integration_id,
        tenant_id,
        provider_id,
        name,
        auth_type,
        state,
        state_since,
        reason,
        created_at,
        updated_at,
        scopes,
        requested_scopes,
        missing_scopes,
        expires_at,
        renewable,
        granted_at,
        reconnect_before,
        account_id,
        account_label,
        variables,
        context_id,
        method_id,
    ) = row
    return Integration(
        id=integration_id,
        tenant_id=tenant_id,
        provider_id=provider_id,
        name=name,
        auth_type=_AUTH_TYPES[auth_type],
        state=_STATES[state],
        state_since=time(state_since),
        reason=reason,
        created_at=time(created_at),
        updated_at=time(updated_at),
        scopes=words(scopes),
        requested_scopes=words(requested_scopes),
        missing_scopes=words(missing_scopes),
        expires_at=time_or_none(expires_at),
        renewable=bool(renewable),
        granted_at=time_or_none(granted_at),
        reconnect_before=time_or_none(reconnect_before),
        account=_NO_ACCOUNT if account_id is None and account_label is None else AccountFacts(account_id=account_id, label=account_label),
        variables=pairs(variables),
        context_id=context_id,
        method_id=method_id,
    )


def _to_use(row: AnyRow) -> dict[str, Any]:
    (
        integration_id,
        auth_type,
        method_id,
        state,
        reason,
        generation,
        sealed,
        sealed_secret,
        can_refresh,
        in_doubt,
        obtained_at,
        expires_at,
        scopes,
        missing_scopes,
        variables,
    ) = row
    return {
        "integration_id": integration_id,
        "auth_type": _AUTH_TYPES[auth_type],
        "method_id": method_id,
        "state": _STATES[state],
        "reason": reason,
        "generation": count(generation, least=1),
        "sealed": sealed,
        "sealed_secret": sealed_secret,
        "can_refresh": bool(can_refresh),
        "in_doubt": bool(in_doubt),
        "obtained_at": time(obtained_at),
        "expires_at": time_or_none(expires_at),
        "scopes": words(scopes),
        "missing_scopes": words(missing_scopes),
        "variables": pairs(variables),
    }


def _held(row: AnyRow) -> StoredIntegration:
    (
        generation,
        key_id,
        access_token,
        refresh_token,
        api_key,
        api_secret,
        access_fingerprint,
        refresh_fingerprint,
        account_fingerprint,
        lease_token,
        lease_until,
        lease_owner,
        phase,
        attempt_id,
        sent_at,
        writer_lease,
        attempts,
        next_attempt_at,
        last_error,
        failed_at,
        refused_since,
        refreshed_at,
        due_at,
        read_at,
    ) = row[len(_FACTS) :]
    return StoredIntegration(
        facts=_facts(row[: len(_FACTS)]),
        credential=SealedCredential(
            generation=count(generation, least=1),
            key_id=key_id,
            access_token=access_token,
            refresh_token=refresh_token,
            api_key=api_key,
            api_secret=api_secret,
            access_fingerprint=access_fingerprint,
            refresh_fingerprint=refresh_fingerprint,
            account_fingerprint=account_fingerprint,
        ),
        marks=RefreshMarks(
            lease_token=count(lease_token),
            lease_until=time_or_none(lease_until),
            lease_owner=lease_owner,
            phase=Phase(phase),
            attempt_id=attempt_id,
            sent_at=time_or_none(sent_at),
            writer_lease=count(writer_lease),
            attempts=count(attempts),
            next_attempt_at=time_or_none(next_attempt_at),
            last_error=last_error,
            failed_at=time_or_none(failed_at),
            refused_since=time_or_none(refused_since),
            refreshed_at=time_or_none(refreshed_at),
            due_at=time_or_none(due_at),
        ),
        read_at=time(read_at),
    )


_NAMED_INTEGRATION = ("integration_id",)
_HOLDER_ROWS = Rows(schema.integration, (_i.tenant_id, _i.integration_id), lambda row: (row[0], row[1]), names=_NAMED_INTEGRATION)
_FACTS_ROWS = Rows(schema.integration, _FACTS, _facts, names=_NAMED_INTEGRATION)
_CREDENTIAL_ROWS = Rows(schema.integration, _FIND_CREDENTIAL.selected_columns, _to_use, names=_NAMED_INTEGRATION)
_HELD_ROWS = Rows(schema.integration, _FIND_INTEGRATION.selected_columns, _held, names=_NAMED_INTEGRATION)


# What is due

_CLAIMS_FROM_THE_FRONT = 20
"""Every so many claims, one begins where the due times do."""

# The partial index is known by its own condition; a statement that is prepared once cannot conclude it from a parameter.
_DUE = and_(_i.due_at.is_not(None), _i.due_at <= NOW_ONCE, _REFRESHED)
_CLAIMED = (_i.tenant_id, _i.integration_id, _i.provider_id, _i.generation)
# The count stands in the text: with a parameter, PostgreSQL would plan for a tenth of the table.
_LONGEST_DUE = (
    select(*_CLAIMED, _i.due_at, NOW_ONCE.label("now"))
    .where(_DUE, _i.due_at >= bindparam("since"))
    .order_by(_i.due_at, _i.tenant_id, _i.integration_id)
    .limit(bindparam("count", type_=Integer, literal_execute=True))
    .with_for_update(skip_locked=True)
)
_LONGEST_DUE_FIRST = _LONGEST_DUE.cte("due")
_CLAIM_DUE = (
    update(schema.integration)
    .where(_i.tenant_id == _LONGEST_DUE_FIRST.c.tenant_id, _i.integration_id == _LONGEST_DUE_FIRST.c.integration_id)
    .values(due_at=NOW_ONCE + bindparam("set_hold"))
    .returning(*_CLAIMED, _LONGEST_DUE_FIRST.c.due_at)
)
# SQLite finds no index for pairs.
_HOLD_DUE = update(schema.integration).where(
    _i.tenant_id.in_(bindparam("if_tenants", expanding=True)),
    tuple_(_i.tenant_id, _i.integration_id).in_(bindparam("if_keys", expanding=True)),
)
_COUNT_DUE = select(func.count()).select_from(select(_i.tenant_id).where(_DUE).limit(MAX_COUNTED).subquery())


class DueFront:
    """Where a claim begins to look for what is due; one for each store.

    Before it lie what others hold and, until the database clears them away, the index entries of all that was claimed since.  It is a
    hint and no more: whoever finds too little there begins anew, and so does now and then whoever finds enough, for what came later.
    """

    __slots__ = ("_claims", "since")

    def __init__(self) -> None:
        self.since = 0
        self._claims = 0

    def begin(self) -> int:
        """Return the due time, in the columns' microseconds, from which to look."""
        self._claims += 1
        return self.since if self._claims % _CLAIMS_FROM_THE_FRONT else 0


def _due(row: AnyRow) -> DueIntegration:
    return DueIntegration(tenant_id=row[0], integration_id=row[1], provider_id=row[2], generation=count(row[3], least=1))


_DUE_ROWS = Rows(schema.integration, _CLAIMED, _due, names=_NAMED_INTEGRATION)


def claim_due(connection: Connection, front: DueFront, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
    """Take what has been due for longest and move its time forward, out of everybody's sight."""
    since = front.begin()
    rows = _claim_since(connection, since, limit=limit, hold=hold)
    is_full = len(rows) == limit
    if since and not is_full:
        rows = [*rows, *_claim_since(connection, 0, limit=limit - len(rows), hold=hold)]
    front.since = max(row.due_at for row in rows) if is_full else 0
    return _DUE_ROWS.each([row[: len(_CLAIMED)] for row in rows])


def _claim_since(connection: Connection, since: int, *, limit: int, hold: timedelta) -> Sequence[AnyRow]:
    found = {"since": since, "count": limit, "clock": given_time(connection)}
    if connection.dialect.name == "postgresql":
        return connection.execute(_CLAIM_DUE, {**found, "set_hold": length(hold)}).all()
    # Elsewhere an UPDATE returns nothing, or nothing of what it was joined with.
    rows = connection.execute(_LONGEST_DUE, found).all()
    if rows:
        # What cannot be named cannot be held: it stays due, and is told each time.
        keys = [(row.tenant_id, row.integration_id) for row in rows if not isinstance(row.integration_id, Unreadable)]
        stored = {"if_tenants": [tenant_id for tenant_id, _ in keys], "if_keys": keys, "due_at": rows[0].now + length(hold)}
        connection.execute(_HOLD_DUE, stored)
    return rows


def count_due(connection: Connection) -> int:
    """Return how many integrations are due and claimed by nobody, and not more than `MAX_COUNTED`."""
    return int(connection.execute(_COUNT_DUE, {"clock": given_time(connection)}).scalar_one())


# The schema

_FIND_VERSION = select(schema.version.c.version_num)


def find_version(connection: Connection) -> str | None:
    """Return the newest migration of this database, or None where there is no table of ours."""
    require_server(connection)
    try:
        return connection.execute(_FIND_VERSION).scalar()
    except DBAPIError as error:
        if not is_missing_table(error):
            raise
        return None


# What all share


def _require_one(connection: Connection, count: int, where: Mapping[str, Any]) -> None:
    """Tell an integration that is gone from one that somebody else changed."""
    if count == 1:
        return
    if connection.execute(_INTEGRATION_EXISTS, where).first() is None:
        raise IntegrationNotFoundError
    raise StaleWriteError
