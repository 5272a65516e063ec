"""What a store promises about finding integrations by the fingerprint of a token or of an account."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    AddIntegration,
    EraseIntegration,
    ReplaceCredential,
    Reseal,
)
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    PROVIDER,
    SEALING_KEY,
    a_credential,
    a_fingerprint,
    add_sealing_keys,
    an_integration,
    lease,
    renewed,
    resealed,
    rotated,
)


class HoldersContract(Contract):
    """Who holds a token or an account."""

    def holders(self, blocking: BlockingStore, of: bytes, provider_id: ProviderId = PROVIDER) -> set[tuple[TenantId, IntegrationId]]:
        return set(blocking.find_holders(provider_id, a_fingerprint(of)))

    def test_whoever_holds_a_token_is_found_by_its_fingerprint_in_any_tenant(self, blocking: BlockingStore, facts: Integration) -> None:
        other = an_integration(GLOBEX)
        blocking.apply(AddIntegration(facts=other, credential=replace(a_credential(), renewal_fingerprint=None)))
        both = {(ACME, facts.id), (GLOBEX, other.id)}
        assert self.holders(blocking, b"fakeaccess") == both
        assert self.holders(blocking, b"fakerefresh") == {(ACME, facts.id)}
        assert self.holders(blocking, b"account") == both
        assert self.holders(blocking, b"another") == set()

    def test_a_token_of_another_provider_is_another_token(self, blocking: BlockingStore, facts: Integration) -> None:
        assert facts.provider_id == PROVIDER
        assert self.holders(blocking, b"fakeaccess", ProviderId(uuid4())) == set()

    def test_a_row_without_fingerprints_holds_nothing_that_could_be_found(self, blocking: BlockingStore) -> None:
        bare = replace(a_credential(), presented_fingerprint=None, renewal_fingerprint=None, account_fingerprint=None)
        facts = an_integration()
        blocking.apply(AddIntegration(facts=facts, credential=bare))
        assert blocking.find_integration(ACME, facts.id).credential == bare
        assert self.holders(blocking, b"fakeaccess") == set()

    def test_a_renewal_moves_the_fingerprints_of_the_tokens_and_leaves_that_of_the_account(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        change = renewed(facts)
        blocking.apply(lease(facts), replace(change, credential=replace(change.credential, account_fingerprint=None)))
        assert self.holders(blocking, b"fakeaccess") == self.holders(blocking, b"fakerefresh") == set()
        assert self.holders(blocking, b"renewedaccess") == self.holders(blocking, b"renewedrefresh") == self.holders(blocking, b"account")
        assert self.holders(blocking, b"account") == {(ACME, facts.id)}

    def test_a_reconnect_moves_all_fingerprints(self, blocking: BlockingStore, facts: Integration) -> None:
        credential = replace(a_credential(2, b"again"), account_fingerprint=a_fingerprint(b"other account"))
        blocking.apply(ReplaceCredential(facts=facts, credential=credential, expected_generation=1))
        assert self.holders(blocking, b"fakerefresh") == self.holders(blocking, b"account") == set()
        assert self.holders(blocking, b"againrefresh") == self.holders(blocking, b"other account") == {(ACME, facts.id)}

    def test_resealing_leaves_the_fingerprints(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(rotated())
        (row,) = [row for row in blocking.list_sealed([(ACME, SEALING_KEY)], limit=10) if row.table == "ci_integration"]
        blocking.apply(Reseal(rows=(resealed(row),)))
        assert blocking.find_integration(ACME, facts.id).credential.key_id != SEALING_KEY
        assert self.holders(blocking, b"fakeaccess") == {(ACME, facts.id)}

    def test_what_is_erased_holds_nothing(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        assert self.holders(blocking, b"fakeaccess") == set()

    def test_no_more_holders_are_named_than_anybody_needs(self, blocking: BlockingStore) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(MAX_HOLDERS + 2)]
        add_sealing_keys(blocking, *tenants)
        for tenant_id in tenants:
            blocking.apply(AddIntegration(facts=an_integration(tenant_id), credential=a_credential()))
        assert len(self.holders(blocking, b"fakeaccess")) == MAX_HOLDERS
