"""Whether the documents of our own issuer can be read at its address, and are ours."""

from __future__ import annotations

import json

import pytest
from tests.protocol.keys import pem

from cloud_integrations import Issuer, LocalSigningKeys
from cloud_integrations.domain.issuing import configuration_document, key_set_document
from cloud_integrations.errors import AnswerLostError, ProviderUnreachableError
from cloud_integrations.protocol.http import HttpResponse

from .transports import StandIn

URL = "https://app.example/identity"
KEYS = LocalSigningKeys([pem(), pem("other rsa")])
CONFIGURATION = f"{URL}/.well-known/openid-configuration"
KEY_SET = f"{URL}/.well-known/jwks.json"
PUBLIC = key_set_document(KEYS.public_keys())


class Web(StandIn):
    """What stands at the issuer's address."""

    def __init__(self, world):
        self.world, self.asked = world, []
        self.pages = {CONFIGURATION: configuration_document(URL), KEY_SET: PUBLIC}

    def respond(self, request):
        self.asked.append(request)
        page = self.pages.get(request.url)
        if isinstance(page, Exception):
            raise page
        if isinstance(page, HttpResponse):
            return page
        return HttpResponse(status=404) if page is None else HttpResponse(status=200, body=json.dumps(page).encode())


@pytest.fixture
def web(world):
    made = Web(world)
    world.transport = made
    world.door = world.open(issuer=Issuer(url=URL, keys=KEYS))
    return made


async def problems(world):
    report = await world.door.issuer.check()
    assert (report.url, report.key_ids) == (URL, tuple(key.key_id for key in KEYS.public_keys()))
    return report.problems


async def test_documents_that_are_ours_are_no_problem(world, web):
    assert await problems(world) == ()
    assert [(request.method, request.url, request.body) for request in web.asked] == [("GET", CONFIGURATION, b""), ("GET", KEY_SET, b"")]
    assert await world.door.issuer.configuration() == web.pages[CONFIGURATION]
    assert await world.door.issuer.key_set() == web.pages[KEY_SET]


@pytest.mark.parametrize(
    "page",
    [
        None,
        HttpResponse(status=302, headers={"location": CONFIGURATION}),
        ProviderUnreachableError(provider_id="x"),
        AnswerLostError(provider_id="x"),
    ],
    ids=["404", "302", "unreachable", "lost"],
)
async def test_what_does_not_answer_is_unreachable(world, web, page):
    web.pages = dict.fromkeys(web.pages, page)
    assert await problems(world) == ("configuration_unreachable", "keys_unreachable")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"'], ids=str)
async def test_what_is_no_document_is_unusable(world, web, body):
    web.pages = dict.fromkeys(web.pages, HttpResponse(status=200, body=body))
    assert await problems(world) == ("configuration_unusable", "keys_unusable")


@pytest.mark.parametrize("keys", [None, 5, {}, [5], ["text"]], ids=str)
async def test_a_key_set_without_keys_is_unusable(world, web, keys):
    web.pages[KEY_SET] = {"keys": keys}
    assert await problems(world) == ("keys_unusable",)


@pytest.mark.requirement("OAU-055")
@pytest.mark.parametrize("issuer", [None, f"{URL}/", "https://evil.example", 5])
async def test_another_issuer_is_named(world, web, issuer):
    web.pages[CONFIGURATION] = {**web.pages[CONFIGURATION], "issuer": issuer}
    assert await problems(world) == ("other_issuer",)


@pytest.mark.requirement("OAU-057")
async def test_the_address_of_the_key_set_is_never_learnt_from_the_document(world, web):
    web.pages[CONFIGURATION] = {**web.pages[CONFIGURATION], "jwks_uri": "https://evil.example/keys"}
    assert await problems(world) == ("other_key_set",)
    assert [request.url for request in web.asked] == [CONFIGURATION, KEY_SET]


@pytest.mark.parametrize(
    ("published", "found"),
    [
        ([], ("key_missing",)),
        (PUBLIC["keys"][:1], ("key_missing",)),
        ([*PUBLIC["keys"], {"kty": "RSA", "kid": "fake"}], ("key_unknown",)),
        ([{**PUBLIC["keys"][0], "n": PUBLIC["keys"][1]["n"]}, PUBLIC["keys"][1]], ("key_missing", "key_unknown")),
        (PUBLIC["keys"][::-1], ()),
    ],
    ids=["none", "one of two", "one more", "another under its id", "another order"],
)
async def test_keys_that_are_not_ours_are_found(world, web, published, found):
    web.pages[KEY_SET] = {"keys": published}
    assert await problems(world) == found
