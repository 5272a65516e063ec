"""Send a request, with the proof of a key if its tokens are bound to one, and put a missing answer into the words of the outcomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from cloud_integrations.domain.credential_auth import server_of
from cloud_integrations.domain.dpop import find_nonce
from cloud_integrations.domain.outcome import NotProcessed, Unknown
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.dpop import KEY_BYTES, demanded_nonce, make_dpop_proof, make_key
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, merge_headers

from .wiring import Wiring

_REMEMBERED: Final = timedelta(hours=1)
"""How long a server's nonce is used; where it has ended, the server gives the next one."""


async def send(
    wiring: Wiring, request: HttpRequest, /, *, deadline: timedelta, dpop_key: Secret | None = None
) -> HttpResponse | NotProcessed | Unknown:
    """Return the answer to *request*, or what it means that none came that can be read; *dpop_key* is as in `send_proved`."""
    try:
        return await send_proved(wiring, request, deadline=deadline, dpop_key=dpop_key)
    except ProviderUnreachableError:
        return NotProcessed("unreachable")
    except AnswerLostError as lost:
        return Unknown("answer_lost", over=lost.connection_closed)
    except ProviderUnavailableError:
        return Unknown("unusable_body")


def key_to_bind(wiring: Wiring, client: Client, held: Secret | None, /) -> Secret | None:
    """Return the private key to which the tokens of a connection are bound (RFC 9449): *held*, or a new one; None: they are not bound."""
    if held is not None or not client.method.uses_dpop:
        return held
    return make_key(wiring.entropy.bytes(KEY_BYTES))


async def send_proved(wiring: Wiring, request: HttpRequest, /, *, deadline: timedelta, dpop_key: Secret | None) -> HttpResponse:
    """Return the answer to *request*, which carries a proof of *dpop_key* (RFC 9449 §5); None: it carries none.

    If the server asks for its nonce, which says that nothing was processed, the request is sent once more with it, within *deadline*.
    Raises as `Transport.send`.
    """
    if dpop_key is None:
        return await wiring.transport.send(request, deadline=deadline)
    end = wiring.clock.monotonic() + deadline.total_seconds()
    server = server_of(request.url)
    nonce: str | None = wiring.dpop_nonces.find(server)
    response = await wiring.transport.send(_proved(wiring, request, dpop_key, nonce), deadline=deadline)
    _remember(wiring, server, response)
    nonce = demanded_nonce(response)
    left = timedelta(seconds=end - wiring.clock.monotonic())
    if nonce is None or left <= timedelta():
        return response
    response = await wiring.transport.send(_proved(wiring, request, dpop_key, nonce), deadline=left)
    _remember(wiring, server, response)
    return response


def _proved(wiring: Wiring, request: HttpRequest, key: Secret, nonce: str | None) -> HttpRequest:
    made = make_dpop_proof(
        key, http_method=request.method, url=request.url, now=wiring.clock.now(), jti=wiring.entropy.bytes(16).hex(), nonce=nonce
    )
    return replace(request, headers=merge_headers(request.headers, {"DPoP": made.reveal()}))


def _remember(wiring: Wiring, server: str, response: HttpResponse) -> None:
    # RFC 9449 §8.2: the newest nonce of a server counts, whichever answer it came with.
    nonce = find_nonce(response.headers)
    if nonce is not None:
        wiring.dpop_nonces.put(server, nonce, seconds=_REMEMBERED.total_seconds())
