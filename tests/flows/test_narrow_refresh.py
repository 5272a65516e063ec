"""A refresh with fewer scopes: less than the stored token, at a provider whose refresh spends nothing; else it is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from cloud_integrations import ImportedGrant
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    IntegrationNotFoundError,
    NotNarrowedError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .transports import StandIn


@pytest.fixture
def steady(world):
    """A provider whose refresh tokens never rotate."""
    world.provider.rotation = "never"
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()
    return world


async def me(world, token):
    """What the provider says that a token may do."""
    request = HttpRequest(method="GET", url=f"{world.provider.base_url}/me", headers=token.headers(), provider_id="x", loopback=True)
    sent = world.transport.send(request, deadline=timedelta(seconds=5))
    response = sent if world.blocking else await sent
    return json.loads(response.body).get("scopes")


async def refreshed(world, **named):
    return await world.door.credential(ACME, world.provider.slug, narrow={"scopes": ["read"]}, **named)


async def test_scopes_that_were_asked_for_are_missing_where_the_narrowed_one_lacks_them(steady):
    world = steady
    held = await world.connect()
    slug = world.provider.slug
    less = await world.door.credential(ACME, slug, narrow={"scopes": ["read"]}, scopes=["read", "write"])
    assert (less.scopes, less.missing_scopes, less.narrowed) == (("read",), ("write",), ("scopes",))
    whole = await world.door.credential(ACME, slug)
    assert (whole.scopes, whole.value == less.value) == (("read", "write"), False)
    assert world.row(held).facts.scopes == ("read", "write")


async def test_a_refresh_with_fewer_scopes_really_gives_less_and_takes_nothing(steady):
    held = await steady.connect()
    before = steady.row(held)
    less = await refreshed(steady)
    assert await me(steady, less) == ["read"]
    assert await me(steady, await steady.door.credential(ACME, steady.provider.slug)) == ["read", "write"]
    assert steady.row(held) == before
    assert parse_qs(steady.sent[-3].body.decode())["scope"] == ["read"]
    assert (await refreshed(steady)).value == less.value


async def test_scopes_that_were_not_granted_are_refused_before_anything_is_sent(steady):
    await steady.connect()
    sent = len(steady.sent)
    with pytest.raises(ValidationFailedError, match="among those that were granted"):
        await steady.door.credential(ACME, steady.provider.slug, narrow={"scopes": ["read", "admin"]})
    assert len(steady.sent) == sent


async def test_a_provider_that_ignores_the_scopes_hands_out_nothing(steady):
    await steady.connect()
    steady.provider.misbehave(Misbehaviour.SCOPES_IGNORED, endpoint="refresh")
    with pytest.raises(NotNarrowedError):
        await refreshed(steady)
    steady.clock.advance(timedelta(minutes=1))
    assert (await refreshed(steady)).scopes == ("read",)


async def test_without_scopes_in_the_answer_they_are_those_that_were_asked_for(steady):
    await steady.connect()
    steady.provider.misbehave(Misbehaviour.SCOPES_UNSAID, endpoint="refresh")
    assert (await refreshed(steady)).scopes == ("read",)


async def test_a_provider_that_rotates_is_not_narrowed_by_a_refresh(world):
    await world.connect()
    sent = len(world.sent)
    with pytest.raises(ValidationFailedError, match="nothing narrows this method"):
        await refreshed(world)
    assert len(world.sent) == sent


async def test_a_refresh_token_that_comes_unasked_is_stored_and_the_grant_lives_on(steady):
    held = await steady.connect()
    stored = await steady.door.credential(ACME, steady.provider.slug)
    steady.provider.misbehave(Misbehaviour.ROTATES_UNASKED, endpoint="refresh")
    less = await refreshed(steady)
    row = steady.row(held)
    assert (row.credential.generation, row.facts.expires_at, row.facts.scopes) == (2, held.expires_at, ("read", "write"))
    assert await me(steady, less) == ["read"]
    assert (await steady.door.credential(ACME, steady.provider.slug)).value == stored.value
    assert (await steady.door.refresh(ACME, held.id)).health.value == "ok"


async def test_a_grant_that_was_revoked_asks_for_a_reconnect(steady):
    held = await steady.connect()
    steady.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        await refreshed(steady)
    assert steady.row(held).facts.health.value == "reconnect_required"
    with pytest.raises(ReconnectRequiredError):
        await refreshed(steady)


async def test_an_outage_of_a_refresh_is_retryable_and_leaves_the_row_alone(steady):
    held = await steady.connect()
    before = steady.row(held)
    steady.provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as caught:
        await refreshed(steady)
    assert caught.value.retryable
    assert steady.row(held) == before


async def test_a_grant_without_a_refresh_token_is_refused(steady):
    held = steady.provider.issue_grant()
    grant = ImportedGrant(provider="simulated", name="Files", access_token=held.access, scopes=("read", "write"))
    await steady.door.import_credential(ACME, grant, actor=ALICE)
    sent = len(steady.sent)
    with pytest.raises(ValidationFailedError, match="need a refresh token"):
        await refreshed(steady)
    assert len(steady.sent) == sent


async def test_an_answer_that_gives_no_token_but_a_refresh_token_keeps_that(steady):
    """What cannot be used is not handed out, and what came for the stored refresh token is stored."""
    held = await steady.connect()
    answer = steady.provider.issue_grant().refresh.reveal()
    steady.secrets.append(answer)
    steady.transport = Answering(steady, {"refresh_token": answer, "token_type": "Bearer"})
    steady.door = steady.open()
    with pytest.raises(ProviderUnavailableError):
        await refreshed(steady)
    stored = await steady.door.wiring.sealer.open_token(steady.row(held), "refresh")
    assert (stored, steady.row(held).credential.generation) == (Secret(answer), 2)


class Answering(StandIn):
    """Answers every request with the same members; *before* is called first."""

    def __init__(self, world, members, before=None):
        self.world = world
        self.members = members
        self.before = before

    def respond(self, _request):
        if self.before is not None:
            self.before()
        return HttpResponse(status=200, headers={"content-type": "application/json"}, body=json.dumps(self.members).encode())


def coming(world, refresh, before=None):
    """Let the provider answer with a narrowed access token and another refresh token."""
    members = {"access_token": "fake-less", "token_type": "Bearer", "expires_in": 3600, "scope": "read", "refresh_token": refresh}
    world.secrets += ["fake-less", refresh]
    world.transport = Answering(world, members, before)
    world.door = world.open()


async def test_a_refresh_token_for_an_integration_that_was_removed_meanwhile_is_given_back(steady):
    await steady.connect()
    coming(steady, "fake-refresh-unasked", before=steady.tables.integrations.clear)
    with pytest.raises(IntegrationNotFoundError):
        await refreshed(steady)
    assert "token.revoked" in {event.action for event in steady.events()} or steady.tables.outbox


async def test_a_refresh_token_that_another_process_has_replaced_meanwhile_stays(steady):
    held = await steady.connect()
    coming(steady, "fake-refresh-first")
    await refreshed(steady)
    row = steady.row(held)

    def replaced():
        steady.tables.integrations.update(rows)

    rows = dict(steady.tables.integrations)
    steady.restore(steady.backup())
    coming(steady, "fake-refresh-second", before=replaced)
    steady.clock.advance(timedelta(minutes=2))
    await refreshed(steady)
    stored = await steady.door.wiring.sealer.open_token(steady.row(held), "refresh")
    assert (stored, row.credential.generation) == (Secret("fake-refresh-second"), 2)


async def test_a_refresh_token_waits_for_the_store_and_is_told_where_it_cannot_be_stored(steady):
    await steady.connect()
    coming(steady, "fake-refresh-unasked")
    steady.store.fail(2, "find_integration", times=3)
    await refreshed(steady)
    assert "credential.unpersisted" not in steady.facts.names
    steady.clock.advance(timedelta(minutes=2))
    coming(steady, "fake-refresh-lost", before=lambda: steady.store.fail(1, "find_integration", times=100_000))
    with pytest.raises(StorageUnavailableError):
        await refreshed(steady)
    assert "credential.unpersisted" in steady.facts.names
    steady.store.heal()


@pytest.mark.parametrize("refused", [False, True])
async def test_while_the_server_is_down_or_refuses_the_application_nothing_is_sent(steady, refused):
    held = await steady.connect()
    breaker, context = steady.door.wiring.breaker, steady.row(held).facts.context_id
    for number in range(20):
        breaker.note(context, ok=False, by=f"tenant-{number}")
        if refused:
            breaker.refuse(context, "invalid_client", by=f"tenant-{number}")
    sent = len(steady.sent)
    with pytest.raises(AppMisconfiguredError if refused else ProviderUnavailableError) as caught:
        await refreshed(steady)
    assert caught.value.reason == ("invalid_client" if refused else "breaker_open")
    assert len(steady.sent) == sent
