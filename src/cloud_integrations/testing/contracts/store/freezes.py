"""What a store promises about freezes."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.freezing import Freeze, Selection
from cloud_integrations.domain.identifiers import FreezeId, TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddFreeze, EraseTenant, LiftFreeze, Record
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, SECOND, a_freeze, an_event, applying


class FreezesContract(Contract):
    """Storing, listing and lifting them."""

    def test_freezes_are_listed_as_they_were_added_the_oldest_first(self, blocking: BlockingStore) -> None:
        whole = a_freeze()
        bare = a_freeze(id=FreezeId(UUID(int=1)), selection=Selection(), renewals=True, begun_at=START + SECOND)
        blocking.apply(AddFreeze(freeze=bare), AddFreeze(freeze=whole))
        assert blocking.list_freezes() == (whole, bare)

    def test_texts_are_as_long_as_the_audit_log_has_them(self, blocking: BlockingStore) -> None:
        longest = Actor(type="t" * 32, id="漢" * 255)
        freeze = a_freeze(
            selection=Selection(tenant_id=TenantId("é" * 255), actor=longest),
            begun_by=longest,
            reason="漢" * 255,
            lifted_at=START,
            lifted_by=longest,
            lift_reason="漢" * 255,
        )
        blocking.apply(AddFreeze(freeze=freeze))
        assert blocking.list_freezes(lifted=True) == (freeze,)

    def test_an_id_is_taken_once(self, blocking: BlockingStore) -> None:
        blocking.apply(AddFreeze(freeze=a_freeze()))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddFreeze(freeze=a_freeze(selection=Selection())))
        assert blocking.list_freezes() == (a_freeze(),)

    def test_one_that_was_lifted_is_not_in_force(self, blocking: BlockingStore) -> None:
        other = a_freeze(id=FreezeId(UUID(int=1)))
        blocking.apply(AddFreeze(freeze=a_freeze()), AddFreeze(freeze=other))
        blocking.apply(_lift(a_freeze()))
        assert blocking.list_freezes() == (other,)
        assert {freeze.id: freeze for freeze in blocking.list_freezes(lifted=True)} == {
            other.id: other,
            a_freeze().id: replace(a_freeze(), lifted_at=START + SECOND, lifted_by=Actor(id="bob"), lift_reason="over"),
        }

    def test_one_is_lifted_once(self, blocking: BlockingStore) -> None:
        with pytest.raises(StaleWriteError):
            blocking.apply(_lift(a_freeze()))
        blocking.apply(AddFreeze(freeze=a_freeze()))
        calls = [applying(_lift(a_freeze()), Record(event=an_event(ACME))) for _ in range(3)]
        assert [type(error) for error in refused(blocking.together(calls))] == [StaleWriteError] * 2
        assert len(blocking.list_audit(ACME)) == 1

    def test_an_erased_tenants_freeze_stays(self, blocking: BlockingStore) -> None:
        blocking.apply(AddFreeze(freeze=a_freeze()))
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert blocking.list_freezes() == (a_freeze(),)


def _lift(freeze: Freeze) -> LiftFreeze:
    return LiftFreeze(freeze_id=freeze.id, lifted_at=START + SECOND, lifted_by=Actor(id="bob"), reason="over")
