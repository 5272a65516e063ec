"""How people use the pages: by keyboard, without scripts, twice, late, with two tabs, and where the network goes away."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations import Catalogue

from .judge import Judge
from .screens import connect_drive, home

FOCUS = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  const name = at.labels?.length ? at.labels[0].innerText : at.innerText || at.value;
  return {name: name.replace(/\\s+/g, " ").trim(), seen: box.bottom > 0 && box.top < innerHeight && box.width > 0,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2};
}"""
MOST_STOPS = 60


def tab_to(page, name):
    """Press Tab until what has this name has the focus; everything on the way shows that it has it."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        assert at["seen"], at
        assert at["ring"], at
        if at["name"].startswith(name):
            return
    raise AssertionError(f"Tab does not reach {name}")


def heading(page, text):
    page.get_by_role("heading", level=1, name=text, exact=True).wait_for()
    page.wait_for_load_state()


def fill_key(site, page, name=None):
    if name is not None:
        page.get_by_label("Name here").fill(name)
    page.get_by_label("API key").fill(site.drive.issue_api_key().reveal())


def names(site):
    return [one.name for one in site.acting.list_integrations("acme")]


def test_by_keyboard_alone_an_account_is_connected_renamed_and_removed(site, visitor):
    page = visitor()
    judge = Judge(page, site)
    page.goto(home(site))
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS)["name"] == "Skip to the content"
    page.keyboard.press("Enter")
    tab_to(page, "Connect Contoso Metrics")
    page.keyboard.press("Enter")
    heading(page, "Connect Contoso Metrics")
    tab_to(page, "API key")
    page.keyboard.type("fake-key-of-nobody")
    tab_to(page, "Show")
    page.keyboard.press("Space")
    assert page.get_by_label("API key").get_attribute("type") == "text"
    tab_to(page, "Check and connect")
    page.keyboard.press("Enter")
    page.get_by_text("The provider refused it").wait_for()
    page.wait_for_function("document.activeElement.id === 'failure'")
    tab_to(page, "API key")
    page.keyboard.type(site.drive.issue_api_key().reveal())
    page.keyboard.press("Enter")
    heading(page, "Contoso Metrics is connected")
    tab_to(page, "Look after it")
    page.keyboard.press("Enter")
    heading(page, "Contoso Metrics")
    tab_to(page, "Name here")
    page.keyboard.press("Control+a")
    page.keyboard.type("Production")
    page.keyboard.press("Enter")
    heading(page, "Production")
    tab_to(page, "Remove …")
    page.keyboard.press("Enter")
    heading(page, "Remove Production?")
    tab_to(page, "End the key")
    page.keyboard.press("Space")
    tab_to(page, "Remove")
    page.keyboard.press("Enter")
    heading(page, "Production is removed")
    assert names(site) == []
    judge.check_quiet()


def test_by_keyboard_alone_somebody_signs_in_by_a_link(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.link(providers=["drive"]))
    tab_to(page, "Continue")
    page.keyboard.press("Enter")
    heading(page, "Connect Northwind Drive")
    tab_to(page, "Continue to Northwind Drive")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Approve").focus()
    page.keyboard.press("Enter")
    heading(page, "Northwind Drive is connected")


def test_without_scripts_everything_is_connected(site, visitor):
    page = visitor(signed_in=False, java_script_enabled=False)
    page.goto(site.link())
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("searchbox").fill("contoso")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Connect Contoso Metrics").click()
    fill_key(site, page, "Production")
    page.get_by_role("button", name="Check and connect").click()
    heading(page, "Contoso Metrics is connected")
    page.get_by_role("link", name="Back to all providers").click()
    page.get_by_role("link", name="Connect Northwind Drive").click()
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve").click()
    heading(page, "Northwind Drive is connected")
    assert sorted(names(site)) == ["Northwind Drive", "Production"]


def test_without_scripts_a_sign_in_from_a_frame_goes_on_in_its_window(site, visitor):
    page = visitor(signed_in=False, java_script_enabled=False)
    # The host's page has a script for the element; here the frame alone is looked at.
    address = site.embed("iframe", providers=["drive"])
    link = site.shown.partition('src="')[2].partition('src="')[2].partition('"')[0]
    site.shown = f'<!doctype html><title>The host</title><iframe src="{link}" width="800" height="700"></iframe>'
    page.goto(address)
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Continue").click()
    frame.get_by_role("button", name="Continue to Northwind Drive").click()
    with page.context.expect_page() as opened:
        frame.get_by_role("button", name="Open Northwind Drive").click()
    opened.value.get_by_role("button", name="Approve").click()
    heading(opened.value, "Northwind Drive is connected")
    frame.get_by_role("link", name="I have agreed: go on").click()
    frame.get_by_role("heading", name="Northwind Drive is connected").wait_for()


def test_the_list_is_narrowed_while_somebody_types(site, visitor):
    page = visitor()
    page.goto(home(site))
    page.get_by_role("searchbox").press_sequentially("numbers contoso metr")
    assert page.locator("#cards > li:visible").count() == 0
    page.get_by_role("searchbox").fill("metr cont")
    assert page.locator("#cards > li:visible").count() == 1
    assert page.get_by_role("status").inner_text() == "Providers shown: 1"


def test_a_value_of_another_form_is_told_at_once_and_can_be_sent(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/aws?method=access_key")
    key, told = page.get_by_label("Access key ID"), page.locator(".unlike:visible", has_text="This does not look like what is meant here.")
    assert told.count() == 0
    key.fill("wrong")
    key.press("Tab")
    told.wait_for()
    key.press_sequentially("er")
    assert told.count() == 1
    for right in ("AKIAFAKEFAKEFAKEFAKE", " akiafakefakefakefake ", ""):
        key.fill(right)
        assert told.count() == 0
    region = page.get_by_label("Region")
    region.fill("Frankfurt am Main")
    region.press("Tab")
    page.get_by_text("This does not have the form that is needed here.").wait_for()


def test_a_message_that_comes_while_a_button_is_pressed_does_not_move_it(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive_keys")
    page.get_by_label("API key").fill("no key at all")
    button = page.get_by_role("button", name="Check and connect")
    box = button.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()  # the field loses the focus
    page.wait_for_function("document.activeElement.id !== 'input-key'")
    assert button.bounding_box() == box
    page.mouse.up()
    page.get_by_role("alert").wait_for()
    page.get_by_label("API key").fill("no key at all")
    page.mouse.click(5, 5)
    page.get_by_text("This does not look like what is meant here.").wait_for()


def test_a_pattern_of_every_provider_is_understood_by_browsers(site, visitor):
    providers = Catalogue.builtin().list_providers()
    patterns = {one for each in providers for method in each.methods for given in method.inputs for one in given.patterns}
    patterns |= {given.pattern for each in providers for given in each.variables if given.pattern}
    assert len(patterns) > 90
    page = visitor()
    page.goto(home(site))
    assert page.evaluate("each => each.filter(one => new RegExp(`^(?:${one})$`).test('no key of any provider'))", list(patterns)) == []


def test_a_second_click_connects_nothing_twice(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive_keys")
    fill_key(site, page)
    sent = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.get_by_role("button", name="Check and connect").dblclick()
    heading(page, "Contoso Metrics is connected")
    assert (len(sent), len(names(site))) == (1, 1)


def test_back_and_reload_neither_lose_nor_repeat_anything(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive_keys")
    fill_key(site, page, "Production")
    page.get_by_role("button", name="Check and connect").click()
    heading(page, "Contoso Metrics is connected")
    page.reload()
    heading(page, "Contoso Metrics is connected")
    page.go_back()
    heading(page, "Connect Contoso Metrics")
    assert page.get_by_label("API key").input_value() == ""
    fill_key(site, page)
    page.get_by_role("button", name="Check and connect").click()
    page.get_by_text("This provider is already connected here. Nothing was changed.").wait_for()
    assert names(site) == ["Production"]


def test_back_from_a_provider_begins_again_and_the_first_sign_in_still_counts(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive")
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve").wait_for()
    first = page.url
    page.go_back()
    heading(page, "Connect Northwind Drive")
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve").wait_for()
    assert page.url != first
    page.goto(first)
    page.get_by_role("button", name="Approve").click()
    heading(page, "Northwind Drive is connected")
    assert (len(names(site)), site.drive.count("exchange")) == (1, 1)


def test_of_two_tabs_that_sign_in_the_second_is_told_that_it_is_connected(site, visitor):
    page = visitor()
    other = page.context.new_page()
    for each in (page, other):
        each.goto(f"{home(site)}/new/drive")
        each.get_by_role("button", name="Continue to Northwind Drive").click()
        each.get_by_role("button", name="Approve").wait_for()
    for each, told in ((page, "Northwind Drive is connected"), (other, "Already connected")):
        each.get_by_role("button", name="Approve").click()
        heading(each, told)
    assert (len(names(site)), site.drive.count("exchange")) == (1, 1)


def test_in_two_tabs_each_form_works(site, visitor):
    page = visitor()
    other = page.context.new_page()
    for each, provider in ((page, "drive_keys"), (other, "sheets_keys")):
        each.goto(f"{home(site)}/new/{provider}")
    page.get_by_label("API key").fill(site.drive.issue_api_key().reveal())
    other.get_by_label("API key").fill(site.sheets.issue_api_key().reveal())
    for each, name in ((page, "Contoso Metrics"), (other, "Tailspin Mail")):
        each.get_by_role("button", name="Check and connect").click()
        heading(each, f"{name} is connected")


def test_who_is_signed_out_meanwhile_connects_nothing_and_goes_on_after_a_sign_in(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive_keys")
    fill_key(site, page, "Production")
    cookies = page.context.cookies()
    page.context.clear_cookies(name="session")
    page.get_by_role("button", name="Check and connect").click()
    heading(page, "This is not possible")
    assert names(site) == []
    page.context.add_cookies(cookies)
    page.go_back()
    heading(page, "Connect Contoso Metrics")
    fill_key(site, page, "Production")
    page.get_by_role("button", name="Check and connect").click()
    heading(page, "Contoso Metrics is connected")


def test_a_visit_that_ends_at_the_provider_connects_nothing(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.link(providers=["drive"]))
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve").wait_for()
    site.clock.advance(timedelta(minutes=30))
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("heading", level=1).wait_for()
    assert names(site) == []
    assert site.drive.count("exchange") == 0


def _lose_answers(page, address):
    """Let requests to *address* reach the application, and the connection end before the browser has the answer."""
    devtools = page.context.new_cdp_session(page)
    devtools.on("Fetch.requestPaused", lambda it: devtools.send("Fetch.failRequest", _reset(it["requestId"])))
    devtools.send("Fetch.enable", {"patterns": [{"urlPattern": address, "requestStage": "Response"}]})


def _reset(request):
    return {"requestId": request, "errorReason": "ConnectionReset"}


@pytest.mark.parametrize("lost", ["the request", "the answer"])
def test_where_the_network_goes_away_nothing_is_lost_and_nothing_is_done_twice(site, visitor, lost):
    page = visitor()
    page.goto(f"{home(site)}/new/drive_keys")
    fill_key(site, page, "Production")
    if lost == "the request":
        page.context.set_offline(True)
    else:
        _lose_answers(page, "*/new/drive_keys")
    page.get_by_role("button", name="Check and connect").click()
    page.wait_for_url("chrome-error://**")
    page.context.set_offline(False)
    page.goto(home(site))
    assert names(site) == ([] if lost == "the request" else ["Production"])
    if lost == "the request":
        page.goto(f"{home(site)}/new/drive_keys")
        fill_key(site, page, "Production")
        page.get_by_role("button", name="Check and connect").click()
        heading(page, "Contoso Metrics is connected")
    else:
        page.get_by_role("link", name="Production").click()
        heading(page, "Production")
    assert names(site) == ["Production"]


def test_a_callback_that_is_lost_on_the_way_is_taken_when_the_network_is_back(site, visitor):
    page = visitor()
    page.goto(f"{home(site)}/new/drive")
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve").wait_for()
    page.context.set_offline(True)
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url("chrome-error://**")
    page.context.set_offline(False)
    page.reload()
    heading(page, "Northwind Drive is connected")
    assert site.drive.count("exchange") == 1


def test_a_frame_waits_through_an_outage_of_the_network(site, visitor):
    page = visitor(signed_in=False)
    page.goto(site.embed("iframe", providers=["drive"]))
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Continue to Northwind Drive").click()
    with page.context.expect_page() as opened:
        frame.get_by_role("button", name="Open Northwind Drive").click()
    frame.get_by_role("heading", name="Waiting for Northwind Drive").wait_for()
    page.route("**/waiting?*", lambda route: route.abort())
    with page.expect_event("requestfailed", lambda request: "/waiting" in request.url):
        opened.value.get_by_role("button", name="Approve").click()
        heading(opened.value, "Northwind Drive is connected")
    page.unroute_all()
    frame.get_by_role("heading", name="Northwind Drive is connected").wait_for()
    page.wait_for_function("told.length === 1")


def test_a_form_of_another_site_changes_nothing(site, visitor):
    page = visitor()
    drive = connect_drive(site)
    page.goto(f"{home(site)}/integrations/{drive.id}")
    site.shown = (
        f'<!doctype html><title>Another site</title><form method="post" action="{home(site)}/integrations/{drive.id}/rename">'
        '<input name="name" value="Taken over"><button>Win</button></form>'
    )
    page.goto(f"{site.host}/")
    page.get_by_role("button", name="Win").click()
    heading(page, "This is not possible")
    assert names(site) == ["Files of the team"]
