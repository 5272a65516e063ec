"""For tests of applications and of third-party backends: a simulated provider, contract suites, a fixed clock.

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

_HOMES = {
    "AdvancingPause": "clock",
    "AsyncAdvancingPause": "clock",
    "AsyncSimulatedTransport": "simulated_provider.transport",
    "Endpoint": "simulated_provider.misbehaviour",
    "FixedClock": "clock",
    "IssuedGrant": "simulated_provider.tokens",
    "Misbehaviour": "simulated_provider.misbehaviour",
    "ProviderServer": "simulated_provider.server",
    "ReceivedRequest": "simulated_provider.requests",
    "SeededEntropy": "clock",
    "SimulatedProvider": "simulated_provider.provider",
    "SimulatedTransport": "simulated_provider.transport",
    "token_id": "simulated_provider.requests",
}

__all__ = [
    "AdvancingPause",
    "AsyncAdvancingPause",
    "AsyncSimulatedTransport",
    "Endpoint",
    "FixedClock",
    "IssuedGrant",
    "Misbehaviour",
    "ProviderServer",
    "ReceivedRequest",
    "SeededEntropy",
    "SimulatedProvider",
    "SimulatedTransport",
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
