"""Measure an operation, for metrics and traces."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.ports.telemetry import Operation, OperationName

from .events import provider_name
from .wiring import Wiring


@dataclass(slots=True)
class Measured:
    """An operation under way."""

    outcome: str = "ok"
    """How it ends if nothing is raised."""


@contextmanager
def measured(wiring: Wiring, name: OperationName, tenant_id: TenantId, provider_id: ProviderId, /) -> Generator[Measured]:
    """Measure this block as one operation with a provider; an error is its outcome, and is raised again."""
    running = Measured()
    began = wiring.clock.monotonic()
    end = wiring.telemetry.begin(Operation(name=name, provider=provider_name(wiring, provider_id), tenant_id=tenant_id))
    try:
        yield running
    except BaseException as error:
        running.outcome = _outcome_of(error)
        raise
    finally:
        end(running.outcome, wiring.clock.monotonic() - began)


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, CloudIntegrationsError):
        return error.code
    return "internal" if isinstance(error, Exception) else "interrupted"
