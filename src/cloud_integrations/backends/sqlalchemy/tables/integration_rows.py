"""Rows of integrations: their columns, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, literal, not_, select

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, NOW_ONCE, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, count, pairs, time, time_or_none, words
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.integration import (
    RENEWED,
    AccountFacts,
    Integration,
    Phase,
    RefreshMarks,
    RenewalRule,
    SealedCredential,
    State,
    StoredIntegration,
)
from cloud_integrations.domain.replacement import Replacement
from cloud_integrations.errors import IntegrationNotFoundError, StaleWriteError

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_i = schema.integration.c
THIS = and_(_i.tenant_id == bindparam("if_tenant"), _i.integration_id == bindparam("if_id"))
AT_GENERATION = _i.generation == bindparam("if_generation")
WITH_LEASE = and_(_i.lease_token == bindparam("if_lease"), _i.attempt_id == bindparam("if_attempt"))
# Used for every row of a list: a look-up takes a tenth of the time of the enum's call.
AUTH_TYPES = {auth_type.value: auth_type for auth_type in AuthType}
STATES = {state.value: state for state in State}
RULES: dict[str, RenewalRule] = {rule: rule for rule in get_args(RenewalRule)}
_NO_ACCOUNT = AccountFacts()
# NULL: never used.
LAST_USED = case((_i.idle_since > _i.created_at, _i.idle_since)).label("last_used_at")
FACTS = (
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
    _i.renewal_rule,
    _i.granted_at,
    _i.reconnect_before,
    _i.account_id,
    _i.account_label,
    _i.variables,
    _i.context_id,
    _i.method_id,
    _i.slot,
    LAST_USED,
)
STORED = (
    *FACTS,
    _i.generation,
    _i.key_id,
    _i.presented,
    _i.renewal,
    _i.presented_fingerprint,
    _i.renewal_fingerprint,
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
    _i.replaced_since,
    _i.replaced_at,
    _i.due_at,
    NOW,
)
_INTEGRATION_EXISTS = select(literal(1)).where(THIS)
IS_RENEWED = _i.renewal_rule.in_(sorted(RENEWED))
REFRESHED = _i.state.in_([state.value for state in State if state.is_refreshed])
# As `Integration.as_of`: who cannot be renewed and has ended needs a reconnect.
_HAS_ENDED = and_(REFRESHED, not_(IS_RENEWED), _i.expires_at <= NOW_ONCE)
STATE_NOW: ColumnElement[str] = case((_HAS_ENDED, State.NEEDS_REAUTH.value), else_=_i.state)
# Variables are JSON, in which a quote inside a text follows a backslash: this is an empty value and nothing else.
IS_UNCHOSEN: ColumnElement[int] = case((_i.variables.like('%: ""%'), 1), else_=0)


def fact_columns(facts: Integration) -> dict[str, Any]:
    """Return the columns that hold the facts of an integration."""
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
        "renewal_rule": facts.renewal_rule,
    }


def credential_columns(credential: SealedCredential) -> dict[str, Any]:
    """Return the columns that hold a sealed credential."""
    return {
        "generation": credential.generation,
        "key_id": credential.key_id,
        "presented": credential.presented,
        "renewal": credential.renewal,
        "presented_fingerprint": credential.presented_fingerprint,
        "renewal_fingerprint": credential.renewal_fingerprint,
        "account_fingerprint": credential.account_fingerprint,
    }


def replacement_columns(replacement: Replacement | None) -> dict[str, Any]:
    """Return the columns that say whether a credential was made in place of a refused one."""
    if replacement is None:
        return {"replaced_since": None, "replaced_at": None}
    return {"replaced_since": micros(replacement.since), "replaced_at": micros(replacement.at)}


def _replacement(since: int | None, at: int | None) -> Replacement | None:
    return None if since is None or at is None else Replacement(since=time(since), at=time(at))


def facts(row: AnyRow | tuple[Any, ...]) -> Integration:
    """Read the facts of an integration from a row of `FACTS`."""
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
        renewal_rule,
        granted_at,
        reconnect_before,
        account_id,
        account_label,
        variables,
        context_id,
        method_id,
        slot,
        last_used_at,
    ) = row
    return Integration(
        id=integration_id,
        tenant_id=tenant_id,
        provider_id=provider_id,
        name=name,
        auth_type=AUTH_TYPES[auth_type],
        state=STATES[state],
        state_since=time(state_since),
        reason=reason,
        created_at=time(created_at),
        updated_at=time(updated_at),
        scopes=words(scopes),
        requested_scopes=words(requested_scopes),
        missing_scopes=words(missing_scopes),
        expires_at=time_or_none(expires_at),
        renewal_rule=RULES[renewal_rule],
        granted_at=time_or_none(granted_at),
        reconnect_before=time_or_none(reconnect_before),
        account=_NO_ACCOUNT if account_id is None and account_label is None else AccountFacts(account_id=account_id, label=account_label),
        variables=pairs(variables),
        context_id=context_id,
        method_id=method_id,
        slot=slot,
        last_used_at=time_or_none(last_used_at),
    )


def stored_integration(row: AnyRow) -> StoredIntegration:
    """Read an integration with its credential and its marks from a row of `STORED`."""
    (
        generation,
        key_id,
        presented,
        renewal,
        presented_fingerprint,
        renewal_fingerprint,
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
        replaced_since,
        replaced_at,
        due_at,
        read_at,
    ) = row[len(FACTS) :]
    return StoredIntegration(
        facts=facts(row[: len(FACTS)]),
        credential=SealedCredential(
            generation=count(generation, least=1),
            key_id=key_id,
            presented=presented,
            renewal=renewal,
            presented_fingerprint=presented_fingerprint,
            renewal_fingerprint=renewal_fingerprint,
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
            replacement=_replacement(replaced_since, replaced_at),
            due_at=time_or_none(due_at),
        ),
        read_at=time(read_at),
    )


NAMED_INTEGRATION = ("integration_id",)


def require_one(connection: Connection, count: int, where: Mapping[str, Any]) -> None:
    """Return if one row was written; raise `IntegrationNotFoundError` if the row does not exist, otherwise `StaleWriteError`."""
    if count == 1:
        return
    if connection.execute(_INTEGRATION_EXISTS, where).first() is None:
        raise IntegrationNotFoundError
    raise StaleWriteError
