"""Asking the provider what a credential reaches, and settling which of it an integration is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.provider import AfterConnecting, Method, Provider
from cloud_integrations.domain.resources import Choice, ResourceList, settle_choice
from cloud_integrations.errors import (
    CloudIntegrationsError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import find_json_object
from cloud_integrations.protocol.rate_limit import read_wait
from cloud_integrations.protocol.resources import build_list, read_list

from .entered import Accepted, ReadInputs
from .events import record_failure, tell_of
from .verification import shown
from .wiring import Wiring


def asks_for_resources(method: Method, scopes: Sequence[str] | None, /) -> AfterConnecting | None:
    """Return how the resource of a credential is found; None: none is needed for *method*, or for a grant of these *scopes* alone.

    *scopes* is None for a credential without scopes.
    """
    facts = method.after_connecting
    if facts is None or not scopes:
        return facts
    return None if {*scopes} <= {*facts.unneeded_by, *method.scopes.offline} else facts


async def list_resources(
    wiring: Wiring, provider: Provider, method: Method, facts: AfterConnecting, /, *, presented: Presented, variables: Mapping[str, str]
) -> ResourceList:
    """Return what the credential reaches, as the provider lists it.

    Raises `ProviderUnavailableError` if no answer came, or none that says it; `ValidationFailedError` if a part is missing.
    """
    presented.require_complete()
    request = build_list(provider, method, facts, presented=presented, variables=variables, private_servers=wiring.settings.private_servers)
    response = await wiring.transport.send(request, deadline=wiring.settings.deadline)
    found = read_list(provider, facts, response)
    if found is None:
        wait = read_wait(provider.rate_limit, response, find_json_object(response.body), now=wiring.clock.now())
        raise ProviderUnavailableError(provider_id=str(provider.provider_id), retry_after=wait)
    return found


async def choose_connected(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    facts: AfterConnecting,
    /,
    *,
    show: Callable[[], Awaitable[Presented]],
    variables: Mapping[str, str],
    before: Mapping[str, str] | None,
    subject: Subject,
) -> Choice:
    """Settle which resource a credential that has just been obtained is for; a list that cannot be read never costs the credential.

    *show* gives the credential as requests show it.  *variables* may name the resource; *before* are the variables of the integration
    that is reconnected, None for a new one.
    """
    found: ResourceList | None = None
    try:
        found = await list_resources(wiring, provider, method, facts, presented=await show(), variables=variables)
    except CloudIntegrationsError as error:
        tell_of(wiring, "integration.resources_unread", subject, reason=getattr(error, "reason", error.code))
    named = variables.get(facts.variable) if before is None else None
    kept = None if before is None else before.get(facts.variable)
    return settle_choice(found, named=named, before=kept)


def unasked(method: Method, variables: Mapping[str, str], /, *, scopes: Sequence[str] | None) -> dict[str, str]:
    """Return the variable that the tenant must still choose, with an empty value, where the provider is not asked; else nothing."""
    facts = asks_for_resources(method, scopes)
    return {} if facts is None or variables.get(facts.variable) else {facts.variable: ""}


async def settle_entered(
    wiring: Wiring,
    read: ReadInputs,
    accepted: Accepted,
    /,
    *,
    before: Mapping[str, str] | None,
    failure: RecordedName | None,
    subject: Subject,
    caller: Caller,
) -> dict[str, str]:
    """Return the variable of the resource that an accepted key is for, as far as it changes; else nothing.

    *before* is as in `choose_connected`; *failure* is what is recorded if the key is refused, None: nothing.
    Raises `InvalidCredentialsError` if the key reaches no resource, `ValidationFailedError` if it does not reach the one that was named.
    """
    provider, method = read.provider, read.method
    facts = asks_for_resources(method, None)
    if facts is None:
        return {}
    choice = await choose_connected(
        wiring,
        provider,
        method,
        facts,
        show=partial(shown, wiring, provider, method, accepted.presented, variables=read.variables),
        variables=read.variables,
        before=before,
        subject=subject,
    )
    if choice.refused is None:
        return {} if before is not None and before.get(facts.variable) == choice.value else {facts.variable: choice.value}
    error: CloudIntegrationsError = InvalidCredentialsError(provider_id=str(provider.provider_id), reason=choice.refused)
    if choice.refused == "resource_not_reached":
        error = ValidationFailedError(field=f"variables.{facts.variable}", problem="is none of those that the credential reaches")
    if failure is not None:
        await record_failure(wiring, failure, subject, caller, error=error, provider=provider.id)
    raise error
