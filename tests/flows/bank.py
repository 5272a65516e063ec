"""A provider that mints tokens from a key, for the flows' tests."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from urllib.parse import parse_qs

from cloud_integrations.domain.provider import ErrorRule, Input, Method, Present, Provider, Step, StepReply, Verification
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.runtime.sync import run_inline

from .transports import StandIn

KEY = "fake-mint-key"
TOKEN = StepReply(gives={"access_token": "token"})
LIFE = timedelta(hours=1)


class Bank(StandIn):
    """A provider whose token endpoint turns a key into tokens, as often as it is asked."""

    def __init__(self, world):
        self.world = world
        self.keys = {KEY, "fake-other-key"}
        self.minted: list[str] = []
        self.asked: list[dict[str, list[str]]] = []
        self.answer = None
        """What the token endpoint does instead: a response, or an error to raise."""
        self.before = None
        """Called before each answer of the token endpoint."""
        world.transport = self
        world.door = self.open()

    def open(self, **changes):
        return self.world.open(providers=[self.provider(**changes)], applications=[])

    def provider(self, **changes):
        url = self.world.provider.base_url
        step = Step(url=f"{url}/mint", fields={"key": "{key}", "team": "{team}"}, reply=TOKEN)
        return Provider(
            id="bank",
            name="Bank",
            methods=(
                Method(
                    id="key",
                    kind="key",
                    application=changes.pop("application", "platform"),
                    inputs=(Input(name="key"), Input(name="team", secret=False)),
                    mint=(step,),
                    rotation=changes.pop("rotation", None),
                    present=Present(headers={"Authorization": "Bearer {access_token}", "X-Team": "{team}"}),
                ),
            ),
            verifications=changes.pop("verifications", (Verification(url=f"{url}/me", identity=("json:id",), status_rules={401: "dead"}),)),
            error_rules=(ErrorRule.model_validate({"at": "mint", "path": "error", "equals": "key_revoked", "class": "dead"}),),
            loopback=True,
        )

    def _respond(self, request):
        if request.url.endswith("/me"):
            token = request.headers["Authorization"].removeprefix("Bearer ")
            alive = token in self.minted
            return HttpResponse(status=200 if alive else 401, body=json.dumps({"id": "acct-1"}).encode())
        if request.url.endswith("/keys"):
            return self._make_key(request)
        asked = parse_qs(request.body.decode())
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        if asked["key"][0] not in self.keys:
            return self.refusal("key_revoked")
        self.minted.append(f"fake-token-{len(self.minted)}")
        return HttpResponse(status=200, body=json.dumps({"token": self.minted[-1], "expires_in": LIFE.total_seconds()}).encode())

    def _make_key(self, request):
        """Roll the only key, to whom shows a token."""
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.minted:
            return self.refusal("denied", 403)
        self.keys = {"fake-rolled-key"}
        if isinstance(self.answer, Exception):
            raise self.answer
        return HttpResponse(status=200, body=json.dumps({"key": "fake-rolled-key"}).encode())

    @staticmethod
    def refusal(error, status=400):
        return HttpResponse(status=status, body=json.dumps({"error": error}).encode())

    @property
    def send(self):
        async def answer(request):
            if request.url.endswith("/mint"):
                self.asked.append(parse_qs(request.body.decode()))
                if self.before is not None and (work := self.before()) is not None:
                    await work
            return self._respond(request)

        if self.world.blocking:
            return lambda request, /, *, deadline: run_inline(answer(request))

        async def send(request, /, *, deadline):
            await asyncio.sleep(0)
            return await answer(request)

        return send
