"""Events of the audit log for other systems: JSON, CloudEvents 1.0 and OCSF 1.6.0, each event on a line of its own.

Sources: CloudEvents 1.0.2 (required attributes, JSON format); OCSF 1.6.0, classes Entity Management (3004) and API Activity (6003).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from cloud_integrations.domain.audit import USED, AuditRecord, ExportFormat, Outcome

from .audit import AuditOut

OCSF_VERSION: Final = "1.6.0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_ENTITY_MANAGEMENT: Final = 3004
_API_ACTIVITY: Final = 6003
_CREATE, _READ, _UPDATE, _DELETE, _ENABLE, _DISABLE, _OTHER = 1, 2, 3, 4, 8, 9, 99
_READS: Final = frozenset({USED, "audit.read", "credential.frozen", "integration.verified", "session.approved", "session.refused"})
"""Actions that use or read something; all others of the library change something."""
_ACTIVITIES: Final[Mapping[str, int]] = MappingProxyType({
    **dict.fromkeys(("added", "begun", "connected", "created", "imported", "opened", "requested"), _CREATE),
    **dict.fromkeys(
        ("approved", "changed", "completed", "finished", "kept", "reconnect_begun", "reconnected", "recovered", "refresh", "refused",
         "renamed", "resource_chosen", "retried", "rewrapped", "rotated", "rotation", "secret_rotated", "trust_loosened"),
        _UPDATE,
    ),
    **dict.fromkeys(
        ("abandoned", "cancelled", "destroyed", "ended", "erased", "lifted", "pruned", "removed", "revocation", "revoked"),
        _DELETE,
    ),
    "enabled": _ENABLE,
    "disabled": _DISABLE,
    "switched_off": _DISABLE,
})  # fmt: skip
"""The activity of OCSF by the last word of an action."""
_USER_TYPES: Final[Mapping[str, int]] = MappingProxyType({"user": 1, "system": 3, "service": 4})
_STATUS: Final[Mapping[Outcome, int]] = MappingProxyType(
    {Outcome.SUCCESS: 1, Outcome.FAILURE: 2, Outcome.DENIED: 2, Outcome.UNKNOWN: 0, Outcome.STARTED: 99}
)
_SEVERITY: Final[Mapping[Outcome, int]] = MappingProxyType({Outcome.FAILURE: 2, Outcome.DENIED: 3, Outcome.UNKNOWN: 2})
"""Low and medium; everything else is informational (1)."""


def export_line(record: AuditRecord, form: ExportFormat, /, *, product: str) -> str:
    """Return an event as one line of ASCII, without a line break; *product* names where it comes from."""
    document = _FORMS[form](record, product)
    return json.dumps(document, separators=(",", ":"))


def as_record(record: AuditRecord, _product: str = "", /) -> dict[str, Any]:
    """Return an event with its tenant and everything that its hash covers."""
    salts = {name: salt.hex() for name, salt in record.event.salts.items()}
    chain = {"previousHash": record.previous_hash.hex(), "salts": salts, "readable": record.readable}
    return {"tenantId": record.event.tenant_id, **AuditOut.of(record).as_json(), **chain}


def as_cloud_event(record: AuditRecord, product: str, /) -> dict[str, Any]:
    """Return an event as a CloudEvent in JSON; whoever gets one twice knows it by `source` and `id`."""
    event = record.event
    return {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": f"/{product}/tenants/{quote(event.tenant_id, safe='')}/audit",
        "type": event.action,
        "subject": event.resource,
        "time": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": as_record(record),
    }


def as_ocsf(record: AuditRecord, product: str, /) -> dict[str, Any]:
    """Return an event in OCSF: API Activity for what was used or read, Entity Management for what was changed."""
    event = record.event
    is_change = event.action not in _READS
    activity = _ACTIVITIES.get(event.action.rpartition(".")[2], _OTHER) if is_change else _READ
    kind, _, name = event.resource.partition(":")
    thing = {"type": kind, "uid": name or kind}
    # An action that is no action of the library comes from the host, which says that it denied it: nothing was changed.
    if is_change and activity == _OTHER:
        is_change = False
    class_uid = _ENTITY_MANAGEMENT if is_change else _API_ACTIVITY
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": (event.occurred_at - _EPOCH) // _MILLISECOND,
        "severity_id": _SEVERITY.get(event.outcome, 1),
        "status_id": _STATUS[event.outcome],
        "status": event.outcome.value,
        **({"status_detail": event.reason} if event.reason is not None else {}),
        "message": f"{event.action} by {event.actor}",
        "actor": {"user": {"uid": event.actor.id, "type": event.actor.type, "type_id": _USER_TYPES.get(event.actor.type, _OTHER)}},
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": product},
            "uid": str(event.event_id),
            "sequence": record.seq,
            "tenant_uid": event.tenant_id,
            "event_code": event.action,
            "log_name": "audit",
            **({"correlation_uid": event.request_id} if event.request_id is not None else {}),
        },
        **(
            {"entity": thing}
            if is_change
            else {
                "api": {"operation": event.action, "service": {"name": product}},
                "resources": [thing],
                # Where a request came from is for the host to know.
                "src_endpoint": {"svc_name": product},
            }
        ),
        "unmapped": as_record(record),
    }


_FORMS: Final[Mapping[ExportFormat, Callable[[AuditRecord, str], dict[str, Any]]]] = MappingProxyType(
    {"json": as_record, "cloudevents": as_cloud_event, "ocsf": as_ocsf}
)
