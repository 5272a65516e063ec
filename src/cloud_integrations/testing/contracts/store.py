"""What every `Store` and `AsyncStore` promises, as tests.

Inherit the class and provide one fixture, an empty store that follows the given clock:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, clock, runner):
            yield MyStore(clock=clock)

A store that is awaited lives in the event loop of *runner*; `runner.run(...)` is for closing what it opened.
"""

# ruff: noqa: S101 – these are tests: a name is a sentence, and asserts are the point

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.audit import Actor, AuditEvent, AuditReport, ChainCheck, Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.envelope import KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import AccountFacts, DueIntegration, Integration, Phase, SealedCredential, State
from cloud_integrations.domain.pending import MAX_PENDING, MAX_PENDING_OF_TENANT, PendingAuthorization
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.domain.removal import Revocation
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationNotFoundError,
    KeyRetiredError,
    StaleWriteError,
    UnstorableValueError,
)
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    AddRevocation,
    AsyncStore,
    Change,
    ClosePending,
    DelayRevocation,
    DestroyKey,
    EraseIntegration,
    EraseTenant,
    FinishRevocation,
    MarkSent,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    RewrapKey,
    RotateKey,
    SaveFacts,
    SaveRenewal,
    SettleAttempt,
    Store,
    TakeLease,
)
from cloud_integrations.testing.clock import START, FixedClock

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
NEWCOMER = TenantId("initech")
"""Has no data key yet."""
SEALING_KEY = UUID("0190a1b2-0000-7000-8000-5ea1ed000001")
"""The data key of the others."""
NEXT_KEY = UUID("0190a1b2-0000-7000-8000-5ea1ed000002")
"""The data key that `rotated` puts in its place."""
PROVIDER = ProviderId(UUID("11111111-1111-5111-8111-111111111111"))
OTHER_PROVIDER = ProviderId(UUID("22222222-2222-5222-8222-222222222222"))
CONTEXT = ContextId(UUID("33333333-3333-5333-8333-333333333333"))
ALICE = Actor(id="alice")
LEASE = timedelta(seconds=15)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
NO_TIME = timedelta()


