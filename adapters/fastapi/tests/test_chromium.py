"""A real browser goes through the flow, on a telephone's screen: what stands in its address, and what a finger can reach."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.responses import HTMLResponse
from tests.protocol.keys import pem

from cloud_integrations import Actor, Catalogue, Issuer, LocalSigningKeys, PlatformCredential, Secret, Settings
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations_fastapi import Permission, create_router
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, token_hash

from .browsing import BROWSER, REACHED, Chromium, fits, listen, serving
from .test_inputs import CERTIFICATE, document, robots

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here; on Debian: apt-get install chromium"),
    pytest.mark.skipif(os.name != "posix", reason="Chromium is spoken to over inherited pipes"),
]
BEGIN = """fetch("/api/v1/tenants/acme/authorizations", {method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify(%s)}).then(answer => answer.text())"""


FILL = """{ const offer = document.querySelector(`details[data-name=${JSON.stringify(%s)}]`), values = %s;
  offer.open = true;
  const form = offer.querySelector("form:not([hidden])");
  for (const [name, value] of Object.entries(values))
    form.querySelector(`[name=${name}],[data-input=${name}],[data-variable=${name}]`).value = value }"""
CHOOSE = """{ const how = document.querySelector("details[data-name=robots] [data-how]");
  how.value = "%s"; how.dispatchEvent(new Event("change", {bubbles: true})) }"""


@pytest.fixture
def chromium(tmp_path):
    browser = Chromium(tmp_path)
    yield browser
    browser.close()


@pytest.fixture
def site(make_sync_api):
    """A host on this computer under the name localhost, and what it is made of."""
    listening, url = listen()
    api = make_sync_api(loopback=True, settings=Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True))

    async def authorize(request, permission, tenant_id):
        return Actor(id="ada")

    app = api.app
    app.router.routes.clear()
    app.include_router(create_router(api.manager, authorize=authorize, loopback=True))
    app.add_api_route("/", lambda: HTMLResponse("<title>The host</title>"))
    with serving(app, listening):
        yield api, url


@pytest.fixture
def serve_reference(make_sync_api):
    """Run the reference server on this computer; return what it is made of, and where it is."""
    with ExitStack() as stack:

        def serve(*, slots=False, policies=None, **made):
            listening, url = listen()
            settings = Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True, slots=slots, policies=policies or {})
            api = make_sync_api(settings=settings, **made)
            access = Access(actor=Actor(id="ada"), tenants=frozenset({"acme"}), permissions=frozenset(Permission))
            app = build_app(api.manager, tokens=Tokens({token_hash("fake-token"): access}), sessions=Sessions(seconds=3600), base_url=url)
            stack.enter_context(serving(app, listening))
            return api, url

        yield serve


def _begin(chromium, api, url):
    """Begin as the host's own page does; return the callback that the provider sends the browser to."""
    chromium.go(f"{url}/", ends="/")
    begun = json.loads(chromium.ask(BEGIN % json.dumps({"providerId": str(api.oauth.provider_id), "name": "W" * 50})))
    return begun["data"]["authorizationUrl"]


