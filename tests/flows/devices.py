"""A device authorization endpoint before the simulated provider, and the person who enters the code."""

from __future__ import annotations

from urllib.parse import parse_qs

from cloud_integrations.protocol.device import GRANT_TYPE

from .answers import said
from .conftest import ACME, ALICE
from .transports import Before

USER_CODE = "WDJB-MJHT"
PENDING = said({"error": "authorization_pending"})
SLOW_DOWN = said({"error": "slow_down"})
DENIED = said({"error": "access_denied"})
EXPIRED = said({"error": "expired_token"})


class Devices(Before):
    """Answers device authorization requests, and polls as *says* says; whatever else comes goes on to the provider."""

    def __init__(self, world, /):
        super().__init__(world)
        self.begins = None
        """The answer to a device authorization request; None: a good one."""
        self.says = []
        """The answers to the next polls; an empty list means that the person has not decided."""
        self.polled = []
        """When each poll came."""
        self.during = None
        """Called while a poll is answered."""
        self.codes = 0

    def consent(self):
        """Be the person who enters the code; the next poll brings tokens that work."""
        grant = self._world.provider.issue_grant()
        self._world.secrets += [grant.access.reveal(), grant.refresh.reveal()]
        self.says.append(said({
            "access_token": grant.access.reveal(), "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": grant.refresh.reveal(), "scope": "read write",
        }, 200))  # fmt: skip
        return grant

    def find(self, request):
        form = parse_qs(request.body.decode())
        if request.url.endswith("/device"):
            self.codes += 1
            code = f"fake-device-code-{self.codes:032}"
            self._world.secrets.append(code)
            good = {
                "device_code": code, "user_code": USER_CODE, "verification_uri": "https://simulated.example/activate",
                "verification_uri_complete": f"https://simulated.example/activate?user_code={USER_CODE}", "expires_in": 900,
            }  # fmt: skip
            return self.begins or said(good, 200)
        if form.get("grant_type") != [GRANT_TYPE]:
            return None
        self.polled.append(self._world.clock.now())
        answer = self.says.pop(0) if self.says else PENDING
        if self.during is not None:
            self.during()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def open_with_devices(world, /):
    """Return the devices of a world whose door now knows a device authorization endpoint."""
    devices = Devices(world)
    world.transport = devices
    method = world.entries[0].methods[0]
    facts = {**method.model_dump(), "device": {"url": f"{world.provider.base_url}/device"}}
    world.entries[0] = world.entries[0].model_copy(update={"methods": (type(method).model_validate(facts),)})
    world.door = world.open()
    return devices


async def begin(world, /, tenant=ACME, **named):
    arguments = {"name": "Files of Acme", "actor": ALICE, **named}
    return await world.door.begin_device(tenant, "simulated", **arguments)


async def poll(world, begun, /, tenant=ACME, *, actor=ALICE, door=None):
    return await (door or world.door).poll_device(tenant, begun.authorization_id, actor=actor)