class Door:
    """A store, blocking or awaited, called in the blocking way."""

    def __init__(self, store: Store | AsyncStore, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner
        self._awaited = inspect.iscoroutinefunction(store.apply)

    def together(self, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Make all *calls* at once, in tasks or in threads; return answers and `Exception`s, in order."""
        if self._awaited:
            return self._runner.run(self._gathered(calls))
        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(self._answer, calls))

    async def _gathered(self, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        return await asyncio.gather(*[call(self._store) for call in calls], return_exceptions=True)

    def _answer(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._store)
        except Exception as error:  # noqa: BLE001 - as `gather` does it: the test looks at what came
            return error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(method(*args, **kwargs)) if self._awaited else method(*args, **kwargs)

        return call


def an_integration(tenant_id: TenantId = ACME, provider_id: ProviderId = PROVIDER, **changes: Any) -> Integration:
    """Make the facts of an OAuth2 integration, every field set."""
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
        renewable=True,
        reconnect_before=START + timedelta(days=180),
        account=AccountFacts(account_id="fake-account-1", label="Fake 'label'"),
        variables={"region": "eu", "quote": '"\\'},
        context_id=CONTEXT,
        method_id="oauth2",
    )
    return replace(facts, **changes)


def a_credential(generation: int = 1, mark: bytes = b"fake") -> SealedCredential:
    """Make an OAuth2 credential of bytes that are no text."""
    return SealedCredential(
        generation=generation,
        key_id=SEALING_KEY,
        access_token=mark + b"\x00\xff access",
        refresh_token=mark + b"\x00\xff refresh",
        access_fingerprint=a_fingerprint(mark + b"access"),
        refresh_fingerprint=a_fingerprint(mark + b"refresh"),
        account_fingerprint=a_fingerprint(b"account"),
    )


def a_fingerprint(of: bytes, /) -> bytes:
    """Make 16 bytes that look like a fingerprint."""
    return hashlib.sha256(b"fake " + of).digest()[:16]


def a_pending(tenant_id: TenantId = ACME, **changes: Any) -> PendingAuthorization:
    """Make an authorization that begins now, every field set."""
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
        sealed_verifier=b"fake\x00sealed",
        key_id=SEALING_KEY,
        issuer="https://issuer.example",
        variables={"region": "eu"},
        return_to="/settings",
        created_at=START,
        expires_at=START + timedelta(minutes=10),
    )
    return replace(pending, **changes)


def a_key(tenant_id: TenantId = ACME, version: int = 1, **changes: Any) -> WrappedKey:
    """Make a wrapped data key."""
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
    """Give tenants the data key under which everything here claims to be sealed."""
    store.apply(*(AddKey(key=a_key(tenant_id, key_id=SEALING_KEY)) for tenant_id in tenant_ids))


def rotated(tenant_id: TenantId = ACME, **changes: Any) -> RotateKey:
    """Put `NEXT_KEY` in the place of the tenant's data key, a second later."""
    key = a_key(tenant_id, version=2, key_id=NEXT_KEY, created_at=START + SECOND)
    return RotateKey(key=replace(key, **changes), replaces=SEALING_KEY)


def row_of(facts: Integration) -> SealedRow:
    """Describe the sealed fields of an integration that holds `a_credential()`."""
    credential = a_credential()
    assert credential.access_token is not None
    assert credential.refresh_token is not None
    return SealedRow(
        table="ci_integration",
        tenant_id=facts.tenant_id,
        row=str(facts.id),
        generation=1,
        key_id=SEALING_KEY,
        sealed={"access_token": credential.access_token, "refresh_token": credential.refresh_token},
    )


def resealed(row: SealedRow, key_id: UUID = NEXT_KEY) -> tuple[SealedRow, SealedRow]:
    """Pair a row with itself, sealed anew."""
    return row, replace(row, key_id=key_id, sealed={field: b"anew\x00" + value for field, value in row.sealed.items()})


def a_revocation(tenant_id: TenantId = ACME, **changes: Any) -> Revocation:
    """Make an entry of the outbox that is due now."""
    entry = Revocation(
        id=uuid4(),
        tenant_id=tenant_id,
        integration_id=IntegrationId(uuid4()),
        provider_id=PROVIDER,
        method_id="oauth2",
        context_id=CONTEXT,
        kind="refresh",
        sealed_token=b"fake\x00token",
        key_id=SEALING_KEY,
        account_fingerprint=a_fingerprint(b"account"),
        variables={"region": "eu"},
        next_attempt_at=START,
        created_at=START,
    )
    return replace(entry, **changes)


def an_event(tenant_id: TenantId = ACME, **changes: Any) -> AuditEvent:
    """Make an audit event, every field set."""
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
        details={"name": "Fake 'account'", "": "empty name"},
    )
    return replace(event, **changes)


def verified(door: Any, tenant_id: TenantId = ACME, **check: Any) -> AuditReport:
    """Walk a tenant's chain from its first event to its head."""
    walk = ChainCheck(tenant_id, **check)
    after = 0
    while records := door.list_audit(tenant_id, after=after, limit=100):
        walk.feed(records)
        after = records[-1].seq
    return walk.finish(door.find_audit_head(tenant_id))


def applying(*changes: Change) -> Callable[[Any], Any]:
    """Return a call for `Door.together`: make *changes*."""
    return lambda store: store.apply(*changes)


def refused(answers: Sequence[Any]) -> list[Exception]:
    """Return the answers that are errors."""
    return [answer for answer in answers if isinstance(answer, Exception)]


class _Contract:
    @pytest.fixture
    def clock(self) -> FixedClock:
        """The clock that the store under test follows."""
        return FixedClock()

    @pytest.fixture
    def runner(self) -> Iterator[asyncio.Runner]:
        """The event loop of a store that is awaited."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def door(self, store: Store | AsyncStore, runner: asyncio.Runner) -> Door:
        """The store under test, called in one way; its tenants have a data key."""
        door = Door(store, runner)
        add_sealing_keys(door, ACME, GLOBEX)
        return door

    @pytest.fixture
    def facts(self, door: Door) -> Integration:
        """An integration that is stored, in its first generation."""
        facts = an_integration()
        door.apply(AddIntegration(facts=facts, credential=a_credential(), due_at=START + timedelta(minutes=48)))
        return facts


class _Integrations(_Contract):
    def test_what_was_added_is_found_as_it_was(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        found = door.find_integration(ACME, facts.id)
        assert (found.facts, found.credential) == (facts, a_credential())
        assert (found.marks.lease_token, found.marks.writer_lease, found.marks.attempts, found.marks.phase) == (0, 0, 0, Phase.IDLE)
        assert (found.marks.due_at, found.marks.refreshed_at) == (START + timedelta(minutes=48), facts.updated_at)
        assert found.read_at == clock.now()
        assert door.find_credential(ACME, PROVIDER) == found.to_use

    def test_what_is_empty_stays_empty(self, door: Door) -> None:
        facts = an_integration(
            auth_type=AuthType.API_KEY,
            scopes=(),
            requested_scopes=(),
            expires_at=None,
            renewable=False,
            reconnect_before=None,
            account=AccountFacts(),
            variables={},
            context_id=None,
            reason="a word",
            state=State.NEEDS_REAUTH,
        )
        credential = SealedCredential(generation=1, key_id=SEALING_KEY, api_key=b"fake\x00key", api_secret=None)
        door.apply(AddIntegration(facts=facts, credential=credential))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts, found.credential, found.marks.due_at) == (facts, credential, None)
        assert door.find_credential(ACME, PROVIDER) == found.to_use

    def test_a_long_token_is_kept_whole(self, door: Door) -> None:
        token = bytes(range(256)) * 192
        credential = SealedCredential(generation=1, key_id=SEALING_KEY, access_token=token)
        facts = an_integration()
        door.apply(AddIntegration(facts=facts, credential=credential))
        assert door.find_integration(ACME, facts.id).credential == credential

    def test_what_is_not_there_is_none(self, door: Door) -> None:
        assert door.find_integration(ACME, IntegrationId(uuid4())) is None
        assert door.find_credential(ACME, PROVIDER) is None
        assert door.list_integrations(ACME) == ()

    def test_a_second_one_with_the_same_provider_is_refused(self, door: Door, facts: Integration) -> None:
        with pytest.raises(IntegrationExistsError) as caught:
            door.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        assert caught.value.details == {"tenantId": ACME, "providerId": str(PROVIDER)}
        assert door.list_integrations(ACME) == (facts,)

    @pytest.mark.parametrize(
        ("auth_type", "held"),
        [
            (AuthType.OAUTH2, SealedCredential(generation=1, key_id=SEALING_KEY, api_key=b"fake")),
            (AuthType.OAUTH2, SealedCredential(generation=1, key_id=SEALING_KEY, refresh_token=b"fake")),
            (AuthType.API_KEY, SealedCredential(generation=1, key_id=SEALING_KEY, access_token=b"fake")),
            (AuthType.API_KEY, SealedCredential(generation=1, key_id=SEALING_KEY, api_key=b"fake", refresh_token=b"fake")),
        ],
    )
    def test_a_credential_of_another_kind_cannot_be_kept(self, door: Door, auth_type: AuthType, held: SealedCredential) -> None:
        with pytest.raises(UnstorableValueError):
            door.apply(AddIntegration(facts=an_integration(auth_type=auth_type), credential=held))
        assert door.list_integrations(ACME) == ()

    def test_a_credential_is_not_replaced_by_one_of_another_kind(self, door: Door, facts: Integration) -> None:
        before = door.find_integration(ACME, facts.id)
        strange = SealedCredential(generation=2, key_id=SEALING_KEY, api_key=b"fake")
        door.apply(lease(facts))
        for change in (ReplaceCredential(facts=facts, credential=strange, expected_generation=1), renewed(facts, credential=strange)):
            with pytest.raises(UnstorableValueError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id).credential == before.credential

    @pytest.mark.parametrize(
        ("what", "value"),
        [("name", "a" * 51), ("method_id", "m" * 65), ("reason", "é" * 256), ("tenant_id", "t" * 256), ("name", "fake\x00name")],
        ids=["name", "method", "reason", "tenant", "a zero byte"],
    )
    def test_what_does_not_fit_is_kept_whole_or_refused_for_good(self, door: Door, what: str, value: str) -> None:
        changed: dict[str, Any] = {what: value}
        facts = an_integration(**changed)
        try:
            if facts.tenant_id != ACME:
                add_sealing_keys(door, facts.tenant_id)
            door.apply(AddIntegration(facts=facts, credential=a_credential()))
        except UnstorableValueError:
            kept: tuple[Integration, ...] = ()
        else:
            kept = (facts,)
        assert door.list_integrations(facts.tenant_id) == kept

    def test_one_of_fifty_creations_at_once_wins(self, door: Door) -> None:
        creations = [AddIntegration(facts=an_integration(name=f"Fake {number}"), credential=a_credential()) for number in range(50)]
        answers = door.together([applying(creation, Record(event=an_event())) for creation in creations])
        assert sorted(type(error).__name__ for error in refused(answers)) == ["IntegrationExistsError"] * 49
        assert len(door.list_integrations(ACME)) == 1
        assert len(door.list_audit(ACME)) == 1
        assert verified(door).whole

    def test_the_list_is_in_order_of_age(self, door: Door) -> None:
        newer = an_integration(created_at=START + SECOND)
        older = an_integration(provider_id=OTHER_PROVIDER)
        for facts in (newer, older):
            door.apply(AddIntegration(facts=facts, credential=a_credential()))
        assert door.list_integrations(ACME) == (older, newer)

    def test_facts_are_saved_and_the_credential_is_not_touched(self, door: Door, facts: Integration) -> None:
        before = door.find_integration(ACME, facts.id)
        changed = replace(
            facts, name="Other name", state=State.DISABLED, state_since=START + SECOND, reason="by_user", updated_at=START + SECOND
        )
        # What is not among the saved facts is not saved.
        door.apply(
            SaveFacts(facts=replace(changed, scopes=("other",), expires_at=None, account=AccountFacts()), expected_state=State.ACTIVE)
        )
        assert door.find_integration(ACME, facts.id) == replace(before, facts=changed, marks=replace(before.marks, due_at=None))

    def test_facts_in_another_state_are_not_overwritten(self, door: Door, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            door.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.RETRY))
        assert door.list_integrations(ACME) == (facts,)

    def test_facts_of_an_integration_that_is_gone_are_not_saved(self, door: Door) -> None:
        with pytest.raises(IntegrationNotFoundError):
            door.apply(SaveFacts(facts=an_integration(), expected_state=State.ACTIVE))

    def test_a_replaced_credential_takes_a_lease_number(self, door: Door, facts: Integration) -> None:
        changed = replace(facts, name="New name", scopes=("read",), updated_at=START + SECOND, expires_at=None)
        due = START + timedelta(minutes=5)
        door.apply(ReplaceCredential(facts=changed, credential=a_credential(2, b"new"), expected_generation=1, due_at=due))
        found = door.find_integration(ACME, facts.id)
        # A name that somebody gave meanwhile stays.
        assert (found.facts, found.credential) == (replace(changed, name=facts.name), a_credential(2, b"new"))
        assert (found.marks.lease_token, found.marks.writer_lease, found.marks.lease_owner) == (1, 1, RECONNECT_OWNER)
        assert (found.marks.due_at, found.marks.refreshed_at) == (due, changed.updated_at)

    def test_a_reconnect_changes_neither_provider_nor_age(self, door: Door, facts: Integration) -> None:
        strange = replace(facts, provider_id=OTHER_PROVIDER, created_at=START + SECOND)
        door.apply(ReplaceCredential(facts=strange, credential=a_credential(2), expected_generation=1))
        assert door.find_integration(ACME, facts.id).facts == facts

    def test_a_credential_of_another_generation_is_not_replaced(self, door: Door, facts: Integration) -> None:
        before = door.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            door.apply(ReplaceCredential(facts=facts, credential=a_credential(3), expected_generation=2))
        assert door.find_integration(ACME, facts.id) == before

    def test_what_the_user_switched_off_is_not_reconnected(self, door: Door, facts: Integration) -> None:
        off = replace(facts, state=State.DISABLED)
        door.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        with pytest.raises(StaleWriteError):
            door.apply(ReplaceCredential(facts=facts, credential=a_credential(2), expected_generation=1))
        assert door.find_integration(ACME, facts.id).facts == off

    def test_a_credential_that_is_gone_is_not_replaced(self, door: Door) -> None:
        with pytest.raises(IntegrationNotFoundError):
            door.apply(ReplaceCredential(facts=an_integration(), credential=a_credential(2), expected_generation=1))

    def test_an_erased_integration_is_gone_and_its_place_is_free(self, door: Door, facts: Integration) -> None:
        door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        assert door.find_integration(ACME, facts.id) is None
        with pytest.raises(IntegrationNotFoundError):
            door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        door.apply(AddIntegration(facts=an_integration(), credential=a_credential()))

    def test_an_integration_of_another_generation_is_not_erased(self, door: Door, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=2))
        assert door.list_integrations(ACME) == (facts,)


class _Atomicity(_Contract):
    @pytest.mark.requirement("AUD-01", "AUD-07")
    def test_a_refused_change_leaves_nothing(self, door: Door, facts: Integration) -> None:
        before = everything(door)
        added = an_integration(provider_id=OTHER_PROVIDER)
        entry = a_revocation()
        with pytest.raises(StaleWriteError):
            door.apply(
                Record(event=an_event()),
                AddIntegration(facts=added, credential=a_credential()),
                SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE),
                AddPending(pending=a_pending()),
                AddRevocation(revocation=entry),
                RotateKey(key=a_key(version=2), replaces=SEALING_KEY),
                RefuseKeys(tenant_id=ACME, min_version=2),
                AddKeyCheck(check=KeyCheck(kek_uri="local:test", kek_key_id=b"fake-kek-16bytes", canary=b"fake check")),
                EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=99),
            )
        assert everything(door) == before
        assert door.find_audit_head(ACME) is None

    def test_changes_are_made_in_order(self, door: Door, facts: Integration) -> None:
        again = an_integration()
        door.apply(
            EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1),
            AddIntegration(facts=again, credential=a_credential()),
        )
        assert door.list_integrations(ACME) == (again,)

    def test_no_change_is_no_change(self, door: Door) -> None:
        door.apply(AddIntegration(facts=an_integration(), credential=a_credential()), Record(event=an_event()))
        before = everything(door)
        door.apply()
        assert everything(door) == before


def everything(door: Any) -> tuple[object, ...]:
    """Return what a tenant can see, and the rest, to compare before and after."""
    listed = door.list_integrations(ACME)
    held = [door.find_integration(ACME, facts.id) for facts in listed]
    return (
        listed,
        [(row.credential, row.marks) for row in held],
        door.find_credential(ACME, PROVIDER),
        door.has_pending(ACME, PROVIDER),
        door.find_active_key(ACME),
        door.list_keys(limit=100),
        door.list_key_checks(),
        door.list_kek_ids(),
        door.count_revocations(),
        door.list_audit(ACME),
        door.find_audit_head(ACME),
    )


class _Tenants(_Contract):
    @pytest.mark.requirement("ISO-01", "ISO-06")
    def test_tenants_share_nothing(self, door: Door, facts: Integration) -> None:
        # The same ids and names on purpose.
        twin = replace(facts, tenant_id=GLOBEX, name="Twin")
        key = a_key(version=2, state=KeyState.DECRYPT_ONLY)
        door.apply(AddKey(key=key), Record(event=an_event()), AddPending(pending=a_pending()))
        assert door.find_integration(GLOBEX, facts.id) is None
        assert door.find_credential(GLOBEX, PROVIDER) is None
        assert door.list_integrations(GLOBEX) == ()
        assert door.find_key(GLOBEX, key.key_id) is None
        assert door.find_active_key(GLOBEX).tenant_id == GLOBEX
        assert {key.tenant_id for key in door.list_keys(tenant_id=GLOBEX, limit=10)} == {GLOBEX}
        assert not door.has_pending(GLOBEX, PROVIDER)
        assert door.list_audit(GLOBEX) == ()
        assert door.list_audit_newest(GLOBEX) == ()
        assert door.find_audit_head(GLOBEX) is None
        door.apply(AddIntegration(facts=twin, credential=a_credential(1, b"twin")), AddKey(key=replace(key, tenant_id=GLOBEX)))
        door.apply(EraseIntegration(tenant_id=GLOBEX, integration_id=facts.id, expected_generation=1))
        assert door.list_integrations(ACME) == (facts,)

    @pytest.mark.requirement("ISO-01")
    def test_a_change_reaches_its_own_tenant_only(self, door: Door, facts: Integration) -> None:
        strange = replace(facts, tenant_id=GLOBEX)
        before = door.find_integration(ACME, facts.id)
        for change, error in (
            (SaveFacts(facts=strange, expected_state=State.ACTIVE), IntegrationNotFoundError),
            (ReplaceCredential(facts=strange, credential=a_credential(2), expected_generation=1), IntegrationNotFoundError),
            (EraseIntegration(tenant_id=GLOBEX, integration_id=facts.id, expected_generation=1), IntegrationNotFoundError),
            (replace(lease(facts), tenant_id=GLOBEX), StaleWriteError),
            (renewed(strange), IntegrationNotFoundError),
        ):
            with pytest.raises(error):
                door.apply(cast("Change", change))
        entry = a_revocation()
        door.apply(AddRevocation(revocation=entry), FinishRevocation(tenant_id=GLOBEX, revocation_id=entry.id))
        assert door.count_revocations() == 1
        assert door.find_integration(ACME, facts.id) == before

    def test_tenants_differ_by_case_accent_and_space(self, door: Door) -> None:
        names = [TenantId(name) for name in ("acme", "Acme", "ACME", "ácme", "acme-", "acme ", " acme")]
        add_sealing_keys(door, *names[1:])
        for tenant_id in names:
            door.apply(AddIntegration(facts=an_integration(tenant_id), credential=a_credential()), Record(event=an_event(tenant_id)))
        for tenant_id in names:
            assert [facts.tenant_id for facts in door.list_integrations(tenant_id)] == [tenant_id]
            assert len(door.list_audit(tenant_id)) == 1


def lease(facts: Integration, /, **changes: Any) -> TakeLease:
    """Ask for the lease of *facts* in its first generation."""
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
    """Mark the first lease as sent."""
    change = MarkSent(
        tenant_id=facts.tenant_id, integration_id=facts.id, lease_token=1, attempt_id="attempt-1", generation=1, needed=8 * SECOND
    )
    return replace(change, **changes)


def settled(facts: Integration, /, **changes: Any) -> SettleAttempt:
    """Settle the first lease's attempt: to be tried again."""
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
    """Write a second generation under the first lease."""
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


class _Leases(_Contract):
    def test_an_operator_may_have_a_refused_grant_asked_again_but_not_a_closed_one(self, door: Door, facts: Integration) -> None:
        refused_grant = replace(facts, state=State.NEEDS_REAUTH, reason="revoked")
        door.apply(SaveFacts(facts=refused_grant, expected_state=State.ACTIVE))
        with pytest.raises(StaleWriteError):
            door.apply(lease(facts))
        door.apply(lease(facts, asks_again=True))
        with pytest.raises(StaleWriteError):
            door.apply(sent(facts))
        door.apply(sent(facts, asks_again=True))
        stored = door.find_integration(ACME, facts.id)
        assert (stored.facts.state, stored.facts.reason, stored.marks.phase) == (State.NEEDS_REAUTH, "revoked", Phase.SENT)
        door.apply(renewed(facts))
        stored = door.find_integration(ACME, facts.id)
        assert (stored.facts.state, stored.facts.reason) == (State.ACTIVE, None)
        assert stored.marks.due_at == START + timedelta(minutes=100)

    def test_what_is_switched_off_is_not_asked_again_by_anybody(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(SaveFacts(facts=replace(facts, state=State.DISABLED), expected_state=State.ACTIVE))
        for change in (lease(facts, attempt_id="attempt-2", asks_again=True), sent(facts, asks_again=True)):
            with pytest.raises(StaleWriteError):
                door.apply(change)

    def test_failures_say_since_when_until_tokens_come(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(settled(facts, failed_at=START + SECOND, refused_since=START))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START + SECOND, START)
        door.apply(lease(facts, attempt_id="attempt-2"))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START + SECOND, START)
        door.apply(renewed(facts, lease_token=2, attempt_id="attempt-2"))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (None, None)

    def test_switching_off_and_on_begins_the_count_of_refusals_anew(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(settled(facts, failed_at=START, refused_since=START))
        for state, before in ((State.DISABLED, State.RETRY), (State.RETRY, State.DISABLED)):
            door.apply(SaveFacts(facts=replace(facts, state=state), expected_state=before))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START, None)

    def test_a_reconnect_forgets_failures(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(settled(facts, failed_at=START, refused_since=START))
        door.apply(ReplaceCredential(facts=facts, credential=a_credential(2), expected_generation=1))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since, marks.last_error) == (None, None, None)

    def test_the_narrow_read_says_whether_a_request_is_out_or_its_outcome_unknown(self, door: Door, facts: Integration) -> None:
        seen = [door.find_credential(ACME, PROVIDER).in_doubt]
        for change in (
            lease(facts),
            sent(facts),
            settled(facts, state=State.UNKNOWN),
            lease(facts, attempt_id="attempt-2"),
            renewed(facts, lease_token=2, attempt_id="attempt-2"),
        ):
            door.apply(change)
            seen.append(door.find_credential(ACME, PROVIDER).in_doubt)
        assert seen == [False, False, True, True, True, False]

    def test_a_lease_says_who_has_it_and_until_when(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.lease_owner, marks.attempt_id, marks.phase) == (1, "worker-1", "attempt-1", Phase.LEASED)
        assert marks.lease_until == clock.now() + LEASE
        assert marks.writer_lease == 0

    def test_one_of_sixteen_gets_the_lease(self, door: Door, facts: Integration) -> None:
        changes = [lease(facts, attempt_id=f"attempt-{number}") for number in range(16)]
        answers = door.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.attempt_id) == (1, f"attempt-{answers.index(None)}")

    def test_a_running_lease_is_not_taken(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE)
        with pytest.raises(StaleWriteError):
            door.apply(lease(facts))
        clock.advance(INSTANT)
        door.apply(lease(facts, attempt_id="attempt-2"))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.attempt_id, marks.lease_until) == (2, "attempt-2", clock.now() + LEASE)

    def test_without_a_request_in_flight_there_is_no_delay(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + INSTANT)
        door.apply(lease(facts, takeover_delay=timedelta(minutes=15)))

    @pytest.mark.parametrize("phase", [Phase.SENT, Phase.UNKNOWN])
    def test_a_request_in_flight_delays_the_takeover(self, door: Door, facts: Integration, clock: FixedClock, phase: Phase) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        if phase is Phase.UNKNOWN:
            door.apply(settled(facts, phase=Phase.UNKNOWN, state=State.UNKNOWN))
        clock.advance(LEASE + 2 * SECOND)
        with pytest.raises(StaleWriteError):
            door.apply(lease(facts, takeover_delay=2 * SECOND))
        clock.advance(INSTANT)
        door.apply(lease(facts, takeover_delay=2 * SECOND))

    @pytest.mark.parametrize("state", list(State))
    def test_only_what_may_be_refreshed_is_leased(self, door: Door, facts: Integration, state: State) -> None:
        door.apply(SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE))
        if state in {State.ACTIVE, State.RETRY, State.UNKNOWN}:
            door.apply(lease(facts))
        else:
            with pytest.raises(StaleWriteError):
                door.apply(lease(facts))

    def test_another_generation_or_no_integration_is_not_leased(self, door: Door, facts: Integration) -> None:
        for change in (lease(facts, expected_generation=2), lease(facts, integration_id=IntegrationId(uuid4()))):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id).marks.lease_token == 0

    def test_the_sent_mark_needs_time_left(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE - 8 * SECOND)
        with pytest.raises(StaleWriteError):
            door.apply(sent(facts))
        door.apply(sent(facts, needed=8 * SECOND - INSTANT))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.SENT, clock.now())

    @pytest.mark.parametrize("state", [State.DISABLED, State.NEEDS_REAUTH])
    def test_what_was_switched_off_since_the_lease_is_not_asked_for(self, door: Door, facts: Integration, state: State) -> None:
        door.apply(lease(facts))
        door.apply(SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE))
        before = door.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            door.apply(sent(facts))
        assert door.find_integration(ACME, facts.id) == before

    def test_the_sent_mark_needs_lease_and_generation(self, door: Door, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            door.apply(sent(facts, lease_token=0))
        door.apply(lease(facts))
        for change in (
            sent(facts, lease_token=2),
            sent(facts, attempt_id="attempt-2"),
            sent(facts, generation=2),
            sent(facts, integration_id=IntegrationId(uuid4())),
        ):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id).marks.phase is Phase.LEASED

    def test_the_first_request_without_an_outcome_is_remembered(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        first = clock.now()
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(settled(facts, state=State.UNKNOWN))
        clock.advance(SECOND)
        # Neither a lease that nothing was sent under, nor another request, nor the user's switch makes it younger.
        door.apply(lease(facts, length=9 * SECOND))
        clock.advance(10 * SECOND)
        unknown = door.find_integration(ACME, facts.id).facts
        off = replace(unknown, state=State.DISABLED)
        door.apply(SaveFacts(facts=off, expected_state=State.UNKNOWN))
        door.apply(SaveFacts(facts=unknown, expected_state=State.DISABLED))
        door.apply(lease(facts, attempt_id="attempt-3"))
        door.apply(sent(facts, lease_token=3, attempt_id="attempt-3"))
        assert door.find_integration(ACME, facts.id).marks.sent_at == first
        door.apply(renewed(facts, lease_token=3, attempt_id="attempt-3"))
        assert door.find_integration(ACME, facts.id).marks.sent_at is None

    def test_a_request_whose_outcome_is_known_is_not_remembered(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(settled(facts, state=State.RETRY))
        assert door.find_integration(ACME, facts.id).marks.sent_at is None

    def test_late_tokens_leave_another_request_in_flight(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts, attempt_id="attempt-2"))
        door.apply(sent(facts, lease_token=2, attempt_id="attempt-2"))
        door.apply(renewed(facts))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.SENT, clock.now() - LEASE - SECOND)

    def test_late_tokens_before_anybody_has_sent_again_leave_nothing_in_doubt(
        self, door: Door, facts: Integration, clock: FixedClock
    ) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts, attempt_id="attempt-2"))
        door.apply(renewed(facts))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.LEASED, None)

    def test_a_number_that_was_given_twice_is_the_lease_of_the_attempt_in_the_row(self, door: Door, facts: Integration) -> None:
        # The database was restored while `attempt-1` was out, and gave its number again.
        door.apply(lease(facts, attempt_id="attempt-2"))
        before = door.find_integration(ACME, facts.id)
        for change in (sent(facts), settled(facts, state=State.NEEDS_REAUTH)):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id) == before
        door.apply(renewed(facts))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.lease_owner, marks.writer_lease) == (Phase.LEASED, "worker-1", 1)

    def test_a_renewal_is_written_and_ends_its_lease(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(settled(facts))
        door.apply(lease(facts))
        door.apply(sent(facts, lease_token=2))
        change = renewed(facts, lease_token=2, facts=replace(renewed(facts).facts, name="not saved", requested_scopes=()))
        door.apply(change)
        found = door.find_integration(ACME, facts.id)
        assert found.facts == renewed(facts).facts
        assert found.credential == a_credential(2, b"renewed")
        marks = found.marks
        assert (marks.phase, marks.lease_token, marks.writer_lease, marks.lease_until) == (Phase.IDLE, 2, 2, None)
        assert (marks.attempts, marks.next_attempt_at, marks.last_error) == (0, None, None)
        assert (marks.refreshed_at, marks.due_at) == (change.refreshed_at, change.due_at)

    def test_a_renewal_may_say_when_to_ask_again(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(renewed(facts, next_attempt_at=START + LEASE))
        assert door.find_integration(ACME, facts.id).marks.next_attempt_at == START + LEASE

    def test_good_tokens_are_kept_when_the_lease_was_lost(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts, owner="worker-2"))
        door.apply(renewed(facts))
        found = door.find_integration(ACME, facts.id)
        assert found.credential == a_credential(2, b"renewed")
        # The other's lease runs on, and so does its attempt.
        assert found.marks.phase is Phase.LEASED
        assert (found.marks.writer_lease, found.marks.lease_token, found.marks.lease_owner) == (1, 2, "worker-2")
        assert found.marks.lease_until == clock.now() + LEASE

    def test_the_newest_lease_wins(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts))
        door.apply(renewed(facts, lease_token=2, credential=a_credential(2, b"newest")))
        for late in (
            renewed(facts),
            renewed(facts, credential=a_credential(3, b"late")),
            renewed(facts, lease_token=2, credential=a_credential(3)),
        ):
            with pytest.raises(StaleWriteError):
                door.apply(late)
        assert door.find_integration(ACME, facts.id).credential == a_credential(2, b"newest")

    def test_a_renewal_takes_back_what_a_later_attempt_gave_up(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts))
        door.apply(settled(facts, lease_token=2, state=State.NEEDS_REAUTH, reason="revoked"))
        door.apply(renewed(facts))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason) == (State.ACTIVE, None)

    def test_a_renewal_under_its_own_lease_is_written_though_the_row_is_refused(self, door: Door, facts: Integration) -> None:
        door.apply(SaveFacts(facts=replace(facts, state=State.NEEDS_REAUTH, reason="revoked"), expected_state=State.ACTIVE))
        door.apply(lease(facts, asks_again=True))
        # A number that a restored database gave twice is another attempt's.
        with pytest.raises(StaleWriteError):
            door.apply(renewed(facts, attempt_id="attempt-0", takes_back=False))
        door.apply(renewed(facts, takes_back=False))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason, found.credential.generation) == (State.ACTIVE, None, 2)

    def test_a_renewal_that_a_replay_has_killed_takes_nothing_back(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts, attempt_id="attempt-2"))
        door.apply(settled(facts, lease_token=2, attempt_id="attempt-2", state=State.NEEDS_REAUTH, reason="rotation_lost"))
        before = door.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            door.apply(renewed(facts, takes_back=False))
        assert door.find_integration(ACME, facts.id) == before

    def test_a_renewal_takes_back_what_somebody_else_gave_up_where_nobody_sent_after_it(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        # A check found the old access token dead while the new one was on its way.
        door.apply(SaveFacts(facts=replace(facts, state=State.NEEDS_REAUTH, reason="refused"), expected_state=State.ACTIVE))
        door.apply(renewed(facts, takes_back=False))
        assert door.find_integration(ACME, facts.id).facts.state is State.ACTIVE

    def test_a_renewal_does_not_switch_on_what_the_user_switched_off(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        off = replace(facts, state=State.DISABLED)
        door.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        for change in (renewed(facts), settled(facts)):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id).facts == off

    def test_a_renewal_is_kept_for_what_was_switched_off_meanwhile(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        off = replace(facts, state=State.DISABLED, state_since=START + SECOND, reason="revoked")
        door.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        door.apply(renewed(replace(off, state_since=START, reason="switched_off")))
        held = door.find_integration(ACME, facts.id)
        assert (held.facts.state, held.facts.state_since, held.facts.reason) == (State.DISABLED, START + SECOND, "switched_off")
        assert held.credential == a_credential(2, b"renewed")
        assert (held.marks.writer_lease, held.marks.lease_until, held.marks.due_at) == (1, None, None)

    def test_a_renewal_says_whether_it_brought_what_can_be_used(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(renewed(replace(facts, state=State.RETRY, state_since=START + SECOND, reason="no_access_token")))
        found = door.find_integration(ACME, facts.id).facts
        assert (found.state, found.state_since, found.reason) == (State.RETRY, START + SECOND, "no_access_token")

    def test_a_renewal_for_what_was_switched_off_is_not_written_where_it_is_on_again(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        with pytest.raises(StaleWriteError):
            door.apply(renewed(replace(facts, state=State.DISABLED)))

    def test_a_renewal_of_what_is_gone_says_so(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        with pytest.raises(IntegrationNotFoundError):
            door.apply(renewed(facts))

    def test_a_reconnect_beats_a_refresh_that_is_under_way(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(ReplaceCredential(facts=facts, credential=a_credential(2, b"reconnected"), expected_generation=1))
        before = door.find_integration(ACME, facts.id)
        assert (before.marks.lease_token, before.marks.writer_lease, before.marks.lease_until) == (2, 2, None)
        assert before.marks.phase is Phase.IDLE
        for late in (renewed(facts), renewed(facts, credential=a_credential(3)), settled(facts), settled(facts, generation=2)):
            with pytest.raises(StaleWriteError):
                door.apply(late)
        assert door.find_integration(ACME, facts.id) == before
        door.apply(lease(facts, expected_generation=2))

    def test_saving_facts_does_not_disturb_a_refresh(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE))
        door.apply(renewed(facts))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts.name, found.credential.generation) == ("Other name", 2)

    def test_an_attempt_without_tokens_is_settled(self, door: Door, facts: Integration) -> None:
        door.apply(lease(facts))
        door.apply(sent(facts))
        door.apply(settled(facts))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason, found.facts.state_since) == (State.RETRY, "provider_unavailable", START + SECOND)
        marks = found.marks
        assert (marks.phase, marks.lease_until, marks.attempts, marks.last_error) == (Phase.IDLE, None, 1, "unusable_answer")
        assert marks.next_attempt_at == START + timedelta(minutes=1)
        assert found.credential == a_credential()
        door.apply(lease(facts))
        door.apply(settled(facts, lease_token=2, count_attempt=False))
        assert door.find_integration(ACME, facts.id).marks.attempts == 1

    def test_after_an_unknown_outcome_the_lease_runs_on(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        door.apply(settled(facts, phase=Phase.UNKNOWN, state=State.UNKNOWN))
        marks = door.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.lease_until) == (Phase.UNKNOWN, clock.now() + LEASE)
        with pytest.raises(StaleWriteError):
            door.apply(lease(facts))

    def test_a_fenced_loser_cannot_settle(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        door.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        door.apply(lease(facts))
        before = door.find_integration(ACME, facts.id)
        dead = settled(facts, state=State.NEEDS_REAUTH)
        for change in (dead, replace(dead, lease_token=2, generation=2), replace(dead, integration_id=IntegrationId(uuid4()))):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert door.find_integration(ACME, facts.id) == before


HOLD = timedelta(minutes=5)


def due(facts: Integration, generation: int = 1) -> DueIntegration:
    """Return what a worker gets of *facts*."""
    return DueIntegration(tenant_id=facts.tenant_id, integration_id=facts.id, provider_id=facts.provider_id, generation=generation)


def everyone_due(door: Any, number: int) -> list[Integration]:
    """Store integrations of as many tenants, due a second after each other."""
    added = [an_integration(TenantId(f"tenant-{n}")) for n in range(number)]
    add_sealing_keys(door, *(facts.tenant_id for facts in added))
    door.apply(*[AddIntegration(facts=facts, credential=a_credential(), due_at=START + n * SECOND) for n, facts in enumerate(added)])
    return added


class _Others(_Contract):
    def test_the_others_of_an_application_were_renewed_or_tried_or_neither(self, door: Door, facts: Integration) -> None:
        since = START + timedelta(minutes=1)

        def others(of: IntegrationId = facts.id, **changes: Any) -> bool | None:
            asked = {"provider_id": PROVIDER, "context_id": facts.context_id, "since": since, **changes}
            answer: bool | None = door.others_renewed(asked["provider_id"], asked["context_id"], since=asked["since"], but=of)
            return answer

        assert others() is None
        other = an_integration(GLOBEX)
        door.apply(AddIntegration(facts=other, credential=a_credential()))
        assert others() is None
        assert others(since=START) is True
        door.apply(lease(other))
        door.apply(settled(other, failed_at=since))
        assert others() is False
        assert others(other.id) is None
        door.apply(lease(other, attempt_id="attempt-2"))
        door.apply(renewed(other, lease_token=2, attempt_id="attempt-2", refreshed_at=since))
        assert others() is True
        assert others(since=since + INSTANT) is None
        assert others(context_id=uuid4()) is None
        assert others(context_id=None) is None
        assert others(provider_id=ProviderId(uuid4())) is None

    def test_an_application_without_an_id_is_its_providers(self, door: Door, facts: Integration) -> None:
        other = an_integration(GLOBEX, context_id=None)
        door.apply(AddIntegration(facts=other, credential=a_credential()))
        assert door.others_renewed(PROVIDER, None, since=START, but=facts.id) is True
        assert door.others_renewed(PROVIDER, facts.context_id, since=START, but=facts.id) is None

    def test_what_waits_for_a_reconnect_and_could_be_renewed_is_listed_tenant_by_tenant(self, door: Door) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(6)]
        add_sealing_keys(door, *tenants)
        rows = [an_integration(tenant_id) for tenant_id in tenants]
        without = replace(a_credential(), refresh_token=None, refresh_fingerprint=None)
        for row, state, reason in zip(
            rows,
            [State.NEEDS_REAUTH, State.NEEDS_REAUTH, State.NEEDS_REAUTH, State.DISABLED, State.RETRY, State.NEEDS_REAUTH],
            ["revoked", "refused_for_days", "revoked", None, None, "expired"],
            strict=True,
        ):
            door.apply(
                AddIntegration(
                    facts=replace(row, state=state, reason=reason), credential=without if reason == "expired" else a_credential()
                )
            )
        wanted = [due(row) for row in rows[:3]]
        listed = door.list_unrenewed(PROVIDER, limit=10)
        assert sorted(listed, key=lambda each: each.tenant_id) == wanted
        assert [each.tenant_id for each in door.list_unrenewed(PROVIDER, reason="revoked", limit=10)] == ["tenant-0", "tenant-2"]
        pages = []
        after = None
        while page := door.list_unrenewed(PROVIDER, after=after, limit=1):
            pages += page
            after = (page[0].tenant_id, page[0].integration_id)
        assert tuple(pages) == listed
        assert door.list_unrenewed(ProviderId(uuid4()), limit=10) == ()


class _Due(_Contract):
    def test_an_integration_that_is_due_is_claimed_and_held(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        clock.advance(timedelta(minutes=48) - INSTANT)
        assert (door.count_due(), door.claim_due(limit=10, hold=HOLD)) == (0, ())
        clock.advance(INSTANT)
        assert (door.count_due(), door.claim_due(limit=10, hold=HOLD)) == (1, (due(facts),))
        found = door.find_integration(ACME, facts.id)
        assert (found.facts, found.credential, found.marks.due_at) == (facts, a_credential(), clock.now() + HOLD)
        clock.advance(HOLD - INSTANT)
        assert (door.count_due(), door.claim_due(limit=10, hold=HOLD)) == (0, ())
        clock.advance(INSTANT)
        assert door.claim_due(limit=10, hold=HOLD) == (due(facts),)

    def test_the_oldest_are_claimed_first(self, door: Door, clock: FixedClock) -> None:
        added = everyone_due(door, 7)
        clock.advance(timedelta(hours=1))
        assert door.count_due() == 7
        for expected in (added[:3], added[3:6], added[6:], []):
            claimed = door.claim_due(limit=3, hold=HOLD)
            assert len(claimed) == len(expected)
            assert {*claimed} == {due(facts) for facts in expected}

    @pytest.mark.parametrize("backlog", [3, 30])
    def test_what_was_due_before_the_last_claim_is_not_forgotten(self, door: Door, clock: FixedClock, backlog: int) -> None:
        everyone_due(door, backlog)
        clock.advance(timedelta(hours=1))
        assert len(door.claim_due(limit=2, hold=HOLD)) == 2
        # A clock that was set back, or a claim that ended without a commit.
        late = an_integration(NEWCOMER)
        add_sealing_keys(door, NEWCOMER)
        door.apply(AddIntegration(facts=late, credential=a_credential(), due_at=START - SECOND))
        claimed = [one for _ in range(20) for one in door.claim_due(limit=1, hold=HOLD)]
        assert len(claimed) == len({*claimed}) == min(backlog - 1, 20)
        assert due(late) in claimed

    @pytest.mark.parametrize("state", list(State))
    def test_only_what_is_refreshed_is_due(self, door: Door, facts: Integration, clock: FixedClock, state: State) -> None:
        later = START + timedelta(minutes=50)
        added = an_integration(GLOBEX, state=state)
        reconnected = an_integration(NEWCOMER)
        add_sealing_keys(door, NEWCOMER)
        door.apply(
            SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE),
            AddIntegration(facts=added, credential=a_credential(), due_at=later),
            AddIntegration(facts=reconnected, credential=a_credential()),
            ReplaceCredential(facts=replace(reconnected, state=state), credential=a_credential(2), expected_generation=1, due_at=later),
        )
        clock.advance(timedelta(minutes=50))
        expected = {due(facts), due(added), due(reconnected, 2)} if state.is_refreshed else set()
        assert door.count_due() == len(expected)
        assert {*door.claim_due(limit=10, hold=HOLD)} == expected

    def test_a_settled_attempt_says_when_it_is_due_again(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        until = START + timedelta(minutes=2)
        door.apply(lease(facts))
        door.apply(settled(facts, due_at=until))
        assert door.find_integration(ACME, facts.id).marks.due_at == until
        door.apply(lease(facts))
        door.apply(settled(facts, lease_token=2, state=State.NEEDS_REAUTH, due_at=until))
        assert door.find_integration(ACME, facts.id).marks.due_at is None
        clock.advance(timedelta(days=1))
        assert door.claim_due(limit=10, hold=HOLD) == ()

    def test_what_is_switched_on_again_is_due_when_its_token_ends(self, door: Door, facts: Integration) -> None:
        off = replace(facts, state=State.DISABLED)
        door.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        door.apply(SaveFacts(facts=replace(off, name="Other name"), expected_state=State.DISABLED))
        assert door.find_integration(ACME, facts.id).marks.due_at is None
        door.apply(SaveFacts(facts=facts, expected_state=State.DISABLED))
        assert door.find_integration(ACME, facts.id).marks.due_at == facts.expires_at

    def test_a_change_of_name_does_not_move_the_due_time(self, door: Door, facts: Integration) -> None:
        door.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE))
        assert door.find_integration(ACME, facts.id).marks.due_at == START + timedelta(minutes=48)

    def test_what_cannot_be_refreshed_is_not_due_when_switched_on(self, door: Door) -> None:
        facts = an_integration(state=State.DISABLED)
        door.apply(AddIntegration(facts=facts, credential=SealedCredential(generation=1, key_id=SEALING_KEY, access_token=b"fake")))
        door.apply(SaveFacts(facts=replace(facts, state=State.ACTIVE), expected_state=State.DISABLED))
        assert door.find_integration(ACME, facts.id).marks.due_at is None

    def test_a_claim_does_not_disturb_a_refresh(self, door: Door, facts: Integration, clock: FixedClock) -> None:
        clock.advance(timedelta(minutes=48))
        door.apply(lease(facts))
        assert door.claim_due(limit=1, hold=HOLD) == (due(facts),)
        door.apply(renewed(facts))
        assert door.find_integration(ACME, facts.id).marks.due_at == START + timedelta(minutes=100)

    def test_parallel_workers_share_no_integration(self, door: Door, clock: FixedClock) -> None:
        added = everyone_due(door, 60)
        clock.advance(timedelta(hours=1))

        def claim(store: Any) -> Any:
            return store.claim_due(limit=10, hold=HOLD)

        answers = door.together([claim] * 8)
        assert refused(answers) == []
        claimed = [one for batch in answers for one in batch]
        assert len(claimed) == len({*claimed})
        # Who came while all was locked got less; the rest is there for the next round.
        claimed += door.claim_due(limit=60, hold=HOLD)
        assert len(claimed) == len(added)
        assert {*claimed} == {due(facts) for facts in added}


class _Pending(_Contract):
    def test_what_began_is_found_as_it_was(self, door: Door) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending))
        assert door.find_pending(pending.state_hash) == pending
        assert door.has_pending(ACME, PROVIDER)
        assert not door.has_pending(ACME, OTHER_PROVIDER)

    def test_what_was_left_empty_stays_empty(self, door: Door) -> None:
        pending = a_pending(
            reconnects_generation=None,
            browser_hash=None,
            scopes=(),
            sealed_verifier=None,
            key_id=None,
            issuer=None,
            variables={},
            return_to=None,
        )
        door.apply(AddPending(pending=pending))
        assert door.find_pending(pending.state_hash) == pending

    @pytest.mark.requirement("OAU-015", "OAU-016")
    def test_it_is_taken_once(self, door: Door, clock: FixedClock) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending))
        assert door.take_pending(pending.state_hash) == replace(pending, consumed_at=clock.now())
        assert door.take_pending(pending.state_hash) is None
        assert door.find_pending(pending.state_hash) is None
        assert not door.has_pending(ACME, PROVIDER)

    @pytest.mark.requirement("OAU-015")
    def test_one_of_fifty_takes_it(self, door: Door) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending))

        def take(store: Any) -> Any:
            return store.take_pending(pending.state_hash)

        answers = door.together([take] * 50)
        assert refused(answers) == []
        assert len([answer for answer in answers if answer is not None]) == 1

    def test_an_expired_one_is_not_there(self, door: Door, clock: FixedClock) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending))
        clock.advance(timedelta(minutes=10) - INSTANT)
        assert door.find_pending(pending.state_hash) == pending
        clock.advance(INSTANT)
        assert door.find_pending(pending.state_hash) is None
        assert door.take_pending(pending.state_hash) is None
        assert not door.has_pending(ACME, PROVIDER)

    def test_an_unknown_state_is_not_there(self, door: Door) -> None:
        assert door.find_pending(bytes(32)) is None
        assert door.take_pending(bytes(32)) is None

    def test_a_state_is_added_once(self, door: Door) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending))
        for twin in (pending, replace(pending, tenant_id=GLOBEX)):
            with pytest.raises(StaleWriteError):
                door.apply(AddPending(pending=twin))

    @pytest.mark.requirement("OAU-013")
    def test_the_oldest_beyond_the_limit_go_first(self, door: Door) -> None:
        others = [a_pending(actor=Actor(id="bob")), a_pending(actor=Actor(type="service", id="alice")), a_pending(GLOBEX)]
        mine = [a_pending(created_at=START + number * INSTANT) for number in range(MAX_PENDING + 2)]
        for pending in (*others, *mine):
            door.apply(AddPending(pending=pending))
        kept = [pending for pending in mine if door.find_pending(pending.state_hash) is not None]
        assert kept == mine[2:]
        assert all(door.find_pending(pending.state_hash) for pending in others)

    @pytest.mark.requirement("OAU-013", "ISO-11")
    def test_a_tenant_has_a_limit_and_who_has_the_most_makes_room(self, door: Door) -> None:
        honest = [a_pending(actor=Actor(id="bob")), a_pending(GLOBEX)]
        crowd = [
            a_pending(actor=Actor(id=f"mallory-{number % 40}"), created_at=START + number * INSTANT)
            for number in range(1, MAX_PENDING_OF_TENANT + 4)
        ]
        door.apply(*[AddPending(pending=pending) for pending in (*honest, *crowd)])
        assert all(door.find_pending(pending.state_hash) for pending in honest)
        kept = [pending for pending in crowd if door.find_pending(pending.state_hash) is not None]
        assert len(kept) == MAX_PENDING_OF_TENANT - 1
        assert crowd[-1] in kept

    @pytest.mark.requirement("OAU-013")
    def test_consumed_ones_make_room(self, door: Door) -> None:
        consumed, rival = a_pending(), a_pending(actor=Actor(id="bob"))
        door.apply(AddPending(pending=consumed), AddPending(pending=rival))
        assert door.take_pending(consumed.state_hash) is not None
        door.apply(AddPending(pending=a_pending()))
        # Its hash is free, so the row is gone.
        door.apply(AddPending(pending=consumed))
        assert door.find_pending(rival.state_hash) == rival

    @pytest.mark.requirement("OAU-013")
    def test_expired_ones_of_all_tenants_are_swept_and_open_ones_stay(self, door: Door, clock: FixedClock) -> None:
        late = clock.now() + timedelta(minutes=20)
        expired = [a_pending(), a_pending(GLOBEX), a_pending()]
        opened = a_pending(GLOBEX, expires_at=late, actor=Actor(id="bob"))
        door.apply(*[AddPending(pending=pending) for pending in (*expired, opened)])
        assert door.take_pending(expired[2].state_hash) is not None
        assert door.sweep_pending(limit=10) == 0
        clock.advance(timedelta(minutes=10))
        assert [door.sweep_pending(limit=2) for _ in range(3)] == [2, 1, 0]
        assert door.find_pending(opened.state_hash) == opened

    @pytest.mark.requirement("OAU-013")
    def test_sweeping_at_once_counts_each_row_once(self, door: Door, clock: FixedClock) -> None:
        door.apply(*[AddPending(pending=a_pending(actor=Actor(id=f"actor-{number}"))) for number in range(40)])
        clock.advance(timedelta(minutes=10))

        def sweep(store: Any) -> Any:
            return store.sweep_pending(limit=15)

        answers = door.together([sweep] * 6)
        assert refused(answers) == []
        assert sum(answers) + door.sweep_pending(limit=40) == 40

    def test_closed_ones_can_no_longer_be_completed(self, door: Door) -> None:
        closed = [a_pending(), a_pending(actor=Actor(id="bob"))]
        others = [a_pending(provider_id=OTHER_PROVIDER), a_pending(GLOBEX)]
        door.apply(*[AddPending(pending=pending) for pending in (*closed, *others)])
        door.apply(ClosePending(tenant_id=ACME, provider_id=PROVIDER))
        assert [door.take_pending(pending.state_hash) for pending in closed] == [None, None]
        assert all(door.find_pending(pending.state_hash) for pending in others)

    def test_expired_ones_make_room(self, door: Door, clock: FixedClock) -> None:
        door.apply(AddPending(pending=a_pending()))
        clock.advance(timedelta(minutes=10))
        fresh = a_pending(created_at=clock.now(), expires_at=clock.now() + timedelta(minutes=10))
        door.apply(AddPending(pending=fresh))
        assert door.find_pending(fresh.state_hash) == fresh


