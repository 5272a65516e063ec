"""Proofs that our own issuer signs, and what a method needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cloud_integrations.domain.issuing import subject_of
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError
from cloud_integrations.protocol.minting import find_platform_proofs
from cloud_integrations.protocol.platform_tokens import finish_token, signing_input, write_claims

from .wiring import Wiring

if TYPE_CHECKING:
    from cloud_integrations.domain.identifiers import TenantId
    from cloud_integrations.domain.provider import Method, Provider
    from cloud_integrations.domain.provider.minting import Proof, Step
    from cloud_integrations.domain.secret import Secret
    from cloud_integrations.ports.signing_keys import AsyncSigningKeys


def require_issuer(wiring: Wiring, /) -> tuple[str, AsyncSigningKeys]:
    """Return the address of our own issuer, and its keys.  Raises `ConfigurationError` if none was given."""
    if wiring.issuer is None or wiring.signing_keys is None:
        raise ConfigurationError(setting="issuer", problem="is not set")
    return wiring.issuer.url, wiring.signing_keys


def require_subject(wiring: Wiring, provider: Provider, method: Method, tenant_id: TenantId, /) -> None:
    """Check that our own issuer can vouch for the tenant, before anything is sent, if the method cannot do without.

    Raises `ProviderInactiveError` if there is no issuer, and `ValidationFailedError` for a tenant id that cannot be a subject there.
    """
    proofs = method.platform_proofs()
    if proofs and wiring.issuer is None:
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem="needs our own issuer, and none is configured here")
    for proof in proofs:
        subject_of(tenant_id, longest=proof.longest_sub)


async def sign_proofs(
    wiring: Wiring,
    step: Step,
    /,
    *,
    values: Mapping[str, Secret | str],
    proofs: Mapping[str, Proof],
    tenant_id: TenantId,
) -> dict[str, Secret]:
    """Return the proofs of *step* that our own issuer signs, by name; the key service is asked only if there is one.

    Raises `ConfigurationError` without an issuer, `KeyringError` or `KeyServiceUnavailableError` for its key, and `ValidationFailedError`
    as `write_claims` does.
    """
    names = find_platform_proofs(step, values=values, proofs=proofs)
    if not names:
        return {}
    url, keys = require_issuer(wiring)
    now = wiring.clock.now()
    made: dict[str, Secret] = {}
    for name in names:
        claims = write_claims(proofs[name], issuer=url, tenant_id=tenant_id, values=values, now=now, jti=wiring.new_id().hex)
        first, *_ = await keys.public_keys()
        signed = signing_input(claims, key_id=first.key_id)
        made[name] = finish_token(signed, await keys.sign(first.key_id, signed))
    return made
