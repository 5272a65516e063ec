"""What a token endpoint answers to each refresh token, as a test says."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import parse_qs

from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.protocol.http import HttpResponse

from .transports import Before


def said(body, status=400, content_type="application/json"):
    """An answer of a token endpoint."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={"content-type": content_type}, body=sent)


class Answers(Before):
    """Stands before the provider: answers each refresh token as the test says, and lets everything else through."""

    def __init__(self, world):
        super().__init__(world)
        self.of = {}
        """By refresh token."""
        self.exchange = None
        self.asked = 0
        self._seen: str | None = None
        world.on_answer = self._look

    def _look(self, _, response):
        with suppress(ValueError):
            self._seen = json.loads(response.body).get("refresh_token", self._seen)

    def for_last(self, answer):
        """Let the grant that was given last be answered so; None: as the provider pleases."""
        self.of[self._seen] = answer
        return self._seen

    def find(self, request):
        form = parse_qs(request.body.decode())
        if form.get("grant_type") == ["authorization_code"]:
            return self.exchange
        answer = self.of.get(form.get("refresh_token", [""])[0])
        self.asked += answer is not None
        if isinstance(answer, Exception):
            raise answer
        return answer


async def refused(world, answers, answer, tenant="acme"):
    """Connect *tenant*, let its token end, and let every renewal of it be answered so."""
    held = await world.connect(tenant)
    token = answers.for_last(answer)
    world.clock.advance(world.provider.access_lifetime)
    return held, token


async def ask(world, tenant="acme", door=None):
    try:
        return await (door or world.door).credential(tenant, "simulated")
    except CloudIntegrationsError as error:
        return error