class _Keys(_Contract):
    def test_a_key_is_found_as_it_was(self, door: Door) -> None:
        key = a_key(NEWCOMER)
        door.apply(AddKey(key=key))
        assert door.find_key(NEWCOMER, key.key_id) == key
        assert door.find_active_key(NEWCOMER) == key
        assert door.find_key(NEWCOMER, uuid4()) is None

    def test_a_version_is_there_once(self, door: Door) -> None:
        door.apply(AddKey(key=a_key(NEWCOMER, state=KeyState.DECRYPT_ONLY, retired_at=START + SECOND)))
        with pytest.raises(StaleWriteError):
            door.apply(AddKey(key=a_key(NEWCOMER)))

    def test_one_key_of_a_tenant_is_active(self, door: Door) -> None:
        first = a_key(NEWCOMER)
        door.apply(AddKey(key=first))
        with pytest.raises(StaleWriteError):
            door.apply(AddKey(key=a_key(NEWCOMER, version=2)))
        for version, state in ((2, KeyState.DECRYPT_ONLY), (3, KeyState.DECRYPT_ONLY), (4, KeyState.DECRYPT_ONLY)):
            door.apply(AddKey(key=a_key(NEWCOMER, version=version, state=state)))
        assert door.find_active_key(NEWCOMER) == first

    def test_one_of_sixteen_first_keys_wins(self, door: Door) -> None:
        keys = [a_key(NEWCOMER) for _ in range(16)]
        answers = door.together([applying(AddKey(key=key)) for key in keys])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert door.find_active_key(NEWCOMER) == keys[answers.index(None)]

    def test_without_an_active_key_there_is_none(self, door: Door) -> None:
        assert door.find_active_key(NEWCOMER) is None
        door.apply(AddKey(key=a_key(NEWCOMER, state=KeyState.DESTROYED, destroyed_at=START)))
        assert door.find_active_key(NEWCOMER) is None

    def test_the_first_canary_stays(self, door: Door) -> None:
        check = KeyCheck(kek_uri="local:a", kek_key_id=b"fake-kek-a-bytes", canary=b"fake\x00check")
        other = KeyCheck(kek_uri="local:b", kek_key_id=b"fake-kek-b-bytes", canary=b"fake other")
        door.apply(AddKeyCheck(check=check), AddKeyCheck(check=other))
        # What follows in the same unit of work is made all the same.
        door.apply(AddKeyCheck(check=replace(check, canary=b"fake changed")), AddRevocation(revocation=a_revocation()))
        assert sorted(door.list_key_checks(), key=lambda found: found.kek_uri) == [check, other]
        assert door.count_revocations() == 1

    def test_one_canary_stays_of_many_at_once(self, door: Door) -> None:
        checks = [KeyCheck(kek_uri="local:a", kek_key_id=b"fake-kek-a-bytes", canary=b"fake %d" % number) for number in range(8)]
        assert refused(door.together([applying(AddKeyCheck(check=check)) for check in checks])) == []
        assert len(door.list_key_checks()) == 1

    def test_the_wrapping_keys_in_use_are_listed_once(self, door: Door) -> None:
        old, new, gone = b"fake-kek-1-bytes", b"fake-kek-2-bytes", b"fake-kek-3-bytes"
        door.apply(
            AddKey(key=a_key(NEWCOMER, kek_key_id=old)),
            AddKey(key=a_key(TenantId("hooli"), kek_key_id=old)),
            AddKey(key=a_key(NEWCOMER, version=2, state=KeyState.DECRYPT_ONLY, kek_key_id=new)),
            AddKey(key=a_key(NEWCOMER, version=3, state=KeyState.DESTROYED, kek_key_id=gone)),
        )
        assert sorted(door.list_kek_ids()) == sorted([old, new, b"fake-kek-16bytes"])


