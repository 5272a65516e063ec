"""What every way to hand out a credential needs: to renew it first, to open it, to show it, to record its use."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Credential, CredentialWarning, Presented
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import Inactive, Reconnect, Refresh, Use, next_step
from cloud_integrations.domain.integration import StoredCredential, find_unchosen
from cloud_integrations.domain.narrowing import Narrow
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import BEARER, Present, Scopes
from cloud_integrations.errors import (
    AppMisconfiguredError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
)
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.events import apply, first_today, happened, tell_of
from cloud_integrations.flows.shared.verification import shown
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import USES_EVERY, MarkUsed

_PATIENCE_WITH_FALLBACK = timedelta(seconds=2)


async def opened(
    wiring: Wiring,
    stored: StoredCredential,
    /,
    *,
    scopes: tuple[str, ...] = (),
    warning: CredentialWarning | None = None,
    min_ttl: timedelta | None = None,
) -> Credential:
    """Open the credential of a row and return it with where it goes, its scopes and its warning.

    Raises `DecryptError`, `KeyServiceUnavailableError` or `KeyringError` if it cannot be opened.
    """
    parts = await wiring.sealer.open_parts(
        stored.tenant_id, stored.integration_id, stored.presented, field="presented", generation=stored.generation
    )
    token = await shown_credential(wiring, stored, parts)
    if scopes:
        known = find_method(wiring, stored.provider_id, stored.method_id)
        rule = Scopes() if known is None else known[1].scopes
        token = replace(token, missing_scopes=rule.missing(requested=scopes, granted=stored.scopes))
    if warning is None and has_less_life(wiring, token, min_ttl):
        warning = "less_life_than_asked"
    return token if warning is None else replace(token, warning=warning)


async def shown_credential(wiring: Wiring, stored: StoredCredential, parts: Parts, /, *, narrow: Narrow | None = None) -> Credential:
    """Return *parts* as a credential, with where they go and what *stored* says of them."""
    presented, expires_at = await _presented(wiring, stored, parts)
    known = find_method(wiring, stored.provider_id, stored.method_id)
    return Credential(
        parts=presented.parts,
        present=presented.present,
        variables=presented.variables,
        signer=presented.signer,
        nonce=presented.nonce,
        tls=presented.tls,
        integration_id=stored.integration_id,
        provider_id=stored.provider_id,
        auth_type=stored.auth_type,
        expires_at=expires_at,
        scopes=stored.scopes,
        missing_scopes=stored.missing_scopes,
        generation=stored.generation,
        programs=None if known is None else known[0].programs_of(stored.method_id, presented.variables),
        narrow=narrow,
        base_urls={} if known is None else known[0].base_urls,
        to_choose=find_unchosen(stored.variables),
    )


def has_less_life(wiring: Wiring, token: Credential, min_ttl: timedelta | None, /) -> bool:
    """Whether *token* is known to end before *min_ttl* is over."""
    return min_ttl is not None and token.expires_at is not None and token.expires_at - wiring.clock.now() < min_ttl


def require_usable(wiring: Wiring, stored: StoredCredential, /, *, min_ttl: timedelta = timedelta()) -> Use | Refresh:
    """Return whether a row's credential may be used as it is, or after a renewal.

    Raises `IntegrationInactiveError` or `ReconnectRequiredError` if neither.
    """
    method = wiring.providers.require(stored.provider_id).method_named(stored.method_id)
    least = min_ttl if method is None else max(min_ttl, method.access_token.min_remaining)
    match next_step(stored, now=wiring.clock.now(), min_ttl=least, ends_old_access=_ends_old_access(wiring, stored)):
        case Inactive():
            raise IntegrationInactiveError(integration_id=str(stored.integration_id))
        case Reconnect(reason):
            _tell_ended(wiring, stored, reason)
            raise ReconnectRequiredError(integration_id=str(stored.integration_id), reason=reason)
        case step:
            return step


async def fresh(
    wiring: Wiring, stored: StoredCredential, *, min_ttl: timedelta, caller: Caller
) -> tuple[StoredCredential, CredentialWarning | None]:
    """Return a row whose credential may be handed out, renewed if needed, and a warning if the renewal failed.

    Raises `IntegrationInactiveError`, `ReconnectRequiredError`, and what `renew` raises if the stored token cannot be used instead.
    """
    match require_usable(wiring, stored, min_ttl=min_ttl):
        case Use():
            return stored, None
        case refresh:
            patience = min(_PATIENCE_WITH_FALLBACK, wiring.settings.wait_limit) if refresh.fallback else wiring.settings.wait_limit
            try:
                renewed = await renew(
                    wiring, stored.tenant_id, stored.integration_id, seen_generation=stored.generation, caller=caller, patience=patience
                )
            except (ProviderUnavailableError, RefreshInProgressError, AppMisconfiguredError, StorageUnavailableError):
                # While the stored token still works, the failed renewal is not the caller's problem.
                if refresh.fallback and not (_ends_old_access(wiring, stored) and await _is_in_doubt(wiring, stored)):
                    return stored, "refresh_failed"
                raise
            return renewed.to_use, None


def _ends_old_access(wiring: Wiring, stored: StoredCredential) -> bool:
    """Whether the provider may end the old access token at a renewal, even if the answer is lost."""
    method = wiring.providers.require(stored.provider_id).method_named(stored.method_id)
    return method is not None and method.refresh_token.ends_old_access


def _tell_ended(wiring: Wiring, stored: StoredCredential, reason: str) -> None:
    """Tell the observer, once a day, of an access token that expired and cannot be renewed: nothing else reports it."""
    if stored.state.is_refreshed and first_today(wiring, "ended", stored.integration_id):
        tell_of(wiring, "credential.ended", Subject.named_by(stored), reason=reason)


async def _is_in_doubt(wiring: Wiring, stored: StoredCredential) -> bool:
    """Return whether a request was sent in the meantime that may have ended the token of *stored*."""
    try:
        found = await wiring.store.find_integration(stored.tenant_id, stored.integration_id)
    except StorageUnavailableError:
        return False
    return found is not None and (found.to_use.in_doubt or found.credential.generation != stored.generation)


async def record_use(wiring: Wiring, stored: StoredCredential, caller: Caller, /, *, narrowed: tuple[str, ...] = ()) -> float:
    """Record a use before the secret is returned; one record covers the uses by one actor in a time window (AUD-02, AUD-03).

    *narrowed* are the names by which the credential was narrowed; each way is a use of its own.
    Returns for how many seconds the record still covers uses.  A token from the cache is not recorded, so the cache must not keep it
    longer than that.
    """
    window = wiring.settings.use_window
    if window is None:
        return math.inf
    key = (stored.tenant_id, stored.integration_id, caller.actor.type, caller.actor.id, caller.session_id, *narrowed)

    async def record() -> float:
        subject = replace(Subject.named_by(stored), context_id=stored.context_id)
        await apply(
            wiring, *_mark_used(wiring, stored), happened(wiring, "credential.used", subject, caller, narrowed=",".join(narrowed) or None)
        )
        ends = wiring.clock.monotonic() + window.total_seconds()
        wiring.uses.put(key, ends, seconds=window.total_seconds())
        return ends

    ends: float | None = wiring.uses.find(key)
    if ends is None:
        # Concurrent callers share one record; without a window each use is recorded by itself.
        ends = await (wiring.single_flight.share(("use", key), record) if window else record())
    return ends - wiring.clock.monotonic()


def _mark_used(wiring: Wiring, stored: StoredCredential) -> tuple[MarkUsed, ...]:
    """Return the change that says when the credential was last used, where the row does not say so yet."""
    now = wiring.clock.now()
    if stored.last_used_at is not None and now - stored.last_used_at < USES_EVERY:
        return ()
    return (MarkUsed(tenant_id=stored.tenant_id, integration_id=stored.integration_id, at=now),)


def cacheable(wiring: Wiring, stored: StoredCredential, token: Credential, /) -> float:
    """Return for how many seconds the token may be handed out again without reading the store."""
    known = find_method(wiring, stored.provider_id, stored.method_id)
    least = timedelta() if known is None else known[1].access_token.min_remaining
    seconds = wiring.settings.token_cache.total_seconds()
    if token.expires_at is not None:
        seconds = min(seconds, (token.expires_at - wiring.clock.now() - max(wiring.settings.min_ttl, least)).total_seconds())
    return seconds


async def _presented(wiring: Wiring, stored: StoredCredential, parts: Parts) -> tuple[Presented, datetime | None]:
    """Return the parts with where they go, as the credential's check uses them, and their end."""
    known = find_method(wiring, stored.provider_id, stored.method_id)
    if known is None:
        # The catalogue no longer says where it goes.  An access token without a key is a bearer token (RFC 6750); where a key goes is
        # not known.
        is_bearer = "access_token" in parts and DPOP_KEY not in parts
        return Presented(parts=parts, present=BEARER if is_bearer else Present()), stored.expires_at
    provider, method = known
    variables = known_variables(wiring, provider, stored.variables)
    # A proof is made now, and ends before the inputs that it is made from.
    made_at = wiring.clock.now()
    ends = [made_at + proof.lifetime - proof.backdate for name, proof in method.proofs.items() if name in method.shown_proofs]
    ends += [] if stored.expires_at is None else [stored.expires_at]
    return await shown(wiring, provider, method, parts, variables=variables), min(ends, default=None)
