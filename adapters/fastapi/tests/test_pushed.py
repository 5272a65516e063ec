"""An authorization whose request is pushed to the provider says until when its URL works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloud_integrations import OAuthApplication
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

pytestmark = pytest.mark.requirement("OAU-067")
BEGUN = {"authorizationUrl", "state", "expiresAt"}


class Pushes:
    """A provider that keeps what is pushed for a minute, and that is asked for nothing else."""

    def send(self, request: HttpRequest, /, *, deadline: Any) -> HttpResponse:
        assert request.url.endswith("/par")
        body = json.dumps({"request_uri": "urn:example:fake-reference", "expires_in": 60}).encode()
        return HttpResponse(status=201, headers={"content-type": "application/json"}, body=body)

    def close(self) -> None:
        """Nothing is open."""


class AsyncPushes(Pushes):
    async def send(self, request: HttpRequest, /, *, deadline: Any) -> HttpResponse:
        return super().send(request, deadline=deadline)

    async def close(self) -> None:
        """Nothing is open."""


def pushed(provider: Any) -> Any:
    entry = provider.catalogue_entries()[0]
    method = entry.methods[0].model_copy(update={"par_url": f"{provider.base_url}/par"})
    return entry.model_copy(update={"id": "pushed", "methods": (method,)})


async def test_the_answer_says_before_when_the_url_of_a_pushed_request_must_be_opened(make_api, door):
    application = OAuthApplication(provider="pushed", client_id="fake-client", client_secret="fake-client-secret")  # fake
    api = make_api(more=pushed, transport=AsyncPushes() if door == "awaiting" else Pushes(), applications=[application])
    async with api.client() as alice:
        begun = await api.begin(alice, providerId=str(pushed(api.provider).provider_id))
        assert begun.keys() == BEGUN | {"openBefore"}
        assert api.clock.now().isoformat()[:16] < begun["openBefore"] < begun["expiresAt"]
        assert begun["openBefore"].endswith("Z")


async def test_without_a_pushed_request_there_is_no_such_member(api, alice):
    assert (await api.begin(alice)).keys() == BEGUN
