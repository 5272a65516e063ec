"""Return a credential that can do less than the stored one.  It is never stored, and never stands in for the whole one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.integration import StoredCredential, StoredIntegration
from cloud_integrations.domain.narrowing import Narrow
from cloud_integrations.domain.outcome import Refused, Rejected
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.provider.narrowing import SCOPES
from cloud_integrations.domain.replacement import FORGOTTEN_AFTER, Replacement, replaced, replacement_wait
from cloud_integrations.errors import (
    CloudIntegrationsError,
    IntegrationNotFoundError,
    NotNarrowedError,
    ProviderInactiveError,
    ValidationFailedError,
)
from cloud_integrations.flows.renew.leases import is_too_early
from cloud_integrations.flows.renew.narrowing import refresh_narrowed
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.freezing import require_unfrozen
from cloud_integrations.flows.shared.minting import FailedMint, MintedCredential, mint, minting_failed, rest_after
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.narrowing import NarrowedRequests, covers, find_excess, read_narrowing

from .handing_out import cacheable, fresh, has_less_life, record_use, require_usable, shown_credential

_CALLERS_FAULT: Final = frozenset({"narrowing", "invalid_request", "invalid_scope"})
"""Reasons of a refusal that say that nothing but the narrowing is refused."""
_CHECKED_EACH: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a caller asks for, of which integration's method."""

    narrow: Narrow
    provider: Provider
    method: Method
    requests: NarrowedRequests
    caller: Caller

    @property
    def is_exchanged_only(self) -> bool:
        """Whether the narrowed credential is made from the stored one, as long as that lives."""
        return self.requests.minting is None and not self.requests.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Obtained:
    """What the provider gave."""

    parts: Parts = field(repr=False)
    expires_at: datetime | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Excess:
    """The provider gave more than was asked, or did not say what it gave; nobody gets that, and it ends by itself."""

    name: str


async def narrowed(
    wiring: Wiring,
    stored: StoredCredential,
    narrow: Narrow,
    /,
    *,
    scopes: tuple[str, ...] = (),
    min_ttl: timedelta,
    caller: Caller,
) -> Credential:
    """Return the credential of a row, narrowed to *narrow*; *scopes* are compared with what it has then.

    What was obtained is remembered in this process for `token_cache`, for the same row, generation and narrowing alone; the row is read
    for each call.
    Raises `ValidationFailedError` for what the method cannot narrow or the provider refuses, `NotNarrowedError` if it gives more than was
    asked, and what `fresh` raises.
    """
    asked = _read(wiring, stored, narrow, caller)
    if asked.requests.scopes and stored.scopes and not covers(asked.method.scopes, asked=stored.scopes, granted=asked.requests.scopes):
        # RFC 6749 §6: a refresh cannot ask for what was not granted.
        raise ValidationFailedError(field="narrow.scopes", problem="must be among those that were granted")
    warning = None
    if asked.is_exchanged_only:
        stored, warning = await fresh(wiring, stored, min_ttl=min_ttl, caller=caller)
    else:
        require_usable(wiring, stored)
    token = wiring.tokens.find(stored.tenant_id, _key(stored, narrow))
    if token is None:
        work = ("narrow", stored.tenant_id, *_key(stored, narrow))
        token = await wiring.single_flight.run(work, lambda: _obtain(wiring, stored, asked))
    if warning is None and has_less_life(wiring, token, min_ttl):
        warning = "less_life_than_asked"
    await require_unfrozen(wiring, stored, caller)
    await record_use(wiring, stored, caller, narrowed=narrow.names)
    missing = asked.method.scopes.missing(requested=scopes, granted=token.scopes) if scopes else token.missing_scopes
    return replace(token, missing_scopes=missing, warning=warning)