def _shown(chromium, title, secrets):
    """The page is as it should be, and so it is when it is reloaded."""
    for _ in range(2):
        href = chromium.ask("location.href")
        assert not [secret for secret in secrets if secret in href]
        assert chromium.ask('document.querySelector("h1").textContent') == title
        assert chromium.ask("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        reached = json.loads(chromium.ask(REACHED))
        assert reached
        assert all(inside and height >= 44 for inside, height in reached), reached
        chromium.go(href, ends="/api/v1/oauth/result")


@pytest.mark.requirement("OAU-012", "OAU-018")
def test_a_browser_is_connected_declines_and_comes_twice(chromium, site):
    api, url = site
    for approve, title, again in ((False, "You declined", "This link has expired"), (True, "Connected", "Already connected")):
        callback = api.provider.sign_in(_begin(chromium, api, url), approve=approve)
        secrets = [value for name, value in parse_qsl(urlsplit(callback).query) if name in {"code", "state"}]
        chromium.go(callback, ends="/api/v1/oauth/result")
        _shown(chromium, title, secrets)
        chromium.go(callback, ends="/api/v1/oauth/result")
        _shown(chromium, again, secrets)
    assert api.provider.count("exchange") == 1
    assert chromium.ask('document.querySelector("nav a").pathname') == "/"


def test_under_another_name_of_this_computer_nothing_is_begun(chromium, site):
    api, url = site
    chromium.go(url.replace("localhost", "127.0.0.1") + "/", ends="/")
    refused = json.loads(chromium.ask(BEGIN % json.dumps({"providerId": str(api.oauth.provider_id), "name": "Production"})))
    assert f"open this site as {url}" in refused["error"]["message"]


def _sign_in(chromium, url):
    chromium.go(f"{url}/", ends="/")
    for token, heading in (("fake-other", "Sign in"), ("fake-token", "Choose a tenant")):
        chromium.ask(f'document.querySelector("[name=token]").value = "{token}"; document.querySelector("main button").click()')
        chromium.until(f'location.pathname === "{"/session" if heading == "Sign in" else "/"}" && document.readyState === "complete"')
        assert chromium.ask('document.querySelector("h1").textContent') == heading
    chromium.go(f"{url}/?tenant=acme", ends="/")


def _fill(chromium, offer, **values):
    """Open the offer with this name, and fill its form that is shown: by the names of controls, inputs and variables."""
    chromium.ask(FILL % (json.dumps(offer), json.dumps(values)))


def _connect(chromium):
    chromium.ask('document.querySelector("details[open] form:not([hidden]) button").click()')


@pytest.mark.parametrize("door", ["awaiting"], indirect=True)
def test_at_the_reference_server_a_person_signs_in_connects_and_deletes(chromium, serve_reference):
    api, url = serve_reference()
    _sign_in(chromium, url)
    _fill(chromium, "simulated (keys)", key=api.provider.invalid_api_key.reveal())
    _connect(chromium)
    chromium.until('document.querySelector("[role=alert]").textContent.endsWith(".")')
    assert "td" not in chromium.ask('document.querySelector("section").innerHTML')
    _fill(chromium, "simulated (keys)", key=api.provider.valid_api_key.reveal())
    fits(chromium)
    _connect(chromium)
    chromium.until('document.querySelector("td[data-label=Name]") !== null')
    fits(chromium)
    assert chromium.ask('document.querySelector("details[data-name=\\"simulated (keys)\\"]") === null')
    chromium.ask('window.confirm = () => true; document.querySelector("[data-call=DELETE] button").click()')
    chromium.until('document.body.innerText.includes("Nothing is connected yet.")')
    _fill(chromium, "simulated")
    _connect(chromium)
    chromium.until(f'!location.href.startsWith("{url}/")')  # it went to the provider, who does not listen here


@pytest.mark.parametrize("door", ["awaiting"], indirect=True)
def test_at_the_reference_server_a_file_a_choice_and_a_variable_connect_two_accounts(chromium, serve_reference, tmp_path):
    api, url = serve_reference(slots=True, more=robots)
    _sign_in(chromium, url)
    key, password = api.provider.valid_api_key.reveal(), "fake-password-7f3a"
    files = {"key.json": document(api.provider.valid_api_key), "cert.pem": CERTIFICATE, "long.json": "x" * 16_385}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    chromium.ask(CHOOSE % "file")
    _fill(chromium, "robots", name="Robot one", team="blue", zone="us", password=password)
    assert [chromium.ask(f'document.querySelector("form:not([hidden]) [data-input={name}]").type') for name in ("password", "team")] == [
        "password",
        "text",
    ]
    fits(chromium)
    chromium.choose("[data-file]", tmp_path / "long.json")
    chromium.until('document.querySelector("[role=alert]").textContent === "This file is too long: at most 16 KiB."')
    _connect(chromium)
    assert chromium.ask('document.querySelector("form:not([hidden]) textarea").matches(":invalid")'), "nothing is sent without the file"
    # What the server refuses is told by the label of the field.
    _fill(chromium, "robots", file='{"type": "human"}')
    _connect(chromium)
    chromium.until('document.querySelector("[role=alert]").textContent.startsWith("Key file ")')
    assert chromium.ask("document.activeElement.dataset.input") == "file"
    chromium.choose("[data-file]", tmp_path / "key.json")
    chromium.until('document.querySelector("form:not([hidden]) textarea").value.includes("robby")')
    assert chromium.ask('document.querySelector("[role=alert]").textContent') == ""
    _connect(chromium)
    chromium.until('document.querySelector("td[data-label=Name]") !== null')
    # The default slot is taken, so the next one needs a slot; the other half of the choice is a file.
    chromium.ask(CHOOSE % "file")
    _fill(chromium, "robots", name="Robot two", team="red", zone="eu", file=document(api.provider.valid_api_key))
    chromium.ask('document.querySelector("[data-pick][value=cert]").click()')
    chromium.choose("[data-picked=cert] [data-file]", tmp_path / "cert.pem")
    chromium.until('document.querySelector("[data-picked=cert] textarea").value !== ""')
    _connect(chromium)
    assert chromium.ask('document.querySelector("form:not([hidden]) [name=slot]").matches(":invalid")')
    _fill(chromium, "robots", slot="second")
    fits(chromium)
    _connect(chromium)
    chromium.until('document.querySelectorAll("td[data-label=Name]").length === 2')
    shown = json.loads(chromium.ask('JSON.stringify([...document.querySelectorAll("td[data-label=Slot]")].map(each => each.textContent))'))
    assert sorted(shown) == ["second", "–"]
    page = chromium.ask("location.href + document.documentElement.outerHTML")
    assert not [secret for secret in (key, password, "robby") if secret in page]
    held = {each.slot: each for each in asyncio.run(api.call("list_integrations", "acme"))}
    assert {slot: (each.name, each.method_id, each.variables) for slot, each in held.items()} == {
        "": ("Robot one", "file", {"zone": "us"}),
        "second": ("Robot two", "file", {"zone": "eu"}),
    }
    values = {slot: asyncio.run(api.call("credential", "acme", each.id)).values() for slot, each in held.items()}
    assert values[""]["token"].reveal() == values["second"]["token"].reveal() == key
    assert values[""]["password"].reveal() == password
    assert values["second"]["cert"].reveal() == CERTIFICATE.strip()
    assert "cert" not in values[""]
    assert "password" not in values["second"]


@pytest.mark.parametrize("door", ["awaiting"], indirect=True)
def test_at_the_reference_server_one_browser_signs_in_for_two_slots_at_once(chromium, serve_reference):
    api, url = serve_reference(slots=True)
    _sign_in(chromium, url)
    begun = []
    for slot in ("one", "two"):
        body = {"providerId": str(api.oauth.provider_id), "name": f"Slot {slot}", "slot": slot}
        begun.append(json.loads(chromium.ask(BEGIN % json.dumps(body)))["data"]["authorizationUrl"])
    for number, slot in ((1, "two"), (0, "one")):
        chromium.go(api.provider.sign_in(begun[number]), ends="/api/v1/oauth/result")
        assert f"“Slot {slot}” is connected" in chromium.ask("document.body.innerText")
    chromium.go(f"{url}/?tenant=acme", ends="/")
    shown = json.loads(chromium.ask('JSON.stringify([...document.querySelectorAll("td[data-label=Slot]")].map(each => each.textContent))'))
    assert sorted(shown) == ["one", "two"]


class Sts:
    """AWS's token service: one role, whose trust policy a person writes by what the page shows."""

    def __init__(self):
        self.trust = {}

    async def send(self, request, /, *, deadline):
        asked = dict(parse_qsl(request.body.decode()))
        if asked["Action"] == "GetCallerIdentity":
            return _said("GetCallerIdentity", "<Account>123456789012</Account><Arn>arn:aws:sts::123456789012:assumed-role/ours/s</Arn>")
        if {"sts:ExternalId": asked.get("ExternalId")} != self.trust.get("Condition", {}).get("StringEquals"):
            return HttpResponse(status=403, body=b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
        parts = "<AccessKeyId>ASIAFAKE</AccessKeyId><SecretAccessKey>fake-minted</SecretAccessKey><SessionToken>fake</SessionToken>"
        return _said("AssumeRole", f"<Credentials>{parts}</Credentials>")

    async def close(self):
        pass


def _said(action, inner):
    body = f"<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"
    return HttpResponse(status=200, headers={"content-type": "text/xml"}, body=body.encode())


@pytest.mark.requirement("Q57", "Q73")
@pytest.mark.parametrize("door", ["awaiting"], indirect=True)
def test_at_the_reference_server_a_role_is_set_up_by_the_guide_and_then_connected(chromium, serve_reference):
    aws, sts = Catalogue.builtin().require("aws"), Sts()
    parts = {"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("fake-platform-secret")}
    principal = "arn:aws:iam::999999999999:role/product"
    _, url = serve_reference(
        policies={"aws": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}},
        more=lambda _: aws,
        guides=[Catalogue.builtin().guides_of(aws)],
        platform={"aws": PlatformCredential(parts=parts, principal=principal)},
        transport=sts,
        issuer=Issuer(url="https://id.acme.example", keys=LocalSigningKeys([pem()])),
    )
    _sign_in(chromium, url)
    chromium.ask('document.querySelector("details[data-name^=amazon]").open = true')
    how = 'document.querySelector("details[data-name^=amazon] [data-how]")'
    chromium.ask(f'{how}.value = "web_identity"; {how}.dispatchEvent(new Event("change", {{bubbles: true}}))')
    chromium.ask('document.querySelector("details[open] form:not([hidden]) [data-show]").click()')
    chromium.until('document.querySelector("form:not([hidden]) [data-guide]").innerText.includes("token issuer")')
    chromium.ask(f'{how}.value = "role"; {how}.dispatchEvent(new Event("change", {{bubbles: true}}))')
    _fill(chromium, "amazon web services", name="Production")
    fits(chromium)
    _connect(chromium)
    place = 'document.querySelector("form:not([hidden]) [data-guide]")'
    chromium.until(f"document.activeElement === {place}")
    shown = chromium.ask(f"{place}.innerText")
    policy = chromium.ask(
        f'[...{place}.querySelectorAll("details")].find(each => each.innerText.startsWith("trust-policy.json")).lastChild.textContent'
    )
    [sts.trust] = json.loads(policy)["Statement"]
    assert principal in shown
    assert sts.trust["Condition"]["StringEquals"]["sts:ExternalId"] in shown
    chromium.ask(f'for (const each of {place}.querySelectorAll("details")) each.open = true')
    fits(chromium)
    chromium.ask(f'for (const each of {place}.querySelectorAll("details")) each.open = false')
    arn = "arn:aws:iam::123456789012:role/ours"
    _fill(chromium, "amazon web services", role_arn=arn)
    chromium.ask('document.querySelector("form:not([hidden]) [data-later] button").click()')
    chromium.until('document.querySelector("td[data-label=Name]")?.textContent === "Production"')
    fits(chromium)
    assert "stays until it is removed there" in chromium.ask('document.querySelector("[data-call=DELETE]").dataset.ask')
    page = chromium.ask("location.href + document.documentElement.outerHTML")
    assert [secret for secret in ("fake-platform-secret", "fake-minted") if secret in page] == []
