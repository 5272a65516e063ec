"""Pages of a host's own for browsers that come back from a provider."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from fastapi import Response

from cloud_integrations_fastapi import StandardPages

from .test_results import begun_callback, reconnected, visit


async def test_a_host_gives_the_standard_pages_its_way_back_and_its_colours(make_api):
    api = make_api(pages=StandardPages(home="/app?a=1&b=2", back="Zurück", style="main{border-radius:0}"))
    async with api.client() as alice:
        page = await visit(alice, await begun_callback(api, alice))
    assert '<a href="/app?a=1&amp;b=2">Zurück</a>' in page.text
    style = unescape(re.search("<style>(.*)</style>", page.text)[1])
    assert style.endswith("main{border-radius:0}")
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in page.headers["content-security-policy"]
    with pytest.raises(ValueError, match="CSS"):
        StandardPages(style="</style><script>")


async def test_a_host_replaces_every_page(make_api):
    class Pages:
        def result(self, request, result):
            assert request.url.path.startswith("/api/v1/oauth/")
            name = "" if result.integration is None else result.integration.name
            return Response(f"own:{result.code}:{name}:{','.join(result.notes)}", result.status)

        def relay(self, request, fields, *, action):
            return Response(f"own:{dict(fields)['code']}:{action}")

    api = make_api(pages=Pages())
    async with api.client() as alice:
        callback = await begun_callback(api, alice)
        posted = urlsplit(await begun_callback(api, alice))
        relayed = await alice.post(posted.path.removeprefix("/api/v1"), data=dict(parse_qsl(posted.query)))
        assert relayed.text == f"own:{dict(parse_qsl(posted.query))['code']}:?relayed=1"
        assert (await visit(alice, callback)).text == "own:connected:Production:"
        assert (await visit(alice, callback)).text == "own:already_connected:Production:"
        (integration,) = (await alice.get("/tenants/acme/integrations")).json()["data"]
        api.provider.account = "acct-2"
        changed = await alice.get(await reconnected(api, alice, integration), headers={"Accept": "text/html"})
        assert changed.text == "own:connected:Production:account_changed"
        unknown = await alice.get(f"/oauth/callback/{uuid4()}?state=x", headers={"Accept": "text/html"})
    assert (unknown.status_code, unknown.text) == (400, "own:not_yours::")
    assert unknown.headers["cache-control"] == "no-store"
