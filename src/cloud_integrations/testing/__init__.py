"""For tests of applications and of third-party backends: a simulated provider, contract suites, a fixed clock.

Names are loaded when they are first used: pytest imports this package wherever the plugin is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import AdvancingPause, AsyncAdvancingPause, FixedClock, SeededEntropy
    from .misbehaviour import Endpoint, Misbehaviour
    from .provider_server import ProviderServer
    from .simulated_provider import IssuedGrant, ReceivedRequest, SimulatedProvider, token_id
    from .simulated_transport import AsyncSimulatedTransport, SimulatedTransport

_HOMES = {
    "AdvancingPause": "clock",
    "AsyncAdvancingPause": "clock",
    "AsyncSimulatedTransport": "simulated_transport",
    "Endpoint": "misbehaviour",
    "FixedClock": "clock",
    "IssuedGrant": "simulated_provider",
    "Misbehaviour": "misbehaviour",
    "ProviderServer": "provider_server",
    "ReceivedRequest": "simulated_provider",
    "SeededEntropy": "clock",
    "SimulatedProvider": "simulated_provider",
    "SimulatedTransport": "simulated_transport",
    "token_id": "simulated_provider",
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
