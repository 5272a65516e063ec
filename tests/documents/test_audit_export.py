"""Events of the audit log as other systems read them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cloud_integrations.documents.audit_export import export_line
from cloud_integrations.domain.audit import EXPORT_FORMATS, Actor, AuditEvent, AuditRecord, Outcome
from cloud_integrations.domain.audit_chain import chain_hash, chained
from cloud_integrations.domain.event_keys import DETAILS

CLASSES = {3004: "entity_management", 6003: "api_activity"}
SCHEMAS = {
    number: Draft202012Validator(json.loads((Path(__file__).parent / "ocsf" / f"{name}.json").read_text()))
    for number, name in CLASSES.items()
}
EVENT = AuditEvent(
    event_id=UUID("01a20516-0ee1-7251-9dd0-36bc92ea1ee1"),
    tenant_id="acme corp/1",
    occurred_at=datetime(2026, 11, 29, 20, 0, 0, 123456, tzinfo=UTC),
    actor=Actor(id="ada"),
    action="integration.connected",
    resource="integration:01a20516-0ee1-7251-9dd0-36bc92ea1ee2",
    request_id="req-1",
    provider_id=UUID(int=5),
    context_id=UUID(int=6),
    details={"provider": "github"},
    salts={"actor_id": bytes(16)},
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def line(event, form):
    text = export_line(chained(event, None), form, product="cloud_integrations")
    assert text.isascii()
    assert "\n" not in text
    assert "\r" not in text
    return json.loads(text)


def check_ocsf(event):
    shown = line(event, "ocsf")
    SCHEMAS[shown["class_uid"]].validate(shown)
    return shown


@pytest.mark.requirement("AUD-10")
@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("action", [*sorted(DETAILS), "report.export", "something else", "x", "unreadable"])
def test_each_action_is_an_event_of_ocsf(action, outcome):
    shown = check_ocsf(replace(EVENT, action=action, outcome=outcome))
    assert shown["class_uid"] in {3004, 6003}
    assert shown["metadata"]["event_code"] == action


def test_a_change_is_entity_management_and_a_use_is_api_activity():
    connected = check_ocsf(EVENT)
    assert (connected["class_uid"], connected["activity_id"], connected["type_uid"]) == (3004, 1, 300401)
    assert connected["entity"] == {"type": "integration", "uid": "01a20516-0ee1-7251-9dd0-36bc92ea1ee2"}
    assert connected["time"] == 1_795_982_400_123
    used = check_ocsf(replace(EVENT, action="credential.used", outcome=Outcome.SUCCESS, actor=Actor(type="service", id="nightly")))
    assert (used["class_uid"], used["type_uid"], used["api"]["operation"]) == (6003, 600302, "credential.used")
    assert used["actor"]["user"] == {"uid": "nightly", "type": "service", "type_id": 4}
    assert (used["status"], used["status_id"], used["severity_id"]) == ("success", 1, 1)
    denied = check_ocsf(replace(EVENT, action="report.export", outcome=Outcome.DENIED, reason="forbidden", resource="audit"))
    assert (denied["class_uid"], denied["type_uid"], denied["status_detail"], denied["severity_id"]) == (6003, 600399, "forbidden", 3)
    assert denied["resources"] == [{"type": "audit", "uid": "audit"}]
    activities = {"integration.enabled": 8, "integration.disabled": 9, "integration.removed": 4, "integration.renamed": 3}
    assert {action: check_ocsf(replace(EVENT, action=action))["activity_id"] for action in activities} == activities


def test_no_action_of_the_library_is_without_an_activity_of_ocsf():
    other = [action for action in DETAILS if check_ocsf(replace(EVENT, action=action))["activity_id"] == 99]
    assert other == [], "give the last word of the action an activity in documents/audit_export.py"


@pytest.mark.requirement("AUD-10")
def test_a_cloud_event_has_what_cloud_events_must_have():
    shown = line(EVENT, "cloudevents")
    assert {name: shown[name] for name in ("specversion", "id", "source", "type", "subject", "time", "datacontenttype")} == {
        "specversion": "1.0",
        "id": str(EVENT.event_id),
        "source": "/cloud_integrations/tenants/acme%20corp%2F1/audit",
        "type": "integration.connected",
        "subject": EVENT.resource,
        "time": "2026-11-29T20:00:00.123456Z",
        "datacontenttype": "application/json",
    }
    # Attribute names are lower-case letters and digits (CloudEvents 1.0.2, naming conventions).
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in shown)
    assert shown["data"] == line(EVENT, "json")


def test_a_line_of_json_has_everything_that_the_hash_covers():
    record = chained(EVENT, None)
    shown = line(EVENT, "json")
    event = AuditEvent(
        event_id=UUID(shown["eventId"]),
        tenant_id=shown["tenantId"],
        occurred_at=datetime.fromisoformat(shown["occurredAt"]),
        actor=Actor(**shown["actor"]),
        action=shown["action"],
        resource=shown["resource"],
        outcome=Outcome(shown["outcome"]),
        reason=shown["reason"],
        request_id=shown["requestId"],
        provider_id=UUID(shown["providerId"]),
        context_id=UUID(shown["contextId"]),
        details=shown["details"],
        salts={name: bytes.fromhex(salt) for name, salt in shown["salts"].items()},
    )
    assert chain_hash(event, seq=shown["seq"], previous_hash=bytes.fromhex(shown["previousHash"])).hex() == shown["hash"]
    assert shown["hash"] == record.hash.hex()


@pytest.mark.requirement("AUD-10")
@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_hostile_text_breaks_no_line(tenant, actor, action, resource, reason, detail):
    event = replace(
        EVENT,
        tenant_id=tenant,
        actor=Actor(type=actor[:32], id=actor),
        action=action,
        resource=resource,
        reason=reason,
        details={detail: detail, "\u2028\r\n": 'CEF:0|a\\|b=c"\n'},
    )
    for form in EXPORT_FORMATS:
        shown = line(event, form)
        data = {"json": shown, "cloudevents": shown.get("data"), "ocsf": shown.get("unmapped")}[form]
        assert (data["tenantId"], data["actor"]["id"], data["action"], data["reason"]) == (tenant, actor, action, reason)
        assert data["details"][detail] == detail
    check_ocsf(event)


def test_an_event_that_cannot_be_read_is_exported_as_such():
    record = AuditRecord(event=EVENT, seq=1, previous_hash=b"", hash=b"", readable=False)
    assert json.loads(export_line(record, "json", product="x"))["readable"] is False
