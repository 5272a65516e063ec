"""Whether a part fits its port: of the right kind, an instance, and of the manager's colour."""

from __future__ import annotations

from inspect import iscoroutinefunction, unwrap

from cloud_integrations.errors import ConfigurationError

_COLOURS = "classes whose names begin with Async are for AsyncIntegrationManager, the others for IntegrationManager"


def require_part(setting: str, part: object, port: type, /, *, awaits: bool = False) -> None:
    """Raise `ConfigurationError` that says what *setting* must be, unless *part* has all that *port* asks for.

    With *awaits* its methods must be coroutine functions (`async def`), without they must not.
    """
    if isinstance(part, type):
        raise ConfigurationError(setting=setting, problem=f"is the class {part.__name__}: give an instance of it")
    kind, wanted = type(part).__name__, f"{'an' if port.__name__[0] in 'AEIOU' else 'a'} {port.__name__}"
    members = [(name, member) for base in port.__mro__ for name, member in vars(base).items() if not name.startswith("_")]
    asked = {name: member for name, member in members if callable(member) or isinstance(member, property)}
    missing = [name for name, member in asked.items() if not _has(part, name, member)]
    if missing:
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} has no {missing[0]}")
    # Of a service that is called in one way by both managers, no method is a coroutine function.
    methods = [method for name in asked if callable(method := getattr(part, name))]
    coroutines = [iscoroutinefunction(method) or iscoroutinefunction(unwrap(method)) for method in methods]
    if awaits and not any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} blocks: {_COLOURS}")
    if not awaits and any(coroutines):
        raise ConfigurationError(setting=setting, problem=f"must be {wanted}, and {kind} is awaited: {_COLOURS}")


def _has(part: object, name: str, member: object, /) -> bool:
    if getattr(type(part), name, None) is member:
        # A class that inherits the port has its empty methods.
        return False
    return callable(getattr(part, name, None)) if callable(member) else hasattr(part, name)
