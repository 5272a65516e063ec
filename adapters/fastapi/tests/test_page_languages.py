"""The languages of the pages: every text is in every catalogue, and every page is shown in each."""

from __future__ import annotations

import re
import sys
from gettext import NullTranslations
from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from babel.messages.pofile import read_po

from cloud_integrations_fastapi.pages import Branding, create_connect_pages, shell
from cloud_integrations_fastapi.pages.translation import FOLDER, choose, languages, texts

from .page_browser import Browser, left_for

ROOT = Path(__file__).parents[3]
PLACEHOLDER = re.compile(r"%\(\w+\)s")
TRANSLATED = [language for language in languages() if language != "en"]
OPEN, CLOSE = "⟦", "⟧"


class Pseudo(NullTranslations):
    """A language in which every text is marked, and a third longer."""

    def gettext(self, message):
        return f"{OPEN}{message}{'~' * (len(message) // 3)}{CLOSE}"

    def ngettext(self, msgid1, msgid2, n):
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture(scope="module")
def wanted():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import catalogues
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return dict(catalogues.messages())


@pytest.fixture
def open_pages(make_api):
    def make(**options):
        api = make_api(revokes_keys=True)
        branding = Branding(product="Example")
        api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize, branding=branding, **options))
        return api, Browser(api.client(base_url="https://app.example.com"))

    return make


def _catalogue(language):
    with (FOLDER / f"{language}.po").open("rb") as file:
        return {message.id: message for message in read_po(file, locale=language) if message.id}


def _forms(message):
    return [message.string] if isinstance(message.string, str) else message.string


def test_there_are_four_languages():
    assert languages() == ("en", "de", "es", "zh")


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_none_is_left_over(language, wanted):
    found = _catalogue(language)
    assert found.keys() == wanted.keys()
    assert [each.id for each in found.values() if each.fuzzy or not all(_forms(each))] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_text_and_no_markup(language):
    for message in _catalogue(language).values():
        own = PLACEHOLDER.findall(message.id if isinstance(message.id, str) else message.id[1])
        for said in _forms(message):
            assert sorted(PLACEHOLDER.findall(said)) == sorted(own), message.id
            assert not re.search(r"[<>&]|%(?!\(\w+\)s)", said), message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_ends_as_its_text_does(language):
    ends = {"…": "…", ".": ".。", ":": ":：", "?": "?？"}
    for text, message in _catalogue(language).items():
        if isinstance(text, str) and text[-1] in ends:
            assert message.string[-1] in ends[text[-1]], text


async def _walk(api, browser):
    """Go through the pages; give the name of each."""
    await browser.open("/connect/acme")
    yield "picker"
    await browser.open("/connect/acme?q=nothing-like-this")
    yield "empty"
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    yield "before"
    await browser.send("/authorize")
    yield "leaving"
    await browser.open(api.provider.sign_in(left_for(browser), approve=False))
    yield "declined"
    await browser.open(f"/connect/acme/new/{api.keys.id}")
    yield "key"
    await browser.send(f"/new/{api.keys.id}", input__key="fake-key-of-nobody")
    yield "refused"
    await browser.send(f"/new/{api.keys.id}", input__key=api.provider.valid_api_key.reveal())
    yield "done"
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}")
    yield "manage"
    for action in ("reconnect", "replace", "remove"):
        await browser.open(f"/connect/acme/integrations/{one.id}/{action}")
        yield action
    await browser.send("/remove")
    yield "removed"
    await browser.open("/connect/acme/new/nobody")
    yield "problem"


@pytest.mark.parametrize("language", ["en", *TRANSLATED])
async def test_every_page_is_shown_in_each_language(language, open_pages):
    api, browser = open_pages(locale=lambda request: language)
    found = {}
    async for name in _walk(api, browser):
        assert f'<html lang="{language}" dir="ltr">' in browser.page.text, name
        found[name] = browser.title()
    assert len(found) == 14
    if language != "en":
        said = texts(language)
        assert found["picker"] == said.gettext("Connect your accounts")
        assert found["problem"] == said.gettext("This is not possible")
        assert found["declined"] == said.gettext("You declined")


async def test_no_page_has_a_text_that_cannot_be_translated(open_pages, monkeypatch):
    monkeypatch.setattr(shell, "texts", lambda language: Pseudo())
    api, browser = open_pages()
    left = {}
    async for name in _walk(api, browser):
        page = re.sub(r"<(style|script)\b.*?</\1>", "", browser.page.text, flags=re.DOTALL)
        # What is data: names, codes, ids, hints and guides of providers, and what a person entered.
        page = re.sub(r"<(bdi|code|svg|pre|time)\b.*?</\1>", "", page, flags=re.DOTALL)
        texts_shown = unescape(
            re.sub(r"<[^>]+>", "\n", page) + "\n" + "\n".join(re.findall(r'(?:aria-label|data-(?:busy|hide|done|count))="([^"]*)"', page))
        )
        while OPEN in texts_shown:
            texts_shown = re.sub(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}", "", texts_shown)
        known = {api.keys.name, api.oauth.name, api.keys.description, api.oauth.description, "Example", "key"}
        lines = {line.strip() for line in texts_shown.splitlines()}
        left[name] = {
            line for line in lines if re.search(r"[A-Za-z]{3}", line) and not any(each and each.lower() in line.lower() for each in known)
        }
    assert {name: lines for name, lines in left.items() if lines} == {}


@pytest.mark.parametrize(
    ("named", "accepted", "shown"),
    [
        (None, "de-CH, en;q=0.5", "de"),
        (None, "fr, es;q=0.4", "es"),
        (None, "zh-CN", "zh"),
        (None, "zh-TW;q=0.9, en;q=0.8", "zh"),
        ("es", "de", "es"),
        ("es-MX", "de", "es"),
        ("fr", "de", "de"),
        ("../de", "de", "de"),
        ("x" * 600, None, "en"),
    ],
)
async def test_the_hosts_language_comes_before_the_browsers(named, accepted, shown, open_pages):
    _, browser = open_pages(locale=lambda request: named)
    page = await browser.client.get("/connect/acme", headers={"Accept-Language": accepted} if accepted else {})
    assert f'<html lang="{shown}"' in page.text


def test_plurals_follow_their_language():
    assert texts("de").ngettext("%(num)s provider", "%(num)s providers", 2) == "%(num)s Anbieter"
    assert texts("es").ngettext("%(num)s provider", "%(num)s providers", 1) == "%(num)s proveedor"
    assert texts("zh").ngettext("%(num)s provider", "%(num)s providers", 1) == "%(num)s 个提供商"
    assert texts("en").ngettext("%(num)s provider", "%(num)s providers", 1) == "%(num)s provider"
    assert str(choose(None, "de")) == "de"


async def test_what_the_product_may_do_is_said_in_the_hosts_words(open_pages):
    api, browser = open_pages(rights={"simulated": ("Read your <repositories>",)})
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    assert "<li>Read your &lt;repositories&gt;</li>" in browser.page.text
