"""Odd answers of a token endpoint, end to end: nothing that can be read is lost, and nothing that is refused is left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.domain.integration import Health, State
from cloud_integrations.domain.outcome import Unknown, Unusable
from cloud_integrations.errors import CommitUnknownError, ProviderUnavailableError
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.simulated_provider.server import ProviderServer
from cloud_integrations.testing.simulated_provider.wrong_answers import STRAYS

from .conftest import ACME
from .renewals import expired, nearly_expired, token

UNREAD = {
    Misbehaviour.TOKEN_TYPE_MISSING: "token_type",
    Misbehaviour.EXPIRES_IN_ABSURD: "expires_in",
    Misbehaviour.EXPIRES_IN_NEGATIVE: "expires_in",
    Misbehaviour.EXPIRES_IN_EMPTY: "expires_in",
    Misbehaviour.SCOPES_UNREADABLE: "scope",
}
KEPT = [
    Misbehaviour.CONTENT_TYPE_MISSING,
    Misbehaviour.CONTENT_TYPE_HTML,
    Misbehaviour.BYTE_ORDER_MARK,
    Misbehaviour.FORM_BODY,
    Misbehaviour.STATUS_CREATED,
    Misbehaviour.CONTENT_ENCODING_UNKNOWN,
    Misbehaviour.LONG_HEADERS,
    Misbehaviour.LONG_BODY,
    Misbehaviour.LONG_ACCESS_TOKEN,
    Misbehaviour.FOREIGN_MEMBER_TWICE,
    Misbehaviour.FOREIGN_NAN,
    *UNREAD,
]
ALONE = [Misbehaviour.ACCESS_TOKEN_MISSING, Misbehaviour.TOKEN_TYPE_MAC, Misbehaviour.DUPLICATE_KEYS]
"""The refresh token comes with no access token that may be used."""


def unread(world):
    return [dict(fact.facts) for fact in world.facts.told if fact.name == "credential.answer_unread"]


def refreshes(world):
    return [(event.outcome.value, event.reason) for event in world.events() if event.action == "credential.refresh"]


def replays(world):
    return [request for request in world.provider.requests if request.reused]


@pytest.mark.requirement("OAU-034", "OAU-035", "OAU-037", "OAU-040", "OAU-042")
@pytest.mark.parametrize("what", KEPT)
async def test_an_odd_answer_to_a_refresh_loses_no_token(world, what):
    held = await expired(world)
    world.provider.misbehave(what, endpoint="refresh")
    renewed = await token(world)
    assert (renewed.generation, renewed.warning, renewed.scopes) == (2, None, ("read", "write"))
    assert world.provider.is_alive(renewed.value)
    about = {"tenant": ACME, "integration": str(held.id), "provider": "simulated", "provider_id": str(held.provider_id)}
    assert unread(world) == ([{**about, "members": UNREAD[what]}] if what in UNREAD else [])
    world.clock.advance(world.provider.access_lifetime)
    assert (await token(world)).generation == 3
    assert not replays(world)


@pytest.mark.requirement("OAU-034", "OAU-035", "OAU-037", "OAU-040")
@pytest.mark.parametrize("what", KEPT)
async def test_an_odd_answer_to_an_exchange_loses_no_grant(world, what):
    world.provider.misbehave(what, endpoint="exchange")
    held = await expired(world)
    assert held.scopes == ("read", "write")
    assert [fact["members"] for fact in unread(world)] == ([UNREAD[what]] if what in UNREAD else [])
    assert world.provider.is_alive((await token(world)).value)
    assert world.provider.count("revoke") == 0


@pytest.mark.requirement("OAU-034", "OAU-035", "OAU-036", "OAU-037")
async def test_over_a_real_connection_an_odd_answer_loses_no_token_either(world):
    with ProviderServer(world.provider) as server:
        world.transport = (HttpxTransport if world.blocking else AsyncHttpxTransport)(clock=world.clock)
        world.entries = list(world.provider.catalogue_entries(server.url))
        world.door = world.open()
        world.provider.misbehave(KEPT[0], endpoint="exchange")
        await expired(world)
        for number, what in enumerate(KEPT, 2):
            world.provider.misbehave(what, endpoint="refresh")
            assert (what, (await token(world)).generation) == (what, number)
            world.clock.advance(world.provider.access_lifetime)
        assert not replays(world)
        closed = world.transport.close()
        if closed is not None:
            await closed


@pytest.mark.requirement("OAU-039", "OAU-042")
@pytest.mark.parametrize("what", ALONE)
async def test_a_refresh_token_that_comes_alone_is_stored_and_used_at_once(world, what):
    held = await expired(world)
    world.provider.misbehave(what, endpoint="refresh")
    renewed = await token(world)
    assert renewed.generation == 3
    assert world.provider.is_alive(renewed.value)
    assert world.provider.refresh_count == 2
    assert not replays(world)
    assert refreshes(world) == [("started", None), ("failure", "no_access_token"), ("started", None), ("success", None)]
    assert [fact["members"] for fact in unread(world)] == ["access_token"]
    assert world.row(held).facts.state is State.ACTIVE


@pytest.mark.parametrize("what", ALONE)
async def test_the_held_access_token_is_used_while_it_lives(world, what):
    _, first = await nearly_expired(world)
    world.provider.misbehave(what, endpoint="refresh")
    served = await token(world)
    assert (served.value, served.expires_at, served.generation) == (first.value, first.expires_at, 2)
    assert world.provider.refresh_count == 1
    world.clock.advance(timedelta(seconds=20))
    assert world.provider.is_alive((await token(world)).value)
    assert not replays(world)


async def test_a_held_access_token_that_a_refresh_ends_is_not_used(world):
    world.provider.ends_old_access = True
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()
    _, first = await nearly_expired(world)
    world.provider.misbehave(Misbehaviour.ACCESS_TOKEN_MISSING, endpoint="refresh")
    served = await token(world)
    assert served.value != first.value
    assert world.provider.is_alive(served.value)
    assert world.provider.refresh_count == 2


async def test_a_held_access_token_that_the_provider_refused_is_not_used(world):
    await world.connect()
    first = await token(world)
    world.provider.expire_access(first.value)
    world.provider.misbehave(Misbehaviour.ACCESS_TOKEN_MISSING, endpoint="refresh")
    served = await world.door.replace_refused(ACME, first)
    assert world.provider.is_alive(served.value)
    assert world.provider.refresh_count == 2


@pytest.mark.parametrize("what", ALONE)
async def test_who_never_brings_an_access_token_is_not_asked_on_and_on(world, what):
    held = await expired(world)
    world.provider.misbehave(what, times=None, endpoint="refresh")
    for _ in range(3):
        with pytest.raises(ProviderUnavailableError) as caught:
            await token(world)
        assert timedelta(minutes=4) < caught.value.retry_after <= timedelta(minutes=5)
        facts = world.row(held).facts
        assert (facts.health, facts.reason) == (Health.RETRYING, "no_access_token")
    assert caught.value.reason == "no_access_token"
    assert world.provider.refresh_count == 2
    world.provider.behave()
    world.clock.advance(timedelta(minutes=6))
    assert world.provider.is_alive((await token(world)).value)
    assert (world.row(held).facts.health, world.row(held).facts.reason) == (Health.OK, None)
    assert not replays(world)


async def test_a_refresh_token_that_came_alone_survives_a_commit_whose_answer_is_lost(world):
    await expired(world)
    world.provider.misbehave(Misbehaviour.ACCESS_TOKEN_MISSING, endpoint="refresh")
    # The lease, the mark, and then the new token.
    world.store.fail(3, error=CommitUnknownError, afterwards=True)
    assert world.provider.is_alive((await token(world)).value)
    assert world.provider.refresh_count == 2
    assert not replays(world)


@pytest.mark.requirement("OAU-039", "OAU-042")
@pytest.mark.parametrize("what", ALONE)
async def test_an_exchange_that_is_refused_gives_back_what_could_be_read(world, what):
    world.provider.misbehave(what, endpoint="exchange")
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.connect()
    assert caught.value.reason == "unusable_body"
    assert await world.door.list_integrations(ACME) == ()
    access, refresh = next(request.issued for request in world.provider.requests if request.endpoint == "exchange")
    returned = [request.presented for request in world.provider.requests if request.endpoint == "revoke"]
    assert returned == ([refresh, access] if what is Misbehaviour.TOKEN_TYPE_MAC else [refresh])
    assert not world.leaks_in(repr(world.facts.told).encode())


async def test_an_answer_of_a_backend_that_keeps_nothing_is_lost(world, monkeypatch):
    await expired(world)
    monkeypatch.setattr(StandardOAuthBackend, "read_renewal", lambda *_, **__: Unusable(Unknown("unusable_body")))
    with pytest.raises(ProviderUnavailableError) as caught:
        await token(world)
    assert caught.value.reason == "unusable_body"


@pytest.mark.requirement("OAU-041")
@pytest.mark.parametrize("scope", ["", []], ids=repr)
async def test_an_answer_that_names_no_scope_leaves_the_stored_ones_as_they_are(world, monkeypatch, scope):
    monkeypatch.setitem(STRAYS, Misbehaviour.SCOPES_UNREADABLE, ("scope", scope))
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.SCOPES_UNREADABLE, endpoint="refresh")
    assert (await token(world)).scopes == ("read", "write")
    facts = world.row(held).facts
    assert (facts.scopes, facts.missing_scopes) == (("read", "write"), ())
    assert unread(world) == []
