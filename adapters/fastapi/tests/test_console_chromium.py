"""The console in a real browser: wide and narrow, in light and dark, with nothing that the policy refuses."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Actor, Settings
from cloud_integrations_fastapi.pages import create_console

from .browsing import BROWSER, Chromium, listen, serving
from .console_world import HOSTILE, connect, connect_oauth, use

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here; on Debian: apt-get install chromium"),
    pytest.mark.skipif(os.name != "posix", reason="Chromium is spoken to over inherited pipes"),
    pytest.mark.parametrize("door", ["awaiting"], indirect=True),
]
SMALL = """JSON.stringify([...document.querySelectorAll("a,button,select,input")]
  .filter(each => each.checkVisibility() && !each.closest(".skip"))
  .map(each => [each, each.getBoundingClientRect(), each.matches("td a, p a, dd a, nav a, input[type=checkbox]") ? 20 : 44])
  .filter(([each, box, least]) => box.left < -1 || box.right > innerWidth + 1 || box.height < least)
  .map(([each, box]) => [each.outerHTML.slice(0, 120), box.height, box.right]))"""
"""What is beyond the screen, or too small: links in a text may be as high as its line."""
CONTRAST = """JSON.stringify([...document.querySelectorAll("main *, .top *")]
  .filter(each => each.checkVisibility() && [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
  .map(each => {
    const drawn = colour => {
      const made = document.createElement("canvas").getContext("2d");
      made.fillStyle = colour; made.fillRect(0, 0, 1, 1);
      return [...made.getImageData(0, 0, 1, 1).data] };
    const part = value => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * part(r / 255) + .7152 * part(g / 255) + .0722 * part(b / 255);
    let behind = each;
    while (behind && drawn(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
    const one = light(drawn(getComputedStyle(each).color)), other = light(drawn(getComputedStyle(behind || document.body).backgroundColor));
    return [each.textContent.trim().slice(0, 40), (Math.max(one, other) + .05) / (Math.min(one, other) + .05)] })
  .filter(([text, ratio]) => ratio < 4.5))"""
"""Texts whose contrast is less than 4.5 to 1 (WCAG 2.2 §1.4.3)."""
WATCH = """addEventListener("securitypolicyviolation", event => (window.refused ??= []).push(event.violatedDirective + event.blockedURI))"""


@pytest.fixture
def chromium(tmp_path):
    browser = Chromium(tmp_path)
    yield browser
    browser.close()


@pytest.fixture
def site(make_sync_api):
    """A console on this computer, and the pages to look at."""
    listening, url = listen()
    api = make_sync_api(limited=False, settings=Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True))

    async def authorize(request, permission, tenant_id):
        return Actor(id="olga")

    api.app.include_router(create_console(api.manager, authorize=authorize, loopback=True))
    one, incident = asyncio.run(_filled(api))
    paths = [
        *("", "/integrations", f"/integrations/acme/{one.id}", "/providers", f"/providers/{api.keys.id}", "/incidents"),
        *(f"/incidents/{incident.id}", f"/incidents/{incident.id}/revoke", "/incidents/new?tenant=acme", "/audit/tenants/acme"),
        *("/audit/operator", "/keys", "/keys/tenants/acme", "/providers/nothing"),
    ]
    with serving(api.app, listening):
        yield api, f"{url}/console", paths


async def _filled(api):
    one = await connect(api, name=HOSTILE)
    for tenant in ("acme", "globex"):
        await use(api, await connect_oauth(api, tenant, "W" * 50), "x" * 120)
    await api.call("incidents.freeze", reason="ا" * 200, tenant_id="acme")
    return one, await api.call("incidents.open", reason="r" * 255, used_by="x" * 120)


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1440, "dark")])
def test_each_page_fits_can_be_read_and_breaks_no_rule(width, scheme, door, chromium, site):
    _, console, paths = site
    chromium.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    chromium.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for path in paths:
        chromium.go(console + path, ends="/console" + path.partition("?")[0])
        assert chromium.ask("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
        assert json.loads(chromium.ask(SMALL)) == [], path
        assert json.loads(chromium.ask(CONTRAST)) == [], path
        assert chromium.ask("window.refused ?? []") == [], path


def test_a_selection_is_verified_and_a_revocation_goes_on_by_itself(door, chromium, site, monkeypatch):
    from cloud_integrations_fastapi.pages.console import incidents

    api, console, paths = site
    chromium.go(f"{console}/integrations", ends="/console/integrations")
    chromium.ask('document.querySelector("[data-all]").click(); document.querySelector("button[value=verify]").click()')
    chromium.until('location.pathname.endsWith("/confirm") && document.readyState === "complete"')
    assert chromium.ask('document.querySelector("h1").textContent') == "Verify 3 integrations?"
    chromium.ask('document.querySelector("[name=reason]").value = "ticket"; document.querySelector("main .stack button").click()')
    chromium.until('document.querySelector("h1")?.textContent.startsWith("Verify: ")')
    monkeypatch.setattr(incidents, "AT_ONCE", 1)
    revoke = next(path for path in paths if path.endswith("/revoke"))
    chromium.go(console + revoke, ends=f"/console{revoke}")
    chromium.ask('document.querySelector("#reason").value = "ticket"; document.querySelector("#count").value = "2"')
    chromium.ask('document.querySelector("main .stack button").click()')
    chromium.until('document.body.innerText.includes("0 left")')
    assert not [one for one in asyncio.run(api.call("list_integrations", "globex")) if one.status == "active"]
