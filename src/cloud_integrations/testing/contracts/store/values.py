"""Values and changes that the tests of stores share; all secrets are fake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from cloud_integrations.domain.audit import Actor, AuditEvent, Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.connect_session import ConnectSession, StoredConnectSession
from cloud_integrations.domain.envelope import KeyState, WrappedKey
from cloud_integrations.domain.freezing import Freeze, Selection
from cloud_integrations.domain.identifiers import (
    ConnectSessionId,
    ContextId,
    FreezeId,
    IncidentId,
    IntegrationId,
    ProviderId,
    SessionId,
    TenantId,
)
from cloud_integrations.domain.incident import Incident, IncidentItem, ItemState, Use
from cloud_integrations.domain.integration import AccountFacts, Integration, Phase, SealedCredential, State
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.rekeying import SealedRow
from cloud_integrations.domain.session import AgentSession, SessionAccess, StoredSession
from cloud_integrations.domain.tenant_application import StoredApplication, TenantApplication
from cloud_integrations.domain.webhook import StoredWebhook
from cloud_integrations.ports.store import AddKey, Change, MarkSent, RotateKey, SaveRenewal, SettleAttempt, TakeLease
from cloud_integrations.testing.clock import START

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
NEWCOMER = TenantId("initech")
"""A tenant without a data key."""
SEALING_KEY = UUID("0190a1b2-0000-7000-8000-5ea1ed000001")
"""The id of the data key of the other tenants."""
NEXT_KEY = UUID("0190a1b2-0000-7000-8000-5ea1ed000002")
"""The id of the data key that replaces it in `rotated`."""
PROVIDER = ProviderId(UUID("11111111-1111-5111-8111-111111111111"))
OTHER_PROVIDER = ProviderId(UUID("22222222-2222-5222-8222-222222222222"))
CONTEXT = ContextId(UUID("33333333-3333-5333-8333-333333333333"))
ALICE = Actor(id="alice")
LEASE = timedelta(seconds=15)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
NO_TIME = timedelta()


def an_integration(tenant_id: TenantId = ACME, provider_id: ProviderId = PROVIDER, **changes: Any) -> Integration:
    """Return an OAuth2 integration with every field set; *changes* replace fields."""
    facts = Integration(
        id=IntegrationId(uuid4()),
        tenant_id=tenant_id,
        provider_id=provider_id,
        name="Fake account",
        auth_type=AuthType.OAUTH2,
        state_since=START,
        created_at=START,
        updated_at=START,
        scopes=("read", "write:ünïcode"),
        requested_scopes=("read", "write:ünïcode", "admin"),
        missing_scopes=("admin",),
        expires_at=START + timedelta(hours=1, microseconds=7),
        renewal_rule="refresh",
        reconnect_before=START + timedelta(days=180),
        account=AccountFacts(account_id="fake-account-1", label="Fake 'label'"),
        variables={"region": "eu", "quote": '"\\'},
        context_id=CONTEXT,
        method_id="oauth2",
    )
    return replace(facts, **changes)


def a_credential(generation: int = 1, mark: bytes = b"fake") -> SealedCredential:
    """Return an OAuth2 credential whose bytes are not valid text; *mark* tells credentials apart."""
    return SealedCredential(
        generation=generation,
        key_id=SEALING_KEY,
        presented=mark + b"\x00\xff access",
        renewal=mark + b"\x00\xff refresh",
        presented_fingerprint=a_fingerprint(mark + b"access"),
        renewal_fingerprint=a_fingerprint(mark + b"refresh"),
        account_fingerprint=a_fingerprint(b"account"),
    )


def a_fingerprint(of: bytes, /) -> bytes:
    """Return 16 bytes in place of a fingerprint, the same for the same *of*."""
    return hashlib.sha256(b"fake " + of).digest()[:16]


def a_pending(tenant_id: TenantId = ACME, **changes: Any) -> PendingAuthorization:
    """Return an authorization that begins at `START`, with every field set; *changes* replace fields."""
    pending = PendingAuthorization(
        state_hash=hashlib.sha256(uuid4().bytes).digest(),
        tenant_id=tenant_id,
        provider_id=PROVIDER,
        method_id="oauth2",
        context_id=CONTEXT,
        integration_id=IntegrationId(uuid4()),
        reconnects_generation=3,
        actor=ALICE,
        browser_hash=hashlib.sha256(b"fake browser").digest(),
        name="Fake account",
        redirect_uri="https://app.example/callback",
        scopes=("read",),
        sealed_parts=b"fake\x00sealed",
        key_id=SEALING_KEY,
        issuer="https://issuer.example",
        variables={"region": "eu"},
        return_to="/settings",
        created_at=START,
        expires_at=START + timedelta(minutes=10),
    )
    return replace(pending, **changes)


def an_application(tenant_id: TenantId = ACME, **changes: Any) -> StoredApplication:
    """Return an OAuth application of the tenant in its first generation, with every field set; *changes* replace its facts."""
    facts = TenantApplication(
        id=CONTEXT,
        tenant_id=tenant_id,
        provider_id=PROVIDER,
        method_id="oauth2",
        client_id="fake-client of ünïcode",
        secrets=2,
        scopes=("read", "write"),
        client_auth="post",
        issuer="https://issuer.example",
        variables={"region": "eu"},
        created_at=START,
        updated_at=START,
    )
    return StoredApplication(facts=replace(facts, **changes), generation=1, key_id=SEALING_KEY, sealed_secrets=b"fake\x00secrets")


def a_session(tenant_id: TenantId = ACME, **changes: Any) -> StoredSession:
    """Return a session of an agent that needs approval, until an hour after the start; *changes* replace its facts."""
    facts = AgentSession(
        id=SessionId(UUID(int=9)),
        tenant_id=tenant_id,
        agent=Actor(type="agent", id="fake-agent"),
        on_behalf_of=Actor(id="ada"),
        access=(
            SessionAccess(
                name="simulated",
                provider_id=PROVIDER,
                integration_id=IntegrationId(UUID(int=1)),
                hosts=("api.example", "*.example.com:8443"),
            ),
            SessionAccess(name=str(UUID(int=2)), provider_id=PROVIDER, integration_id=IntegrationId(UUID(int=2)), hosts=("[2001:db8::1]",)),
        ),
        methods=("GET", "HEAD"),
        needs_approval=True,
        opened_at=START,
        expires_at=START + timedelta(hours=1),
    )
    return StoredSession(facts=replace(facts, **changes), fingerprint=bytes(range(16)))


def a_connect_session(tenant_id: TenantId = ACME, *, token_hash: bytes = bytes(range(32)), **changes: Any) -> StoredConnectSession:
    """Return a connect session that nobody has opened, until half an hour after the start; *changes* replace its facts."""
    facts = ConnectSession(
        id=ConnectSessionId(UUID(int=11)),
        tenant_id=tenant_id,
        actor=Actor(id="ada"),
        providers=("simulated", "other"),
        slot="second",
        locale="es-MX",
        return_to="https://app.example.com/settings?tab=1",
        origin="https://app.example.com",
        created_at=START,
        expires_at=START + timedelta(minutes=30),
    )
    return StoredConnectSession(facts=replace(facts, **changes), token_hash=token_hash, fingerprint=bytes(range(16)))


def a_freeze(**changes: Any) -> Freeze:
    """Return a freeze of one integration's use by one actor, in force since the start; *changes* replace fields."""
    freeze = Freeze(
        id=FreezeId(UUID(int=11)),
        selection=Selection(
            tenant_id=ACME,
            provider_id=PROVIDER,
            application_id=ContextId(UUID(int=12)),
            integration_id=IntegrationId(UUID(int=1)),
            actor=Actor(type="service", id="fake-caller"),
        ),
        renewals=False,
        reason="a fake token in a log",
        begun_at=START,
        begun_by=Actor(id="ada"),
    )
    return replace(freeze, **changes)


