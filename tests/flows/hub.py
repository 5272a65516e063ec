"""GitHub and Azure as the flows of installations meet them, from their documented answers."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt as signed
from joserfc.jwk import RSAKey
from tests.protocol.keys import pem, public_pem

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.platform import PlatformCredential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .conftest import ACME, ALICE
from .transports import StandIn

CLIENT = "Iv1.fake0123456789"
ACCOUNTS = {"octo-org": 410, "octocat": 420}
PERMISSIONS = {"contents": "read", "metadata": "read"}


def jwt(**claims):
    """A token with these claims; nobody checks its signature."""
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "RS256"}, claims))
    return f"{head}.{body}.fake"


def answer(body, status=200):
    return HttpResponse(
        status=status, headers={"content-type": "application/json"}, body=b"" if body is None else json.dumps(body).encode()
    )


class Cloud(StandIn):
    """Stands in the place of the transport: answers requests, and keeps them."""

    slug = ""
    method = ""

    def __init__(self, world):
        self.world = world
        self.requests: list = []
        self.people: dict[str, object] = {}
        """By code: who has signed in."""
        self.instead = {}
        """By the last part of a path: an answer, or an error to raise."""
        world.transport = self
        world.door = self.open()

    def open(self, **changes):
        entry = Catalogue.builtin().require(self.slug)
        return self.world.open(
            providers=[entry],
            applications=[OAuthApplication(**{**self.application, **changes.pop("application", {})})],
            platform=changes.pop("platform", self.platform),
            **changes,
        )

    def respond(self, request):
        self.requests.append(request)
        self.world.secrets += [value for name, value in parse_qsl(request.body.decode()) if name in {"code", "client_secret"}]
        url = urlsplit(request.url)
        said = self.instead.get(url.path.rsplit("/", 1)[-1])
        if callable(said):
            said = said()
        if isinstance(said, BaseException):
            raise said
        return said or self.answer_at(url, request)

    def asked(self, part):
        """The requests whose path has *part*."""
        return [request for request in self.requests if part in urlsplit(request.url).path]

    async def begin(self, tenant=ACME, *, name="Code of Acme", door=None, **named):
        begun = await (door or self.world.door).begin_oauth(tenant, self.slug, name=name, actor=ALICE, **named)
        self.world.secrets += [begun.state.reveal(), begun.browser_token.reveal()]
        return begun

    async def connect(self, tenant=ACME, *, door=None, **named):
        begun = await self.begin(tenant, door=door, **named)
        return await self.world.come_back(begun, self.come_back(begun), door=door)


PAGE = "https://github.com/apps/acme-deployer/installations/new"


class Hub(Cloud):
    """GitHub: accounts have installed the App, people see some of the installations."""

    slug = "github"
    method = "app_installation"
    page = 100

    def __init__(self, world):
        self.application = {
            "provider": "github", "client_id": CLIENT, "client_secret": "fake-client-secret", "method_id": self.method,
            "variables": {"app_slug": "acme-deployer"},
        }  # fmt: skip
        self.platform = {"github": PlatformCredential(parts={"private_key": Secret(pem())})}
        self.installed = {41: "octo-org", 42: "octocat"}
        self.suspended: set[int] = set()
        self.sees: dict[str, list[int]] = {"octocat": [41, 42]}
        self.live: set[str] = set()
        self.minted = 0
        super().__init__(world)
        world.secrets.append(pem())

    @property
    def codes(self):
        """How many codes were spent."""
        return len(self.asked("/login/oauth/access_token"))

    def come_back(self, begun, installation=41, *, person="octocat", action="install", **more):
        """The parameters with which GitHub sends the browser back."""
        code = f"fake-code-{len(self.people)}-{person}"
        self.people[code] = person
        given = {"code": code, "installation_id": installation, "setup_action": action, "state": begun.state.reveal(), **more}
        return tuple((name, str(value)) for name, value in given.items() if value is not None)

    def answer_at(self, url, request):
        given = request.headers.get("Authorization", "")
        match request.method, url.path:
            case "POST", "/login/oauth/access_token":
                return self._sign_in(parse_qs(request.body.decode()))
            case "GET", "/user/installations":
                return self._list(given.removeprefix("Bearer "), int(parse_qs(url.query)["page"][0]))
            case "DELETE", path if path.startswith("/applications/"):
                self.live.discard(json.loads(request.body)["access_token"])
                return answer(None, 204)
            case "GET", "/installation/repositories":
                return (
                    answer({"total_count": 0, "repositories": []})
                    if given[7:] in self.live
                    else answer({"message": "Bad credentials"}, 401)
                )
            case "DELETE", "/installation/token":
                known = given[7:] in self.live
                self.live.discard(given[7:])
                return answer(None, 204) if known else answer({"message": "Bad credentials"}, 401)
        found = re.fullmatch(r"/app/installations/(\d+)/access_tokens", url.path)
        assert found is not None, (request.method, url.path)
        return self._mint(int(found[1]), given.removeprefix("Bearer "), json.loads(request.body or b"{}"))

    def _sign_in(self, form):
        person = self.people.pop(form["code"][0], None)
        if person is None:
            return answer({"error": "bad_verification_code"})
        token = f"ghu_fake{person}{len(self.requests)}"
        self.live.add(token)
        self.world.secrets.append(token)
        return answer({"access_token": token, "token_type": "bearer", "scope": "", "expires_in": 28800})

    def _list(self, token, page):
        if token not in self.live:
            return answer({"message": "Bad credentials"}, 401)
        person = re.fullmatch(r"ghu_fake([a-z]+)\d+", token)[1]
        seen = [number for number in self.sees.get(person, []) if number in self.installed]
        shown = seen[(page - 1) * self.page : page * self.page]
        entries = [
            {"id": number, "account": {"id": ACCOUNTS[self.installed[number]], "login": self.installed[number]}, "permissions": PERMISSIONS}
            for number in shown
        ]
        return answer({"total_count": len(seen), "installations": entries})

    def _mint(self, number, proof, asked):
        claims = signed.decode(proof, RSAKey.import_key(public_pem()), algorithms=["RS256"]).claims
        now = int(self.world.clock.now().timestamp())
        assert claims["iss"] == CLIENT
        assert claims["iat"] <= now < claims["exp"] <= now + 600
        if number not in self.installed:
            return answer({"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, 404)
        if number in self.suspended:
            return answer({"message": "This installation has been suspended"}, 403)
        self.minted += 1
        token = f"ghs_fake{number}x{self.minted}"
        self.live.add(token)
        self.world.secrets.append(token)
        ends = self.world.clock.now() + timedelta(hours=1)
        said = {"token": token, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "permissions": PERMISSIONS, "repository_selection": "all"}
        if "permissions" in asked:
            said["permissions"] = {**asked["permissions"], "metadata": "read"}
        if "repositories" in asked:
            known = [{"id": 1, "name": name} for name in asked["repositories"] if name != "unknown"]
            if len(known) != len(asked["repositories"]):
                return answer({"message": "There is at least one repository that does not exist"}, 422)
            said |= {"repository_selection": "selected", "repositories": known}
        return answer(said, 201)


DIRECTORY = "99999999-2222-3333-4444-555555555555"
OTHER_DIRECTORY = "88888888-2222-3333-4444-555555555555"


class Entra(Cloud):
    """Azure: people of directories sign in, and directories have consented to the application."""

    slug = "azure"
    method = "admin_consent"

    def __init__(self, world):
        self.application = {"provider": "azure", "client_id": "fake-app", "client_secret": "fake-client-secret", "method_id": self.method}
        self.platform = None
        self.consented = {DIRECTORY, OTHER_DIRECTORY}
        self.minted_for = None
        """The directory that tokens name instead of the one that was asked."""
        super().__init__(world)

    def come_back(self, begun, directory=DIRECTORY, **more):
        code = f"fake-code-{len(self.people)}"
        self.people[code] = directory
        return tuple({"code": code, "state": begun.state.reveal(), **more}.items())

    def answer_at(self, url, request):
        if url.path == "/subscriptions":
            return answer({"value": []})
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form["grant_type"] == "authorization_code":
            return self._token(tid=self.people.pop(form["code"]), oid="person", scp="user_impersonation")
        directory = url.path.split("/")[1]
        if directory not in self.consented:
            return answer({"error": "unauthorized_client", "error_description": "not found in the directory", "error_codes": [700016]}, 400)
        return self._token(tid=self.minted_for or directory, oid="application")

    def _token(self, **claims):
        token = jwt(**claims, n=len(self.requests))
        self.world.secrets.append(token)
        return answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600})