SEALED_ROWS = ("an integration", "an authorization", "a revocation")
"""One of each table."""
SEALING = ("an integration", "a reconnect", "a renewal", "an authorization", "a revocation")
"""Everything that is written sealed."""


def sealing(what: str, facts: Integration, key_id: UUID) -> Change:
    """Seal something with this key; *facts* has a lease."""
    first, second = (replace(a_credential(generation, b"sealed"), key_id=key_id) for generation in (1, 2))
    match what:
        case "an integration":
            return AddIntegration(facts=an_integration(facts.tenant_id, OTHER_PROVIDER), credential=first)
        case "a reconnect":
            return ReplaceCredential(facts=facts, credential=second, expected_generation=1)
        case "a renewal":
            return renewed(facts, credential=second)
        case "an authorization":
            return AddPending(pending=a_pending(facts.tenant_id, key_id=key_id))
        case _:
            return AddRevocation(revocation=a_revocation(facts.tenant_id, key_id=key_id))


class _Fence(_Contract):
    @pytest.mark.parametrize("what", SEALING)
    def test_nothing_is_sealed_but_under_the_active_key(self, door: Door, facts: Integration, what: str) -> None:
        door.apply(lease(facts))
        foreign, newer = uuid4(), uuid4()
        door.apply(rotated(), AddKey(key=a_key(ACME, version=3, key_id=newer, state=KeyState.DECRYPT_ONLY)))
        door.apply(rotated(GLOBEX, key_id=foreign))
        before = everything(door)
        for key_id in (SEALING_KEY, newer, foreign, uuid4()):
            with pytest.raises(KeyRetiredError):
                door.apply(Record(event=an_event()), sealing(what, facts, key_id))
            assert everything(door) == before
        door.apply(sealing(what, facts, NEXT_KEY))
        assert everything(door) != before

    @pytest.mark.parametrize("what", SEALING)
    def test_nothing_is_sealed_under_a_key_that_is_refused(self, door: Door, facts: Integration, what: str) -> None:
        door.apply(lease(facts))
        door.apply(RefuseKeys(tenant_id=ACME, min_version=2))
        before = everything(door)
        with pytest.raises(KeyRetiredError):
            door.apply(sealing(what, facts, SEALING_KEY))
        assert everything(door) == before

    def test_an_authorization_without_a_verifier_needs_no_key(self, door: Door) -> None:
        pending = a_pending(NEWCOMER, sealed_verifier=None, key_id=None)
        door.apply(AddPending(pending=pending))
        assert door.find_pending(pending.state_hash) == pending

    @pytest.mark.requirement("ENC-10")
    def test_who_seals_while_keys_change_seals_under_the_active_one_or_not_at_all(self, door: Door) -> None:
        """Writers, rotations, removals and an erasure at once: each succeeds or is told why, and nothing is left that does not open."""
        tenants = [TenantId(f"tenant-{number}") for number in range(4)]
        add_sealing_keys(door, *tenants)
        held = [an_integration(tenant_id) for tenant_id in tenants]
        door.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in held])
        door.apply(*[lease(facts) for facts in held])
        calls = []
        for facts in held:
            tenant_id = facts.tenant_id
            record = Record(event=an_event(tenant_id))
            calls += [
                applying(renewed(facts), record),
                applying(rotated(tenant_id), record),
                applying(AddPending(pending=a_pending(tenant_id)), record),
                applying(
                    AddRevocation(revocation=a_revocation(tenant_id)),
                    EraseIntegration(tenant_id=tenant_id, integration_id=facts.id, expected_generation=1),
                    record,
                ),
                applying(EraseTenant(tenant_id=tenant_id, erased_at=START), record),
                applying(Reseal(rows=tuple(resealed(row_of(other)) for other in held))),
            ]
        answers = door.together(calls)
        assert {type(error) for error in refused(answers)} <= {KeyRetiredError, StaleWriteError, IntegrationNotFoundError}
        for tenant_id in tenants:
            (*_, newest) = door.list_keys(tenant_id=tenant_id, limit=10) or (None,)
            for facts in door.list_integrations(tenant_id):
                assert newest is not None
                assert door.find_key(tenant_id, door.find_integration(tenant_id, facts.id).credential.key_id) is not None
        assert door.list_returned_keys(limit=10) == ()


