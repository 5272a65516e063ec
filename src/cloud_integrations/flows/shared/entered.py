"""What a tenant entered: read by the provider's data, then accepted by the provider."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.entered import ENDS_AT, Entered
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.integration import AccountFacts, Integration, RenewalRule, State, StoredIntegration
from cloud_integrations.domain.outcome import Refused, Rejected
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, MustFail, Provider, places
from cloud_integrations.errors import (
    CloudIntegrationsError,
    InvalidCredentialsError,
    ProviderUnreachableError,
    StorageUnavailableError,
    TrustTooOpenError,
    ValidationFailedError,
)
from cloud_integrations.kinds import kind_of
from cloud_integrations.ports.store import AddIntegration, Change, ReplaceCredential
from cloud_integrations.protocol.certificates import check_certificates
from cloud_integrations.protocol.derivation import find_told, require_agreement
from cloud_integrations.protocol.inputs import find_input_method, hints, name_inputs, normalise
from cloud_integrations.protocol.pasted_keys import require_not_foreign
from cloud_integrations.protocol.verification import find_check

from .applications import operator_variables, require_input_methods
from .events import record_failure, tell_of
from .fingerprints import token_fingerprint
from .minting import FailedMint, MintedCredential, mint, minting_failed
from .next_check import next_check
from .platform_proofs import require_subject
from .stale_writes import apply_sealed
from .trust import Loose, is_refusal, must_refuse, prove_trust
from .verification import check_credential, identify, require_accepted, shown
from .wiring import Wiring

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadInputs:
    """What was entered, by the provider's names."""

    provider: Provider
    method: Method
    parts: Parts = field(repr=False)
    """The first is the key itself."""
    variables: Mapping[str, str]
    """Of the tenant and of the operator, checked, with what the key tells and with defaults."""
    told: Mapping[str, str] = field(default_factory=dict)
    """The variables that the key itself tells by its form."""
    hints: tuple[str, ...] = ()
    """What looks unusual, in sentences."""
    ends_at: datetime | None = None
    """When the key ends, as the person who entered it said; what the provider itself says has precedence."""


def read_entered(
    wiring: Wiring,
    provider: Provider,
    entered: Entered,
    /,
    *,
    variables: Mapping[str, str],
    before: Mapping[str, str] | None = None,
    current: str | None = None,
) -> ReadInputs:
    """Return what was entered, cleaned, and the method that it is for.

    *variables* are named beside it, and must not contradict what the key tells by its form; *before* are those of the credential in
    whose place it comes, which give way to that, and *current* is its method.
    Raises `ProviderInactiveError`, or `ValidationFailedError` if it cannot be a credential of *provider*; that error names the field
    of our API.
    """
    methods = require_input_methods(provider)
    if entered.ends_at is not None and entered.ends_at <= wiring.clock.now():
        raise ValidationFailedError(field=ENDS_AT, problem="is in the past: a key that has ended cannot be connected")
    operator = operator_variables(wiring, provider)
    known = {**(before or {}), **variables}
    asked = provider.fill_variables(known, operator=operator, later=provider.told_by)
    method = find_input_method(provider, methods, entered, variables=asked, current=current)
    inputs, fields = name_inputs(method, entered)
    by_part = {name: fields[each.name] for each in method.entered_inputs for name in each.part_names}
    try:
        cleaned = normalise(method, inputs, fields=fields)
        for name, part in cleaned.items():
            require_not_foreign(part, provider, wiring.providers.list_providers(), field=by_part[name])
        check_certificates(method, cleaned, now=wiring.clock.now())
        parts = kind_of(method).read_inputs(method, cleaned)
        found = find_told(provider, method, cleaned, fields=by_part)
    except ValidationFailedError as error:
        # A kind knows its inputs by name only.
        name = error.field.removeprefix("credentials.")
        raise ValidationFailedError(field=by_part.get(name, error.field), problem=error.problem) from None
    require_agreement(provider, found, named=variables, operator=operator, fields=by_part)
    told = {name: each.value for name, each in found.items() if name not in operator and name not in variables}
    filled = provider.fill_variables({**known, **told}, operator=operator)
    method.require_variables(filled)
    return ReadInputs(
        provider=provider,
        method=method,
        parts=parts,
        variables=filled,
        told=told,
        hints=hints(provider, method, cleaned),
        ends_at=entered.ends_at,
    )


