"""What a store promises about incidents and their items."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.freezing import Selection
from cloud_integrations.domain.identifiers import IncidentId
from cloud_integrations.domain.incident import IncidentItem
from cloud_integrations.domain.removal import Removal, RevocationOutcome
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddIncident, Record, SettleItem
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, SECOND, an_event, an_incident, an_item, applying


class IncidentsContract(Contract):
    """Storing them, and settling their items."""

    def test_incidents_are_found_and_listed_as_they_were_added_the_oldest_first(self, blocking: BlockingStore) -> None:
        whole = an_incident()
        bare = an_incident(id=IncidentId(UUID(int=1)), selection=Selection(), since=None, until=None, opened_at=START + SECOND)
        blocking.apply(AddIncident(incident=bare, items=()), AddIncident(incident=whole, items=()))
        assert blocking.list_incidents() == (whole, bare)
        assert blocking.find_incident(bare.id) == bare
        assert blocking.find_incident(IncidentId(uuid4())) is None

    def test_an_incident_is_added_once(self, blocking: BlockingStore) -> None:
        blocking.apply(AddIncident(incident=an_incident(), items=(an_item(),)))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddIncident(incident=an_incident(selection=Selection()), items=(an_item(GLOBEX),)))
        assert blocking.list_items(an_incident().id, limit=10) == (an_item(),)

    def test_items_are_listed_page_by_page_and_by_state(self, blocking: BlockingStore) -> None:
        items = (an_item(number=1), an_item(number=2), an_item(GLOBEX, number=1, state="gone"))
        other = an_incident(id=IncidentId(UUID(int=1)))
        blocking.apply(
            AddIncident(incident=an_incident(), items=items[::-1]),
            AddIncident(incident=other, items=(replace(an_item(), incident_id=other.id),)),
        )
        incident_id = an_incident().id
        assert blocking.list_items(incident_id, limit=10) == items
        assert blocking.list_items(incident_id, limit=2) == items[:2]
        assert blocking.list_items(incident_id, after=_place(items[1]), limit=2) == items[2:]
        assert blocking.list_items(incident_id, state="pending", after=_place(items[0]), limit=2) == items[1:2]
        assert dict(blocking.count_items(incident_id)) == {"pending": 2, "gone": 1}

    def test_an_item_is_settled_once_from_the_state_that_was_expected(self, blocking: BlockingStore) -> None:
        blocking.apply(AddIncident(incident=an_incident(), items=(an_item(), an_item(number=2))))
        change = _settle(an_item())
        calls = [applying(change, Record(event=an_event(ACME))) for _ in range(3)]
        assert [type(error) for error in refused(blocking.together(calls))] == [StaleWriteError] * 2
        assert len(blocking.list_audit(ACME)) == 1
        settled = replace(an_item(), state="settled", receipt=change.receipt, settled_at=START + SECOND)
        assert blocking.list_items(an_incident().id, limit=10) == (settled, an_item(number=2))
        with pytest.raises(StaleWriteError):
            blocking.apply(replace(change, tenant_id=GLOBEX))

    def test_a_receipt_says_everything_that_a_removal_says(self, blocking: BlockingStore) -> None:
        receipt = Removal(
            integration_id=an_item().use.integration_id,
            refresh_token=RevocationOutcome.FAILED,
            access_token=RevocationOutcome.SHARED,
            api_key=RevocationOutcome.UNSUPPORTED,
            other_key=RevocationOutcome.REVOKED,
            installation=RevocationOutcome.UNSUPPORTED,
            refresh_reason="ends_grant",
            access_reason="held",
            key_reason="not_asked",
            other_key_reason="held",
            waiting=3,
            manual_url="https://provider.example/keys?é",
        )
        item = replace(an_item(), state="settled", receipt=receipt, settled_at=START)
        blocking.apply(AddIncident(incident=an_incident(), items=(item,)))
        assert blocking.list_items(an_incident().id, limit=1) == (item,)


def _place(item: IncidentItem) -> tuple[object, object]:
    return item.use.tenant_id, item.use.integration_id


def _settle(item: IncidentItem) -> SettleItem:
    return SettleItem(
        incident_id=item.incident_id,
        tenant_id=item.use.tenant_id,
        integration_id=item.use.integration_id,
        expected="pending",
        state="settled",
        settled_at=START + SECOND,
        receipt=Removal(integration_id=item.use.integration_id, refresh_token=RevocationOutcome.REVOKED),
    )
