"""Every screen of the connect page in every state that it has: how a person comes to it, its heading, and its status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cloud_integrations.testing import Misbehaviour

LONG = "W" * 50
RIGHT_TO_LEFT = "חשבון הייצור של צוות הנתונים"
SCREENS = {}


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A screen: *reach* goes there, from a page that is signed in or not."""

    reach: object
    heading: str
    status: int = 200
    signed_in: bool = True
    picture: str = ""
    """Which pictures the documentation has of it: wide, small."""


def screen(heading, *, name=None, **more):
    """Register what goes to a screen, under the name of the function."""

    def register(reach):
        SCREENS[name or reach.__name__] = Screen(reach=reach, heading=heading, **more)
        return reach

    return register


def home(site):
    return f"{site.url}/connect/acme"


def _key(page, key, name=None):
    if name is not None:
        page.get_by_label("Name here").fill(name)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Check and").click()


def _sign_in(site, page, *, approve=True):
    page.get_by_role("button", name="Continue to Northwind Drive").click()
    page.get_by_role("button", name="Approve" if approve else "Deny").click()


def connect_drive(site, *, account="ada@northwind.example"):
    """Connect by signing in, as if done before."""
    site.drive.account = account
    begun = site.acting.begin_oauth("acme", "drive", name="Files of the team")
    params = site.drive.sign_in(begun.url).partition("?")[2]
    return site.acting.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration


def every_state(site):
    """Connect one provider for each state that a card can have."""
    drive = connect_drive(site)
    site.add_key("drive_keys", name=RIGHT_TO_LEFT)
    return every_state_but_keys(site, drive)


def every_state_but_keys(site, drive=None):
    """The same, but for the provider that takes keys."""
    drive = drive or connect_drive(site)
    off = site.add_key("sheets_keys", name=LONG)
    site.acting.edit_integration("acme", off.id, status="inactive")
    site.add_key("boards_keys", name="Boards")
    return drive


def ends(site, integration):
    """Let the provider end the access of an integration."""
    site.drive.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh", times=None)
    site.clock.advance(timedelta(days=2))
    site.acting.worker.refresh_due()
    assert site.acting.get_integration("acme", integration.id).health == "reconnect_required"


@screen("Connect your accounts", picture="wide")
def picker(site, page):
    page.goto(home(site))


@screen("Connect your accounts", picture="wide small")
def picker_mixed(site, page):
    ends(site, every_state(site))
    page.goto(home(site))


@screen("Connect your accounts")
def picker_searched(site, page):
    every_state(site)
    page.goto(home(site))
    page.get_by_role("searchbox").fill("north")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**?q=north")


@screen("Connect your accounts", picture="wide")
def picker_nothing_found(site, page):
    page.goto(f"{home(site)}?q=nothing+like+this")


@screen("Connect your accounts", picture="wide")
def picker_crowded(site, page):
    site.crowd(10_000)
    ends(site, every_state_but_keys(site))
    page.goto(home(site))


@screen("Contoso Metrics", picture="wide small")
def accounts(site, page):
    site.crowd(10_000)
    page.goto(home(site))
    page.get_by_role("link", name="Show all").click()
    page.wait_for_url("**/providers/drive_keys")


@screen("Contoso Metrics")
def accounts_none_found(site, page):
    site.crowd(7)
    page.goto(f"{home(site)}/providers/drive_keys?q=nobody")


@screen("Connect Northwind Drive", picture="wide small")
def before_you_go(site, page):
    page.goto(f"{home(site)}/new/drive")


@screen("Connect Contoso Metrics")
def inputs(site, page):
    page.goto(f"{home(site)}/new/drive_keys")


@screen("Connect Amazon Web Services", picture="wide")
def inputs_with_a_guide(site, page):
    page.goto(f"{home(site)}/new/aws?method=access_key")


@screen("Connect Amazon Web Services")
def setup(site, page):
    page.goto(f"{home(site)}/new/aws?method=role")


def _set_up(site, page):
    page.goto(f"{home(site)}/new/aws?method=role")
    page.get_by_role("button", name="Show what to set up").click()
    page.get_by_role("button", name="Check and connect").wait_for()


@screen("Connect Amazon Web Services", picture="wide small")
def setup_shown(site, page):
    _set_up(site, page)


@screen("Connect Contoso Metrics", status=422)
def failed_form(site, page):
    page.goto(f"{home(site)}/new/drive_keys")
    _key(page, "no key at all")


@screen("Connect Contoso Metrics", status=502)
def failed_reached(site, page):
    site.drive.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    page.goto(f"{home(site)}/new/drive_keys")
    _key(page, site.drive.issue_api_key().reveal())


@screen("Connect Contoso Metrics", status=422, picture="wide")
def failed_accepted(site, page):
    page.goto(f"{home(site)}/new/drive_keys")
    _key(page, "fake-key-of-nobody")


@screen("Connect Amazon Web Services", status=422)
def failed_trust(site, page):
    site.clouds.opens_to_all = True
    _set_up(site, page)
    page.get_by_label("ARN of the role").fill("arn:aws:iam::123456789012:role/ours")
    page.get_by_role("button", name="Check and connect").click()


@screen("Connect Contoso Metrics", status=409)
def failed_stored(site, page):
    site.add_key()
    page.goto(f"{home(site)}/new/drive_keys")
    _key(page, site.drive.issue_api_key().reveal())


@screen("Northwind Drive is connected", picture="wide")
def done(site, page):
    page.goto(f"{home(site)}/new/drive")
    site.drive.account = "ada@northwind.example"
    _sign_in(site, page)
    page.wait_for_url("**/done?*")