def tell_hints(wiring: Wiring, read: ReadInputs, subject: Subject, /) -> None:
    """Tell the observer what looks unusual: formats change, so nothing is refused for it."""
    for hint in read.hints:
        tell_of(wiring, "key_format.unusual", subject, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A credential that the provider has accepted."""

    account: AccountFacts
    is_verified: bool
    """Whether the provider was asked."""
    presented: Parts = field(repr=False)
    renewal: Parts | None = field(repr=False)
    """What the next credential is minted from; None: it is never renewed."""
    expires_at: datetime | None
    due_at: datetime | None = None
    """When the worker checks it; None: never."""
    reconnect_before: datetime | None = None
    """When the key ends; None: not known."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the answers to the mint say, such as the host of the API, to be stored as variables."""

    @property
    def renewal_rule(self) -> RenewalRule:
        """How the next credential is obtained."""
        return "keep" if self.renewal is None else "mint"


async def accept(wiring: Wiring, read: ReadInputs, /, *, failure: RecordedName, subject: Subject, caller: Caller) -> Accepted:
    """Mint the credential, where it is minted, and have the provider check it; if it is not accepted, record that and raise.

    Raises `InvalidCredentialsError`, `ProviderUnavailableError`, `AppMisconfiguredError` or `ValidationFailedError`.
    """
    try:
        return await accept_inputs(wiring, read, subject)
    except StorageUnavailableError:
        raise
    except CloudIntegrationsError as error:
        await record_failure(wiring, failure, subject, caller, error=error, provider=read.provider.id)
        raise


async def accept_inputs(wiring: Wiring, read: ReadInputs, subject: Subject, /) -> Accepted:
    """Do as `accept`, and record nothing."""
    provider, method = read.provider, read.method
    require_subject(wiring, provider, method, subject.tenant_id)
    _require_made(read)
    minted = MintedCredential(parts=read.parts, expires_at=None)
    if method.mint:
        tests = must_refuse(wiring, provider, method, read.parts, variables=read.variables)
        minted = await _mint(wiring, read, subject, is_set_up=bool(tests))
        await _require_tight(wiring, read, subject, tests)
    variables = {**read.variables, **minted.variables}
    show = partial(shown, wiring, provider, method, minted.parts, variables=variables)
    try:
        result = await check_credential(wiring, provider, method, presented=await show(), variables=variables, again=show)
    except ProviderUnreachableError as error:
        _blame_server(read, error)
        raise
    account = AccountFacts() if result is None else require_accepted(provider, result)
    return Accepted(
        account=await identify(wiring, subject.tenant_id, method, account, next(iter(read.parts.values()))),
        # Who mints has asked the provider, too.
        is_verified=result is not None or bool(method.mint),
        presented=minted.parts,
        renewal=read.parts if method.mint else None,
        expires_at=minted.expires_at,
        due_at=next_check(wiring, method),
        reconnect_before=read.ends_at if result is None or result.expires_at is None else result.expires_at,
        variables=minted.variables,
    )


def _blame_server(read: ReadInputs, error: ProviderUnreachableError) -> None:
    """Raise `ValidationFailedError` if what the tenant said of a server of its own is why nothing was sent: then there is no outage."""
    check = find_check(read.provider, read.method, variables=read.variables)
    if check is None or check.origin is None:
        return
    if error.reason == "endpoint_not_allowed":
        problem = "is a server that may not be reached from here: its address is not public, and the operator has not listed it"
        raise ValidationFailedError(field=f"credentials.inputs.{check.origin}", problem=problem)
    if error.reason == "certificate_refused":
        name = next(iter(places(read.method.present.trust or "")), check.origin)
        problem = "does not vouch for this server: its certificate is of another authority, for another name, or has ended"
        raise ValidationFailedError(field=f"credentials.inputs.{name}", problem=problem)


async def take_unasked(wiring: Wiring, read: ReadInputs, subject: Subject, /) -> Accepted:
    """Return a credential that the provider is not asked about; one that is minted is minted when it is first used.

    Raises `ProviderInactiveError` or `ValidationFailedError` as `require_subject` does.
    """
    require_subject(wiring, read.provider, read.method, subject.tenant_id)
    _require_made(read)
    return Accepted(
        account=await identify(wiring, subject.tenant_id, read.method, AccountFacts(), next(iter(read.parts.values()))),
        is_verified=False,
        presented={} if read.method.mint else read.parts,
        renewal=read.parts if read.method.mint else None,
        expires_at=wiring.clock.now() if read.method.mint else None,
        # Nobody has proved yet that a trust is tight, or knows when a key was last used.
        due_at=None if next_check(wiring, read.method) is None else wiring.clock.now(),
        reconnect_before=read.ends_at,
    )


async def store_new(
    wiring: Wiring, facts: Integration, accepted: Accepted, event: Event, /, *, begun_under: UUID | None, closes: Sequence[Change] = ()
) -> None:
    """Store a new integration with its credential, and record *event*; *closes* are changes of the same transaction.

    Raises as `apply_sealed` does.
    """
    fingerprint = await fingerprint_of(wiring, facts, accepted)

    def changes(key: DataKey) -> list[Change | Event]:
        credential = wiring.sealer.seal_parts(key, facts.id, accepted.presented, accepted.renewal, generation=1, fingerprint=fingerprint)
        return [AddIntegration(facts=facts, credential=credential, due_at=accepted.due_at), *closes, event]

    await apply_sealed(wiring, facts.tenant_id, changes, begun_under=begun_under)


def facts_with(
    facts: Integration, accepted: Accepted, method: Method, /, *, now: datetime, told: Mapping[str, str] | None = None
) -> Integration:
    """Return *facts* with what was accepted for *method* in the place of the stored credential; the integration works again.

    *told* are variables that the new credential brings.
    """
    return replace(
        facts,
        state=State.ACTIVE,
        state_since=now,
        reason=None,
        updated_at=now,
        expires_at=accepted.expires_at,
        renewal_rule=accepted.renewal_rule,
        reconnect_before=accepted.reconnect_before,
        account=accepted.account,
        variables={**facts.variables, **(told or {}), **accepted.variables},
        method_id=method.id,
    )


def replacement(
    wiring: Wiring, key: DataKey, before: StoredIntegration, facts: Integration, accepted: Accepted, /, *, fingerprint: bytes | None
) -> ReplaceCredential:
    """Return the change that stores what was accepted, sealed under *key*, in the place of the credential of *before*."""
    generation = before.credential.generation
    credential = wiring.sealer.seal_parts(
        key, facts.id, accepted.presented, accepted.renewal, generation=generation + 1, fingerprint=fingerprint
    )
    return ReplaceCredential(facts=facts, credential=credential, expected_generation=generation, due_at=accepted.due_at)


async def fingerprint_of(wiring: Wiring, facts: Integration, accepted: Accepted, /) -> bytes | None:
    """Return the fingerprint by which other integrations with the same key are found; None: the credential is minted."""
    if accepted.renewal is not None:
        return None
    return token_fingerprint(await wiring.data_keys.index(), facts.provider_id, next(iter(accepted.presented.values())))


def _require_made(read: ReadInputs) -> None:
    if any(each.name not in read.parts for each in read.method.made_inputs):
        problem = f"{read.method.id} has no open setup: begin one first, and set the access up with its values"
        raise ValidationFailedError(field="method", problem=problem)


async def _mint(wiring: Wiring, read: ReadInputs, subject: Subject, *, is_set_up: bool) -> MintedCredential:
    provider_id = str(read.provider.provider_id)
    minted = await _mint_patiently(wiring, read, subject, is_set_up=is_set_up)
    if isinstance(minted, MintedCredential):
        return minted
    if isinstance(minted.failure, Refused | Rejected):
        raise InvalidCredentialsError(provider_id=provider_id, reason=minted.failure.reason)
    raise minting_failed(provider_id, minted)


async def _mint_patiently(wiring: Wiring, read: ReadInputs, subject: Subject, *, is_set_up: bool) -> MintedCredential | FailedMint:
    """Mint; if the tenant has just set the access up and the provider refuses, ask again for a while (`Settings.setup_patience`)."""
    give_up = wiring.clock.monotonic() + wiring.settings.setup_patience.total_seconds()
    wait = _FIRST_WAIT
    while True:
        minted = await mint(wiring, read.provider, read.method, read.parts, variables=read.variables, subject=subject)
        if isinstance(minted, MintedCredential) or not (is_set_up and is_refusal(minted.failure)):
            return minted
        if wiring.clock.monotonic() + wait > give_up:
            return minted
        await wiring.pause.pause(wait)
        wait = min(wait * 2, _LONGEST_WAIT)


async def _require_tight(wiring: Wiring, read: ReadInputs, subject: Subject, tests: Collection[MustFail]) -> None:
    """Raise `TrustTooOpenError` unless the provider refuses what it must; an outage is no proof, and raises as such."""
    provider_id = str(read.provider.provider_id)
    proved = await prove_trust(wiring, read.provider, read.method, read.parts, tests, variables=read.variables, subject=subject)
    if isinstance(proved, Loose):
        raise TrustTooOpenError(provider_id=provider_id, mend=proved.test.mend)
    if proved is not None:
        raise minting_failed(provider_id, proved)
