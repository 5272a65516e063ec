"""Whether a part fits its port: of the right kind, an instance, and of the manager's colour."""

from __future__ import annotations

from inspect import iscoroutinefunction, unwrap

from cloud_integrations.errors import ConfigurationError

from .clock import Clock

_COLOURS = "classes whose names begin with Async are for AsyncIntegrationManager, the others for IntegrationManager"


def require_part(setting: str, part: object, port: type, /, *, awaits: bool = False) -> None:
    """Raise `ConfigurationError` that says what *setting* must be, unless *part* has all that *port* asks for.

    With *awaits* its methods must be coroutine functions (`async def`), without they must not.
    """
    if isinstance(part, type):
        raise ConfigurationError(setting=setting, problem=f"is the class {part.__name__}: give an instance of it")
    kind = type(part).__name__
    members = [(name, member) for base in port.__mro__ for name, member in vars(base).items() if not name.startswith("_")]
    asked = [name for name, member in members if callable(member) or isinstance(member, property)]
    missing = [name for name in asked if not hasattr(part, name)]
    if missing:
        raise ConfigurationError(setting=setting, problem=f"must be a {port.__name__}, and {kind} has no {missing[0]}")
    # Of a service that is called in one way by both managers, no method is a coroutine function.
    methods = [method for name in asked if callable(method := getattr(part, name))]
    coroutines = [iscoroutinefunction(method) or iscoroutinefunction(unwrap(method)) for method in methods]
    if awaits and not any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be a {port.__name__}, and {kind} blocks: {_COLOURS}")
    if not awaits and any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be a {port.__name__}, and {kind} is awaited: {_COLOURS}")


def require_clock(clock: Clock | None, /) -> None:
    """Raise `ConfigurationError` for what is no clock, and for one that tells naive times; None: there is none."""
    if clock is None:
        return
    require_part("clock", clock, Clock)
    if clock.now().utcoffset() is None:
        raise ConfigurationError(setting="clock", problem="must tell aware times, as datetime.now(UTC) does")
