"""An OAuth flow begins only where the cookie that it needs comes back."""

from __future__ import annotations

import pytest

from cloud_integrations import Settings

CALLBACK = "https://app.example.com/api/v1/oauth/callback"
PROVIDER = "0f0c7f2e-8a53-5f4e-9f43-3d1f0f6d2b11"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


# The browser's host and the callback's


async def _begun(api):
    return [record.seq for record in await api.call("audit.list", "acme") if "begun" in record.event.action]


@pytest.mark.requirement("OAU-018")
@pytest.mark.parametrize(
    ("callback", "site", "headers", "begins"),
    [
        ("http://localhost:8000", "http://127.0.0.1:8000", {}, False),
        ("http://127.0.0.1:8000", "http://localhost:8000", {}, False),
        ("http://localhost:8000", "http://localhost:8000", {}, True),
        ("http://localhost:8000", "http://localhost:3000", {}, True),
        ("http://localhost:8000", "http://127.0.0.1:8000", {"Origin": "http://localhost:3000"}, True),
        (
            "https://app.example.com",
            "https://www.example.com",
            {"Origin": "https://www.example.com", "Sec-Fetch-Site": "same-origin"},
            False,
        ),
        ("https://app.example.com", "http://backend:8000", {"Origin": "https://www.example.com", "Sec-Fetch-Site": "same-origin"}, False),
        ("https://app.example.com", "http://backend:8000", {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"}, True),
        ("https://api.example.com", "http://backend:8000", {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-site"}, True),
        (
            "https://app.example.com",
            "http://backend:8000",
            {"Origin": "null", "Sec-Fetch-Site": "same-origin", "X-Forwarded-Host": "app.example.com, x"},
            True,
        ),
        ("https://app.example.com", "http://backend:8000", {}, True),
        ("https://app.example.com", "https://app.example.com", {"Origin": "http://["}, True),
    ],
)
@pytest.mark.parametrize("reconnects", [False, True])
async def test_a_flow_begins_only_where_its_cookie_comes_back(make_api, callback, site, headers, begins, reconnects):
    loopback = callback.startswith("http:")
    api = make_api(loopback=loopback, settings=Settings(callback_url=f"{callback}/api/v1/oauth/callback", loopback=loopback))
    path, body = "/tenants/acme/authorizations", {"providerId": str(api.oauth.provider_id), "name": "Production"}
    if reconnects:
        async with api.client(base_url=f"{callback}/api/v1") as client:
            arrived = await client.get(api.provider.sign_in((await api.begin(client))["authorizationUrl"]))
        path, body = f"/tenants/acme/integrations/{arrived.json()['data']['id']}/reconnect", {}
    before = await _begun(api)
    async with api.client(base_url=f"{site}/api/v1") as client:
        answer = await client.post(path, json=body, headers=headers)
    if begins:
        assert answer.status_code in {200, 201}, answer.text
        return
    assert answer.status_code == 422
    (told,) = answer.json()["error"]["details"]["fields"]
    assert told["field"] == "Host"
    assert callback in told["problem"]
    assert await _begun(api) == before


async def test_a_front_end_of_another_host_needs_no_cookie(make_api):
    api = make_api(redirect_uris=("https://front.example.com/connected",))
    headers = {"Origin": "https://www.example.com", "Sec-Fetch-Site": "same-origin"}
    async with api.client(base_url="https://www.example.com/api/v1") as client:
        client.headers.update(headers)
        await api.begin(client)
