"""A receiver of webhooks outside, which verifies each delivery by `standardwebhooks` alone."""

from __future__ import annotations

from unittest import mock

from standardwebhooks import webhooks
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cloud_integrations.errors import ProviderUnreachableError
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE
from .renewals import put_around

OTHER_URL = "https://other.example/hooks"
URL = "https://hooks.example/cloud?token=fake-token-in-url"


class Receiver:
    """What one address got and verified; it answers as *status* says, or not at all."""

    def __init__(self, url=URL, /):
        self.url = url
        self.secret = None
        """The secret that it knows."""
        self.status = 204
        self.headers = {}
        self.is_down = False
        self.requests = []
        self.bodies = []
        """The bodies of what was verified."""
        self.ids = []

    @property
    def types(self):
        return [body["type"] for body in self.bodies]

    def answer(self, request, now, /):
        self.requests.append(request)
        if self.is_down:
            raise ProviderUnreachableError(provider_id="webhook")
        if 200 <= self.status <= 299:
            self.bodies.append(verified(self.secret.reveal(), request, now))
            self.ids.append(request.headers["webhook-id"])
        return HttpResponse(status=self.status, headers=self.headers)


def verified(secret, request, now, /):
    """Return the body of a delivery, as a receiver that uses `standardwebhooks` has it; its clock is at *now*."""
    with mock.patch.object(webhooks, "datetime", wraps=webhooks.datetime) as clock:
        clock.now.return_value = now
        return Webhook(secret).verify(request.body, dict(request.headers))


def is_verified(secret, request, now, /):
    try:
        verified(secret, request, now)
    except WebhookVerificationError:
        return False
    return True


def listen(world, door, /, *receivers):
    """Let *receivers* answer requests of *door* to their addresses."""

    async def around(name, args, go):
        receiver = next((each for each in receivers if name == "send" and each.url == args[0].url), None)
        return await go() if receiver is None else receiver.answer(args[0], world.clock.now())

    put_around(door, around, "transport")


def open_for_webhooks(world, /, *receivers, **parts):
    """Open a door that delivers to webhooks, whose addresses *receivers* answer."""
    door = world.open(settings=world.settings(events=True, **parts.pop("settings", {})), **parts)
    listen(world, door, *receivers)
    return door


async def added(door, receiver, tenant=ACME, /, **named):
    new = await door.webhooks.add(tenant, receiver.url, actor=ALICE, **named)
    receiver.secret = new.secret
    return new.webhook