class _Rotation(_Contract):
    def test_a_replaced_key_only_opens_and_the_new_one_seals(self, door: Door) -> None:
        old, other = door.find_active_key(ACME), door.find_active_key(GLOBEX)
        change = rotated()
        door.apply(change)
        assert door.find_active_key(ACME) == change.key
        assert door.find_key(ACME, SEALING_KEY) == replace(old, state=KeyState.DECRYPT_ONLY, retired_at=change.key.created_at)
        assert door.find_active_key(GLOBEX) == other
        assert {key.key_id for key in door.find_keys([ACME, NEWCOMER])} == {SEALING_KEY, change.key.key_id}
        assert door.find_keys([]) == ()
        assert (door.last_key_version(ACME), door.last_key_version(GLOBEX), door.last_key_version(NEWCOMER)) == (2, 1, 0)

    def test_only_the_active_key_is_replaced_and_by_a_new_version(self, door: Door) -> None:
        only_opens = a_key(version=7, state=KeyState.DECRYPT_ONLY)
        door.apply(AddKey(key=only_opens))
        before = everything(door)
        for change in (
            replace(rotated(), replaces=uuid4()),
            replace(rotated(), replaces=only_opens.key_id),
            rotated(NEWCOMER),
            rotated(version=1),
            rotated(version=7),
        ):
            with pytest.raises(StaleWriteError):
                door.apply(change)
            assert everything(door) == before

    @pytest.mark.requirement("ENC-12")
    def test_one_of_sixteen_rotations_wins(self, door: Door) -> None:
        changes = [rotated(key_id=uuid4()) for _ in range(16)]
        answers = door.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert door.find_active_key(ACME) == changes[answers.index(None)].key
        assert [key.version for key in door.list_keys(tenant_id=ACME, limit=10)] == [1, 2]


