"""What a store promises about sealing rows under another key."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Integration, SealedCredential
from cloud_integrations.domain.rekeying import SealedRow
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddPending,
    EraseIntegration,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    SaveApplication,
)
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    CONTEXT,
    GLOBEX,
    NEXT_KEY,
    NO_TIME,
    OTHER_PROVIDER,
    SEALING_KEY,
    a_credential,
    a_pending,
    add_sealing_keys,
    an_application,
    an_entry,
    an_event,
    an_integration,
    applying,
    lease,
    renewed,
    resealed,
    rotated,
    row_of,
    sent,
)


class ResealingContract(Contract):
    """Replacing the sealed fields of rows."""

    @pytest.fixture
    def rows(self, blocking: BlockingStore, facts: Integration) -> tuple[SealedRow, ...]:
        """One row of each table, sealed under a key that was then replaced."""
        blocking.apply(lease(facts), AddPending(pending=a_pending()), SaveApplication(application=an_application()))
        blocking.apply(AddEntry(entry=an_entry()), rotated())
        rows: tuple[SealedRow, ...] = blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)
        return rows

    def test_the_sealed_fields_change_and_nothing_else(self, blocking: BlockingStore, facts: Integration) -> None:
        pending, application, revocation = a_pending(), an_application(), an_entry()
        blocking.apply(lease(facts))
        blocking.apply(sent(facts), AddPending(pending=pending), SaveApplication(application=application))
        blocking.apply(AddEntry(entry=revocation), rotated())
        before = blocking.find_integration(ACME, facts.id)
        rows = {row.table: row for row in blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)}
        assert rows["ci_integration"] == row_of(facts)
        assert (rows["ci_authorization"].row, rows["ci_authorization"].sealed) == (
            pending.state_hash.hex(),
            {"parts": pending.sealed_parts},
        )
        assert (rows["ci_outbox"].row, rows["ci_outbox"].sealed) == (str(revocation.id), {"payload": revocation.sealed_payload})
        assert (rows["ci_application"].row, rows["ci_application"].sealed) == (str(CONTEXT), {"secrets": application.sealed_secrets})
        anew = [resealed(row) for row in rows.values()]
        blocking.apply(Reseal(rows=tuple(anew)))
        assert blocking.list_sealed([(ACME, SEALING_KEY)], limit=10) == ()
        found = blocking.list_sealed([(ACME, NEXT_KEY)], limit=10)
        assert sorted(found, key=_table) == sorted((after for _, after in anew), key=_table)
        credential = replace(
            a_credential(), key_id=NEXT_KEY, presented=b"anew\x00fake\x00\xff access", renewal=b"anew\x00fake\x00\xff refresh"
        )
        assert blocking.find_integration(ACME, facts.id) == replace(before, credential=credential)
        assert blocking.find_pending(pending.state_hash) == replace(pending, key_id=NEXT_KEY, sealed_parts=b"anew\x00fake\x00sealed")
        assert blocking.list_applications(ACME) == (replace(application, key_id=NEXT_KEY, sealed_secrets=b"anew\x00fake\x00secrets"),)
        (claimed,) = blocking.claim_entries("revocation", limit=1, hold=NO_TIME)
        assert claimed == replace(revocation, key_id=NEXT_KEY, sealed_payload=b"anew\x00fake\x00payload")

    def test_every_row_is_named_in_the_words_of_its_sealing_context(self, blocking: BlockingStore) -> None:
        connected, bare = an_integration(), an_integration(auth_type=AuthType.API_KEY, renewal_rule="keep", provider_id=OTHER_PROVIDER)
        key = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake\x00key")
        pending, revocation = a_pending(), an_entry()
        blocking.apply(AddIntegration(facts=connected, credential=a_credential()), AddIntegration(facts=bare, credential=key))
        # A later generation, and an empty field.
        blocking.apply(
            ReplaceCredential(
                facts=replace(connected, renewal_rule="reconnect"), credential=replace(a_credential(2), renewal=None), expected_generation=1
            )
        )
        blocking.apply(AddPending(pending=pending), SaveApplication(application=an_application()), AddEntry(entry=revocation))
        found = {(row.table, row.row, row.generation): set(row.sealed) for row in blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)}
        assert found == {
            ("ci_integration", str(connected.id), 2): {"presented"},
            ("ci_integration", str(bare.id), 1): {"presented"},
            ("ci_authorization", pending.state_hash.hex(), 0): {"parts"},
            ("ci_application", str(CONTEXT), 1): {"secrets"},
            ("ci_outbox", str(revocation.id), 0): {"payload"},
        }

    def test_a_row_of_another_generation_is_left(self, blocking: BlockingStore, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        credential = replace(a_credential(2, b"renewed"), key_id=NEXT_KEY)
        blocking.apply(renewed(facts, credential=credential))
        blocking.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        assert blocking.find_integration(ACME, facts.id).credential == credential
        # Rows that nobody changed are written, also where others of the same unit of work are left.
        assert len(blocking.list_sealed([(ACME, NEXT_KEY)], limit=10)) == len(rows) == 4

    def test_a_row_under_another_key_is_left(self, blocking: BlockingStore, rows: tuple[SealedRow, ...]) -> None:
        blocking.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        before = sorted(blocking.list_sealed([(ACME, NEXT_KEY)], limit=10), key=_table)
        late = [(row, replace(row, key_id=NEXT_KEY, sealed=dict.fromkeys(row.sealed, b"late"))) for row in rows]
        blocking.apply(Reseal(rows=tuple(late)))
        assert sorted(blocking.list_sealed([(ACME, NEXT_KEY)], limit=10), key=_table) == before

    @pytest.mark.parametrize("key_id", [SEALING_KEY, uuid4()], ids=["replaced", "unknown"])
    def test_nothing_is_resealed_under_a_key_that_is_not_active(
        self, blocking: BlockingStore, rows: tuple[SealedRow, ...], key_id: UUID
    ) -> None:
        blocking.apply(Reseal(rows=tuple(resealed(row, key_id) for row in rows)))
        assert sorted(blocking.list_sealed([(ACME, SEALING_KEY)], limit=10), key=_table) == sorted(rows, key=_table)

    def test_nothing_is_resealed_under_a_key_that_is_refused(self, blocking: BlockingStore, rows: tuple[SealedRow, ...]) -> None:
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=3))
        blocking.apply(Reseal(rows=tuple(resealed(row) for row in rows)))
        assert blocking.list_sealed([(ACME, NEXT_KEY)], limit=10) == ()

    def test_a_row_that_would_lose_or_gain_a_field_is_left(
        self, blocking: BlockingStore, facts: Integration, rows: tuple[SealedRow, ...]
    ) -> None:
        before = blocking.find_integration(ACME, facts.id)
        row = row_of(facts)
        assert row in rows
        for sealed in ({"presented": b"fake"}, {**row.sealed, "api_key": b"fake"}, {}):
            blocking.apply(Reseal(rows=((row, replace(row, key_id=NEXT_KEY, sealed=sealed)),)))
        assert blocking.find_integration(ACME, facts.id) == before

    def test_rows_that_are_gone_and_no_rows_are_no_error(
        self, blocking: BlockingStore, facts: Integration, rows: tuple[SealedRow, ...]
    ) -> None:
        blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        blocking.apply(Reseal(rows=(resealed(row_of(facts)),)), Reseal(rows=()))
        assert len(blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)) == len(rows) - 1

    @pytest.mark.requirement("ENC-10")
    def test_tokens_that_a_refresh_brings_meanwhile_survive(self, blocking: BlockingStore) -> None:
        integrations = [an_integration(TenantId(f"tenant-{number}")) for number in range(12)]
        tenants = [facts.tenant_id for facts in integrations]
        add_sealing_keys(blocking, *tenants)
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in integrations])
        blocking.apply(*[lease(facts) for facts in integrations], *[rotated(tenant_id) for tenant_id in tenants])
        credential = replace(a_credential(2, b"renewed"), key_id=NEXT_KEY)
        renewals = [applying(renewed(facts, credential=credential), Record(event=an_event(facts.tenant_id))) for facts in integrations]
        rows = [resealed(row_of(facts)) for facts in integrations]
        orders = [rows, rows[::-1]]
        resealings = [applying(Reseal(rows=tuple(order))) for order in orders * 2]
        answers = blocking.together([*resealings[:2], *renewals, *resealings[2:]])
        assert refused(answers) == []
        assert [blocking.find_integration(facts.tenant_id, facts.id).credential for facts in integrations] == [credential] * len(
            integrations
        )

    def test_what_is_sealed_is_listed_up_to_a_limit(self, blocking: BlockingStore, facts: Integration, rows: tuple[SealedRow, ...]) -> None:
        everywhere = [(ACME, SEALING_KEY), (GLOBEX, SEALING_KEY), (ACME, NEXT_KEY)]
        blocking.apply(AddEntry(entry=an_entry(GLOBEX)), AddPending(pending=a_pending(sealed_parts=None, key_id=None)))
        assert {row.tenant_id for row in blocking.list_sealed(everywhere, limit=10)} == {ACME, GLOBEX}
        for limit in range(1, 6):
            listed = blocking.list_sealed(everywhere, limit=limit)
            assert len({(row.table, row.tenant_id, row.row) for row in listed}) == limit
        assert len(blocking.list_sealed(everywhere, limit=10)) == 5
        assert sorted(blocking.list_sealed([(ACME, SEALING_KEY)], limit=10), key=_table) == sorted(rows, key=_table)
        assert row_of(facts) in blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)
        for nothing in ([], [(GLOBEX, NEXT_KEY)], [(ACME, uuid4())]):
            assert blocking.list_sealed(nothing, limit=10) == ()


def _table(row: SealedRow) -> str:
    return row.table