def a_webhook(tenant_id: TenantId = ACME, **changes: Any) -> StoredWebhook:
    """Return a webhook of the tenant in its first generation, with filters; *changes* replace fields."""
    webhook = StoredWebhook(
        id=uuid4(),
        tenant_id=tenant_id,
        events=("credential.reconnect_required", "integration.removed"),
        providers=(PROVIDER,),
        format="standard",
        generation=1,
        key_id=SEALING_KEY,
        sealed_parts=b"fake\x00parts",
        created_at=START,
        updated_at=START,
    )
    return replace(webhook, **changes)


def an_incident(**changes: Any) -> Incident:
    """Return an incident about the uses of one integration by one actor in an hour; *changes* replace fields."""
    incident = Incident(
        id=IncidentId(UUID(int=13)),
        selection=a_freeze().selection,
        since=START,
        until=START + timedelta(hours=1),
        reason="a fake token in a log",
        opened_at=START,
        opened_by=Actor(id="ada"),
    )
    return replace(incident, **changes)


def an_item(tenant_id: TenantId = ACME, /, *, number: int = 1, state: ItemState = "pending") -> IncidentItem:
    """Return an item of `an_incident` about the tenant's integration with this number."""
    use = Use(tenant_id=tenant_id, integration_id=IntegrationId(UUID(int=number)), records=2, first_at=START, last_at=START + SECOND)
    return IncidentItem(incident_id=an_incident().id, use=use, audit_seq=7, state=state)


def changed_application(before: StoredApplication, /, **changes: Any) -> StoredApplication:
    """Return the next generation of an application, a second later; *changes* replace its facts."""
    facts = replace(before.facts, updated_at=START + SECOND, **changes)
    return replace(before, facts=facts, generation=before.generation + 1, sealed_secrets=b"fake\x00other secrets")


def a_key(tenant_id: TenantId = ACME, version: int = 1, **changes: Any) -> WrappedKey:
    """Return a wrapped data key; *changes* replace fields."""
    key = WrappedKey(
        key_id=uuid4(),
        tenant_id=tenant_id,
        version=version,
        state=KeyState.ACTIVE,
        suite=1,
        kek_uri="local:test",
        kek_key_id=b"fake-kek-16bytes",
        wrapped=b"fake\x00wrapped",
        created_at=START,
        retired_at=None,
        destroyed_at=None,
    )
    return replace(key, **changes)


