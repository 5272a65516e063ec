"""What the commands do: one module for each, loaded when its command is called, so that the help of a command comes at once."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        audit,
        connect,
        db,
        demo,
        doctor,
        import_,
        init,
        integrations,
        keys,
        providers,
        revocations,
        serve,
        tenants,
        token,
        tokens,
        worker,
    )

    __all__ = [
        "audit",
        "connect",
        "db",
        "demo",
        "doctor",
        "import_",
        "init",
        "integrations",
        "keys",
        "providers",
        "revocations",
        "serve",
        "tenants",
        "token",
        "tokens",
        "worker",
    ]


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