def rewrapped(before: WrappedKey, /, **changes: Any) -> RewrapKey:
    """Wrap a key with another wrapping key."""
    change = RewrapKey(before=before, kek_uri="local:next", kek_key_id=b"next-kek-16bytes", wrapped=b"fake\x00rewrapped")
    return replace(change, **changes)


class _Rewrapping(_Contract):
    def test_the_wrapping_changes_and_nothing_else(self, door: Door) -> None:
        door.apply(rotated())
        for before in door.list_keys(tenant_id=ACME, limit=10):
            door.apply(rewrapped(before))
            assert door.find_key(ACME, before.key_id) == replace(
                before, kek_uri="local:next", kek_key_id=b"next-kek-16bytes", wrapped=b"fake\x00rewrapped"
            )
        assert door.find_active_key(GLOBEX).kek_uri == "local:test"

    def test_a_key_that_is_wrapped_otherwise_by_now_is_left(self, door: Door) -> None:
        gone = a_key(version=2, state=KeyState.DESTROYED, destroyed_at=START, wrapped=b"")
        door.apply(AddKey(key=gone))
        key = door.find_active_key(ACME)
        before = everything(door)
        for strange in (
            replace(key, wrapped=b"fake\x00other"),
            replace(key, kek_key_id=b"fake-kek-another"),
            replace(key, key_id=uuid4()),
            replace(key, tenant_id=NEWCOMER),
            gone,
        ):
            with pytest.raises(StaleWriteError):
                door.apply(rewrapped(strange))
            assert everything(door) == before

    @pytest.mark.requirement("ENC-11")
    def test_one_of_sixteen_rewrappings_wins(self, door: Door) -> None:
        before = door.find_active_key(ACME)
        changes = [rewrapped(before, wrapped=b"fake %d" % number) for number in range(16)]
        answers = door.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert door.find_active_key(ACME).wrapped == changes[answers.index(None)].wrapped


def destroying(tenant_id: TenantId = ACME, key_id: UUID = SEALING_KEY) -> DestroyKey:
    """Destroy the first data key of the tenant."""
    return DestroyKey(tenant_id=tenant_id, key_id=key_id, destroyed_at=START + 2 * SECOND)


class _Destruction(_Contract):
    def test_a_destroyed_key_is_not_found_and_its_version_stays_taken(self, door: Door) -> None:
        door.apply(rotated(kek_key_id=b"next-kek-16bytes"), rotated(GLOBEX, kek_key_id=b"next-kek-16bytes"))
        door.apply(destroying())
        assert door.find_key(ACME, SEALING_KEY) is None
        assert [key.version for key in door.list_keys(tenant_id=ACME, limit=10)] == [2]
        assert door.last_key_version(ACME) == 2
        for again in (AddKey(key=a_key(state=KeyState.DECRYPT_ONLY)), destroying()):
            with pytest.raises(StaleWriteError):
                door.apply(again)
        # Only the other tenant's needs the old wrapping key.
        assert b"fake-kek-16bytes" in door.list_kek_ids()
        door.apply(destroying(GLOBEX))
        assert door.list_kek_ids() == (b"next-kek-16bytes",)

    def test_the_last_version_is_remembered_when_it_is_destroyed(self, door: Door) -> None:
        door.apply(AddKey(key=a_key(NEWCOMER, version=5, state=KeyState.DESTROYED, destroyed_at=START)))
        assert door.last_key_version(NEWCOMER) == 5

    def test_a_key_that_is_active_or_not_there_is_not_destroyed(self, door: Door) -> None:
        before = everything(door)
        for change in (destroying(), destroying(ACME, uuid4()), destroying(NEWCOMER)):
            with pytest.raises(StaleWriteError):
                door.apply(change)
        assert everything(door) == before

    @pytest.mark.parametrize("what", SEALED_ROWS)
    def test_a_key_that_seals_a_row_is_not_destroyed(self, door: Door, what: str) -> None:
        door.apply(sealing(what, an_integration(), SEALING_KEY), rotated(), rotated(GLOBEX))
        with pytest.raises(StaleWriteError):
            door.apply(destroying())
        assert door.find_key(ACME, SEALING_KEY).state is KeyState.DECRYPT_ONLY
        # The other tenant's key has the same id, and seals nothing.
        door.apply(destroying(GLOBEX))
        (row,) = door.list_sealed([(ACME, SEALING_KEY)], limit=10)
        door.apply(Reseal(rows=(resealed(row),)))
        door.apply(destroying())


