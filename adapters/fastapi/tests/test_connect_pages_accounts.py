"""The accounts that a tenant holds, on the connect page: their order, how many there are, when they were used, and whose they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Settings
from cloud_integrations.domain.integration import State
from cloud_integrations_fastapi.pages import Names, create_connect_pages

from .page_browser import Browser

CALLBACK = "https://app.example.com/api/v1/oauth/callback"
FIRST_LOAD = 120 * 1024


@pytest.fixture
def open_pages(make_api):
    def make(*, names=None, **settings):
        api = make_api(settings=Settings(callback_url=CALLBACK, **settings))
        api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize, names=names))
        return api, Browser(api.client(base_url="https://app.example.com"))

    return make


async def hold(api, number, change=lambda at: {}):
    """Let the tenant hold as many accounts at one provider, each with the facts that *change* returns for its number."""
    await api.connect_key()
    tables = api.store._tables
    ((place, first),) = tables.integrations.items()
    del tables.integrations[place]
    for at in range(number):
        facts = replace(first.facts, id=UUID(int=at), slot=f"slot-{at}", name=f"Account {at}", **change(at))
        tables.integrations[facts.tenant_id, facts.id] = replace(first, facts=facts)
    return first.facts


def order(browser, names):
    """Return *names* in the order in which the page has them; those that it has not are left out."""
    found = {name: browser.page.text.find(f">{name}<") for name in names}
    return sorted((name for name, at in found.items() if at >= 0), key=found.__getitem__)


async def test_what_needs_somebody_comes_first_and_then_what_was_used_last(open_pages):
    api, browser = open_pages(slots=True)
    used = {0: 3, 1: 1, 2: None, 3: 2}

    def change(at):
        ended = {"state": State.NEEDS_REAUTH, "reason": "revoked"} if at == 3 else {}
        return ended if used[at] is None else ended | {"last_used_at": api.clock.now() + timedelta(days=used[at])}

    await hold(api, len(used), change)
    await browser.open("/connect/acme")
    assert order(browser, [f"Account {at}" for at in used]) == ["Account 3", "Account 0", "Account 1", "Account 2"]
    assert browser.text().count("Needs you") == 2  # the provider, and the account that does


async def test_providers_that_were_used_last_come_first(api, make_api):
    api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize))
    browser = Browser(api.client(base_url="https://app.example.com"))
    await api.connect_key()
    await api.connect_oauth()
    for used, other in (("keys", "oauth"), ("oauth", "keys")):
        api.clock.advance(timedelta(days=1))
        await api.call("credential", "acme", getattr(api, used).id)
        page = await browser.open("/connect/acme")
        first, second = (page.text.index(f"<bdi>{getattr(api, each).name}</bdi></h2>") for each in (used, other))
        assert first < second


@pytest.mark.parametrize("number", [6, 7, 10_000])
async def test_however_many_accounts_there_are_the_picker_stays_small(number, open_pages):
    api, browser = open_pages(slots=True)
    await hold(api, number)
    page = await browser.open("/connect/acme")
    assert len(page.content) < FIRST_LOAD / 2
    assert page.text.count("/connect/acme/integrations/") == 6
    assert ("Show all" in browser.text()) is (number > 6)


async def test_all_accounts_at_a_provider_are_found_page_by_page(open_pages):
    api, browser = open_pages(slots=True)
    await hold(api, 120)
    address = f"/connect/acme/providers/{api.keys.id}"
    seen = []
    for query, more in (("", True), ("?page=2", True), ("?page=3", False)):
        page = await browser.open(address + query)
        seen += order(browser, [f"Account {at}" for at in range(120)])
        assert (f'rel="next" href="{address}?page=' in page.text) is more
        assert ('rel="prev"' in page.text) is bool(query)
        assert "120 accounts" in browser.text()
    assert (len(seen), len(set(seen))) == (120, 120)
    await browser.open(f"{address}?page=99")
    assert order(browser, ["Account 119"]), "the last page, where there is none of this number"
    await browser.open(f"{address}?q=account+SLOT-11")
    assert order(browser, ["Account 11", "Account 110", "Account 12"]) == ["Account 11", "Account 110"]
    await browser.open(f"{address}?q=nobody")
    assert "Nothing found" in browser.text()
    assert "Add another" in browser.text()


@pytest.mark.parametrize("page", ["0", "-1", "x", "1" * 5_000, "²", "1e3", ""])
async def test_a_page_with_another_number_is_the_first(page, open_pages):
    api, browser = open_pages(slots=True)
    await hold(api, 60)
    shown = await browser.open(f"/connect/acme/providers/{api.keys.id}?page={page}")
    assert shown.status_code == 200
    assert order(browser, ["Account 0"])


async def test_a_provider_that_is_not_there_has_no_page(open_pages):
    _, browser = open_pages()
    assert (await browser.open("/connect/acme/providers/nothing")).status_code == 404


async def test_the_page_of_an_account_says_when_it_was_used(open_pages):
    api, browser = open_pages()
    one = await api.connect_key()
    await browser.open(f"/connect/acme/integrations/{one['id']}")
    assert "Last used not yet" in browser.text()
    api.clock.advance(timedelta(days=1))
    await api.call("credential", "acme", api.keys.id)
    await browser.open(f"/connect/acme/integrations/{one['id']}")
    assert f"Last used {api.clock.now():%B} {api.clock.now().day}, {api.clock.now().year}" in browser.text()


async def test_where_uses_are_not_recorded_nothing_is_said_of_them(open_pages):
    api, browser = open_pages(use_window=None)
    one = await api.connect_key()
    await browser.open(f"/connect/acme/integrations/{one['id']}")
    assert "Last used" not in browser.text()


async def test_before_they_go_people_read_who_they_are_and_for_whom(open_pages):
    api, browser = open_pages()
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    assert "For acme You are alice" in browser.text()
    asked = []

    def names(request, actor, tenant_id):
        asked.append((request.url.path, actor.id, tenant_id))
        return Names(person="Alice <A>", workspace="Acme & Sons")

    api, browser = open_pages(names=names)
    page = await browser.open(f"/connect/acme/new/{api.oauth.id}")
    assert "For Acme & Sons You are Alice <A>" in browser.text()
    assert "<A>" not in page.text
    assert asked == [(f"/connect/acme/new/{api.oauth.id}", "alice", "acme")]
