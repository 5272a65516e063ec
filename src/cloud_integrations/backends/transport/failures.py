"""Errors of httpx, httpx2 and what is below them, in our words."""

from __future__ import annotations

import ssl
from typing import Final

from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.egress import EndpointRefusedError
from cloud_integrations.protocol.http import HttpRequest

from .connections import AddressRefusedError

# By name, because httpx, httpcore and httpx2 each have classes of these names.
_NEVER_SENT: Final = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
_CLOSED: Final = {"RemoteProtocolError", "ReadError", "WriteError"}
"""Errors after which no answer can come, because the connection is closed."""


def in_our_words(error: Exception, request: HttpRequest, /) -> ProviderUnavailableError:
    """Return our error in place of *error*, which ended the exchange of *request*."""
    if isinstance(error, EndpointRefusedError | AddressRefusedError):
        return ProviderUnreachableError(provider_id=request.provider_id, reason="endpoint_not_allowed")
    if _refuses_certificate(error):
        return ProviderUnreachableError(provider_id=request.provider_id, reason="certificate_refused")
    if _NEVER_SENT & {kind.__name__ for kind in type(error).__mro__}:
        return ProviderUnreachableError(provider_id=request.provider_id)
    closed = bool(_CLOSED & {kind.__name__ for kind in type(error).__mro__})
    return AnswerLostError(provider_id=request.provider_id, connection_closed=closed)


def _refuses_certificate(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
