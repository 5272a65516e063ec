"""A real browser goes through the flow, on a telephone's screen: what stands in its address, and what a finger can reach."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
import uvicorn
from fastapi.responses import HTMLResponse

from cloud_integrations import Actor, Settings
from cloud_integrations_fastapi import Permission, create_router
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, token_hash

PATIENCE = 60
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here; on Debian: apt-get install chromium"),
    pytest.mark.skipif(os.name != "posix", reason="Chromium is spoken to over inherited pipes"),
]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe")
# Chromium reads from descriptor 3 and writes to 4; both are moved out of the way first.
BECOME = """import os, sys
ends = [os.dup(int(each)) for each in sys.argv[1:3]]
ends = [os.dup(each) if each < 5 else each for each in ends]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])"""
REACHED = """JSON.stringify([...document.querySelectorAll("a,button")].map(each => {
  const box = each.getBoundingClientRect(); return [box.left >= 0 && box.right <= innerWidth, box.height] }))"""
BEGIN = """fetch("/api/v1/tenants/acme/authorizations", {method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify(%s)}).then(answer => answer.text())"""


class Chromium:
    """One tab of 375 by 800, spoken to by the DevTools protocol over two pipes."""

    def __init__(self, profile):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            sys.executable,
            "-c",
            BECOME,
            str(theirs_in),
            str(theirs_out),
            BROWSER,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._read, self._session = 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.call("Page.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=375, height=800, deviceScaleFactor=1, mobile=True)

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass  # an event
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        while b"\0" not in self._read:
            more = os.read(self._in, 65536)
            assert more, "Chromium has ended"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def ask(self, expression):
        return self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)["result"].get("value")

    def go(self, url, *, ends):
        """Open *url* and wait until the page under the path *ends* is there."""
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.ask("document.readyState") == "complete" and urlsplit(self.ask("location.href")).path == ends:
                return
            time.sleep(0.05)
        raise AssertionError(self.ask("location.href"))

    def until(self, expression):
        """Wait until *expression* holds in the page."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.ask(expression):
                return
            time.sleep(0.05)
        raise AssertionError(self.ask("document.body.innerText"))

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture
def chromium(tmp_path):
    browser = Chromium(tmp_path)
    yield browser
    browser.close()


@pytest.fixture
def site(make_sync_api):
    """A host on this computer under the name localhost, and what it is made of."""
    listening, url = _listen()
    api = make_sync_api(loopback=True, settings=Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True))

    async def authorize(request, permission, tenant_id):
        return Actor(id="ada")

    app = api.app
    app.router.routes.clear()
    app.include_router(create_router(api.manager, authorize=authorize, loopback=True))
    app.add_api_route("/", lambda: HTMLResponse("<title>The host</title>"))
    with _serving(app, listening):
        yield api, url


@pytest.fixture
def reference(make_sync_api):
    """The reference server on this computer, and what it is made of."""
    listening, url = _listen()
    api = make_sync_api(settings=Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True))
    access = Access(actor=Actor(id="ada"), tenants=frozenset({"acme"}), permissions=frozenset(Permission))
    app = build_app(api.manager, tokens=Tokens({token_hash("fake-token"): access}), sessions=Sessions(seconds=3600), base_url=url)
    with _serving(app, listening):
        yield api, url


def _listen():
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, f"http://localhost:{listening.getsockname()[1]}"


@contextmanager
def _serving(app, listening):
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield
    server.should_exit = True
    thread.join()
    listening.close()


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


@pytest.mark.parametrize("door", ["awaiting"], indirect=True)
def test_at_the_reference_server_a_person_signs_in_connects_and_deletes(chromium, reference):
    api, url = reference
    chromium.go(f"{url}/", ends="/")
    for token, heading in (("fake-other", "Sign in"), ("fake-token", "Choose a tenant")):
        chromium.ask(f'document.querySelector("[name=token]").value = "{token}"; document.querySelector("main button").click()')
        chromium.until(f'location.pathname === "{"/session" if heading == "Sign in" else "/"}" && document.readyState === "complete"')
        assert chromium.ask('document.querySelector("h1").textContent') == heading
    chromium.go(f"{url}/?tenant=acme", ends="/")
    fill = 'document.querySelector("[data-call=key] [name=api_key]").value = "%s"; document.querySelector("[data-call=key] button").click()'
    chromium.ask(fill % api.provider.invalid_api_key.reveal())
    chromium.until('document.querySelector("[role=alert]").textContent.endsWith(".")')
    assert "td" not in chromium.ask('document.querySelector("section").innerHTML')
    chromium.ask(fill % api.provider.valid_api_key.reveal())
    chromium.until('document.querySelector("td[data-label=Name]") !== null')
    assert chromium.ask("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    reached = json.loads(chromium.ask(REACHED))
    assert all(inside and height >= 44 for inside, height in reached), reached
    chromium.ask('window.confirm = () => true; document.querySelector("[data-call=DELETE] button").click()')
    chromium.until('document.body.innerText.includes("Nothing is connected yet.")')
    chromium.ask('document.querySelector("[data-call=authorize] button").click()')
    chromium.until(f'!location.href.startsWith("{url}/")')  # it went to the provider, who does not listen here
