"""What happened to an integration since an incident was opened, from the audit log and the outbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from cloud_integrations.domain.audit import AuditFilter, AuditRecord, Caller, Outcome
from cloud_integrations.domain.incident import IncidentItem
from cloud_integrations.domain.removal import Removal, Revocation, RevocationOutcome
from cloud_integrations.flows.shared.revocation_entries import waiting_revocations
from cloud_integrations.flows.shared.wiring import Wiring

from .retry_revocations import retry

_PAGE: Final = 200
_MOST: Final = 1_000
_NEW_GRANT: Final = ("integration.reconnected", "key_rotation.finished")
"""Actions after which an integration holds something that its tenant has just given."""
_TOLD: Final = ("integration.revoked", "token.revoked", "token.kept", "token.abandoned")
_NAMES: Final = {
    "refresh": ("refresh_token", "refresh_reason"),
    "access": ("access_token", "access_reason"),
    "api_key": ("api_key", "key_reason"),
}
"""The fields of a receipt for each kind of token."""


async def has_new_grant(wiring: Wiring, item: IncidentItem, /) -> bool:
    """Whether the tenant has given another grant or key since the incident was opened."""
    for action in _NEW_GRANT:
        if any(record.event.outcome is Outcome.SUCCESS for record in await _since(wiring, item, action)):
            return True
    return False


async def resumed_receipt(wiring: Wiring, item: IncidentItem, caller: Caller, /) -> Removal:
    """Try the revocations of an integration that still wait, and return the receipt, from the log."""
    for entry in await _waiting(wiring, item):
        await retry(wiring, entry, caller)
    receipt = Removal(integration_id=item.use.integration_id)
    records = [record for action in _TOLD for record in await _since(wiring, item, action)]
    for record in sorted(records, key=lambda record: record.seq):
        receipt = replace(receipt, **_told(record))
    waiting: dict[str, Any] = {_NAMES[entry.kind][0]: RevocationOutcome.FAILED for entry in await _waiting(wiring, item)}
    return replace(receipt, **waiting)


async def _since(wiring: Wiring, item: IncidentItem, action: str) -> list[AuditRecord]:
    """Return the events of *action* about an integration since the incident was opened, the newest first."""
    matching = AuditFilter(resource=f"integration:{item.use.integration_id}", action=action)
    found: list[AuditRecord] = []
    before = None
    while page := await wiring.store.list_audit_newest(item.use.tenant_id, matching=matching, before=before, limit=_PAGE):
        found += [record for record in page if record.seq > item.audit_seq]
        before = page[-1].seq
        if before <= item.audit_seq:
            break
    return found


async def _waiting(wiring: Wiring, item: IncidentItem) -> list[Revocation]:
    found = await waiting_revocations(wiring, item.use.tenant_id, limit=_MOST)
    return [entry for entry in found if isinstance(entry, Revocation) and entry.integration_id == item.use.integration_id]


def _told(record: AuditRecord) -> dict[str, Any]:
    """Return the fields of a receipt that an event tells."""
    event, details = record.event, record.event.details
    if event.action == "integration.revoked":
        stays = {name: RevocationOutcome.UNSUPPORTED for name in ("api_key", "installation") if details.get(name) == "unsupported"}
        asked = {"key_reason": "not_asked"} if details.get("api_key") == "not_asked" else {}
        return {"manual_url": details.get("manual_url"), **stays, **asked}
    if details.get("token") not in _NAMES:
        return {}
    outcome, reason = _NAMES[details["token"]]
    if event.action == "token.kept":
        return {outcome: RevocationOutcome.SHARED} if event.reason == "shared" else {reason: event.reason}
    if event.action == "token.abandoned":
        return {outcome: RevocationOutcome.UNSUPPORTED}
    return {outcome: RevocationOutcome.REVOKED if event.outcome is Outcome.SUCCESS else RevocationOutcome.FAILED}
