"""Giving tokens back to the provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.removal import TokenFate
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderUnavailableError
from cloud_integrations.messages.client import Client
from cloud_integrations.messages.dialect import dialect_of
from cloud_integrations.ports.wiring import Wiring

Kind = Literal["refresh", "access"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt to revoke one token went."""

    fate: TokenFate
    error: str | None = None


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
    return Attempt(fate=TokenFate.FAILED, error=f"status_{response.status}")


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
