"""Import a credential that was obtained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cloud_integrations.domain.arguments import read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.entered import Entered, read_inputs, read_key
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import AccountFacts, Integration, integration_name
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.applications import announced_end
from cloud_integrations.flows.shared.clients import choose_client
from cloud_integrations.flows.shared.entered import Accepted, ReadInputs, accept_inputs, read_entered, store_new, take_unasked
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.lookup import known_tenant, read_chosen_slot, require_unconnected
from cloud_integrations.flows.shared.resources import asks_for_resources, settle_entered, unasked
from cloud_integrations.flows.shared.revocation import is_shared
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.verification import check_credential, require_accepted, shown
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of
from cloud_integrations.ports.store import AddIntegration
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.dpop import check_dpop_key
from cloud_integrations.protocol.pasted_keys import require_no_private_key, require_not_foreign

_LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """An integration that is ready to be stored, with its grant not yet sealed."""

    facts: Integration
    provider: Provider
    method: Method
    grant: Grant
    variables: Mapping[str, str]
    """All variables, with the operator's values and defaults, for the provider's check."""
    due: datetime | None = None


async def import_credential(
    wiring: Wiring, tenant: str, imported: ImportedGrant | ImportedKey, /, *, verify: bool, dry_run: bool, caller: Caller
) -> Integration:
    """Store a credential that was obtained elsewhere, and return the integration.

    With *verify*, the provider must accept the credential first; an access token that has expired is not sent, so the first refresh
    shows whether the grant works.  With *dry_run*, nothing is stored and the integration that would be stored is returned,
    without its account.  Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
    `InvalidCredentialsError` or `ProviderUnavailableError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    if not isinstance(imported, ImportedGrant | ImportedKey):
        raise ValidationFailedError(field="credential", problem="must be an ImportedGrant or an ImportedKey")
    read_chosen_slot(wiring, imported.slot)
    verify, dry_run = read_flag("verify", verify), read_flag("dryRun", dry_run)
    provider = wiring.providers.require(imported.provider)
    if isinstance(imported, ImportedKey):
        return await _import_key(wiring, tenant_id, provider, imported, verify=verify, dry_run=dry_run, caller=caller)
    client = await choose_client(wiring, tenant_id, provider, None, imported.variables)
    if client.method.installation is not None:
        raise ValidationFailedError(field="provider", problem="is connected by an installation, which only a browser can confirm")
    prepared = _prepare_grant(wiring, tenant_id, client, imported)
    begun_under = None if dry_run else await wiring.data_keys.id_at_start(tenant_id)
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=imported.slot)
    account = await _account(wiring, prepared) if verify else None
    found = await _resource(wiring, prepared, is_asked=account is not None, caller=caller)
    facts = replace(prepared.facts, variables={**prepared.facts.variables, **found})
    if dry_run:
        return facts
    facts = replace(facts, account=account or AccountFacts())
    index = await wiring.data_keys.index()
    shared = await is_shared(wiring, facts, prepared.grant)
    said = {"provider": provider.id, "verified": str(account is not None).lower(), "shared": str(shared).lower()}
    ends = announced_end(provider, facts.method_id)
    events = [happened(wiring, "integration.imported", Subject.of(facts), caller, **said, ends=ends)]
    if shared:
        events.append(happened(wiring, "credential.shared", Subject.of(facts), caller))
    await apply_sealed(
        wiring,
        tenant_id,
        lambda key: (
            AddIntegration(
                facts=facts,
                credential=wiring.sealer.seal_grant(key, index, facts, prepared.grant, generation=1, application=client.id_for(None)),
                due_at=prepared.due,
            ),
            *events,
        ),
        begun_under=begun_under,
    )
    return facts


async def _account(wiring: Wiring, prepared: _Prepared) -> AccountFacts | None:
    """Return the account that the provider names, or None if the provider cannot be asked.

    Raises `InvalidCredentialsError` or `ProviderUnavailableError`.
    """
    ends = prepared.facts.expires_at
    if ends is not None and ends <= wiring.clock.now():
        return None
    presented = await shown(wiring, prepared.provider, prepared.method, prepared.grant.parts, variables=prepared.variables)
    result = await check_credential(wiring, prepared.provider, prepared.method, presented=presented, variables=prepared.variables)
    return None if result is None else require_accepted(prepared.provider, result)


async def _resource(wiring: Wiring, prepared: _Prepared, /, *, is_asked: bool, caller: Caller) -> dict[str, str]:
    """Return the variable of the resource that the grant is for, as far as it is to be stored.  Raises as `settle_entered` does."""
    provider, method, variables, grant = prepared.provider, prepared.method, prepared.variables, prepared.grant
    if not is_asked or asks_for_resources(method, grant.scopes) is None:
        return unasked(method, variables, scopes=grant.scopes)
    read = ReadInputs(provider=provider, method=method, parts=grant.parts, variables=variables)
    accepted = Accepted(account=AccountFacts(), is_verified=True, presented=grant.parts, renewal=None, expires_at=None)
    return await settle_entered(wiring, read, accepted, before=None, failure=None, subject=Subject.of(prepared.facts), caller=caller)


async def _import_key(
    wiring: Wiring, tenant_id: TenantId, provider: Provider, imported: ImportedKey, *, verify: bool, dry_run: bool, caller: Caller
) -> Integration:
    read = read_entered(wiring, provider, _entered(imported), variables=imported.variables)
    facts = replace(
        _facts(wiring, tenant_id, provider, read.method, imported),
        variables=provider.tenant_variables(read.variables),
    )
    begun_under = None if dry_run else await wiring.data_keys.id_at_start(tenant_id)
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=imported.slot)
    subject = Subject.of(facts)
    accepted = await (accept_inputs if verify else take_unasked)(wiring, read, subject)
    found = unasked(read.method, read.variables, scopes=None)
    if verify:
        found = await settle_entered(wiring, read, accepted, before=None, failure=None, subject=subject, caller=caller)
    variables = {**facts.variables, **accepted.variables, **found}
    facts = replace(facts, renewal_rule=accepted.renewal_rule, expires_at=accepted.expires_at, variables=variables)
    if dry_run:
        return facts
    facts = replace(facts, account=accepted.account, reconnect_before=accepted.reconnect_before)
    said = {"provider": provider.id, "verified": str(accepted.is_verified).lower(), "shared": "false"}
    event = happened(wiring, "integration.imported", subject, caller, **said, ends=announced_end(provider, facts.method_id))
    await store_new(wiring, facts, accepted, event, begun_under=begun_under)
    return facts


def _entered(imported: ImportedKey) -> Entered:
    if imported.inputs is not None:
        return read_inputs(imported.inputs, imported.method, imported.ends_at)
    return read_key(imported.api_key, imported.secret_key, imported.method, imported.ends_at)


def _prepare_grant(wiring: Wiring, tenant_id: TenantId, client: Client, imported: ImportedGrant) -> _Prepared:
    provider = client.provider
    now = wiring.clock.now()
    refresh_token = imported.refresh_token
    grant = Grant(
        access_token=_token(wiring, provider, "accessToken", imported.access_token),
        refresh_token=None if refresh_token is None else _token(wiring, provider, "refreshToken", refresh_token),
        expires_at=imported.expires_at,
        scopes=imported.scopes,
        dpop_key=_key(client.method, imported.dpop_key),
    )
    facts = replace(
        _facts(wiring, tenant_id, provider, client.method, imported),
        context_id=client.context_id,
        scopes=imported.scopes,
        requested_scopes=imported.scopes,
        expires_at=imported.expires_at,
        renewal_rule="reconnect" if grant.refresh_token is None else "refresh",
        granted_at=imported.granted_at,
        variables=client.tenant_variables,
    )
    due = None
    if grant.refresh_token is not None:
        behaviour = client.method.refresh_token
        due = due_at(expires_at=imported.expires_at, now=now, chance=wiring.entropy.fraction(), idle=behaviour.idle)
        end = reconnect_before(behaviour, granted_at=imported.granted_at or now, now=now, told=None)
        facts = replace(facts, reconnect_before=end)
    elif imported.expires_at is None and client.method.idle is not None:
        due = now  # nobody knows when it was last used
    return _Prepared(facts=facts, provider=provider, method=client.method, grant=grant, variables=client.variables, due=due)


def _facts(wiring: Wiring, tenant_id: TenantId, provider: Provider, method: Method, imported: ImportedGrant | ImportedKey) -> Integration:
    now = wiring.clock.now()
    return Integration(
        id=IntegrationId(wiring.new_id()),
        tenant_id=tenant_id,
        provider_id=provider.provider_id,
        name=integration_name(imported.name),
        slot=imported.slot,
        auth_type=auth_type_of(method),
        state_since=now,
        created_at=now,
        updated_at=now,
        method_id=method.id,
    )


def _key(method: Method, key: Secret | None) -> Secret | None:
    """Return the private key to which the tokens are bound.  Raises `ValidationFailedError` if it is missing, of no use or not usable."""
    if (key is not None) is not method.uses_dpop:
        problem = "is required by this provider, whose tokens are bound to a key" if method.uses_dpop else "is not used by this provider"
        raise ValidationFailedError(field="dpopKey", problem=problem)
    if key is not None:
        check_dpop_key(key, field="dpopKey")
    return key


def _token(wiring: Wiring, provider: Provider, field: str, token: Secret) -> Secret:
    """Return *token* if it fits into a header (RFC 6750 §2.1: visible ASCII only) and may be a token of *provider*.

    Raises `ValidationFailedError` otherwise.
    """
    require_no_private_key(token, field=field)
    if not _fits(token.reveal()):
        raise ValidationFailedError(field=field, problem=f"must be 1 to {_LONGEST_TOKEN} visible ASCII characters")
    require_not_foreign(token, provider, wiring.providers.list_providers(), field=field)
    return token


def _fits(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text
