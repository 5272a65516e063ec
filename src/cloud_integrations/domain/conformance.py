"""Check that a part fits its port: an instance with all methods, blocking or awaiting as the manager needs it."""

from __future__ import annotations

from inspect import iscoroutinefunction, unwrap

from cloud_integrations.errors import ConfigurationError

_COLOURS = "classes whose names begin with Async are for AsyncIntegrationManager, the others for IntegrationManager"


def require_part(setting: str, part: object, port: type, /, *, awaits: bool = False) -> None:
    """Check that *part* is an instance with all methods and properties of the protocol *port*.

    With *awaits*, its methods must be coroutine functions (`async def`); without, they must not be.
    Raises `ConfigurationError`, which names *setting* and says what it must be.
    """
    if isinstance(part, type):
        raise ConfigurationError(setting=setting, problem=f"is the class {part.__name__}: give an instance of it")
    kind, wanted = type(part).__name__, f"{'an' if port.__name__[0] in 'AEIOU' else 'a'} {port.__name__}"
    members = [(name, member) for base in port.__mro__ for name, member in vars(base).items() if not name.startswith("_")]
    asked = {name: member for name, member in members if callable(member) or isinstance(member, property)}
    missing = [name for name, member in asked.items() if not _has(part, name, member)]
    if missing:
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} has no {missing[0]}")
    # Both managers call some services the same way (a key service, a cipher); those have no coroutine function at all.
    methods = [method for name in asked if callable(method := getattr(part, name))]
    coroutines = [iscoroutinefunction(method) or iscoroutinefunction(unwrap(method)) for method in methods]
    if awaits and not any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} blocks: {_COLOURS}")
    if not awaits and any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} is awaited: {_COLOURS}")


def _has(part: object, name: str, member: object, /) -> bool:
    if getattr(type(part), name, None) is member:
        # The class inherits from the protocol and has not replaced this method, which is empty there.
        return False
    return callable(getattr(part, name, None)) if callable(member) else hasattr(part, name)
