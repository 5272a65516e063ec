"""What the clients for Kubernetes have in common: the API server of a credential, and the credential that a header shows."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, Final

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

_SERVER: Final = "server"


class _Header(str):
    """The value of a header, which `repr` hides, and the credential that it is of: the headers are what is left when the answer comes."""

    __slots__ = ("credential",)
    credential: Credential

    def __repr__(self) -> str:
        return "<hidden>"


def show_in(headers: dict[str, Any], credential: Credential, /) -> None:
    """Add the headers of *credential* to *headers*; a client certificate has none."""
    for name, value in credential.headers().items() if "headers" in credential.forms else ():
        header = _Header(value)
        header.credential = credential
        headers[name] = header


def shown_in(headers: Mapping[str, Any] | None, /) -> Credential | None:
    """Return the credential that *headers* show; None: there is none."""
    return next((value.credential for value in (headers or {}).values() if isinstance(value, _Header)), None)


def connection_of(credential: Credential, ssl_context: SSLContext | None, /) -> tuple[str, SSLContext | None]:
    """Return the API server that the tenant has entered, and how it is trusted; *ssl_context* takes the place of what was entered.

    Raises `ValidationFailedError` if the provider asks for no server.
    """
    if _SERVER not in credential.parts:
        raise ValidationFailedError(field="server", problem="is required, because the credential names none")
    if ssl_context is None and "ssl_context" in credential.forms:
        ssl_context = credential.ssl_context()
    return credential.parts[_SERVER].reveal(), ssl_context


def require_server(credential: Credential, host: str | None, /) -> None:
    """Raise `ConfigurationError` where the credential is for another server than the one that a client sends requests to."""
    entered = credential.parts.get(_SERVER)
    if entered is not None and entered.reveal() != host:
        raise ConfigurationError(setting="the client", problem="was made for another API server than the tenant's: make it again")
