"""End an integration's access: its secrets leave the row, and its tokens are revoked through the outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import get_args

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import State, StoredIntegration
from cloud_integrations.domain.key_rotation import StoredRotation
from cloud_integrations.domain.parts import pack
from cloud_integrations.domain.removal import LeftAlone, Removal, Revocation, RevocationOutcome, RevokedKind, TokenKind
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    DecryptError,
    KeyRetiredError,
    KeyringError,
    StaleWriteError,
)
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.events import apply
from cloud_integrations.flows.shared.key_revocation import attempt_key_revocation, new_key_entry
from cloud_integrations.flows.shared.key_rotation import Ending, end, find_parts, find_rotation, finish, revoke_ended
from cloud_integrations.flows.shared.lookup import load, tell_damaged
from cloud_integrations.flows.shared.revocation import (
    ENDS_GRANT,
    Attempt,
    Source,
    choose,
    new_entries,
    revoke_now,
    settle_now,
)
from cloud_integrations.flows.shared.revocation_entries import waiting_revocations
from cloud_integrations.flows.shared.stale_writes import again
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import AddEntry, Change, DamagedRow, DelayEntry, FinishEntry
from cloud_integrations.protocol.client import Client

_MOST_EARLIER = 100
_LEFT_ALONE: dict[str, LeftAlone] = {reason: reason for reason in get_args(LeftAlone)}
_UNSUPPORTED = Attempt(outcome=RevocationOutcome.UNSUPPORTED)
_NOT_ASKED = Attempt(outcome=RevocationOutcome.SKIPPED, reason="not_asked")


@dataclass(slots=True, kw_only=True)
class _Plan:
    """The outcome of each token and key so far, and the tokens to revoke."""

    stored: StoredIntegration
    api_key: Attempt
    installation: RevocationOutcome
    manual_url: str | None
    """The page on which a person can withdraw access that we cannot revoke."""
    attempts: dict[RevokedKind, Attempt] = field(default_factory=dict)
    """By kind of token; a kind that the integration never had is missing."""
    client: Client | None = None
    to_revoke: list[tuple[Revocation, Secret]] = field(default_factory=list)
    """Tokens, or the parts of the key, each with its entry in the outbox."""
    go_along: list[TokenKind] = field(default_factory=list)
    key: DataKey | None = None
    """The tenant's active data key; None: it cannot be had."""
    earlier: int = 0
    """How many revocations at this provider were waiting before."""
    other: Ending | None = None
    """The end of the key that was not handed out, of an open rotation."""

    def of(self, kind: TokenKind) -> Attempt:
        return self.attempts.get(kind, Attempt(outcome=RevocationOutcome.SKIPPED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What becomes of the row, in the transaction that takes its secrets out; changes with sealed values come first."""

    sealed: Sequence[Change] = ()
    others: Sequence[Change | Event] = ()


Close = Callable[[StoredIntegration, DataKey | None, dict[str, str]], Closing]
"""Gives the closing of a row: from the row, the tenant's active key (None: it cannot be had), and what the audit log says of what stays."""


async def end_access(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, /, *, revoke_key: bool, close: Close, caller: Caller
) -> Removal:
    """Close the row as *close* says, then revoke its tokens, and return what happened to each token and key.

    A key that was pasted is revoked only with *revoke_key*, because it may serve elsewhere.
    One transaction closes the row and puts the tokens into the outbox, so neither a crash nor a provider that is down leaves a
    secret in the row or a token that is never revoked.  Raises `IntegrationNotFoundError`.
    """
    # If a refresh writes a newer credential in the meantime, the newer one is revoked.
    plan = await again(lambda: _close(wiring, tenant_id, integration_id, caller, revoke_key=revoke_key, close=close), subject="integration")
    if plan.client is not None:
        tried = await revoke_now(wiring, plan.client, plan.to_revoke, caller)
        # The revocation of the first token ends these too, so they share its result.
        along = [
            Attempt(outcome=RevocationOutcome.SKIPPED) if first.outcome is RevocationOutcome.REVOKED else first for first in tried.values()
        ][:1]
        plan.attempts |= tried
        plan.attempts |= {kind: first for kind in plan.go_along for first in along}
    elif plan.to_revoke:
        ((entry, key),) = plan.to_revoke
        plan.api_key = await attempt_key_revocation(wiring, entry, key)
        await settle_now(wiring, entry, plan.api_key, caller=caller)
    other = await _end_other(wiring, plan, caller)
    refresh, access = plan.of("refresh"), plan.of("access")
    still_works = any(map(_stays, (plan.api_key, other))) or RevocationOutcome.UNSUPPORTED in {
        refresh.outcome,
        access.outcome,
        plan.installation,
    }
    return Removal(
        integration_id=plan.stored.facts.id,
        refresh_token=refresh.outcome,
        access_token=access.outcome,
        api_key=plan.api_key.outcome,
        other_key=other.outcome,
        installation=plan.installation,
        refresh_reason=_left_alone(refresh),
        access_reason=_left_alone(access),
        key_reason=_left_alone(plan.api_key),
        other_key_reason=_left_alone(other),
        waiting=plan.earlier,
        manual_url=plan.manual_url if still_works else None,
    )


async def _end_other(wiring: Wiring, plan: _Plan, caller: Caller) -> Attempt:
    """Return the outcome for the key that was not handed out; skipped if no rotation was open, or nobody has used that key."""
    if plan.other is None:
        return Attempt(outcome=RevocationOutcome.SKIPPED)
    attempt = await revoke_ended(wiring, plan.other, caller)
    if attempt is not None:
        return attempt
    return {"unsupported": _UNSUPPORTED, "unknown": _UNSUPPORTED, "not_asked": _NOT_ASKED}.get(
        plan.other.key_end, Attempt(outcome=RevocationOutcome.SKIPPED)
    )


async def _close(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, caller: Caller, *, revoke_key: bool, close: Close
) -> _Plan:
    stored = await load(wiring, tenant_id, integration_id)
    plan = await _plan(wiring, stored, revoke_key=revoke_key)
    rotation = await find_rotation(wiring, tenant_id, integration_id)
    rotating = [] if rotation is None else [await _plan_other(wiring, plan, rotation, caller, revoke_key=revoke_key)]
    earlier = await waiting_revocations(wiring, tenant_id, provider_id=stored.facts.provider_id, limit=_MOST_EARLIER)
    plan.earlier = len(earlier)
    closing = close(stored, plan.key, {"earlier": str(plan.earlier), **_said_of_what_stays(plan)})
    try:
        await apply(
            wiring,
            # Changes with sealed values come first: every transaction locks the key before the rows.
            *(AddEntry(entry=revocation.entry) for revocation, _ in plan.to_revoke),
            *closing.sealed,
            *(() if plan.other is None else plan.other.changes),
            *rotating,
            *closing.others,
            *_released(wiring, earlier),
        )
    except KeyRetiredError:
        wiring.data_keys.forget(tenant_id)
        raise StaleWriteError from None
    return plan


def _left_alone(attempt: Attempt) -> LeftAlone | None:
    return _LEFT_ALONE.get(attempt.reason or "") if attempt.outcome is RevocationOutcome.SKIPPED else None


def _released(wiring: Wiring, earlier: Sequence[Revocation | DamagedRow]) -> list[DelayEntry]:
    """Return the changes that make revocations due now which waited for this integration's removal."""
    return [
        DelayEntry(tenant_id=entry.tenant_id, entry_id=entry.id, next_attempt_at=wiring.clock.now(), error=ENDS_GRANT)
        for entry in earlier
        if isinstance(entry, Revocation) and entry.last_error == ENDS_GRANT
    ]


async def _client(wiring: Wiring, stored: StoredIntegration) -> Client | None:
    try:
        return await granting_client(wiring, stored.facts)
    except AppMisconfiguredError:
        # The application that could revoke is no longer configured; the stored credential is erased all the same.
        return None


async def _plan(wiring: Wiring, stored: StoredIntegration, *, revoke_key: bool) -> _Plan:
    """Open the stored tokens, or the key if it is to be revoked, and seal those to be revoked for the outbox."""
    plan = _Plan(
        stored=stored,
        api_key=_fate_of_key(wiring, stored),
        installation=_fate_of_installation(stored),
        manual_url=_manual_url(wiring, stored),
        key=await _active_key(wiring, stored),
    )
    if not by_consent(stored.facts.auth_type):
        if revoke_key and plan.api_key is _NOT_ASKED:
            await _plan_key(wiring, stored, plan)
        return plan
    tokens = await _open_tokens(wiring, stored, plan)
    plan.client = await _client(wiring, stored)
    if plan.client is None:
        plan.attempts |= dict.fromkeys((kind for kind, _ in tokens), _UNSUPPORTED)
        return plan
    choice = choose(plan.client, tokens)
    plan.attempts |= dict.fromkeys(choice.unsupported, _UNSUPPORTED)
    if not choice.tokens:
        return plan
    if plan.key is None:
        # Without the active key no token can be sealed for the outbox, and that must not prevent the removal.
        plan.attempts |= dict.fromkeys((*(kind for kind, _ in choice.tokens), *choice.go_along), _UNSUPPORTED)
        return plan
    entries = new_entries(wiring, plan.key, Source.of_stored(plan.client, stored), choice.tokens)
    plan.to_revoke = [(entry, token) for entry, (_, token) in zip(entries, choice.tokens, strict=True)]
    plan.go_along = choice.go_along
    return plan


async def _active_key(wiring: Wiring, stored: StoredIntegration) -> DataKey | None:
    try:
        return await wiring.data_keys.active(stored.facts.tenant_id)
    except (DecryptError, KeyringError):
        return None


async def _plan_key(wiring: Wiring, stored: StoredIntegration, plan: _Plan) -> None:
    """Open the key and seal it for the outbox."""
    try:
        parts = await wiring.sealer.open_column(stored, "presented")
        entry = new_key_entry(wiring, await wiring.data_keys.active(stored.facts.tenant_id), stored, parts)
    except (DecryptError, KeyringError):
        # As with tokens, this must not prevent the removal.
        plan.api_key = _UNSUPPORTED
        return
    plan.to_revoke = [(entry, pack(parts))]


async def _plan_other(
    wiring: Wiring, plan: _Plan, rotation: StoredRotation | DamagedRow, caller: Caller, *, revoke_key: bool
) -> FinishEntry:
    """Plan the end of the key that is not handed out, and return the change that ends its rotation."""
    facts = plan.stored.facts
    if isinstance(rotation, DamagedRow):
        # A rotation that cannot be read must not prevent the removal.
        tell_damaged(wiring, rotation)
        return FinishEntry(tenant_id=facts.tenant_id, entry_id=facts.id)
    try:
        key, parts = await wiring.data_keys.active(facts.tenant_id), await find_parts(wiring, rotation)
    except (DecryptError, KeyringError):
        key, parts = None, None
    plan.other = end(wiring, key, rotation, parts, caller, is_new=rotation.is_new, revoke_key=revoke_key)
    return finish(rotation)


async def _open_tokens(wiring: Wiring, stored: StoredIntegration, plan: _Plan) -> list[tuple[TokenKind, Secret]]:
    tokens: list[tuple[TokenKind, Secret]] = []
    kinds: list[TokenKind] = ["refresh", "access"]
    for kind in kinds:
        try:
            token = await wiring.sealer.open_token(stored, kind)
        except (DecryptError, KeyringError):
            # We cannot revoke a token that does not open (a tenant may have withdrawn its key), and that must not prevent the removal.
            plan.attempts[kind] = _UNSUPPORTED
            continue
        if token is not None:
            tokens.append((kind, token))
    return tokens


def _fate_of_key(wiring: Wiring, stored: StoredIntegration) -> Attempt:
    """Return the outcome for an API key that is left alone: it goes on working, unless the provider has refused it.

    Skipped for an integration without an API key.
    """
    if by_consent(stored.facts.auth_type) or stored.facts.state is State.NEEDS_REAUTH:
        return Attempt(outcome=RevocationOutcome.SKIPPED)
    known = find_method(wiring, stored.facts.provider_id, stored.facts.method_id)
    return _UNSUPPORTED if known is None or known[1].key_revocation is None else _NOT_ASKED


def _stays(api_key: Attempt) -> bool:
    """Return whether the key goes on working, because the provider cannot revoke it or was not asked to."""
    return api_key.outcome is RevocationOutcome.UNSUPPORTED or api_key is _NOT_ASKED


def _fate_of_installation(stored: StoredIntegration) -> RevocationOutcome:
    """Return the outcome for an installation: unsupported, because it stays, unless the provider has refused it.

    Skipped for an integration that is none.
    """
    installed = by_consent(stored.facts.auth_type) and stored.facts.renewal_rule == "mint"
    return RevocationOutcome.UNSUPPORTED if installed and stored.facts.state is not State.NEEDS_REAUTH else RevocationOutcome.SKIPPED


def _said_of_what_stays(plan: _Plan) -> dict[str, str]:
    """Return the audit log's details for an API key or an installation that stays: that it does, and where it can be withdrawn."""
    # A key that is to be revoked has events of its own.
    stays = {} if plan.to_revoke or not _stays(plan.api_key) else {"api_key": plan.api_key.reason or plan.api_key.outcome.value}
    if plan.installation is RevocationOutcome.UNSUPPORTED:
        stays["installation"] = plan.installation.value
    return stays | ({} if not stays or plan.manual_url is None else {"manual_url": plan.manual_url})


def _manual_url(wiring: Wiring, stored: StoredIntegration) -> str | None:
    known = find_method(wiring, stored.facts.provider_id, stored.facts.method_id)
    if known is None:
        return None
    provider, method = known
    if method.revoke is None:
        return None
    return method.revoke.find_manual_url(known_variables(wiring, provider, stored.facts.variables))
