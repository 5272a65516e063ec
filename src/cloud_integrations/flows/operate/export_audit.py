"""Give a tenant's audit log to another system, in order and page by page."""

from __future__ import annotations

from typing import Final, cast

from cloud_integrations.documents.audit_export import export_line
from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import EXPORT_FORMATS, AuditExport, Caller, ExportFormat
from cloud_integrations.domain.events import Subject
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.wiring import Wiring

from .audit_trail import log_of

MOST: Final = 10_000
"""The most events of one call."""


async def export_audit(wiring: Wiring, tenant: str | None, /, *, form: str, after: int, limit: int, caller: Caller) -> AuditExport:
    """Return the tenant's events with a number above *after*, in order, as lines of the format *form*; None: the operator's.

    The read is recorded, after what is returned (AUD-13).  Raises `ValidationFailedError`.
    """
    tenant_id = await log_of(wiring, tenant)
    if form not in EXPORT_FORMATS:
        raise ValidationFailedError(field="form", problem=f"must be one of {', '.join(EXPORT_FORMATS)}")
    after = 0 if after == 0 and not isinstance(after, bool) else read_count("after", after)
    limit = read_count("limit", limit, most=MOST)
    records = await wiring.store.list_audit(tenant_id, after=after, limit=limit)
    head = await wiring.store.find_audit_head(tenant_id)
    last = max((record.seq for record in records), default=after)
    if records:
        await apply(wiring, happened(wiring, "audit.read", Subject(tenant_id=tenant_id, other="audit"), caller))
    return AuditExport(
        lines=tuple([export_line(record, cast("ExportFormat", form), product=wiring.settings.product) for record in records]),
        last=last,
        behind=0 if head is None else max(head.seq - last, 0),
    )
