"""A GitHub App over HTTP: the callback's installation is confirmed, or the person reads why it was not."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_integrations import Catalogue, OAuthApplication, PlatformCredential, Secret
from cloud_integrations.oauth import HttpResponse

GITHUB = Catalogue.builtin().require("github")
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
PEM = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ANSWERS = {
    "/login/oauth/access_token": (200, {"access_token": "ghu_fake", "token_type": "bearer"}),
    "/user/installations": (200, {"installations": [{"id": 41, "account": {"id": 410, "login": "octo-org"}}]}),
    "/app/installations/41/access_tokens": (201, {"token": "ghs_fake", "expires_at": "2999-01-01T00:00:00Z"}),
    "/applications/Iv1.fake/token": (204, None),
}


class GitHub:
    def send(self, request, *, deadline):
        path = urlsplit(request.url)
        status, body = ANSWERS[path.path]
        if path.path.startswith("/user") and parse_qs(path.query)["page"] != ["1"]:
            body = {"installations": []}
        return HttpResponse(
            status=status, headers={"content-type": "application/json"}, body=b"" if body is None else json.dumps(body).encode()
        )

    def close(self):
        return None


class AsyncGitHub(GitHub):
    async def send(self, request, *, deadline):
        return super().send(request, deadline=deadline)

    async def close(self):
        return None


@pytest.fixture
def api(make_api, door):
    return make_api(
        more=lambda _: GITHUB,
        platform={"github": PlatformCredential(parts={"private_key": Secret(PEM)})},
        transport=AsyncGitHub() if door == "awaiting" else GitHub(),
        applications=[
            OAuthApplication(
                provider="github",
                client_id="Iv1.fake",
                client_secret="fake-client-secret",
                method_id="app_installation",
                variables={"app_slug": "acme-deployer"},
            )
        ],
    )


async def back(api, client, **query):
    """Begin, and come back from GitHub with *query*."""
    begun = await api.begin(client, providerId=str(GITHUB.provider_id), method="app_installation")
    assert begun["authorizationUrl"].startswith("https://github.com/apps/acme-deployer/installations/new?state=")
    (known,) = [one for one in await api.call("list_providers") if one.slug == "github"]
    (method,) = [one for one in known.methods if one.id == "app_installation"]
    assert method.inputs == (), "nobody enters the id of an installation"
    return urlsplit(known.redirect_uri).path, {"code": "fake-code", "state": begun["state"]} | query


@pytest.mark.requirement("Q16", "Q18")
async def test_an_installation_is_connected_by_its_callback(api, alice):
    path, query = await back(api, alice, installation_id="41", setup_action="install")
    done = await alice.get(path.removeprefix("/api/v1"), params=query)
    assert done.status_code == 200, done.text
    assert done.json()["data"]["authType"] == "oauth2"
    shown = (await alice.get(f"/tenants/acme/integrations/{done.json()['data']['id']}")).json()["data"]
    assert shown["account"] == {"id": "410", "label": "octo-org (installation 41)"}
    assert "ghs_fake" not in done.text + json.dumps(shown)
    again = await alice.get(path.removeprefix("/api/v1"), params=query)
    assert (again.status_code, again.json()["error"]["details"]["reason"]) == (400, "state_not_valid")


@pytest.mark.parametrize(
    ("query", "reason", "title"),
    [
        ({"setup_action": "request"}, "installation_requested", "Waiting for an owner"),
        ({"installation_id": "42"}, "installation_not_yours", "Not confirmed"),
        ({}, "installation_missing", "Not confirmed"),
    ],
)
async def test_a_person_reads_why_nothing_was_connected(api, alice, query, reason, title):
    path, given = await back(api, alice, **query)
    refused = await alice.get(path.removeprefix("/api/v1"), params=given)
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (400, reason)
    path, given = await back(api, alice, **query)
    answer = await alice.get(path.removeprefix("/api/v1"), params=given, headers=BROWSER)
    page = await alice.get(str(answer.url.join(answer.headers["location"])), headers=BROWSER)
    assert re.search(r"<h1>(.*?)</h1>", page.text)[1] == title
