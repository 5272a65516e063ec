"""A key arrives: checked with the provider first, then sealed and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import read_provider, read_secret, read_secret_or_none, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, RecordedName, Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import AccountFacts, Integration, State, integration_name
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    CloudIntegrationsError,
    GrantRefusedError,
    IntegrationInactiveError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.applications import operator_variables, require_input_methods
from cloud_integrations.flows.shared.events import happened, record_failure, recovery, tell_of
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named, require_unconnected
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.verification import check_credential, identify, is_other_account, require_accepted
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, by_consent, kind_of, present
from cloud_integrations.ports.store import AddIntegration, Change, ReplaceCredential
from cloud_integrations.protocol.pasted_keys import require_not_foreign
from cloud_integrations.protocol.verification import find_input_method, hints, name_inputs, normalise


async def add_api_key(
    wiring: Wiring,
    tenant: str,
    provider: str | UUID,
    /,
    *,
    name: str,
    api_key: Secret | str,
    secret_key: Secret | str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Integration:
    """Store a key that the provider accepts."""
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    api_key, secret_key = _read_pair(api_key, secret_key)
    given = read_variables(variables)
    entry = wiring.providers.require(read_provider(provider))
    methods = require_input_methods(entry)
    filled = entry.fill_variables(given, operator=operator_variables(wiring, entry))
    method = find_input_method(entry, methods, api_key, variables=filled)
    key = read_key(wiring, entry, method, api_key, secret_key)
    _hint(wiring, tenant_id, entry, method, key)
    begun_under = await wiring.data_keys.id_at_start(tenant_id)
    # Asked before the provider is, so that a second attempt sends no key anywhere; the store decides.
    await require_unconnected(wiring, tenant_id, entry.provider_id)
    now = wiring.clock.now()
    integration_id = IntegrationId(wiring.new_id())
    subject = Subject(tenant_id=tenant_id, provider_id=entry.provider_id, integration_id=integration_id)
    account, verified = await _accepted(
        wiring, entry, method=method, key=key, variables=filled, failure="integration.not_connected", subject=subject, caller=caller
    )
    facts = Integration(
        id=integration_id,
        tenant_id=tenant_id,
        provider_id=entry.provider_id,
        name=name,
        auth_type=auth_type_of(method),
        state_since=now,
        created_at=now,
        updated_at=now,
        account=account,
        variables=entry.tenant_variables(filled),
        method_id=method.id,
    )
    event = happened(wiring, "integration.connected", subject, caller, provider=entry.id, verified=str(verified).lower())
    await apply_sealed(
        wiring,
        tenant_id,
        lambda data_key: (
            AddIntegration(facts=facts, credential=wiring.sealer.seal_parts(data_key, integration_id, key, generation=1)),
            event,
        ),
        begun_under=begun_under,
    )
    return facts


async def replace_api_key(
    wiring: Wiring, tenant: str, integration: UUID | str, /, *, api_key: Secret | str, secret_key: Secret | str | None, caller: Caller
) -> Integration:
    """Put a new key in the place of the old one, which stays until the new one is stored."""
    tenant_id = await known_tenant(wiring, tenant)
    api_key, secret_key = _read_pair(api_key, secret_key)
    stored = await load_named(wiring, tenant_id, integration)
    if by_consent(stored.facts.auth_type):
        raise ValidationFailedError(field="credentials", problem="is not how this integration was connected")
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(stored.facts.id))
    entry = wiring.providers.require(stored.facts.provider_id)
    methods = require_input_methods(entry)
    filled = entry.fill_variables(stored.facts.variables, operator=operator_variables(wiring, entry))
    method = find_input_method(entry, methods, api_key, variables=filled)
    key = read_key(wiring, entry, method, api_key, secret_key)
    _hint(wiring, tenant_id, entry, method, key, integration_id=stored.facts.id)
    subject = Subject.of(stored.facts)
    account, verified = await _accepted(
        wiring, entry, method=method, key=key, variables=filled, failure="integration.not_reconnected", subject=subject, caller=caller
    )
    changed = is_other_account(stored.facts.account, account)
    if changed and wiring.settings.pin_accounts:
        error = GrantRefusedError(reason="other_account")
        await record_failure(wiring, "integration.not_reconnected", subject, caller, error=error)
        raise error
    now = wiring.clock.now()
    said = {"verified": str(verified).lower(), "account_changed": str(changed).lower()}
    events = [happened(wiring, "integration.reconnected", subject, caller, **said)]
    if changed:
        events.append(happened(wiring, "integration.account_changed", subject, caller))

    async def write() -> Integration:
        found = await load(wiring, tenant_id, stored.facts.id)
        if found.facts.state is State.DISABLED:
            raise IntegrationInactiveError(integration_id=str(found.facts.id))
        facts = replace(found.facts, state=State.ACTIVE, state_since=now, reason=None, updated_at=now, account=account, method_id=method.id)
        generation = found.credential.generation

        def changes(data_key: DataKey) -> list[Change | Event]:
            credential = wiring.sealer.seal_parts(data_key, facts.id, key, generation=generation + 1)
            replacement = ReplaceCredential(facts=facts, credential=credential, expected_generation=generation)
            return [replacement, *events, *recovery(wiring, found.facts, facts, caller)]

        await apply_sealed(wiring, tenant_id, changes)
        return facts

    # Where another key was entered at the same moment, this one is the newest word.
    return await again(write, subject="integration")


def _read_pair(api_key: Secret | str, secret_key: Secret | str | None) -> tuple[Secret, Secret | None]:
    return read_secret("credentials.apiKey", api_key), read_secret_or_none("credentials.secretKey", secret_key)


async def _accepted(
    wiring: Wiring,
    provider: Provider,
    /,
    *,
    method: Method,
    key: Parts,
    variables: Mapping[str, str],
    failure: RecordedName,
    subject: Subject,
    caller: Caller,
) -> tuple[AccountFacts, bool]:
    """Return whose key it is and whether the provider was asked; raise, and record, if it is not accepted."""
    try:
        result = await check_credential(wiring, provider, method, presented=present(method, key, variables=variables), variables=variables)
        account = AccountFacts() if result is None else require_accepted(provider, result)
    except StorageUnavailableError:
        raise
    except CloudIntegrationsError as error:
        await record_failure(wiring, failure, subject, caller, error=error, provider=provider.id)
        raise
    return await identify(wiring, subject.tenant_id, method, account, next(iter(key.values()))), result is not None


def read_key(wiring: Wiring, provider: Provider, method: Method, api_key: Secret, secret_key: Secret | None) -> Parts:
    """Return what was entered, cleaned, by the provider's names; the key comes first.

    Raises `ValidationFailedError` for what is no key of *provider*; it names the public API's field, not the provider's.
    """
    asked = [given.name for given in method.inputs if given.secret]
    shown = dict(zip(asked, ("credentials.apiKey", "credentials.secretKey"), strict=False))
    try:
        clean = normalise(method, name_inputs(method, key=api_key, secret=secret_key))
        for name in asked:
            if name in clean:
                require_not_foreign(clean[name], provider, wiring.providers.list_providers(), field=f"credentials.{name}")
        return kind_of(method).read_inputs(method, clean)
    except ValidationFailedError as error:
        name = error.field.removeprefix("credentials.")
        raise ValidationFailedError(field=shown.get(name, error.field), problem=error.problem) from None


def _hint(
    wiring: Wiring, tenant_id: TenantId, provider: Provider, method: Method, key: Parts, *, integration_id: IntegrationId | None = None
) -> None:
    for hint in hints(method, key):
        subject = Subject(tenant_id=tenant_id, provider_id=provider.provider_id, integration_id=integration_id)
        tell_of(wiring, "key_format.unusual", subject, hint=hint)
