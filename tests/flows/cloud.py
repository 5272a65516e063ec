"""AWS's token service, for the flows' tests: it signs roles in by their trust policies."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs

from cloud_integrations import Catalogue, PlatformCredential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse

from .transports import StandIn

ARN = "arn:aws:iam::123456789012:role/ours"
OTHER_ARN = "arn:aws:iam::123456789012:role/second"
PRINCIPAL = "arn:aws:iam::999999999999:role/product"
PLATFORM = PlatformCredential(
    parts={"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("fake-platform-secret")}, principal=PRINCIPAL
)
LIFE = timedelta(hours=1)


class Cloud(StandIn):
    """Answers `AssumeRole` and `GetCallerIdentity`; `roles` has the external id that each role asks for, None: any."""

    def __init__(self, world, **changes):
        self.world = world
        self.roles: dict[str, str | None] = {}
        self.asked: list[dict[str, str]] = []
        self.minted: list[str] = []
        self.before = None
        """Called with the number of the request; may return a response or raise."""
        self.platform = {"aws": PLATFORM}
        world.transport = self
        world.door = self.open(**changes)
        world.secrets.append("fake-platform-secret")

    def open(self, **changes):
        return self.world.open(providers=[Catalogue.builtin().require("aws")], applications=[], platform=self.platform, **changes)

    def respond(self, request):
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
        if asked["Action"] == "GetCallerIdentity":
            return answer("GetCallerIdentity", "<Account>123456789012</Account><UserId>AROA:s</UserId><Arn>arn:aws:sts::1:assumed</Arn>")
        assert "Credential=AKIAFAKEFAKEFAKEFAKE/" in request.headers["Authorization"]
        self.asked.append(asked)
        if self.before is not None and (instead := self.before(len(self.asked))) is not None:
            return instead
        if asked["RoleArn"] not in self.roles or self.roles[asked["RoleArn"]] not in {None, asked.get("ExternalId")}:
            return refusal("AccessDenied")
        self.minted.append(f"fake-minted-{len(self.minted)}")
        self.world.secrets.append(self.minted[-1])
        ends = (self.world.clock.now() + LIFE).isoformat().replace("+00:00", "Z")
        return answer(
            "AssumeRole",
            f"<Credentials><AccessKeyId>ASIAFAKEFAKEFAKEFAKE</AccessKeyId><SecretAccessKey>{self.minted[-1]}</SecretAccessKey>"
            f"<SessionToken>fake-session</SessionToken><Expiration>{ends}</Expiration></Credentials>",
        )


def answer(action, inner):
    body = f"<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"
    return HttpResponse(status=200, headers={"content-type": "text/xml"}, body=body.encode())


def refusal(code, status=403):
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return HttpResponse(status=status, headers={"content-type": "text/xml"}, body=body.encode())
