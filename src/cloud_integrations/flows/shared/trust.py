"""The proof that a tenant's trust in us is tight: the provider refuses what would let in another tenant.

That is a mint without the value that the library made, one with another value, and one with a token of our own issuer for another subject.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloud_integrations.domain.announcements import TRUST
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.check import Trust
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.issuing import another_tenant
from cloud_integrations.domain.outcome import Refused, Rejected, TokenFailure
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, MustFail, Provider
from cloud_integrations.domain.provider.trust import OUR_SUBJECT
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.ports.store import Retract

from .applications import known_variables
from .events import apply, happened
from .minting import FailedMint, MintedCredential, is_by_issuer, mint
from .wiring import Wiring

_MADE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """A mint succeeded that the provider should have refused; what it gave is dropped unseen."""

    test: MustFail


def make_value(wiring: Wiring, /) -> Secret:
    """Return 128 random bits as 32 hexadecimal digits."""
    return Secret(wiring.entropy.bytes(_MADE_BYTES).hex())


def is_refusal(failure: TokenFailure, /) -> bool:
    """Return whether the provider has said no to this mint: neither an outage, nor a limit, nor a firewall before it."""
    return isinstance(failure, Refused) or (isinstance(failure, Rejected) and failure.reason == "denied")


def next_trust_check(wiring: Wiring, method: Method, /) -> datetime | None:
    """Return when the worker proves the trust again; None if the method has no such proof."""
    return wiring.clock.now() + wiring.settings.trust_check if method.must_fail else None


def must_refuse(
    wiring: Wiring, provider: Provider, method: Method, inputs: Parts, /, *, variables: Mapping[str, str]
) -> tuple[MustFail, ...]:
    """Return what the provider must refuse.  A client that has a secret to show sends no token of our own issuer.

    Raises as `is_by_issuer` does.
    """
    return tuple(
        test for test in method.must_fail if test.name != OUR_SUBJECT or is_by_issuer(wiring, provider, method, inputs, variables=variables)
    )


async def prove_trust(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    inputs: Parts,
    tests: Collection[MustFail],
    /,
    *,
    variables: Mapping[str, str],
    subject: Subject,
) -> Loose | FailedMint | None:
    """Try *tests*, which `must_refuse` gives; return None if the provider refuses all of them.

    `FailedMint`: it gave no verdict.  Raises as `mint` does.
    """
    for test in tests:
        changed, tried = _changed(wiring, method, inputs, test)
        other = _another(wiring, method, subject.tenant_id) if test.name == OUR_SUBJECT else None
        minted = await mint(wiring, provider, changed, tried, variables=variables, subject=subject, vouches_for=other)
        if isinstance(minted, MintedCredential):
            return Loose(test=test)
        if not is_refusal(minted.failure):
            return minted
    return None


async def check_trust(wiring: Wiring, stored: StoredIntegration, provider: Provider, method: Method, /, *, caller: Caller) -> Trust | None:
    """Prove the trust of a stored integration again, and record if it was loosened; return None if the method has no such proof.

    The integration goes on working: its credential is good, and to end it would punish the tenant twice.
    """
    facts = stored.facts
    if not method.must_fail or stored.credential.renewal is None:
        return None
    inputs = await wiring.sealer.open_column(stored, "renewal")
    variables = known_variables(wiring, provider, facts.variables)
    try:
        tests = must_refuse(wiring, provider, method, inputs, variables=variables)
        if not tests:
            return None
        proved = await prove_trust(wiring, provider, method, inputs, tests, variables=variables, subject=Subject.of(facts))
    except CloudIntegrationsError:
        return "unknown"
    if not isinstance(proved, Loose):
        if proved is None and wiring.delivers:
            await apply(wiring, Retract(tenant_id=facts.tenant_id, subject_id=facts.id, name=TRUST, entry=None))
        return "tight" if proved is None else "unknown"
    await apply(wiring, happened(wiring, "integration.trust_loosened", Subject.of(facts), caller, reason="trust_too_open"))
    return "loose"


def _changed(wiring: Wiring, method: Method, inputs: Parts, test: MustFail) -> tuple[Method, Parts]:
    """Return method and inputs for a mint that must fail, with the steps up to the first one that sends the value."""
    if test.name == OUR_SUBJECT:
        # A trust may take any subject in the first step, and let none but the tenant's go on in the next.
        return method, inputs
    other: dict[str, Secret] = {} if test.replacing is None else {test.name: make_value(wiring)}
    sends = [f"{{{test.name}}}" in step.fields.values() for step in method.mint]
    steps = method.mint[: sends.index(True) + 1]
    changed = method.model_copy(update={"mint": tuple(step.without(test.name) for step in steps) if test.without else steps})
    return changed, {name: part for name, part in inputs.items() if name != test.name} | other


def _another(wiring: Wiring, method: Method, tenant_id: TenantId) -> TenantId:
    longest = min((proof.longest_sub for proof in method.proofs.values() if proof.longest_sub is not None), default=None)
    return another_tenant(tenant_id, made=make_value(wiring).reveal(), longest=longest)
