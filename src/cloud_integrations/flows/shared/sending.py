"""Send a request that may be repeated or be lost, and put a missing answer into the words of the outcomes."""

from __future__ import annotations

from datetime import timedelta

from cloud_integrations.domain.outcome import NotProcessed, Unknown
from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

from .wiring import Wiring


async def send(wiring: Wiring, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse | NotProcessed | Unknown:
    """Return the answer to *request*, or what it means that none came that can be read."""
    try:
        return await wiring.transport.send(request, deadline=deadline)
    except ProviderUnreachableError:
        return NotProcessed("unreachable")
    except AnswerLostError as lost:
        return Unknown("answer_lost", over=lost.connection_closed)
    except ProviderUnavailableError:
        return Unknown("unusable_body")
