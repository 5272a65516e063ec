"""The pages on a page of another site: as a redirect, in a window, in a frame; who is told what, and who is not."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

BUTTON = "<button>Connect an account</button>"


def _told(page):
    return page.evaluate("told")


def _until_told(page, count=1):
    page.wait_for_function("count => told.length >= count", arg=count)
    return _told(page)


def _has_no_secret(site, told):
    text = str(told)
    assert site.new.link_token.reveal() not in text
    assert not re.search(r"[A-Za-z0-9_-]{40,}", text)


def test_in_a_frame_a_key_is_connected_and_the_host_is_told_ids(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("iframe", providers=["drive_keys"]))
    frame = page.frame_locator("iframe")
    frame.get_by_label("API key").fill(site.drive.issue_api_key().reveal())
    frame.get_by_role("button", name="Check and connect").click()
    frame.get_by_role("heading", name="Contoso Metrics is connected").wait_for()
    [[kind, detail]] = _until_told(page)
    (one,) = site.acting.list_integrations("acme")
    assert (kind, detail) == (
        "connected",
        {"session": str(site.new.session.id), "provider": "drive_keys", "integration": str(one.id)},
    )
    _has_no_secret(site, detail)
    frame.get_by_role("button", name="Close").click()
    assert _until_told(page, 2)[1] == ["closed", {"session": str(site.new.session.id)}]
    assert page.locator("iframe").count() == 0


@pytest.mark.parametrize("headers", [{}, {"cross-origin-opener-policy": "same-origin"}], ids=["", "cut off by the provider"])
def test_from_a_frame_the_sign_in_is_in_a_window_and_the_frame_goes_on(site, visitor, headers):
    page = visitor(signed_in=False, headers=headers)
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.goto(site.embed("iframe", providers=["drive"]))
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Continue to Northwind Drive").click()
    with page.context.expect_page() as opened:
        frame.get_by_role("button", name="Open Northwind Drive").click()
    window = opened.value
    frame.get_by_role("heading", name="Waiting for Northwind Drive").wait_for()
    window.get_by_role("button", name="Approve").click()
    frame.get_by_role("heading", name="Northwind Drive is connected").wait_for()
    (one,) = site.acting.list_integrations("acme")
    assert _until_told(page) == [
        ["connected", {"session": str(site.new.session.id), "provider": "drive", "integration": str(one.id)}],
    ]
    if not window.is_closed():
        window.wait_for_event("close")
    assert site.drive.count("exchange") == 1
    assert {urlsplit(url).netloc for url in asked} == {"drive.example", urlsplit(site.url).netloc, urlsplit(site.host).netloc}


def test_a_window_is_told_what_its_host_wants_to_know(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("popup", BUTTON, providers=["drive"]))
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Connect an account").click()
    window = opened.value
    window.get_by_role("button", name="Continue to Northwind Drive").click()
    window.get_by_role("button", name="Deny").click()
    window.get_by_role("heading", name="You declined").wait_for()
    assert _until_told(page) == [["failed", {"session": str(site.new.session.id), "provider": "drive", "code": "declined"}]]
    window.get_by_role("link", name="Try again").click()
    window.get_by_role("button", name="Continue to Northwind Drive").click()
    window.get_by_role("button", name="Approve").click()
    window.get_by_role("heading", name="Northwind Drive is connected").wait_for()
    assert _until_told(page, 2)[1][0] == "connected"
    window.reload()
    window.get_by_role("button", name="Close").click()
    assert [kind for kind, _ in _until_told(page, 3)] == ["failed", "connected", "closed"]
    assert window.is_closed()


def test_a_window_that_is_closed_by_hand_is_noticed_and_a_second_click_opens_no_other(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("popup", BUTTON))
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Connect an account").click()
    page.get_by_role("button", name="Connect an account").click()
    opened.value.get_by_role("heading", name="Connect your accounts").wait_for()
    assert len(page.context.pages) == 2
    opened.value.close()
    assert _until_told(page) == [["closed", {}]]


def test_as_a_redirect_the_pages_lead_back(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("redirect", BUTTON, providers=["drive_keys"], return_to=f"{site.host}/"))
    page.get_by_role("button", name="Connect an account").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("API key").fill(site.drive.issue_api_key().reveal())
    page.get_by_role("button", name="Check and connect").click()
    page.get_by_role("link", name="Back to Example Cloud").last.click()
    page.wait_for_url(f"{site.host}/")
    assert len(site.acting.list_integrations("acme")) == 1


def test_another_site_is_told_nothing_and_shows_no_frame(site, visitor):
    """The session names another origin than the page that embeds it."""
    page = visitor(signed_in=False)
    page.goto(site.embed("popup", BUTTON))
    site.shown = site.shown.replace(site.link(), "")
    link = site.link(origin="https://app.example.com", providers=["drive_keys"])
    site.shown = re.sub(r'src="[^"]*start[^"]*"', f'src="{link}"', site.shown)
    page.reload()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Connect an account").click()
    window = opened.value
    # Nobody who may has asked to open it: the person does.
    window.get_by_role("button", name="Continue").click()
    window.get_by_label("API key").fill(site.drive.issue_api_key().reveal())
    window.get_by_role("button", name="Check and connect").click()
    window.get_by_role("heading", name="Contoso Metrics is connected").wait_for()
    window.wait_for_load_state()
    assert _told(page) == []
    site.shown = (
        site.shown.replace('mode="popup"', 'mode="iframe"').replace(BUTTON, "").replace(link, site.link(origin="https://app.example.com"))
    )
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.reload()


def test_messages_of_others_are_not_believed(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("iframe", providers=["drive_keys"]))
    page.frame_locator("iframe").get_by_label("API key").wait_for()
    page.evaluate("""() => {
      const message = {type: "cloud-integrations:connected", integration: "fake"};
      postMessage(message, "*");
      const other = document.body.appendChild(document.createElement("iframe"));
      other.srcdoc = "<script>parent.postMessage({type: 'cloud-integrations:connected', integration: 'fake'}, '*')</script>";
      return new Promise(resolve => { other.onload = () => setTimeout(resolve, 50) });
    }""")
    assert _told(page) == []


def test_the_element_has_at_most_3_kb(site, visitor):
    answer = visitor().context.request.get(f"{site.url}/connect/embed.js")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert len(answer.body()) <= 3 * 1024