def add_sealing_keys(store: Any, /, *tenant_ids: TenantId) -> None:
    """Add for each tenant the data key `SEALING_KEY`, which all values here name as the key that sealed them."""
    store.apply(*(AddKey(key=a_key(tenant_id, key_id=SEALING_KEY)) for tenant_id in tenant_ids))


def rotated(tenant_id: TenantId = ACME, **changes: Any) -> RotateKey:
    """Return the change that replaces the tenant's data key by `NEXT_KEY`, a second later."""
    key = a_key(tenant_id, version=2, key_id=NEXT_KEY, created_at=START + SECOND)
    return RotateKey(key=replace(key, **changes), replaces=SEALING_KEY)


def row_of(facts: Integration) -> SealedRow:
    """Return the sealed fields of an integration with `a_credential()`, as resealing lists them."""
    credential = a_credential()
    assert credential.renewal is not None
    return SealedRow(
        table="ci_integration",
        tenant_id=facts.tenant_id,
        row=str(facts.id),
        generation=1,
        key_id=SEALING_KEY,
        sealed={"presented": credential.presented, "renewal": credential.renewal},
    )


def resealed(row: SealedRow, key_id: UUID = NEXT_KEY) -> tuple[SealedRow, SealedRow]:
    """Return a row, and the same row sealed anew."""
    return row, replace(row, key_id=key_id, sealed={field: b"anew\x00" + value for field, value in row.sealed.items()})


def an_entry(tenant_id: TenantId = ACME, **changes: Any) -> OutboxEntry:
    """Return an outbox entry that is due at `START`, a token to revoke; *changes* replace fields."""
    entry = OutboxEntry(
        id=uuid4(),
        tenant_id=tenant_id,
        integration_id=IntegrationId(uuid4()),
        kind="revocation",
        index_key=str(PROVIDER),
        facts={"method_id": "oauth2", "token": "refresh"},
        sealed_payload=b"fake\x00payload",
        key_id=SEALING_KEY,
        next_attempt_at=START,
        created_at=START,
    )
    return replace(entry, **changes)


def an_event(tenant_id: TenantId = ACME, **changes: Any) -> AuditEvent:
    """Return an audit event with every field set; *changes* replace fields."""
    event = AuditEvent(
        event_id=uuid4(),
        tenant_id=tenant_id,
        occurred_at=START + timedelta(microseconds=1),
        actor=ALICE,
        action="integration.create",
        resource="integration:fake",
        outcome=Outcome.SUCCESS,
        reason="because ünïcode",
        request_id="request-1",
        provider_id=PROVIDER,
        context_id=CONTEXT,
        details={"name": "Fake 'account'", "": "empty name"},
        salts={"actor_id": b"\x00\xff fake salt 16"},
    )
    return replace(event, **changes)


def lease(facts: Integration, /, **changes: Any) -> TakeLease:
    """Return the change that takes the lease of *facts* in its first generation."""
    change = TakeLease(
        tenant_id=facts.tenant_id,
        integration_id=facts.id,
        expected_generation=1,
        attempt_id="attempt-1",
        owner="worker-1",
        length=LEASE,
        takeover_delay=NO_TIME,
    )
    return replace(change, **changes)


def sent(facts: Integration, /, **changes: Any) -> MarkSent:
    """Return the change that marks the request of the first lease as sent."""
    change = MarkSent(
        tenant_id=facts.tenant_id, integration_id=facts.id, lease_token=1, attempt_id="attempt-1", generation=1, needed=8 * SECOND
    )
    return replace(change, **changes)


def settled(facts: Integration, /, **changes: Any) -> SettleAttempt:
    """Return the change that settles the attempt of the first lease, to be tried again."""
    change = SettleAttempt(
        tenant_id=facts.tenant_id,
        integration_id=facts.id,
        lease_token=1,
        attempt_id="attempt-1",
        generation=1,
        phase=Phase.IDLE,
        state=State.RETRY,
        reason="provider_unavailable",
        state_since=START + SECOND,
        error="unusable_answer",
        next_attempt_at=START + timedelta(minutes=1),
    )
    return replace(change, **changes)


def renewed(facts: Integration, /, **changes: Any) -> SaveRenewal:
    """Return the change that saves a second generation under the first lease."""
    change = SaveRenewal(
        facts=replace(facts, scopes=("read",), expires_at=START + timedelta(hours=2), reconnect_before=None, updated_at=START + SECOND),
        credential=a_credential(2, b"renewed"),
        lease_token=1,
        attempt_id="attempt-1",
        takes_back=True,
        refreshed_at=START + SECOND,
        due_at=START + timedelta(minutes=100),
    )
    return replace(change, **changes)


def applying(*changes: Change) -> Callable[[Any], Any]:
    """Return a call for `BlockingStore.together` that applies *changes*."""
    return lambda store: store.apply(*changes)
