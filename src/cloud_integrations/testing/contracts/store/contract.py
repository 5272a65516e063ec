"""All that a store promises: each subject, and what concerns several of them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from cloud_integrations.domain.envelope import KeyCheck, KeyState
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.errors import IntegrationNotFoundError, StaleWriteError
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    Change,
    EraseIntegration,
    FinishEntry,
    Record,
    RefuseKeys,
    ReplaceCredential,
    RotateKey,
    SaveFacts,
    SaveVariables,
)
from cloud_integrations.testing.contracts.store.announcements import AnnouncementsContract
from cloud_integrations.testing.contracts.store.applications import ApplicationsContract
from cloud_integrations.testing.contracts.store.audit import AuditContract
from cloud_integrations.testing.contracts.store.base import BlockingStore, everything
from cloud_integrations.testing.contracts.store.connect_sessions import ConnectSessionsContract
from cloud_integrations.testing.contracts.store.freezes import FreezesContract
from cloud_integrations.testing.contracts.store.holders import HoldersContract
from cloud_integrations.testing.contracts.store.incidents import IncidentsContract
from cloud_integrations.testing.contracts.store.integrations import IntegrationsContract
from cloud_integrations.testing.contracts.store.keys import KeysContract
from cloud_integrations.testing.contracts.store.outbox import OutboxContract
from cloud_integrations.testing.contracts.store.overview import OverviewContract
from cloud_integrations.testing.contracts.store.pending import PendingContract
from cloud_integrations.testing.contracts.store.refresh import RefreshContract
from cloud_integrations.testing.contracts.store.sessions import SessionsContract
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    OTHER_PROVIDER,
    PROVIDER,
    SEALING_KEY,
    a_credential,
    a_key,
    a_pending,
    add_sealing_keys,
    an_entry,
    an_event,
    an_integration,
    lease,
    renewed,
)
from cloud_integrations.testing.contracts.store.webhooks import WebhooksContract


class StoreContract(
    HoldersContract,
    IntegrationsContract,
    RefreshContract,
    PendingContract,
    ApplicationsContract,
    SessionsContract,
    ConnectSessionsContract,
    FreezesContract,
    IncidentsContract,
    KeysContract,
    OutboxContract,
    AnnouncementsContract,
    WebhooksContract,
    AuditContract,
    OverviewContract,
):
    """Inherit, and provide the fixture `store`."""

    @pytest.mark.requirement("AUD-01", "AUD-07")
    def test_a_refused_change_leaves_nothing(self, blocking: BlockingStore, facts: Integration) -> None:
        before = everything(blocking)
        added = an_integration(provider_id=OTHER_PROVIDER)
        revocation = an_entry()
        with pytest.raises(StaleWriteError):
            blocking.apply(
                Record(event=an_event()),
                AddIntegration(facts=added, credential=a_credential()),
                SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE),
                AddPending(pending=a_pending()),
                AddEntry(entry=revocation),
                RotateKey(key=a_key(version=2), replaces=SEALING_KEY),
                RefuseKeys(tenant_id=ACME, min_version=2),
                AddKeyCheck(check=KeyCheck(kek_uri="local:test", kek_key_id=b"fake-kek-16bytes", canary=b"fake check")),
                EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=99),
            )
        assert everything(blocking) == before
        assert blocking.find_audit_head(ACME) is None

    def test_changes_are_made_in_order(self, blocking: BlockingStore, facts: Integration) -> None:
        again = an_integration()
        blocking.apply(
            EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1),
            AddIntegration(facts=again, credential=a_credential()),
        )
        assert blocking.list_integrations(ACME) == (again,)

    def test_no_change_is_no_change(self, blocking: BlockingStore) -> None:
        blocking.apply(AddIntegration(facts=an_integration(), credential=a_credential()), Record(event=an_event()))
        before = everything(blocking)
        blocking.apply()
        assert everything(blocking) == before

    @pytest.mark.requirement("ISO-01", "ISO-06")
    def test_tenants_share_nothing(self, blocking: BlockingStore, facts: Integration) -> None:
        # The same ids and names on purpose.
        twin = replace(facts, tenant_id=GLOBEX, name="Twin")
        key = a_key(version=2, state=KeyState.DECRYPT_ONLY)
        blocking.apply(AddKey(key=key), Record(event=an_event()), AddPending(pending=a_pending()))
        assert blocking.find_integration(GLOBEX, facts.id) is None
        assert blocking.find_credential(GLOBEX, PROVIDER) is None
        assert blocking.list_integrations(GLOBEX) == ()
        assert blocking.find_key(GLOBEX, key.key_id) is None
        assert blocking.find_active_key(GLOBEX).tenant_id == GLOBEX
        assert {key.tenant_id for key in blocking.list_keys(tenant_id=GLOBEX, limit=10)} == {GLOBEX}
        assert not blocking.has_pending(GLOBEX, PROVIDER)
        assert blocking.list_audit(GLOBEX) == ()
        assert blocking.list_audit_newest(GLOBEX) == ()
        assert blocking.find_audit_head(GLOBEX) is None
        blocking.apply(AddIntegration(facts=twin, credential=a_credential(1, b"twin")), AddKey(key=replace(key, tenant_id=GLOBEX)))
        blocking.apply(EraseIntegration(tenant_id=GLOBEX, integration_id=facts.id, expected_generation=1))
        assert blocking.list_integrations(ACME) == (facts,)

    @pytest.mark.requirement("ISO-01")
    def test_a_change_reaches_its_own_tenant_only(self, blocking: BlockingStore, facts: Integration) -> None:
        strange = replace(facts, tenant_id=GLOBEX)
        before = blocking.find_integration(ACME, facts.id)
        for change, error in (
            (SaveFacts(facts=strange, expected_state=State.ACTIVE), IntegrationNotFoundError),
            (SaveVariables(facts=strange, expected_generation=1), IntegrationNotFoundError),
            (ReplaceCredential(facts=strange, credential=a_credential(2), expected_generation=1), IntegrationNotFoundError),
            (EraseIntegration(tenant_id=GLOBEX, integration_id=facts.id, expected_generation=1), IntegrationNotFoundError),
            (replace(lease(facts), tenant_id=GLOBEX), StaleWriteError),
            (renewed(strange), IntegrationNotFoundError),
        ):
            with pytest.raises(error):
                blocking.apply(cast("Change", change))
        revocation = an_entry()
        blocking.apply(AddEntry(entry=revocation), FinishEntry(tenant_id=GLOBEX, entry_id=revocation.id))
        assert blocking.count_entries("revocation") == 1
        assert blocking.find_integration(ACME, facts.id) == before

    def test_tenants_differ_by_case_accent_and_space(self, blocking: BlockingStore) -> None:
        names = [TenantId(name) for name in ("acme", "Acme", "ACME", "ácme", "acme-", "acme ", " acme")]
        add_sealing_keys(blocking, *names[1:])
        for tenant_id in names:
            blocking.apply(AddIntegration(facts=an_integration(tenant_id), credential=a_credential()), Record(event=an_event(tenant_id)))
        for tenant_id in names:
            assert [facts.tenant_id for facts in blocking.list_integrations(tenant_id)] == [tenant_id]
            assert len(blocking.list_audit(tenant_id)) == 1

    def test_a_store_that_is_ready_prepares_and_reports(self, blocking: BlockingStore) -> None:
        blocking.prepare()
        report = blocking.report()
        assert report.kind
        assert all(isinstance(value, str) for value in report.facts.values())