async def replace_narrowed(
    wiring: Wiring, stored: StoredIntegration, token: Credential, narrow: Narrow, /, *, caller: Caller
) -> Credential:
    """Return another credential in place of the narrowed *token*, which the provider refused, narrowed as that was.

    Where it is made from the stored credential, that one is renewed first, once for each generation.  As `replace_refused`, it gives
    the same one back where it is too early; of narrowed ones this process alone knows that.
    """
    row = stored.to_use
    asked = _read(wiring, row, narrow, caller)
    known = wiring.tokens.find(row.tenant_id, _key(row, narrow))
    is_newest = known is None or known.parts == token.parts
    replacements = ("narrowing replaced", row.integration_id, narrow)
    last: Replacement | None = wiring.uses.find(replacements)
    if known is not None and is_newest:
        require_usable(wiring, row)
        if replacement_wait(last, now=stored.read_at) > timedelta():
            await record_use(wiring, row, caller, narrowed=narrow.names)
            return replace(known, warning="refused_again")
        wiring.tokens.drop(row.tenant_id)
    if asked.is_exchanged_only and row.generation == token.generation and not is_too_early(wiring, stored):
        row = await _renewed(wiring, row, caller, access_is_dead=True)
    found = await narrowed(wiring, row, narrow, min_ttl=wiring.settings.min_ttl, caller=caller)
    if is_newest:
        wiring.uses.put(replacements, replaced(last, now=stored.read_at), seconds=FORGOTTEN_AFTER.total_seconds())
    return found


def _key(stored: StoredCredential, narrow: Narrow) -> tuple[object, ...]:
    # No other key of this cache has a `Narrow`, so a whole credential and a narrowed one are never taken for each other.
    return stored.integration_id, stored.generation, narrow


def _read(wiring: Wiring, stored: StoredCredential, narrow: Narrow, caller: Caller) -> _Asked:
    known = find_method(wiring, stored.provider_id, stored.method_id)
    if known is None:
        raise ProviderInactiveError(provider_id=str(stored.provider_id), problem="has no such method any more")
    provider, method = known
    return _Asked(narrow=narrow, provider=provider, method=method, requests=read_narrowing(method, narrow), caller=caller)


async def _obtain(wiring: Wiring, stored: StoredCredential, asked: _Asked) -> Credential:
    """Return the narrowed credential, and remember it; a failure is remembered for a few seconds."""
    rest = ("failed narrowing", stored.integration_id, asked.narrow)
    if (failed := wiring.uses.find(rest)) is not None:
        raise _error(asked, failed)
    remembered = wiring.tokens.for_tenant(stored.tenant_id)
    row = await _load(wiring, stored)
    obtained = await _ask(wiring, row, asked)
    if isinstance(obtained, FailedMint) and await _is_in_doubt(wiring, row, obtained, asked.caller):
        # Not only the narrowing may have been refused; the whole credential was renewed since, and it works.
        row = await _load(wiring, stored)
        obtained = await _ask(wiring, row, asked)
    if not isinstance(obtained, _Obtained):
        wait = _CHECKED_EACH if isinstance(obtained, _Excess) else rest_after(obtained.failure)
        wiring.uses.put(rest, obtained, seconds=wait.total_seconds())
        raise _error(asked, obtained)
    # The provider was asked for a while: somebody may have removed the integration, or switched it off.
    now = await _load(wiring, stored)
    shown = replace(row.to_use, expires_at=obtained.expires_at, scopes=obtained.scopes, missing_scopes=())
    token = await shown_credential(wiring, shown, obtained.parts, narrow=asked.narrow)
    if now.credential.generation == row.credential.generation and (seconds := cacheable(wiring, shown, token)) > 0:
        wiring.tokens.put(remembered, _key(shown, asked.narrow), token, seconds=seconds)
    return token


def _error(asked: _Asked, failed: FailedMint | _Excess) -> CloudIntegrationsError:
    provider_id = str(asked.provider.provider_id)
    if isinstance(failed, _Excess):
        return NotNarrowedError(provider_id=provider_id, name=failed.name)
    if isinstance(failed.failure, Refused | Rejected):
        names = asked.narrow.names
        field = f"narrow.{names[0]}" if len(names) == 1 else "narrow"
        return ValidationFailedError(field=field, problem="was refused by the provider, which gives the whole credential")
    return minting_failed(provider_id, failed)


