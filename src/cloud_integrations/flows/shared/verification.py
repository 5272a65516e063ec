"""Asking the provider whether a credential works, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import InvalidCredentialsError, ProviderUnavailableError
from cloud_integrations.kinds import auth_type_of, by_consent
from cloud_integrations.protocol.verification import CheckResult, build_check, find_check, read_check

from .fingerprints import key_fingerprint
from .wiring import Wiring

_FINGERPRINT = "key:"


async def check_credential(
    wiring: Wiring, provider: Provider, method: Method, /, *, presented: Presented, variables: Mapping[str, str]
) -> CheckResult | None:
    """Send the provider's cheapest read-only request; None where it has none that fits.

    Raises `ValidationFailedError` when a placement names what is not there, `ProviderUnavailableError` when no answer came.
    """
    presented.require_complete()
    check = find_check(provider, method, variables=variables)
    if check is None:
        return None
    request = build_check(provider, method, check, presented=presented, variables=variables)
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    return read_check(provider, method, check, response, presented=presented, variables=variables, now=wiring.clock.now())


def require_accepted(provider: Provider, result: CheckResult, /) -> AccountFacts:
    """Return whose credential it is.  Raises `InvalidCredentialsError`, or `ProviderUnavailableError` where the answer says neither."""
    if result.outcome == "unknown":
        raise ProviderUnavailableError(provider_id=str(provider.provider_id), retry_after=result.retry_after)
    if not result.accepted:
        raise InvalidCredentialsError(provider_id=str(provider.provider_id), reason=result.outcome)
    return result.account


async def identify(wiring: Wiring, tenant_id: TenantId, method: Method, account: AccountFacts, secret: Secret, /) -> AccountFacts:
    """Return *account*; a key whose provider does not say whose it is gets its keyed fingerprint as id."""
    if account.account_id is not None or by_consent(auth_type_of(method)):
        return account
    return replace(account, account_id=key_fingerprint(await wiring.data_keys.active(tenant_id), secret))


def is_other_account(before: AccountFacts, after: AccountFacts, /) -> bool:
    """Whether two checks named two different accounts; fingerprints tell keys apart, not accounts."""
    ids = (before.account_id, after.account_id)
    if any(account_id is None or account_id.startswith(_FINGERPRINT) for account_id in ids):
        return False
    return ids[0] != ids[1]
