"""For tests of applications and of third-party backends: a simulated provider, contract suites, a fixed clock."""

from .clock import FixedClock, SeededEntropy
from .misbehaviour import Endpoint, Misbehaviour
from .simulated_provider import IssuedGrant, ReceivedRequest, SimulatedProvider, token_id
from .simulated_transport import AsyncSimulatedTransport, SimulatedTransport

__all__ = [
    "AsyncSimulatedTransport",
    "Endpoint",
    "FixedClock",
    "IssuedGrant",
    "Misbehaviour",
    "ReceivedRequest",
    "SeededEntropy",
    "SimulatedProvider",
    "SimulatedTransport",
    "token_id",
]