@screen("You declined", picture="wide")
def declined(site, page):
    page.goto(f"{home(site)}/new/drive")
    _sign_in(site, page, approve=False)
    page.wait_for_url("**/done?*")


def _ended(code, heading, *, connected=False):
    def reach(site, page):
        if connected:
            connect_drive(site)
        page.goto(f"{home(site)}/done?provider=drive&error={code}")

    screen(heading, name=code)(reach)


_ended("other_account", "Another account", connected=True)
_ended("provider_unavailable", "The provider is not available", connected=True)
_ended("expired", "This link has expired")
_ended("misconfigured", "A mistake in our configuration")
_ended("refused", "The provider refused")
_ended("requested", "Waiting for an owner")


@screen("Northwind Drive is connected")
def already_connected(site, page):
    connect_drive(site)
    page.goto(f"{home(site)}/done?provider=drive&error=already_connected")


def _look_after(site, page, integration, *rest):
    page.goto("/".join((home(site), "integrations", str(integration.id), *rest)))


@screen("Files of the team", picture="wide small")
def manage(site, page):
    _look_after(site, page, connect_drive(site))


@screen("Files of the team")
def manage_ended(site, page):
    drive = connect_drive(site)
    ends(site, drive)
    _look_after(site, page, drive)


@screen(LONG)
def manage_off(site, page):
    every_state(site)
    off = next(one for one in site.acting.list_integrations("acme") if one.name == LONG)
    _look_after(site, page, off)


@screen(RIGHT_TO_LEFT)
def manage_checked(site, page):
    _look_after(site, page, site.add_key(name=RIGHT_TO_LEFT))
    page.get_by_role("button", name="Check now").click()
    page.get_by_text("The provider accepts it.").wait_for()


@screen("Production", status=422)
def renamed_badly(site, page):
    _look_after(site, page, site.add_key())
    page.get_by_label("Name here").evaluate("each => each.removeAttribute('minlength')")
    page.get_by_label("Name here").fill("ab")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("alert").wait_for()


@screen("Production", picture="wide")
def replacing(site, page):
    one = site.add_key()
    site.acting.begin_key_rotation("acme", one.id, inputs={"key": site.drive.issue_api_key().reveal()})
    _look_after(site, page, one)
    page.get_by_text("A key is being replaced").wait_for()


@screen("Replace the key of Production", picture="wide")
def replace_key(site, page):
    _look_after(site, page, site.add_key(), "replace")


@screen("Choose for Boards", picture="wide")
def choose(site, page):
    _look_after(site, page, site.add_key("boards_keys", name="Boards"), "resource")


@screen("On to Northwind Drive")
def leaving(site, page):
    # No content: the browser stays where it is.
    page.route("https://drive.example/**", lambda route: route.fulfill(status=204))
    page.goto(f"{home(site)}/new/drive")
    with page.expect_request("https://drive.example/**"):
        page.get_by_role("button", name="Continue to Northwind Drive").click()


@screen("Reconnect Files of the team", picture="wide")
def reconnect(site, page):
    _look_after(site, page, connect_drive(site), "reconnect")


@screen("Remove Production?", picture="wide")
def remove(site, page):
    _look_after(site, page, site.add_key(), "remove")


@screen("Production is removed", picture="wide")
def removed(site, page):
    _look_after(site, page, site.add_key(), "remove")
    page.get_by_label("End the key").check()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="Production is removed").wait_for()


@screen("This is not possible", status=404)
def not_there(site, page):
    page.goto(f"{home(site)}/new/nothing")


@screen("This is not possible", status=403, signed_in=False)
def signed_out(site, page):
    page.goto(home(site))


@screen("Connect your accounts", signed_in=False, picture="wide")
def link(site, page):
    page.goto(site.link(return_to="/"))


@screen("This link does not work", status=404, signed_in=False)
def link_expired(site, page):
    address = site.link()
    site.clock.advance(timedelta(minutes=30))
    page.goto(address)


@screen("This link does not work", status=404, signed_in=False)
def link_opened_elsewhere(site, page):
    address = site.link()
    page.goto(address)
    site.acting.connect_sessions.open(site.new.link_token)
    page.get_by_role("button", name="Continue").click()


@screen("Connect your accounts", signed_in=False)
def visit(site, page):
    page.goto(site.link(return_to="/"))
    page.get_by_role("button", name="Continue").click()


@screen("This is not possible", status=404, signed_in=False)
def visit_ended(site, page):
    visit(site, page)
    page.get_by_role("link", name="Connect Northwind Drive").wait_for()
    site.clock.advance(timedelta(minutes=30))
    page.get_by_role("link", name="Connect Northwind Drive").click()


def _in_a_frame(site, page):
    """Go to the frame of another site that shows a visit; return the frame."""
    page.goto(site.embed("iframe", providers=["drive"]))
    page.frame_locator("iframe").get_by_role("heading", name="Connect Northwind Drive").wait_for()
    return page.frames[1]


@screen("On to Northwind Drive", signed_in=False)
def window(site, page):
    frame = _in_a_frame(site, page)
    frame.get_by_role("button", name="Continue to Northwind Drive").click()
    frame.get_by_role("button", name="Open Northwind Drive").wait_for()
    return frame


@screen("Waiting for Northwind Drive", signed_in=False)
def waiting(site, page):
    frame = window(site, page)
    frame.get_by_role("link", name="I have agreed: go on").click()
    frame.get_by_role("heading", name="Waiting for Northwind Drive").wait_for()
    return frame
