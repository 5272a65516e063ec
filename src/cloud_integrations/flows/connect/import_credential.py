"""A credential that an application already holds is taken over, sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cloud_integrations.domain.arguments import read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant, Presented
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import AccountFacts, Integration, SealedCredential, integration_name
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.applications import client_of, operator_variables, require_consent_method, require_input_methods
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.lookup import known_tenant, require_unconnected
from cloud_integrations.flows.shared.revocation import is_shared
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.verification import check_credential, identify, require_accepted
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, present
from cloud_integrations.ports.store import AddIntegration
from cloud_integrations.protocol.pasted_keys import require_no_private_key, require_not_foreign
from cloud_integrations.protocol.verification import find_input_method

from .add_api_key import read_key

_LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What is to be stored, but for the seal."""

    facts: Integration
    provider: Provider
    method: Method
    stored: Parts | Grant
    variables: Mapping[str, str]
    """Filled, for the provider's check."""
    due: datetime | None = None

    @property
    def secret(self) -> Secret:
        """The half that says whose it is."""
        return next(iter(self.presented.parts.values()))

    @property
    def presented(self) -> Presented:
        """What the provider's check shows."""
        parts = {"access_token": self.stored.access_token} if isinstance(self.stored, Grant) else self.stored
        return present(self.method, parts, variables=self.variables)

    def sealed(self, wiring: Wiring, key: DataKey, index: DataKey, facts: Integration) -> SealedCredential:
        """Seal it in its first generation."""
        if isinstance(self.stored, Grant):
            return wiring.sealer.seal_grant(key, index, facts, self.stored, generation=1)
        return wiring.sealer.seal_parts(key, facts.id, self.stored, generation=1)


async def import_credential(
    wiring: Wiring, tenant: str, given: ImportedGrant | ImportedKey, /, *, verify: bool, dry_run: bool, caller: Caller
) -> Integration:
    """Store a credential that was not obtained here, once its provider has accepted it (*verify*); return what is, or would be, stored.

    An access token that has ended is not shown to the provider: the first refresh tells.
    """
    tenant_id = await known_tenant(wiring, tenant)
    if not isinstance(given, ImportedGrant | ImportedKey):
        raise ValidationFailedError(field="credential", problem="must be an ImportedGrant or an ImportedKey")
    verify, dry_run = read_flag("verify", verify), read_flag("dryRun", dry_run)
    provider = wiring.providers.require(given.provider)
    if isinstance(given, ImportedKey):
        taken = _take_key(wiring, tenant_id, provider, given)
    else:
        taken = _take_grant(wiring, tenant_id, provider, given)
    begun_under = None if dry_run else await wiring.data_keys.id_at_start(tenant_id)
    await require_unconnected(wiring, tenant_id, provider.provider_id)
    account = await _account(wiring, taken) if verify else None
    if dry_run:
        return taken.facts
    owner = await identify(wiring, tenant_id, taken.method, account or AccountFacts(), taken.secret)
    facts = replace(taken.facts, account=owner)
    index = await wiring.data_keys.index()
    shared = isinstance(taken.stored, Grant) and await is_shared(wiring, facts, taken.stored)
    said = {"provider": provider.id, "verified": str(account is not None).lower(), "shared": str(shared).lower()}
    events = [happened(wiring, "integration.imported", Subject.of(facts), caller, **said)]
    if shared:
        events.append(happened(wiring, "credential.shared", Subject.of(facts), caller))
    await apply_sealed(
        wiring,
        tenant_id,
        lambda key: (AddIntegration(facts=facts, credential=taken.sealed(wiring, key, index, facts), due_at=taken.due), *events),
        begun_under=begun_under,
    )
    return facts


async def _account(wiring: Wiring, taken: _Taken) -> AccountFacts | None:
    """Return whose it is, as the provider says; None where it cannot be asked.  Raises where it refuses, or does not answer."""
    ends = taken.facts.expires_at
    if ends is not None and ends <= wiring.clock.now():
        return None
    result = await check_credential(wiring, taken.provider, taken.method, presented=taken.presented, variables=taken.variables)
    return None if result is None else require_accepted(taken.provider, result)


def _take_key(wiring: Wiring, tenant_id: TenantId, provider: Provider, given: ImportedKey) -> _Taken:
    methods = require_input_methods(provider)
    filled = provider.fill_variables(given.variables, operator=operator_variables(wiring, provider))
    method = find_input_method(provider, methods, given.api_key, variables=filled)
    facts = replace(
        _facts(wiring, tenant_id, provider, method, name=given.name),
        variables=provider.tenant_variables(filled),
    )
    return _Taken(
        facts=facts,
        provider=provider,
        method=method,
        stored=read_key(wiring, provider, method, given.api_key, given.secret_key),
        variables=filled,
    )


def _take_grant(wiring: Wiring, tenant_id: TenantId, provider: Provider, given: ImportedGrant) -> _Taken:
    client = client_of(wiring, provider, require_consent_method(wiring, provider), given.variables)
    now = wiring.clock.now()
    refresh_token = given.refresh_token
    grant = Grant(
        access_token=_token(wiring, provider, "accessToken", given.access_token),
        refresh_token=None if refresh_token is None else _token(wiring, provider, "refreshToken", refresh_token),
        expires_at=given.expires_at,
        scopes=given.scopes,
    )
    facts = replace(
        _facts(wiring, tenant_id, provider, client.method, name=given.name),
        context_id=client.context_id,
        scopes=given.scopes,
        requested_scopes=given.scopes,
        expires_at=given.expires_at,
        renewal_rule="reconnect" if grant.refresh_token is None else "refresh",
        granted_at=given.granted_at,
        variables=client.tenant_variables,
    )
    due = None
    if grant.refresh_token is not None:
        behaviour = client.method.refresh_token
        due = due_at(expires_at=given.expires_at, now=now, chance=wiring.entropy.fraction(), idle=behaviour.idle)
        end = reconnect_before(behaviour, granted_at=given.granted_at or now, now=now, told=None)
        facts = replace(facts, reconnect_before=end)
    return _Taken(facts=facts, provider=provider, method=client.method, stored=grant, variables=client.variables, due=due)


def _facts(wiring: Wiring, tenant_id: TenantId, provider: Provider, method: Method, *, name: str) -> Integration:
    now = wiring.clock.now()
    return Integration(
        id=IntegrationId(wiring.new_id()),
        tenant_id=tenant_id,
        provider_id=provider.provider_id,
        name=integration_name(name),
        auth_type=auth_type_of(method),
        state_since=now,
        created_at=now,
        updated_at=now,
        method_id=method.id,
    )


def _token(wiring: Wiring, provider: Provider, field: str, token: Secret) -> Secret:
    """Return a token that can stand in a header (RFC 6750 §2.1 allows visible ASCII and no more) and may be one of *provider*."""
    require_no_private_key(token, field=field)
    if not _fits(token.reveal()):
        raise ValidationFailedError(field=field, problem=f"must be 1 to {_LONGEST_TOKEN} visible ASCII characters")
    require_not_foreign(token, provider, wiring.providers.list_providers(), field=field)
    return token


def _fits(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text