class _Resealing(_Contract):
    @pytest.fixture
    def rows(self, door: Door, facts: Integration) -> tuple[SealedRow, ...]:
        """One row of each table, sealed under a key that was then replaced."""
        door.apply(lease(facts), AddPending(pending=a_pending()), AddRevocation(revocation=a_revocation()), rotated())
        rows: tuple[SealedRow, ...] = door.list_sealed([(ACME, SEALING_KEY)], limit=10)
        return rows

    def test_the_sealed_fields_change_and_nothing_else(self, door: Door, facts: Integration) -> None:
        pending, entry = a_pending(), a_revocation()
        door.apply(lease(facts))
        door.apply(sent(facts), AddPending(pending=pending), AddRevocation(revocation=entry), rotated())
        before = door.find_integration(ACME, facts.id)
        rows = {row.table: row for row in door.list_sealed([(ACME, SEALING_KEY)], limit=10)}
        assert rows["ci_integration"] == row_of(facts)
        assert (rows["ci_authorization"].row, rows["ci_authorization"].sealed) == (
            pending.state_hash.hex(),
            {"verifier": pending.sealed_verifier},
        )
        assert (rows["ci_revocation"].row, rows["ci_revocation"].sealed) == (str(entry.id), {"token": entry.sealed_token})
        anew = [resealed(row) for row in rows.values()]
        door.apply(Reseal(rows=tuple(anew)))
        assert door.list_sealed([(ACME, SEALING_KEY)], limit=10) == ()
        found = door.list_sealed([(ACME, NEXT_KEY)], limit=10)
        assert sorted(found, key=_table) == sorted((after for _, after in anew), key=_table)
        credential = replace(
            a_credential(), key_id=NEXT_KEY, access_token=b"anew\x00fake\x00\xff access", refresh_token=b"anew\x00fake\x00\xff refresh"
        )
        assert door.find_integration(ACME, facts.id) == replace(before, credential=credential)
        assert door.find_pending(pending.state_hash) == replace(pending, key_id=NEXT_KEY, sealed_verifier=b"anew\x00fake\x00sealed")
        (claimed,) = door.claim_revocations(limit=1, hold=NO_TIME)
        assert claimed == replace(entry, key_id=NEXT_KEY, sealed_token=b"anew\x00fake\x00token")

    def test_every_row_is_named_in_the_words_of_its_sealing_context(self, door: Door) -> None:
        held, bare = an_integration(), an_integration(auth_type=AuthType.API_KEY, provider_id=OTHER_PROVIDER)
        key = SealedCredential(generation=1, key_id=SEALING_KEY, api_key=b"fake\x00key", api_secret=b"fake\x00secret")
        pending, entry = a_pending(), a_revocation()
        door.apply(AddIntegration(facts=held, credential=a_credential()), AddIntegration(facts=bare, credential=key))
        # A later generation, and a field that holds nothing.
        door.apply(ReplaceCredential(facts=held, credential=replace(a_credential(2), refresh_token=None), expected_generation=1))
        door.apply(AddPending(pending=pending), AddRevocation(revocation=entry))
        found = {(row.table, row.row, row.generation): set(row.sealed) for row in door.list_sealed([(ACME, SEALING_KEY)], limit=10)}
        assert found == {
            ("ci_integration", str(held.id), 2): {"access_token"},
            ("ci_integration", str(bare.id), 1): {"api_key", "api_secret"},
            ("ci_authorization", pending.state_hash.hex(), 0): {"verifier"},
            ("ci_revocation", str(entry.id), 0): {"token"},
        }

    def test_a_row_of_another_generation_is_left(self, door: Door, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        credential = replace(a_credential(2, b"renewed"), key_id=NEXT_KEY)
        door.apply(renewed(facts, credential=credential))
        door.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        assert door.find_integration(ACME, facts.id).credential == credential
        # Of one unit of work, the rows that are as they were are written.
        assert len(door.list_sealed([(ACME, NEXT_KEY)], limit=10)) == len(rows) == 3

    def test_a_row_under_another_key_is_left(self, door: Door, rows: tuple[SealedRow, ...]) -> None:
        door.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        before = sorted(door.list_sealed([(ACME, NEXT_KEY)], limit=10), key=_table)
        late = [(row, replace(row, key_id=NEXT_KEY, sealed=dict.fromkeys(row.sealed, b"late"))) for row in rows]
        door.apply(Reseal(rows=tuple(late)))
        assert sorted(door.list_sealed([(ACME, NEXT_KEY)], limit=10), key=_table) == before

    @pytest.mark.parametrize("key_id", [SEALING_KEY, uuid4()], ids=["replaced", "unknown"])
    def test_nothing_is_resealed_under_a_key_that_is_not_active(self, door: Door, rows: tuple[SealedRow, ...], key_id: UUID) -> None:
        door.apply(Reseal(rows=tuple(resealed(row, key_id) for row in rows)))
        assert sorted(door.list_sealed([(ACME, SEALING_KEY)], limit=10), key=_table) == sorted(rows, key=_table)

    def test_nothing_is_resealed_under_a_key_that_is_refused(self, door: Door, rows: tuple[SealedRow, ...]) -> None:
        door.apply(RefuseKeys(tenant_id=ACME, min_version=3))
        door.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        assert door.list_sealed([(ACME, NEXT_KEY)], limit=10) == ()

    def test_a_row_that_would_lose_or_gain_a_field_is_left(self, door: Door, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        before = door.find_integration(ACME, facts.id)
        row = row_of(facts)
        assert row in rows
        for sealed in ({"access_token": b"fake"}, {**row.sealed, "api_key": b"fake"}, {}):
            door.apply(Reseal(rows=((row, replace(row, key_id=NEXT_KEY, sealed=sealed)),)))
        assert door.find_integration(ACME, facts.id) == before

    def test_rows_that_are_gone_and_no_rows_are_no_error(self, door: Door, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        door.apply(Reseal(rows=(resealed(row_of(facts)),)), Reseal(rows=()))
        assert len(door.list_sealed([(ACME, SEALING_KEY)], limit=10)) == len(rows) - 1

    @pytest.mark.requirement("ENC-10")
    def test_tokens_that_a_refresh_brings_meanwhile_survive(self, door: Door) -> None:
        held = [an_integration(TenantId(f"tenant-{number}")) for number in range(12)]
        tenants = [facts.tenant_id for facts in held]
        add_sealing_keys(door, *tenants)
        door.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in held])
        door.apply(*[lease(facts) for facts in held], *[rotated(tenant_id) for tenant_id in tenants])
        credential = replace(a_credential(2, b"renewed"), key_id=NEXT_KEY)
        renewals = [applying(renewed(facts, credential=credential), Record(event=an_event(facts.tenant_id))) for facts in held]
        rows = [resealed(row_of(facts)) for facts in held]
        orders = [rows, rows[::-1]]
        resealings = [applying(Reseal(rows=tuple(order))) for order in orders * 2]
        answers = door.together([*resealings[:2], *renewals, *resealings[2:]])
        assert refused(answers) == []
        assert [door.find_integration(facts.tenant_id, facts.id).credential for facts in held] == [credential] * len(held)

    def test_what_is_sealed_is_listed_up_to_a_limit(self, door: Door, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        everywhere = [(ACME, SEALING_KEY), (GLOBEX, SEALING_KEY), (ACME, NEXT_KEY)]
        door.apply(AddRevocation(revocation=a_revocation(GLOBEX)), AddPending(pending=a_pending(sealed_verifier=None, key_id=None)))
        assert {row.tenant_id for row in door.list_sealed(everywhere, limit=10)} == {ACME, GLOBEX}
        for limit in range(1, 5):
            listed = door.list_sealed(everywhere, limit=limit)
            assert len({(row.table, row.tenant_id, row.row) for row in listed}) == limit
        assert len(door.list_sealed(everywhere, limit=10)) == 4
        assert sorted(door.list_sealed([(ACME, SEALING_KEY)], limit=10), key=_table) == sorted(rows, key=_table)
        assert row_of(facts) in door.list_sealed([(ACME, SEALING_KEY)], limit=10)
        for nothing in ([], [(GLOBEX, NEXT_KEY)], [(ACME, uuid4())]):
            assert door.list_sealed(nothing, limit=10) == ()


def _table(row: SealedRow) -> str:
    return row.table


class _ListedKeys(_Contract):
    def test_all_keys_are_listed_page_by_page(self, door: Door) -> None:
        # Which of two names comes first is the store's own business.
        names = [TenantId(name) for name in ("a", "B", "b", "á", "ab", "a b", "z")]
        keys = [a_key(name, version=version, state=KeyState.DECRYPT_ONLY) for name in names for version in (1, 2, 10)]
        gone = [a_key(name, version=3, state=KeyState.DESTROYED, destroyed_at=START) for name in names]
        door.apply(*[AddKey(key=key) for key in (*reversed(keys), *gone)])
        for limit in (1, 2, 5, 100):
            listed: list[WrappedKey] = []
            while page := door.list_keys(after=_place_of(listed), limit=limit):
                assert len(page) <= limit
                listed += page
            assert sorted(listed, key=_by_place) == sorted([*keys, *(door.find_active_key(name) for name in (ACME, GLOBEX))], key=_by_place)
            of_one_tenant = [
                key.tenant_id for number, key in enumerate(listed) if number == 0 or listed[number - 1].tenant_id != key.tenant_id
            ]
            assert len(of_one_tenant) == len(set(of_one_tenant)) == 9
            assert [key.version for key in listed if key.tenant_id == "b"] == [1, 2, 10]

    def test_the_keys_of_one_tenant_are_listed_page_by_page(self, door: Door) -> None:
        keys = [a_key(NEWCOMER, version=version, state=KeyState.DECRYPT_ONLY) for version in (1, 2, 3)]
        door.apply(*[AddKey(key=key) for key in reversed(keys)])
        assert door.list_keys(tenant_id=NEWCOMER, limit=10) == tuple(keys)
        assert door.list_keys(tenant_id=NEWCOMER, limit=2) == tuple(keys[:2])
        assert door.list_keys(tenant_id=NEWCOMER, after=(NEWCOMER, 2), limit=10) == tuple(keys[2:])
        assert door.list_keys(tenant_id=NEWCOMER, after=(NEWCOMER, 3), limit=10) == ()
        assert door.list_keys(tenant_id=TenantId("nobody"), limit=10) == ()

    def test_replaced_keys_are_listed_while_they_seal_something(self, door: Door) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(3)]
        keys = [a_key(tenant_id) for tenant_id in tenants]
        door.apply(*[AddKey(key=key) for key in keys])
        for key, what in zip(keys, SEALED_ROWS, strict=True):
            door.apply(sealing(what, an_integration(TenantId(key.tenant_id)), key.key_id))
        assert door.list_replaced_keys(limit=10) == ()
        door.apply(*[RotateKey(key=a_key(TenantId(key.tenant_id), version=2), replaces=key.key_id) for key in keys], rotated())
        listed: list[WrappedKey] = []
        while page := door.list_replaced_keys(after=listed[-1].key_id if listed else None, limit=1):
            assert len(page) == 1
            listed += page
        assert {key.key_id for key in listed} == {key.key_id for key in keys}
        assert all(key.state is KeyState.DECRYPT_ONLY for key in listed)
        assert list(door.list_replaced_keys(limit=10)) == listed
        rows = door.list_sealed([(TenantId(key.tenant_id), key.key_id) for key in keys], limit=10)
        door.apply(Reseal(rows=tuple(resealed(row, door.find_active_key(row.tenant_id).key_id) for row in rows[1:])))
        assert [key.key_id for key in door.list_replaced_keys(limit=10)] == [rows[0].key_id]

    def test_usage_is_counted_by_wrapping_key_and_state(self, door: Door, facts: Integration) -> None:
        door.apply(
            AddPending(pending=a_pending()),
            AddPending(pending=a_pending(sealed_verifier=None, key_id=None)),
            AddRevocation(revocation=a_revocation(GLOBEX)),
            rotated(kek_uri="local:next"),
            AddKey(key=a_key(NEWCOMER, state=KeyState.DESTROYED, destroyed_at=START)),
        )
        door.apply(Reseal(rows=(resealed(row_of(facts)),)))
        assert sorted(door.list_key_usage(), key=lambda usage: (usage.kek_uri, usage.state)) == [
            KeyUsage(kek_uri="local:next", state=KeyState.ACTIVE, keys=1, rows=1),
            KeyUsage(kek_uri="local:test", state=KeyState.ACTIVE, keys=1, rows=1),
            KeyUsage(kek_uri="local:test", state=KeyState.DECRYPT_ONLY, keys=1, rows=1),
        ]

    def test_usage_of_one_tenant_is_counted_by_key(self, door: Door, facts: Integration) -> None:
        door.apply(
            AddPending(pending=a_pending()), AddRevocation(revocation=a_revocation()), AddRevocation(revocation=a_revocation(GLOBEX))
        )
        gone = a_key(version=3, state=KeyState.DESTROYED, destroyed_at=START)
        door.apply(rotated(kek_uri="local:next"), AddKey(key=gone), Reseal(rows=(resealed(row_of(facts)),)))
        old, new = door.list_keys(tenant_id=ACME, limit=10)
        assert door.list_key_usage(tenant_id=ACME) == (_usage(old, rows=2), _usage(new, rows=1))
        assert door.list_key_usage(tenant_id=NEWCOMER) == ()


def _place_of(listed: Sequence[WrappedKey]) -> tuple[TenantId, int] | None:
    return (TenantId(listed[-1].tenant_id), listed[-1].version) if listed else None


def _by_place(key: WrappedKey) -> tuple[str, int]:
    return key.tenant_id, key.version


def _usage(key: WrappedKey, *, rows: int) -> KeyUsage:
    return KeyUsage(
        kek_uri=key.kek_uri, state=key.state, key_id=key.key_id, version=key.version, created_at=key.created_at, keys=1, rows=rows
    )


class _RefusedAndErased(_Contract):
    def test_refused_keys_are_not_found_until_that_is_taken_back(self, door: Door) -> None:
        old = door.find_active_key(ACME)
        door.apply(RefuseKeys(tenant_id=ACME, min_version=2))
        assert door.find_key(ACME, old.key_id) is None
        assert door.find_active_key(ACME) is None
        assert door.find_active_key(GLOBEX) is not None
        change = rotated()
        door.apply(change)
        assert door.find_active_key(ACME) == door.find_key(ACME, NEXT_KEY) == change.key
        assert door.find_key(ACME, old.key_id) is None
        assert door.find_keys([ACME]) == (change.key,)
        # It is there all the same, for who rewraps and counts.
        assert [key.version for key in door.list_keys(tenant_id=ACME, limit=10)] == [1, 2]
        door.apply(RefuseKeys(tenant_id=ACME, min_version=1))
        assert door.find_key(ACME, old.key_id).version == 1

    @pytest.mark.requirement("ENC-14")
    def test_what_an_erased_tenant_had_is_gone_and_others_keep_theirs(self, door: Door) -> None:
        pending, twin = a_pending(), a_pending(GLOBEX)
        door.apply(Record(event=an_event()), AddPending(pending=pending), AddPending(pending=twin))
        door.apply(AddRevocation(revocation=a_revocation()), AddRevocation(revocation=a_revocation(GLOBEX)), rotated())
        door.apply(AddIntegration(facts=an_integration(GLOBEX), credential=a_credential()))
        door.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert door.find_active_key(ACME) is None
        assert [door.find_key(ACME, key_id) for key_id in (SEALING_KEY, NEXT_KEY)] == [None, None]
        assert [key.tenant_id for key in door.find_keys([ACME, GLOBEX])] == [GLOBEX]
        assert door.list_keys(tenant_id=ACME, limit=10) == ()
        assert door.list_key_usage(tenant_id=ACME) == ()
        assert door.list_returned_keys(limit=10) == ()
        assert [door.list_destroyed_keys(tenant_id) for tenant_id in (ACME, GLOBEX)] == [(SEALING_KEY, NEXT_KEY), ()]
        assert door.find_pending(pending.state_hash) is None
        assert len(door.list_audit(ACME)) == 1
        assert door.find_active_key(GLOBEX) is not None
        assert door.find_pending(twin.state_hash) == twin
        assert [entry.tenant_id for entry in door.claim_revocations(limit=10, hold=SECOND)] == [GLOBEX]
        assert len(door.list_integrations(GLOBEX)) == 1

    def test_a_tenant_with_an_integration_is_not_erased(self, door: Door, facts: Integration) -> None:
        pending = a_pending()
        door.apply(AddPending(pending=pending), AddRevocation(revocation=a_revocation()))
        before = everything(door)
        with pytest.raises(StaleWriteError):
            door.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert everything(door) == before
        assert door.find_integration(ACME, facts.id) is not None

    @pytest.mark.requirement("ENC-14")
    def test_erased_versions_never_come_back(self, door: Door) -> None:
        door.apply(rotated())
        door.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert door.last_key_version(ACME) == 2
        for version in (1, 2):
            with pytest.raises(StaleWriteError):
                door.apply(AddKey(key=a_key(version=version)))
        third = a_key(version=3)
        door.apply(AddKey(key=third))
        assert door.find_active_key(ACME) == third
        door.apply(AddIntegration(facts=an_integration(), credential=replace(a_credential(), key_id=third.key_id)))

    def test_who_is_erased_again_keeps_the_highest_version(self, door: Door) -> None:
        erase = EraseTenant(tenant_id=ACME, erased_at=START)
        door.apply(erase)
        door.apply(erase)
        door.apply(AddKey(key=a_key(version=4)))
        door.apply(erase)
        assert door.last_key_version(ACME) == 4
        fifth = a_key(version=5)
        door.apply(AddKey(key=fifth))
        with pytest.raises(StaleWriteError):
            door.apply(RotateKey(key=a_key(version=3), replaces=fifth.key_id))
        # Refusing, and taking it back, changes nothing about that.
        door.apply(RefuseKeys(tenant_id=ACME, min_version=9))
        door.apply(RefuseKeys(tenant_id=ACME, min_version=1))
        assert door.last_key_version(ACME) == 5
        with pytest.raises(StaleWriteError):
            door.apply(AddKey(key=a_key(version=4, state=KeyState.DECRYPT_ONLY)))

    def test_a_tenant_that_never_was_can_be_erased(self, door: Door) -> None:
        door.apply(EraseTenant(tenant_id=NEWCOMER, erased_at=START), Record(event=an_event(NEWCOMER)))
        assert door.last_key_version(NEWCOMER) == 0
        door.apply(AddKey(key=a_key(NEWCOMER)))

    def test_what_waits_for_an_erasure_is_told(self, door: Door) -> None:
        door.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        with pytest.raises(KeyRetiredError):
            door.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        with pytest.raises(StaleWriteError):
            door.apply(rotated())


class _Holders(_Contract):
    def holders(self, door: Door, of: bytes, provider_id: ProviderId = PROVIDER) -> set[tuple[TenantId, IntegrationId]]:
        return set(door.find_holders(provider_id, a_fingerprint(of)))

    def test_whoever_holds_a_token_is_found_by_its_fingerprint_in_any_tenant(self, door: Door, facts: Integration) -> None:
        other = an_integration(GLOBEX)
        door.apply(AddIntegration(facts=other, credential=replace(a_credential(), refresh_fingerprint=None)))
        both = {(ACME, facts.id), (GLOBEX, other.id)}
        assert self.holders(door, b"fakeaccess") == both
        assert self.holders(door, b"fakerefresh") == {(ACME, facts.id)}
        assert self.holders(door, b"account") == both
        assert self.holders(door, b"another") == set()

    def test_a_token_of_another_provider_is_another_token(self, door: Door, facts: Integration) -> None:
        assert facts.provider_id == PROVIDER
        assert self.holders(door, b"fakeaccess", ProviderId(uuid4())) == set()

    def test_a_row_without_fingerprints_holds_nothing_that_could_be_found(self, door: Door) -> None:
        bare = replace(a_credential(), access_fingerprint=None, refresh_fingerprint=None, account_fingerprint=None)
        facts = an_integration()
        door.apply(AddIntegration(facts=facts, credential=bare))
        assert door.find_integration(ACME, facts.id).credential == bare
        assert self.holders(door, b"fakeaccess") == set()

    def test_a_renewal_moves_the_fingerprints_of_the_tokens_and_leaves_that_of_the_account(self, door: Door, facts: Integration) -> None:
        change = renewed(facts)
        door.apply(lease(facts), replace(change, credential=replace(change.credential, account_fingerprint=None)))
        assert self.holders(door, b"fakeaccess") == self.holders(door, b"fakerefresh") == set()
        assert self.holders(door, b"renewedaccess") == self.holders(door, b"renewedrefresh") == self.holders(door, b"account")
        assert self.holders(door, b"account") == {(ACME, facts.id)}

    def test_a_reconnect_moves_all_fingerprints(self, door: Door, facts: Integration) -> None:
        credential = replace(a_credential(2, b"again"), account_fingerprint=a_fingerprint(b"other account"))
        door.apply(ReplaceCredential(facts=facts, credential=credential, expected_generation=1))
        assert self.holders(door, b"fakerefresh") == self.holders(door, b"account") == set()
        assert self.holders(door, b"againrefresh") == self.holders(door, b"other account") == {(ACME, facts.id)}

    def test_resealing_leaves_the_fingerprints(self, door: Door, facts: Integration) -> None:
        door.apply(rotated())
        (row,) = [row for row in door.list_sealed([(ACME, SEALING_KEY)], limit=10) if row.table == "ci_integration"]
        door.apply(Reseal(rows=(resealed(row),)))
        assert door.find_integration(ACME, facts.id).credential.key_id != SEALING_KEY
        assert self.holders(door, b"fakeaccess") == {(ACME, facts.id)}

    def test_what_is_erased_holds_nothing(self, door: Door, facts: Integration) -> None:
        door.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        assert self.holders(door, b"fakeaccess") == set()

    def test_no_more_holders_are_named_than_anybody_needs(self, door: Door) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(MAX_HOLDERS + 2)]
        add_sealing_keys(door, *tenants)
        for tenant_id in tenants:
            door.apply(AddIntegration(facts=an_integration(tenant_id), credential=a_credential()))
        assert len(self.holders(door, b"fakeaccess")) == MAX_HOLDERS