async def _load(wiring: Wiring, stored: StoredCredential) -> StoredIntegration:
    row = await wiring.store.find_integration(stored.tenant_id, stored.integration_id)
    if row is None:
        raise IntegrationNotFoundError
    require_usable(wiring, row.to_use)
    return row


async def _is_in_doubt(wiring: Wiring, row: StoredIntegration, failed: FailedMint, caller: Caller) -> bool:
    """Whether a refusal may be about more than the narrowing; then the whole credential is renewed, at most once a minute.

    Raises what `renew` raises, which says what is wrong with the whole credential.
    """
    if not isinstance(failed.failure, Refused | Rejected) or failed.failure.reason in _CALLERS_FAULT or not row.facts.renewable:
        return False
    checked = ("narrowing checked", row.facts.id)
    if wiring.uses.find(checked) is not None:
        return False
    await _renewed(wiring, row.to_use, caller, access_is_dead=False)
    wiring.uses.put(checked, "works", seconds=_CHECKED_EACH.total_seconds())
    return True


async def _renewed(wiring: Wiring, stored: StoredCredential, caller: Caller, *, access_is_dead: bool) -> StoredCredential:
    renewed = await renew(
        wiring,
        stored.tenant_id,
        stored.integration_id,
        seen_generation=stored.generation,
        caller=caller,
        patience=wiring.settings.wait_limit,
        access_is_dead=access_is_dead,
    )
    return renewed.to_use


async def _ask(wiring: Wiring, row: StoredIntegration, asked: _Asked) -> _Obtained | FailedMint | _Excess:
    """Ask the provider: for less by a mint or a refresh, or not, and then by an exchange, or not."""
    facts = row.facts
    told: dict[str, Sequence[Any]] = {}
    expires_at, scopes = facts.expires_at, facts.scopes
    if asked.requests.minting is not None:
        minted = await _mint(wiring, row, asked, asked.requests.minting, await wiring.sealer.open_column(row, "renewal"))
        if isinstance(minted, FailedMint):
            return minted
        parts, expires_at = minted.parts, minted.expires_at
        told |= minted.told
    elif asked.requests.scopes:
        grant = await refresh_narrowed(wiring, row, asked.requests.scopes, caller=asked.caller)
        if isinstance(grant, FailedMint):
            return grant
        # RFC 6749 §5.1: without scopes in the answer they are those that were asked for.
        parts, expires_at = grant.parts, grant.expires_at
        scopes = asked.requests.scopes if grant.scopes is None else grant.scopes
        if not covers(asked.method.scopes, asked=asked.requests.scopes, granted=scopes):
            return _Excess(SCOPES)
    else:
        parts = await wiring.sealer.open_column(row, "presented")
    if asked.requests.exchanging is not None:
        minted = await _mint(wiring, row, asked, asked.requests.exchanging, parts)
        if isinstance(minted, FailedMint):
            return minted
        # It cannot outlive what it was made from.
        ends = [end for end in (expires_at, minted.expires_at) if end is not None]
        parts, expires_at = minted.parts, min(ends, default=None)
        told |= minted.told
    if (name := find_excess(asked.requests, told)) is not None:
        return _Excess(name)
    return _Obtained(parts=parts, expires_at=expires_at, scopes=scopes)


async def _mint(wiring: Wiring, row: StoredIntegration, asked: _Asked, method: Method, inputs: Parts) -> MintedCredential | FailedMint:
    facts = row.facts
    if facts.context_id is not None:
        # As in a renewal: another application's key makes tokens of another installation, or none.
        await granting_client(wiring, facts)
    variables = known_variables(wiring, asked.provider, facts.variables)
    return await mint(wiring, asked.provider, method, inputs, variables=variables, subject=Subject.of(facts))
