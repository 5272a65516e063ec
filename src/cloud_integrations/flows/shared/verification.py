"""Asking the provider whether a credential works, and to which account it belongs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import AccountFacts, State, StoredIntegration
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import InvalidCredentialsError, ProviderUnavailableError, StaleWriteError
from cloud_integrations.kinds import auth_type_of, by_consent, present
from cloud_integrations.ports.store import SaveFacts
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.verification import CheckResult, answer_challenge, build_check, find_check, read_check

from .events import apply, happened
from .fingerprints import key_fingerprint
from .provider_clock import learn_time, provider_moments
from .wiring import Wiring

_FINGERPRINT = "key:"


async def shown(wiring: Wiring, provider: Provider, method: Method, parts: Parts, /, *, variables: Mapping[str, str]) -> Presented:
    """Return a credential of *method* from its *parts*, as requests show it; signatures use the provider's clock.

    Raises `ValidationFailedError` naming the input from which a proof cannot be made.
    """
    moments = await provider_moments(wiring, provider, method, variables=variables)
    return present(method, parts, variables=variables, moments=moments)


async def check_credential(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    again: Callable[[], Awaitable[Presented]] | None = None,
) -> CheckResult | None:
    """Send the provider's cheapest read-only request with the credential; return None if the method has no such request.

    If it is not accepted and the answer shows that our clock differs from the provider's, it is sent once more with what *again*
    returns, the same credential for the provider's time.
    Raises `ValidationFailedError` if a part that a template names is missing, `ProviderUnavailableError` if no answer came.
    """
    presented.require_complete()
    check = find_check(provider, method, variables=variables)
    if check is None:
        return None
    request = build_check(
        provider, method, check, presented=presented, variables=variables, private_servers=wiring.settings.private_servers
    )
    sent_at = wiring.clock.now()
    response, is_shown = await _ask(wiring, request, presented)
    now = wiring.clock.now()
    result = read_check(provider, method, check, response, presented=presented, variables=variables, now=now, shown=is_shown)
    differs = learn_time(wiring, provider, method, response, sent_at=sent_at, variables=variables)
    if again is None or not differs or result.accepted:
        return result
    return await check_credential(wiring, provider, method, presented=await again(), variables=variables)


async def _ask(wiring: Wiring, request: HttpRequest, presented: Presented) -> tuple[HttpResponse, bool]:
    """Send a check, and again with the answer to a challenge; say whether the last request showed the credential."""
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    is_shown = "digest" not in presented.forms
    for again in (False, True):
        answered = answer_challenge(request, response, presented=presented, again=again)
        if answered is None:
            break
        response, is_shown = await wiring.transport.send(answered, deadline=wiring.settings.deadline), True
    return response, is_shown


def require_accepted(provider: Provider, result: CheckResult, /) -> AccountFacts:
    """Return the account of an accepted credential.

    Raises `InvalidCredentialsError` if the provider refused it, `ProviderUnavailableError` if the answer does not say.
    """
    if result.outcome == "unknown":
        raise ProviderUnavailableError(provider_id=str(provider.provider_id), retry_after=result.retry_after)
    if not result.accepted:
        raise InvalidCredentialsError(provider_id=str(provider.provider_id), reason=result.outcome)
    return result.account


async def identify(wiring: Wiring, tenant_id: TenantId, method: Method, account: AccountFacts, secret: Secret | None, /) -> AccountFacts:
    """Return *account*, with a keyed fingerprint of *secret* as its id if it is an API key's account and has no id."""
    if account.account_id is not None or by_consent(auth_type_of(method)) or secret is None:
        return account
    return replace(account, account_id=key_fingerprint(await wiring.data_keys.active(tenant_id), secret))


def find_account_id(account: AccountFacts, /) -> str | None:
    """Return the id that the provider gave; None if there is none, or only a fingerprint of the key."""
    return None if account.account_id is None or account.account_id.startswith(_FINGERPRINT) else account.account_id


def is_other_account(before: AccountFacts, after: AccountFacts, /) -> bool:
    """Return whether two checks named two different accounts.

    False if either id is missing or a fingerprint: fingerprints distinguish keys, not accounts.
    """
    ids = (find_account_id(before), find_account_id(after))
    return None not in ids and ids[0] != ids[1]


async def conclude(
    wiring: Wiring, stored: StoredIntegration, method: Method, /, *, result: CheckResult | None, value: Secret | None, caller: Caller
) -> CheckReport:
    """Record what a check of a stored credential found, and return it; one that is refused for good then needs a reconnect.

    *result* is None if the method has no check.  *value* is what the credential shows, if that identifies the account of a key.
    """
    facts = stored.facts
    now = wiring.clock.now()
    account = AccountFacts()
    if result is not None and result.accepted:  # any other answer names nobody
        account = await identify(wiring, facts.tenant_id, method, result.account, value)
    changed = is_other_account(facts.account, account)
    outcome = "unknown" if result is None else result.outcome
    said = {"error": outcome, "account_changed": str(changed).lower()}
    event = happened(
        wiring,
        "integration.verified" if result is not None and result.accepted else "integration.not_verified",
        Subject.of(facts),
        caller,
        **said,
    )
    if outcome == "dead" and facts.state is not State.NEEDS_REAUTH:
        closed = replace(facts, state=State.NEEDS_REAUTH, state_since=now, reason="refused", updated_at=now)
        refused = happened(wiring, "integration.refused", Subject.of(facts), caller, reason="refused", **said)
        try:
            await apply(wiring, SaveFacts(facts=closed, expected_state=facts.state), refused)
        except StaleWriteError:
            # It was reconnected or disabled in the meantime, so this answer is about the old credential.
            await apply(wiring, event)
    else:
        await apply(wiring, event)
    return CheckReport(
        integration_id=facts.id,
        outcome=outcome,
        account=account if account.account_id is not None else facts.account,
        account_changed=changed,
        checked_at=now,
        verified=result is not None,
    )