class _Outbox(_Contract):
    def test_what_waits_for_a_tenant_and_provider_is_listed_due_or_not_the_oldest_first(self, door: Door) -> None:
        later = a_revocation(created_at=START + SECOND, next_attempt_at=START + timedelta(days=1), account_fingerprint=None)
        entries = [later, a_revocation(), a_revocation(GLOBEX), a_revocation(provider_id=OTHER_PROVIDER, created_at=START + INSTANT)]
        door.apply(*[AddRevocation(revocation=entry) for entry in entries])
        assert door.list_revocations(ACME, provider_id=PROVIDER, limit=10) == (entries[1], later)
        assert door.list_revocations(ACME, limit=10) == (entries[1], entries[3], later)
        assert door.list_revocations(ACME, provider_id=PROVIDER, limit=1) == (entries[1],)

    def test_what_is_due_is_claimed_and_held(self, door: Door, clock: FixedClock) -> None:
        entry = a_revocation()
        later = a_revocation(next_attempt_at=START + timedelta(minutes=5))
        door.apply(AddRevocation(revocation=entry), AddRevocation(revocation=later))
        assert door.count_revocations() == 2
        hold = timedelta(minutes=1)
        assert door.claim_revocations(limit=10, hold=hold) == (replace(entry, next_attempt_at=START + hold),)
        assert door.claim_revocations(limit=10, hold=hold) == ()
        clock.advance(hold)
        assert [claimed.id for claimed in door.claim_revocations(limit=10, hold=hold)] == [entry.id]

    def test_what_is_claimed_comes_as_it_is_then_stored_and_a_claim_is_no_attempt(self, door: Door, clock: FixedClock) -> None:
        entry = a_revocation(next_attempt_at=START + SECOND)
        door.apply(AddRevocation(revocation=entry))
        clock.advance(SECOND - INSTANT)
        assert door.claim_revocations(limit=1, hold=SECOND) == ()
        clock.advance(INSTANT)
        for _ in range(2):
            claimed = door.claim_revocations(limit=1, hold=SECOND)
            assert claimed == (replace(entry, next_attempt_at=clock.now() + SECOND),)
            assert claimed == door.list_revocations(ACME, limit=1)
            clock.advance(SECOND)

    def test_a_time_long_past_is_held_from_now_on(self, door: Door, clock: FixedClock) -> None:
        door.apply(AddRevocation(revocation=a_revocation(context_id=None, variables={})))
        clock.advance(timedelta(days=1))
        assert len(door.claim_revocations(limit=1, hold=SECOND)) == 1
        assert door.claim_revocations(limit=1, hold=SECOND) == ()

    def test_the_oldest_come_first(self, door: Door, clock: FixedClock) -> None:
        entries = [a_revocation(TenantId(f"tenant-{number}"), next_attempt_at=START + number * SECOND) for number in range(4)]
        add_sealing_keys(door, *(entry.tenant_id for entry in entries))
        door.apply(*[AddRevocation(revocation=entry) for entry in reversed(entries)])
        clock.advance(timedelta(minutes=1))
        assert [claimed.id for claimed in door.claim_revocations(limit=3, hold=SECOND)] == [entry.id for entry in entries[:3]]

    def test_parallel_claimers_share_nothing(self, door: Door) -> None:
        entries = [a_revocation() for _ in range(40)]
        door.apply(*[AddRevocation(revocation=entry) for entry in entries])

        def claim(store: Any) -> Any:
            return store.claim_revocations(limit=10, hold=timedelta(minutes=1))

        answers = door.together([claim] * 8)
        assert refused(answers) == []
        claimed = [entry.id for batch in answers for entry in batch]
        assert len(claimed) == len(set(claimed))
        claimed += [entry.id for entry in door.claim_revocations(limit=40, hold=timedelta(minutes=1))]
        assert sorted(claimed) == sorted(entry.id for entry in entries)

    def test_a_failed_attempt_is_counted_and_delayed(self, door: Door, clock: FixedClock) -> None:
        entry = a_revocation()
        door.apply(AddRevocation(revocation=entry))
        until = START + timedelta(minutes=1)
        door.apply(DelayRevocation(tenant_id=ACME, revocation_id=entry.id, next_attempt_at=until, error="unreachable"))
        assert door.claim_revocations(limit=1, hold=SECOND) == ()
        clock.advance(timedelta(minutes=1))
        (claimed,) = door.claim_revocations(limit=1, hold=SECOND)
        assert (claimed.attempts, claimed.last_error) == (1, "unreachable")

    def test_what_is_finished_or_gone_is_no_error(self, door: Door) -> None:
        entry = a_revocation()
        door.apply(AddRevocation(revocation=entry))
        with pytest.raises(StaleWriteError):
            door.apply(AddRevocation(revocation=entry))
        for _ in range(2):
            door.apply(FinishRevocation(tenant_id=ACME, revocation_id=entry.id))
        door.apply(DelayRevocation(tenant_id=ACME, revocation_id=entry.id, next_attempt_at=START, error="unreachable"))
        assert door.count_revocations() == 0


class _Audit(_Contract):
    def test_events_are_found_as_they_were_in_order(self, door: Door) -> None:
        events = [an_event(action=f"action.{number}") for number in range(4)]
        bare = an_event(reason=None, request_id=None, details={})
        door.apply(Record(event=events[0]), AddRevocation(revocation=a_revocation()), Record(event=events[1]))
        door.apply(Record(event=events[2]), Record(event=events[3]), Record(event=bare))
        records = door.list_audit(ACME)
        assert [record.event for record in records] == [*events, bare]
        assert [record.seq for record in records] == [1, 2, 3, 4, 5]
        head = door.find_audit_head(ACME)
        assert (head.tenant_id, head.seq, head.hash) == (ACME, 5, records[-1].hash)
        assert verified(door).whole

    def test_without_events_there_is_no_head(self, door: Door) -> None:
        assert door.find_audit_head(ACME) is None
        assert door.list_audit(ACME) == ()
        assert verified(door).whole

    def test_pages_go_forward(self, door: Door) -> None:
        door.apply(*[Record(event=an_event()) for _ in range(5)])
        assert [record.seq for record in door.list_audit(ACME, after=1, limit=2)] == [2, 3]
        assert [record.seq for record in door.list_audit(ACME, after=3)] == [4, 5]
        assert door.list_audit(ACME, after=5) == ()

    def test_events_of_one_resource_come_newest_first(self, door: Door) -> None:
        door.apply(*[Record(event=an_event(resource=f"integration:{number % 2}")) for number in range(6)])
        assert [record.seq for record in door.list_audit_newest(ACME, resource="integration:1")] == [6, 4, 2]
        assert [record.seq for record in door.list_audit_newest(ACME, resource="integration:1", before=6, limit=1)] == [4]
        assert door.list_audit_newest(ACME, resource="integration:1", before=1) == ()
        assert door.list_audit_newest(ACME, resource="integration:none") == ()

    def test_events_of_all_resources_come_newest_first(self, door: Door) -> None:
        door.apply(*[Record(event=an_event(resource=f"integration:{number}")) for number in range(4)])
        assert [record.seq for record in door.list_audit_newest(ACME, limit=3)] == [4, 3, 2]
        assert [record.seq for record in door.list_audit_newest(ACME, before=2)] == [1]
        assert door.list_audit_newest(GLOBEX) == ()

    def test_a_time_of_another_zone_is_chained_in_utc(self, door: Door) -> None:
        event = an_event(occurred_at=START.astimezone(timezone(timedelta(hours=2))))
        door.apply(Record(event=event))
        assert door.list_audit(ACME)[0].event == event
        assert verified(door).whole

    def test_one_unit_of_work_can_write_to_several_chains(self, door: Door) -> None:
        door.apply(Record(event=an_event(GLOBEX)), Record(event=an_event(ACME)), Record(event=an_event(GLOBEX)))
        assert [len(door.list_audit(tenant_id)) for tenant_id in (ACME, GLOBEX)] == [1, 2]
        assert verified(door, ACME).whole
        assert verified(door, GLOBEX).whole

    @pytest.mark.requirement("AUD-05")
    def test_parallel_writers_leave_no_gap(self, door: Door) -> None:
        write_in_parallel(door, writers=16, each=25)

    @pytest.mark.requirement("AUD-04")
    def test_a_checkpoint_of_another_chain_is_noticed(self, door: Door) -> None:
        door.apply(Record(event=an_event()), Record(event=an_event()))
        checkpoint = door.find_audit_head(ACME)
        assert verified(door, checkpoint=checkpoint).whole
        assert not verified(door, checkpoint=replace(checkpoint, hash=bytes(32))).whole
        assert not verified(door, checkpoint=replace(checkpoint, seq=3)).whole


def write_in_parallel(door: Door, *, writers: int, each: int) -> None:
    """Let writers append to two chains at once, in both orders, and walk both chains."""
    for _ in range(each):
        pairs = [(ACME, GLOBEX) if number % 2 else (GLOBEX, ACME) for number in range(writers)]
        answers = door.together([applying(*[Record(event=an_event(tenant_id)) for tenant_id in pair]) for pair in pairs])
        assert refused(answers) == []
    for tenant_id in (ACME, GLOBEX):
        report = verified(door, tenant_id)
        assert report.whole
        assert report.checked == writers * each


class _Readiness(_Contract):
    def test_a_store_that_is_ready_prepares_and_reports(self, door: Door) -> None:
        door.prepare()
        report = door.report()
        assert report.kind
        assert all(isinstance(value, str) for value in report.facts.values())


class StoreContract(
    _Integrations,
    _Atomicity,
    _Tenants,
    _Leases,
    _Due,
    _Others,
    _Pending,
    _Keys,
    _Fence,
    _Rotation,
    _Rewrapping,
    _Destruction,
    _Resealing,
    _ListedKeys,
    _RefusedAndErased,
    _Holders,
    _Outbox,
    _Audit,
    _Readiness,
):
    """Inherit, and provide the fixture `store`."""
