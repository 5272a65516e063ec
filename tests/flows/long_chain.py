"""Checks an audit log of `long_chain.py COUNT` events, which its store makes page by page; prints the report and the peak of memory."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore
from cloud_integrations.domain.audit import AuditHead
from cloud_integrations.domain.audit_chain import chained
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.store import an_event

TENANT = "acme"


def pages(length: int, /) -> tuple[Callable[..., Any], AuditHead | None]:
    """Return a `list_audit` of a chain of *length* events, which has one page at a time in memory, and the head of the chain."""
    event = an_event(TENANT)
    heads: dict[int, AuditHead | None] = {0: None}

    def page(_tenant: str, *, after: int | None = None, limit: int) -> tuple[Any, ...]:
        first = after or 0
        made: list[Any] = []
        head = heads[first]
        for _ in range(min(limit, length - first)):
            made.append(chained(replace(event, occurred_at=event.occurred_at + timedelta(seconds=len(made))), head))
            head = AuditHead(tenant_id=TENANT, seq=made[-1].seq, hash=made[-1].hash)
        heads.clear()
        heads[first + len(made)] = head
        return tuple(made)

    end = None
    while found := page(TENANT, after=end.seq if end else None, limit=1_000):
        end = AuditHead(tenant_id=TENANT, seq=found[-1].seq, hash=found[-1].hash)
    heads[0] = None
    return page, end


def main(length: int) -> None:
    """Check the chain."""
    provider = SimulatedProvider()
    store: Any = MemoryStore()
    store.list_audit, end = pages(length)
    store.find_audit_head = lambda _: end
    manager = IntegrationManager(
        store=store,
        transport=SimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("tests")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
    )
    report = manager.audit.verify(TENANT)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({"whole": report.whole, "checked": report.checked, "peak_kib": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
