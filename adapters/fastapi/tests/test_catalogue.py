"""Providers are searched, and their icons shown, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from cloud_integrations import Catalogue
from cloud_integrations.documents import ProviderReadinessOut
from cloud_integrations.testing import SimulatedProvider
from cloud_integrations_fastapi import Permission

ICON = "/providers/github/icon.svg"


def _github(_: SimulatedProvider) -> Any:
    return Catalogue.builtin().require("github")


@pytest.fixture
def api(make_api: Callable[..., Any]) -> Any:
    return make_api(more=_github)


async def _slugs(client: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await client.get("/providers", params=query)
    assert answer.status_code == 200, answer.text
    return [provider["slug"] for provider in answer.json()["data"]]


async def test_providers_are_searched_and_chosen_by_category(api: Any, alice: httpx.AsyncClient) -> None:
    assert await _slugs(alice, search="git hub") == ["github"]
    assert await _slugs(alice, search="GHCR") == ["github"]
    assert await _slugs(alice, search="gihtub") == ["github"]
    assert await _slugs(alice, category="devtools") == ["github"]
    assert await _slugs(alice, category="other", search="git") == []
    assert await _slugs(alice, category="ai") == []
    assert await _slugs(alice, search="") == await _slugs(alice) == ["github", "simulated", "simulated_keys"]


@pytest.mark.parametrize("query", [{"category": "clouds"}, {"category": ""}, {"search": "f" * 101}])
async def test_what_cannot_be_searched_for_is_refused_by_its_name(alice: httpx.AsyncClient, query: dict[str, str]) -> None:
    refused = await alice.get("/providers", params=query)
    assert refused.status_code == 422
    assert [named["field"] for named in refused.json()["error"]["details"]["fields"]] == list(query)


async def test_a_picker_gets_what_it_shows(api: Any, alice: httpx.AsyncClient) -> None:
    shown = (await alice.get("/providers", params={"search": "github"})).json()["data"][0]
    assert shown["description"]
    assert "GH" in shown["aliases"]
    assert shown["icon"] == {"letters": "GH", "background": "#7d37be"}


async def test_an_icon_is_an_image_that_runs_and_loads_nothing(api: Any, alice: httpx.AsyncClient) -> None:
    answer = await alice.get(ICON)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert "set-cookie" not in answer.headers
    assert ET.fromstring(answer.text)[1].text == "GH"  # our own text
    by_id = await alice.get(f"/providers/{Catalogue.builtin().require('github').provider_id}/icon.svg")
    assert by_id.text == answer.text


async def test_a_browser_keeps_an_icon_and_asks_again_by_its_tag(api: Any, alice: httpx.AsyncClient) -> None:
    first = await alice.get(ICON)
    assert first.headers.get_list("cache-control") == ["private, max-age=86400"]
    tag = first.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await alice.get(ICON, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers.get_list("cache-control") == ["private, max-age=86400"]
    assert (await alice.get(ICON, headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await alice.get("/providers/simulated/icon.svg")).headers["etag"] != tag


async def test_nothing_else_may_be_cached(api: Any, alice: httpx.AsyncClient) -> None:
    for path in ("/providers", "/providers/nowhere/icon.svg"):
        assert (await alice.get(path)).headers.get_list("cache-control") == ["no-store"]


async def test_a_host_shows_an_icon_of_its_own(make_api: Callable[..., Any]) -> None:
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><style>rect{fill:#123}</style><rect width="64" height="64"/></svg>'
    )
    api = make_api(more=_github, icons={"github": drawn})
    async with api.client("alice") as alice:
        assert (await alice.get(ICON)).text == drawn
        assert (await alice.get("/providers/simulated/icon.svg")).text != drawn


async def test_an_unknown_provider_has_no_icon(alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/providers/nowhere/icon.svg")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "provider/not-found")


async def test_an_icon_needs_the_permission_for_providers(api: Any) -> None:
    async with api.client("nobody") as stranger:
        assert (await stranger.get(ICON)).status_code in {401, 403}


async def test_an_operator_sees_what_ends_and_how_many_integrations_that_concerns(api: Any, alice: httpx.AsyncClient) -> None:
    await api.connect_key()
    answer = await alice.get("/providers/ageing")
    assert answer.status_code == 200, answer.text
    assert api.host.asked[-1] == (Permission.OPERATE, None)
    shown = {each["slug"]: each for each in answer.json()["data"]}
    assert shown.keys() == {"simulated", "simulated_keys", "github"}
    (method,) = shown["simulated_keys"]["methods"]
    assert (method["ready"], method["integrations"], method["endingSoon"], method["firstEnd"]) == (True, 1, 0, None)
    assert answer.json()["data"] == [ProviderReadinessOut.of(each).as_json() for each in await api.call("report_ageing")]


@pytest.mark.parametrize("name", ["rita", "nobody", None])
async def test_who_may_see_the_providers_may_not_see_how_they_are_used(api: Any, name: str | None) -> None:
    async with api.client(name) as client:
        assert (await client.get("/providers/ageing")).status_code == 403
    assert api.host.asked == [(Permission.OPERATE, None)]
