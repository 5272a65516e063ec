"""Ways through the connect page beside the usual one: roles, variables, resources, limits, languages, a host's own look."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Catalogue, Health, PlatformCredential, Secret, Settings
from cloud_integrations.errors import GrantRefusedError, InvalidCredentialsError, TrustTooOpenError
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi.errors import INTERNAL
from cloud_integrations_fastapi.pages import Branding, create_connect_pages
from cloud_integrations_fastapi.pages.assets import FOLDER
from cloud_integrations_fastapi.pages.branding import VARIABLES
from cloud_integrations_fastapi.pages.connect import words
from cloud_integrations_fastapi.pages.connect.cards import STATES
from cloud_integrations_fastapi.pages.connect.steps import STEPS, Turn, failure_of
from cloud_integrations_fastapi.pages.translation import choose

from .page_browser import Browser, left_for
from .test_inputs import document, robots

PRINCIPAL = "arn:aws:iam::999999999999:role/product"
PARTS = {"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("fake-platform-secret")}
SITES = [{"id": "north", "name": "Acme North"}, {"id": "south"}]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def open_pages(make_api):
    """Make an application with the pages, and a browser at it."""

    def make(branding=None, **options):
        api = make_api(**options)
        api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize, branding=branding))
        return api, Browser(api.client(base_url="https://app.example.com"))

    return make


async def _connect(api, browser, path="keys", **fields):
    await browser.open(f"/connect/acme/new/{getattr(api, path).id}")
    return await browser.send(f"/new/{getattr(api, path).id}", **({"input__key": api.provider.valid_api_key.reveal()} | fields))


def test_every_health_has_a_state_with_words():
    assert set(STATES) == set(Health)
    assert set(words.STATES) == set(words.ADVICE) == {*STATES.values(), "not_connected"}


async def test_a_role_is_set_up_in_two_steps_that_keep_the_external_id(open_pages):
    api, browser = open_pages(
        more=lambda _: Catalogue.builtin().require("aws"), platform={"aws": PlatformCredential(parts=PARTS, principal=PRINCIPAL)}
    )
    await browser.open("/connect/acme/new/aws?method=role")
    assert "No secret is entered" in browser.text()
    await browser.send("/setup", name="Our role")
    (begun,) = await api.call("list_integrations", "acme") or (None,)
    assert begun is None
    made = browser.page.text.split('id="made-external_id">')[1].split("<")[0]
    assert PRINCIPAL in browser.text()
    # The answer of a stand-in is no answer of AWS: the setup stays, and is shown beside what went wrong.
    await browser.send("/new/aws", input__role_arn="nonsense")
    assert browser.page.status_code in {422, 502}
    assert made in browser.page.text
    assert "fake-platform-secret" not in browser.page.text


async def test_a_setup_that_cannot_begin_says_whose_turn_it_is(open_pages):
    _, browser = open_pages(more=lambda _: Catalogue.builtin().require("aws"))
    await browser.open("/connect/acme/new/aws?method=role")
    await browser.send("/setup")
    assert browser.page.status_code == 502
    assert "You did nothing wrong." in browser.text()
    fields = {"form_token": browser.forms()["/connect/acme/new/aws/setup"]["form_token"], "method": "role", "input.role_arn": "x"}
    own = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"}
    page = await browser.client.post("/connect/acme/new/aws", data=fields, headers=own)
    assert page.status_code in {422, 502}


async def test_a_file_a_choice_and_a_variable_are_entered_and_only_secrets_are_entered_again(open_pages):
    api, browser = open_pages(more=robots)
    await browser.open("/connect/acme/new/robots?method=file")
    assert "One of these" in browser.text()
    fields = {"input__file": document(api.provider.valid_api_key), "input__password": "fake-password-7f3a", "input__team": "blue"}
    await browser.send("/new/robots", name="Robots", variable__zone="mars", **fields)
    assert browser.page.status_code == 422
    assert 'aria-describedby="variable-zone-problem' in browser.page.text
    assert 'value="blue"' in browser.page.text
    assert "fake-password-7f3a" not in browser.page.text
    await browser.send("/new/robots", name="Robots", variable__zone="us", **fields)
    assert browser.title() == "Robots is connected"


async def test_of_several_resources_one_is_chosen(open_pages):
    api, browser = open_pages(resources=SITES)
    await _connect(api, browser)
    await browser.open("/connect/acme")
    assert "Choose one" in browser.text()
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}/resource")
    assert "Acme North" in browser.text()
    await browser.send("/resource", resource=None)
    assert browser.page.status_code == 422
    assert "nothing was chosen" in browser.text()
    await browser.open(f"/connect/acme/integrations/{one.id}/resource")
    await browser.send("/resource", resource="south")
    assert "Connected" in browser.text()
    assert (await api.call("get_integration", "acme", one.id)).health is Health.OK


async def test_a_consent_that_cannot_begin_leaves_everything_as_it_was(open_pages):
    api, browser = open_pages()
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    await browser.send("/authorize")
    await browser.open(api.provider.sign_in(left_for(browser)))
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    await browser.send("/authorize", name="ab")
    assert browser.page.status_code in {409, 422}
    await browser.open(f"/connect/acme/integrations/{one.id}")
    for path, action in (("", "/rename"), ("/reconnect", "/reconnect")):
        await browser.open(f"/connect/acme/integrations/{one.id}{path}")
        await browser.send(action, name="ab", headers={"Host": "127.0.0.1"} if path else None)
    assert (await api.call("get_integration", "acme", one.id)).name == one.name


async def test_a_key_that_is_refused_replaces_nothing(open_pages):
    api, browser = open_pages()
    await _connect(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    for action in ("reconnect", "replace"):
        await browser.open(f"/connect/acme/integrations/{one.id}/{action}")
        await browser.send(f"/{action}", input__key="fake-key-of-nobody")
        assert browser.page.status_code == 422
        assert "fake-key-of-nobody" not in browser.page.text
    await browser.open(f"/connect/acme/integrations/{one.id}/reconnect")
    await browser.send("/reconnect", input__key=api.provider.issue_api_key().reveal())
    assert (browser.page.status_code, browser.title()) == (200, one.name)


async def test_a_key_of_another_account_is_told_with_its_step(open_pages):
    api, browser = open_pages(settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", pin_accounts=True))
    await _connect(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    api.provider.account = "acct-2"
    for action in ("reconnect", "replace"):
        await browser.open(f"/connect/acme/integrations/{one.id}/{action}")
        await browser.send(f"/{action}", input__key=api.provider.issue_api_key().reveal())
        assert "It belongs to another account than the one that is connected here. Nothing was changed. It is your turn." in browser.text()
        assert (
            "The provider accepted it done It is the right account failed It reaches something that can be used not tried" in browser.text()
        )


@pytest.mark.parametrize(
    ("error", "step", "turn", "said"),
    [
        (InvalidCredentialsError(provider_id="x"), "accepted", "you", "mistyped"),
        (InvalidCredentialsError(provider_id="x", reason="clock_skew"), "accepted", "operator", "clock of this site"),
        (InvalidCredentialsError(provider_id="x", reason="wrong_region"), "accepted", "you", "another region"),
        (InvalidCredentialsError(provider_id="x", reason="no_resource"), "rights", "you", "reaches nothing"),
        (GrantRefusedError(reason="resource_not_reached"), "rights", "you", "chosen here before"),
        (TrustTooOpenError(provider_id="x", mend=""), "trust", "administrator", "lets others in"),
    ],
)
def test_a_failure_has_its_step_its_cause_and_whose_turn_it_is(error, step, turn, said):
    failure = failure_of(error)
    assert (failure.step, failure.turn) == (step, turn)
    assert said in words.cause_of(error)


def test_every_step_has_words():
    assert tuple(words.STEPS) == STEPS
    assert set(words.TURNS) == set(get_args(Turn))


async def test_a_rotation_that_is_not_there_is_neither_finished_nor_cancelled(open_pages):
    api, browser = open_pages()
    await _connect(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}/replace")
    fields = {"form_token": next(iter(browser.forms().values()))["form_token"]}
    own = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"}
    for end in ("finish", "cancel"):
        page = await browser.client.post(f"/connect/acme/integrations/{one.id}/replace/{end}", data=fields, headers=own)
        assert (page.status_code, "not in a state for this" in page.text) == (409, True)


async def test_a_check_says_what_the_provider_said_and_is_limited(open_pages):
    api, browser = open_pages()
    await _connect(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    at = f"/connect/acme/integrations/{one.id}"
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    await browser.open(at)
    await browser.send("/verify")
    assert "gave no answer that says anything" in browser.text()
    for _ in range(10):
        await browser.open(at)
        await browser.send("/verify")
    assert (browser.page.status_code, "Wait a minute" in browser.text()) == (429, True)


async def test_an_error_of_ours_is_a_page_with_the_request_id_and_no_detail(open_pages, monkeypatch, caplog):
    api, browser = open_pages()
    broken = "fake-secret-in-an-error"

    def fail(*args, **kwargs):
        raise RuntimeError(broken)

    monkeypatch.setattr(type(api.manager), "list_integrations", fail)
    with caplog.at_level(logging.DEBUG):
        page = await browser.open("/connect/acme")
    assert (page.status_code, INTERNAL.code in page.text) == (500, True)
    assert page.headers["x-request-id"] in page.text
    assert broken not in page.text + caplog.text


async def test_the_pages_of_what_is_not_there_are_not_found(open_pages):
    _, browser = open_pages()
    for path in ("/new/nobody", "/integrations/00000000-0000-0000-0000-000000000000", "/done?provider=nobody"):
        page = await browser.open(f"/connect/acme{path}")
        assert (page.status_code, "This is not possible" in browser.text()) == (404, True)


async def test_each_variable_of_the_look_is_documented_and_used_in_the_style():
    style = (FOLDER / "pages.css").read_text(encoding="utf-8")
    page = (Path(__file__).parents[3] / "docs/how-to/make-the-pages-yours.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^  --ci-([\w-]+):", style, re.MULTILINE)) == VARIABLES
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == VARIABLES


async def test_a_host_gives_the_pages_a_logo_and_an_address_for_help(open_pages):
    branding = Branding(product="Example", logo=PNG, support="https://help.example.com/", variables={"accent": "#0a6"})
    _, browser = open_pages(branding)
    page = await browser.open("/connect/acme")
    logo = page.text.split('<img src="')[1].split('"')[0]
    found = await browser.client.get(logo)
    assert (found.headers["content-type"], found.content) == ("image/png", PNG)
    assert 'href="https://help.example.com/"' in page.text
    style = await browser.client.get(page.text.split('<link rel="stylesheet" href="')[2].split('"')[0])
    assert style.text == ":root{--ci-accent:#0a6;}"


@pytest.mark.parametrize("support", ["https://[broken", "http://help.example.com", "mailto:nobody", "https://a b", "tel:1"])
def test_an_address_for_help_is_https_or_mail(support):
    with pytest.raises(ValueError, match="support"):
        Branding(support=support)


@pytest.mark.parametrize(
    ("wanted", "accepted", "found"),
    [
        (None, None, "en"),
        ("xx", None, "en"),
        (None, "fr;q=0.9, en;q=0.1", "en"),
        (None, "nonsense-nonsense, *;q=x, en;q=0", "en"),
    ],
)
def test_the_language_is_the_best_that_there_is(wanted, accepted, found):
    assert str(choose(wanted, accepted)) == found
