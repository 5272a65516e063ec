"""Pushed authorization requests (RFC 9126), through both managers: the browser carries a reference, and nothing begins without one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    GrantRefusedError,
    ProviderUnavailableError,
    ProviderUnreachableError,
)

from .answers import said
from .conftest import ACME, ALICE
from .pushes import SHORT, open_with_pushes

PROVIDER_ID = "00000000-0000-0000-0000-000000000000"
OLD = "fake-secret-that-was-replaced"


@pytest.fixture
def pushes(world):
    return open_with_pushes(world)


def approve(world, pushes, begun):
    return world.approve(replace(begun, url=pushes.full_url(begun)))


@pytest.mark.requirement("OAU-067")
async def test_the_browser_carries_a_reference_and_the_provider_has_the_request(world, pushes):
    begun = await world.begin(scopes=("read",))
    asked = parse_qs(urlsplit(begun.url).query)
    assert asked == {"client_id": [world.provider.application().client_id], "request_uri": ["urn:example:fake-reference-1"]}
    (form,) = pushes.forms
    assert (form["state"], form["redirect_uri"], form["scope"]) == (begun.state.reveal(), begun.redirect_uri, "read")
    assert form["code_challenge_method"] == "S256"
    assert pushes.requests[0].headers["Authorization"].startswith("Basic ")
    connected = await world.come_back(begun, approve(world, pushes, begun))
    assert connected.integration.id == begun.integration_id
    again = await world.door.begin_reconnect(ACME, connected.integration.id, actor=ALICE)
    assert set(parse_qs(urlsplit(again.url).query)) == {"client_id", "request_uri"}
    assert (await world.come_back(again, approve(world, pushes, again))).integration.id == begun.integration_id


@pytest.mark.requirement("OAU-067")
async def test_a_reference_ends_before_the_authorization(world, pushes):
    begun = await world.begin()
    now = world.clock.now()
    assert (begun.open_before, begun.expires_at) == (now + timedelta(seconds=SHORT), now + world.settings().pending_lifetime)
    pushes.answer = said({"request_uri": "urn:example:fake", "expires_in": 86400}, 201)
    assert (again := await world.begin()).open_before == again.expires_at
    # The person may take longer than the reference lives: it is needed only to begin.
    world.clock.advance(timedelta(seconds=2 * SHORT))
    assert (await world.come_back(begun, approve(world, pushes, begun))).integration.id == begun.integration_id


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (said({"error": "invalid_client"}, 401), AppMisconfiguredError, "invalid_client"),
        (said(b"", 401), AppMisconfiguredError, "client_refused"),
        (said({"error": "unauthorized_client"}), AppMisconfiguredError, "unauthorized_client"),
        (said({"error": "invalid_request"}), GrantRefusedError, "invalid_request"),
        (said({"error": "invalid_scope"}), GrantRefusedError, "invalid_scope"),
        (said({}, 429), ProviderUnavailableError, "rate_limited"),
        (said(b"<html>", 502), ProviderUnavailableError, "server_error"),
        (said(b"", 405), ProviderUnavailableError, "unusable_body"),
        (said({"expires_in": 60}, 201), ProviderUnavailableError, "unusable_body"),
        (said({"request_uri": "urn:example:a", "expires_in": 0}, 201), ProviderUnavailableError, "unusable_body"),
        (ProviderUnreachableError(provider_id=PROVIDER_ID), ProviderUnavailableError, "unreachable"),
        (AnswerLostError(provider_id=PROVIDER_ID), ProviderUnavailableError, "answer_lost"),
    ],
)
async def test_what_went_wrong_is_told_by_its_class_and_nothing_begins(world, pushes, answer, error, reason):
    pushes.answer = answer
    with pytest.raises(error) as caught:
        await world.begin()
    assert caught.value.reason == reason
    assert world.actions() == []
    assert not world.tables.pending
    assert [dict(fact.facts)["reason"] for fact in world.facts.told if fact.name == "authorization.failed"] == [reason]


async def test_a_provider_that_repeats_the_request_shows_no_secret(world, pushes):
    pushes.answer = lambda request: said({"error": "invalid_request", "error_description": request.body.decode()})
    with pytest.raises(GrantRefusedError) as caught:
        await world.begin()
    assert pushes.forms[0]["state"] not in f"{caught.value} {caught.value.error_description}"
    secret = world.provider.application().client_secret.reveal()
    pushes.answer = said({"request_uri": f"urn:example:{secret}", "expires_in": 60}, 201)
    with pytest.raises(ProviderUnavailableError):
        await world.begin()


@pytest.mark.requirement("OAU-070")
async def test_the_next_secret_is_tried_and_remembered(world, pushes):
    good = world.provider.application().client_secret
    world.secrets += [OLD, good.reveal()]
    door = world.open(applications=[replace(world.provider.application(), client_secret=[OLD, good], client_auth="post")])
    pushes.answer = lambda request: said({"error": "invalid_client"}, 401) if OLD.encode() in request.body else None
    begun = await world.begin(door=door)
    assert [form["client_secret"] for form in pushes.forms] == [OLD, good.reveal()]
    # RFC 6749 §3.2: no parameter is sent twice.
    assert all(len(parse_qsl(request.body.decode())) == len(form) for request, form in zip(pushes.requests, pushes.forms, strict=True))
    assert good.reveal() not in begun.url
    await world.begin(door=door)
    assert pushes.forms[2]["client_secret"] == good.reveal()


async def test_a_tenants_own_application_pushes_with_its_own_secret(world, pushes):
    own = await world.door.applications.save(ACME, "simulated", client_id="own-client", client_secret="fake-own-secret", actor=ALICE)
    begun = await world.begin()
    assert begun.context_id == own.id
    assert pushes.forms[0]["client_id"] == "own-client"
    assert parse_qs(urlsplit(begun.url).query)["client_id"] == ["own-client"]
