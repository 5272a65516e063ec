"""A GitHub App at a server on the loopback: PyGithub sends what we send, and reads the answers as we do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import urlsplit

import github
import pytest
from tests.protocol.keys import pem
from tests.protocol.minting import NOW, claims

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.installation import find_installed, read_page
from cloud_integrations.protocol.minting import Minted, build_step, read_step
from cloud_integrations.providers import Catalogue

CLIENT = "Iv1.fake0123456789"
PROVIDER = Catalogue.builtin().require("github")
METHOD = PROVIDER.method_named("app_installation")
TOKEN = {"token": "ghs_fake", "expires_at": "2026-11-28T13:00:00Z", "permissions": {"contents": "read"}, "repository_selection": "all"}
LIST = {
    "total_count": 2,
    "installations": [
        {"id": number, "account": {"id": number * 10, "login": login, "type": "Organization"}, "permissions": {"contents": "read"}}
        for number, login in ((41, "octo-org"), (42, "octocat"))
    ],
}


class _Handler(BaseHTTPRequestHandler):
    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        status, body = (201, TOKEN) if self.command == "POST" else (200, LIST)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def log_message(self, *_):
        return


@pytest.fixture
def hub() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.seen = []
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def base_url(hub):
    return f"http://127.0.0.1:{hub.server_port}"


def response(status, body):
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode(), sent_at=NOW)


@pytest.mark.requirement("Q24", "Q44")
def test_a_token_of_an_installation_is_made_as_pygithub_makes_it(hub):
    app = github.Auth.AppAuth(CLIENT, pem())
    with github.GithubIntegration(auth=app, base_url=base_url(hub)) as integration:
        theirs = integration.get_access_token(41)
    ((http_method, path, headers),) = hub.seen
    (step,) = METHOD.mint
    values = {**PROVIDER.fill_variables({}), "installation_id": Secret("41"), "client_id": CLIENT, "application": Secret(pem())}
    request = build_step(step, values=values, proofs=METHOD.proofs, provider_id="github", now=NOW, jti="jti-1")
    assert (request.method, urlsplit(request.url).path) == (http_method, path)
    scheme, ours = request.headers["Authorization"].split()
    their_scheme, their_proof = headers["Authorization"].split()
    assert scheme == their_scheme
    mine, their_claims = claims(ours), claims(their_proof)
    assert mine["iss"] == their_claims["iss"] == CLIENT
    for made_at, said in ((NOW, mine), (datetime.now(UTC), their_claims)):
        assert said["iat"] <= made_at.timestamp() - 59, "the clocks may differ by a minute"
        assert 0 < said["exp"] - made_at.timestamp() <= 600, "GitHub takes ten minutes"
    minted = read_step(
        step, response(201, TOKEN), provider=PROVIDER, method_id=METHOD.id, access_token=METHOD.access_token, owned=False, now=NOW
    )  # fmt: skip
    assert isinstance(minted, Minted)
    assert (minted.values["access_token"].reveal(), minted.expires_at) == (theirs.token, theirs.expires_at)


@pytest.mark.requirement("Q18")
def test_the_persons_list_is_read_as_pygithub_reads_it(hub):
    with github.Github(auth=github.Auth.Token("ghu_fake"), base_url=base_url(hub), per_page=100) as api:
        theirs = next(each for each in api.get_user().get_installations() if each.id == 42)
    *_, (http_method, path, _) = hub.seen
    listing = METHOD.installation.listing
    assert (http_method, urlsplit(path).path) == ("GET", urlsplit(listing.url).path)
    found = find_installed(listing, read_page(listing, response(200, LIST)), "42")
    assert (found.id, found.account.account_id) == (str(theirs.id), "420")
    assert found.permissions == tuple(f"{name}:{level}" for name, level in theirs.permissions.items())
