"""For tests of applications and of third-party backends: a simulated provider, contract suites, a fixed clock, a check of provider files.

Names are loaded when they are first used, because pytest imports this package wherever the plugin is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_integrations.testing.simulated_provider.misbehaviour import Endpoint, Misbehaviour
    from cloud_integrations.testing.simulated_provider.provider import SimulatedProvider
    from cloud_integrations.testing.simulated_provider.requests import ReceivedRequest, token_id
    from cloud_integrations.testing.simulated_provider.server import ProviderServer
    from cloud_integrations.testing.simulated_provider.tokens import IssuedGrant
    from cloud_integrations.testing.simulated_provider.transport import AsyncSimulatedTransport, SimulatedTransport

    from .clock import AdvancingPause, AsyncAdvancingPause, FixedClock, SeededEntropy
    from .live_check import LiveReport, check_live
    from .live_facts import LiveFact
    from .live_plan import PlannedRequest, plan_live

_HOMES = {
    "AdvancingPause": "clock",
    "AsyncAdvancingPause": "clock",
    "AsyncSimulatedTransport": "simulated_provider.transport",
    "Endpoint": "simulated_provider.misbehaviour",
    "FixedClock": "clock",
    "IssuedGrant": "simulated_provider.tokens",
    "LiveFact": "live_facts",
    "LiveReport": "live_check",
    "Misbehaviour": "simulated_provider.misbehaviour",
    "PlannedRequest": "live_plan",
    "ProviderServer": "simulated_provider.server",
    "ReceivedRequest": "simulated_provider.requests",
    "SeededEntropy": "clock",
    "SimulatedProvider": "simulated_provider.provider",
    "SimulatedTransport": "simulated_provider.transport",
    "check_live": "live_check",
    "plan_live": "live_plan",
    "token_id": "simulated_provider.requests",
}

__all__ = [
    "AdvancingPause",
    "AsyncAdvancingPause",
    "AsyncSimulatedTransport",
    "Endpoint",
    "FixedClock",
    "IssuedGrant",
    "LiveFact",
    "LiveReport",
    "Misbehaviour",
    "PlannedRequest",
    "ProviderServer",
    "ReceivedRequest",
    "SeededEntropy",
    "SimulatedProvider",
    "SimulatedTransport",
    "check_live",
    "plan_live",
    "token_id",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
