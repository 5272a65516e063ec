"""What the commands do: one module for each noun, loaded when a command is called, so that the help needs none of them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        applications,
        audit,
        checking,
        connect,
        connect_sessions,
        credential,
        db,
        demo,
        doctor,
        events,
        guides,
        import_,
        incident,
        init,
        integrations,
        issuer,
        keys,
        new_provider,
        overview,
        production,
        provider_doctor,
        providers,
        removing,
        report,
        revocations,
        rotating,
        running,
        serve,
        sessions,
        tenants,
        token,
        tokens,
        webhooks,
        worker,
    )

    __all__ = [
        "applications",
        "audit",
        "checking",
        "connect",
        "connect_sessions",
        "credential",
        "db",
        "demo",
        "doctor",
        "events",
        "guides",
        "import_",
        "incident",
        "init",
        "integrations",
        "issuer",
        "keys",
        "new_provider",
        "overview",
        "production",
        "provider_doctor",
        "providers",
        "removing",
        "report",
        "revocations",
        "rotating",
        "running",
        "serve",
        "sessions",
        "tenants",
        "token",
        "tokens",
        "webhooks",
        "worker",
    ]


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
