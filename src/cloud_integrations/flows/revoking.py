"""Giving tokens back to the provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.removal import TokenFate
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderUnavailableError
from cloud_integrations.messages.client import Client
from cloud_integrations.messages.dialect import dialect_of
from cloud_integrations.messages.http import find_json_object
from cloud_integrations.messages.limits import read_wait
from cloud_integrations.ports.wiring import Wiring

Kind = Literal["refresh", "access"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt to revoke one token went."""

    fate: TokenFate
    error: str | None = None
    retry_after: timedelta | None = None
    """How long the provider asks to wait before the next attempt."""


async def revoke_token(wiring: Wiring, client: Client, token: Secret, kind: Kind, /) -> Attempt:
    """Ask the provider to end *token* (RFC 7009 §2), once."""
    dialect = dialect_of(client.provider)
    request = dialect.build_revoke(client, token=token, kind=kind)
    if request is None:
        return Attempt(fate=TokenFate.UNSUPPORTED, error="unsupported")
    try:
        response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    except ProviderUnavailableError as error:
        return Attempt(fate=TokenFate.FAILED, error=error.reason)
    if dialect.read_revocation(client, response) == "revoked":
        return Attempt(fate=TokenFate.REVOKED)
    wait = read_wait(client.provider.rate_limit, response, find_json_object(response.body), now=wiring.clock.now())
    return Attempt(fate=TokenFate.FAILED, error=f"status_{response.status}", retry_after=wait)


def ends_grant(client: Client, /) -> bool:
    """Whether revoking one token ends everything the user ever granted to this application."""
    return client.method.revoke is not None and client.method.revoke.kills == "grant"


async def revoke_unsaved(wiring: Wiring, client: Client, grant: Grant, /) -> None:
    """Give back tokens that were received and will not be kept.

    Best effort: they are known to nobody else.  Not where a revocation ends the whole grant, since
    the integration that stays may live on the same one.
    """
    if ends_grant(client):
        return
    if grant.refresh_token is not None:
        await revoke_token(wiring, client, grant.refresh_token, "refresh")
    await revoke_token(wiring, client, grant.access_token, "access")
