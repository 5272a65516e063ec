"""A person has installed the operator's application: the claimed installation is confirmed, and its first credential minted.

Whoever sends the browser chooses the id in the callback.  It is used only if it stands in the list of the person who came back, read
with that person's own token; or the id is taken from that token itself.  The token is given back afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.outcome import Refused, Rejected
from cloud_integrations.domain.provider import Listing
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderUnavailableError
from cloud_integrations.flows.shared.applications import client_with
from cloud_integrations.flows.shared.minting import FailedMint, mint, minting_failed
from cloud_integrations.flows.shared.revocation import Source, give_back, tokens_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.http import find_json_object
from cloud_integrations.protocol.installation import Installed, build_page, find_installed, read_page
from cloud_integrations.protocol.rate_limit import is_rate_limited, read_wait
from cloud_integrations.protocol.verification import find_claim

from .exchange import NewGrant

_MOST_PAGES: Final = 100


def at_sign_in(wiring: Wiring, wanted: NewGrant, /, *, claimed: str | None) -> NewGrant:
    """Return *wanted* at the method that takes the code: its own, or for an installation the one by which the person signs in.

    Raises `GrantRefusedError` if the callback names no installation and must.
    """
    client, facts = wanted.client, wanted.client.method.installation
    if facts is None:
        return wanted
    if facts.listing is not None and not claimed:
        raise GrantRefusedError(reason="installation_missing")
    method = client.provider.method_named(facts.sign_in)
    assert method is not None  # noqa: S101  # the provider file was checked
    return replace(wanted, client=client_with(wiring, client.provider, method, client.application, client.variables, owner=client.owner))


async def confirm_installation(
    wiring: Wiring, wanted: NewGrant, signs_in: NewGrant, signed_in: Grant, /, *, claimed: str | None, caller: Caller
) -> tuple[Grant, AccountFacts]:
    """Return a minted credential of the installation and whose it is; *signed_in* is the person's own grant, which is given back.

    Raises `GrantRefusedError` if the installation is not the person's or gives no credential, `ProviderUnavailableError` or
    `AppMisconfiguredError`.
    """
    source = Source(
        tenant_id=wanted.tenant_id,
        integration_id=wanted.integration_id,
        client=signs_in.client,
        variables=signs_in.client.tenant_variables,
        account_fingerprint=None,
    )
    try:
        found = await _confirm(wiring, wanted, signs_in, signed_in.access_token, claimed=claimed)
    except GeneratorExit:
        # The coroutine is being closed, so nothing can be awaited.
        raise
    except BaseException:
        await give_back(wiring, source, tokens_of(signed_in), caller=caller)
        raise
    await give_back(wiring, source, tokens_of(signed_in), caller=caller)
    return await _mint(wiring, wanted, found), found.account


async def _confirm(wiring: Wiring, wanted: NewGrant, signs_in: NewGrant, token: Secret, *, claimed: str | None) -> Installed:
    facts = wanted.client.method.installation
    assert facts is not None  # noqa: S101  # it is an installation
    if facts.listing is None:
        found = find_claim(token, facts.claim or "")
        if not found:
            raise GrantRefusedError(reason="installation_missing")
        return Installed(id=found, account=AccountFacts(account_id=found))
    for page in range(1, _MOST_PAGES + 1):
        entries = await _read(wiring, signs_in, facts.listing, token, page=page)
        if (installed := find_installed(facts.listing, entries, claimed or "")) is not None:
            return installed
        if not entries:
            break
    raise GrantRefusedError(reason="installation_not_yours")


async def _read(wiring: Wiring, signs_in: NewGrant, listing: Listing, token: Secret, *, page: int) -> list[object]:
    provider = signs_in.client.provider
    request = build_page(signs_in.client, listing, token=token, page=page)
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    entries = read_page(listing, response)
    if entries is None:
        body = find_json_object(response.body)
        limited = is_rate_limited(provider.rate_limit, response, body)
        wait = read_wait(provider.rate_limit, response, body, now=wiring.clock.now()) if limited else None
        raise ProviderUnavailableError(provider_id=str(provider.provider_id), reason="unusable_answer", retry_after=wait)
    return entries


async def _mint(wiring: Wiring, wanted: NewGrant, found: Installed) -> Grant:
    client, facts = wanted.client, wanted.client.method.installation
    assert facts is not None  # noqa: S101  # it is an installation
    inputs = {facts.input: Secret(found.id)}
    minted = await mint(wiring, client.provider, client.method, inputs, variables=client.variables, subject=wanted.subject)
    if isinstance(minted, FailedMint):
        if isinstance(minted.failure, Refused | Rejected):
            raise GrantRefusedError(reason="installation_refused", error_description=minted.said)
        raise minting_failed(str(client.provider.provider_id), minted)
    token = minted.parts["access_token"]
    if facts.claim is not None and find_claim(token, facts.claim) != found.id:
        raise GrantRefusedError(reason="installation_refused")
    return Grant(access_token=token, expires_at=minted.expires_at, scopes=found.permissions, inputs=inputs)
