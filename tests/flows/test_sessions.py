"""An agent acts for a person in a session: what it may do, who is recorded, and how it ends."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.authorities import authority
from tests.clusters import near_provider

from cloud_integrations import AsyncIntegrationManager, ImportedKey
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationNotFoundError,
    SessionNotFoundError,
    SessionRefusedError,
    TenantNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.protocol.session_rules import SessionRequest

from .conftest import ACME, ALICE, GLOBEX, AsyncKnownTenants, KnownTenants

BOT = Actor(type="agent", id="bot")
API = "https://api.example/files"
END = datetime(2030, 1, 1, tzinfo=UTC)


async def awaited(result):
    return await result if inspect.isawaitable(result) else result


async def opened(world, door=None, **changes):
    """Open a session of the agent for Alice."""
    named = {"on_behalf_of": ALICE, "providers": ["simulated"], "hosts": ["api.example"], "actor": BOT, **changes}
    return await (door or world.door).sessions.open(ACME, **named)


async def asked(session, url=API, *, method="GET", provider="simulated", headers=None):
    return await awaited(session._authorize(SessionRequest(http_method=method, url=url, provider=provider, headers=headers or {})))


async def refusal(session, url=API, **named):
    with pytest.raises(SessionRefusedError) as caught:
        await asked(session, url, **named)
    return caught.value.reason


@pytest.fixture
async def connected(world):
    return await world.connect()


async def test_a_session_says_what_it_allows_and_nothing_secret(world, connected):
    session = await opened(world)
    assert (session.tenant_id, session.agent, session.on_behalf_of) == (ACME, BOT, ALICE)
    assert (session.providers, session.methods) == (("simulated",), ("GET", "HEAD"))
    assert dict(session.hosts) == {"simulated": ("api.example",)}
    assert session.expires_at - world.clock.now() == timedelta(hours=1)
    stored = await world.door.sessions.get(ACME, session.id)
    assert stored.access[0].integration_id == connected.id
    assert not stored.needs_approval


async def test_no_public_attribute_of_a_handle_gives_a_credential(world, connected):
    session = await opened(world)
    token = (await asked(session)).value.reveal()
    shown = {name: getattr(session, name) for name in dir(session) if not name.startswith("_")}
    assert shown.keys() == {
        *("id", "tenant_id", "agent", "on_behalf_of", "providers", "hosts", "methods", "expires_at", "auth", "revoke"),
    }
    auth = session.auth("simulated")
    seen = [*shown.values(), repr(session), repr(auth), *(getattr(auth, name) for name in dir(auth) if not name.startswith("_"))]
    assert token not in "".join(map(repr, seen))
    assert not any(isinstance(value, Secret) for value in seen)


async def test_a_handle_is_neither_pickled_nor_copied(world, connected):
    session = await opened(world)
    for value in (session, session.auth("simulated")):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(value)
        assert copy.copy(value) is value
        assert copy.deepcopy(value) is value


async def test_an_allowed_request_gets_the_credential_and_the_log_names_agent_and_person(world, connected):
    session = await opened(world, request_id="r-1")
    token = await asked(session)
    assert token.integration_id == connected.id
    used = world.last_event()
    assert (used.action, used.actor, used.request_id) == ("credential.used", BOT, "r-1")
    assert dict(used.details) == {"on_behalf_of": "user:alice", "session": str(session.id)}
    begun = next(event for event in world.events() if event.action == "session.opened")
    assert (begun.actor, begun.resource) == (BOT, f"session:{session.id}")
    assert dict(begun.details) == {
        "on_behalf_of": "user:alice",
        "providers": "simulated",
        "hosts": "api.example",
        "methods": "GET,HEAD",
        "expires_at": session.expires_at.isoformat(),
    }


async def test_each_session_of_an_agent_is_recorded_for_itself(world, connected):
    for person in ("alice", "grace"):
        session = await opened(world, on_behalf_of=person)
        for _ in range(3):
            await asked(session)
    uses = [event.details["on_behalf_of"] for event in world.events() if event.action == "credential.used"]
    assert uses == ["user:alice", "user:grace"]


async def test_a_refusal_is_recorded_without_path_and_query(world, connected):
    session = await opened(world)
    assert await refusal(session, "https://evil.example/fake-path?key=fake-secret") == "host"
    refused = world.last_event()
    assert (refused.action, refused.outcome, refused.reason, refused.actor) == ("session.refused", "denied", "host", BOT)
    assert dict(refused.details) == {
        "on_behalf_of": "user:alice",
        "covers": "attempt",
        "host": "evil.example",
        "method": "GET",
        "provider": "simulated",
    }
    assert await refusal(session, "https://fake-secret@api.example", method="fake secret") == "host"
    assert "fake" not in str(world.events())


async def test_refusals_are_limited_in_the_log(world, connected):
    session = await opened(world)
    before = len(world.events())
    for number in range(50):
        assert await refusal(session, f"https://evil{number}.example") == "host"
    assert len(world.events()) == before + 1


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"url": "https://evil.example"}, "host"),
        ({"method": "POST"}, "method"),
        ({"url": "http://api.example"}, "scheme"),
        ({"provider": "simulated_keys"}, "provider"),
        ({"provider": "no-such"}, "provider"),
        ({"provider": str(UUID(int=1))}, "provider"),
        ({"headers": {"Host": "evil.example"}}, "host"),
        ({"headers": {"X-HTTP-Method-Override": "DELETE"}}, "method"),
    ],
)
async def test_what_the_session_does_not_say_is_refused_before_a_credential_is_opened(world, connected, named, reason):
    session = await opened(world)
    assert await refusal(session, **named) == reason
    assert "credential.used" not in [event.action for event in world.events()]


async def test_a_credential_is_not_sent_to_a_host_of_another_provider(world, connected):
    key = await world.add_key()
    hosts = {"simulated": ["api.example"], "simulated_keys": ["*.keys.example"]}
    session = await opened(world, providers=["simulated", "simulated_keys"], hosts=hosts)
    assert await refusal(session, "https://a.keys.example") == "host"
    assert await refusal(session, provider="simulated_keys") == "host"
    assert (await asked(session, "https://a.keys.example", provider="simulated_keys")).integration_id == key.id
    # What names no provider, a proxy, gets that of the host.
    assert (await asked(session, "https://a.keys.example", provider=None)).integration_id == key.id
    assert (await asked(session, provider=None)).integration_id == connected.id


async def test_an_integration_may_be_named_by_its_id(world, connected):
    session = await opened(world, providers=[connected.id])
    assert session.providers == (str(connected.id),)
    for name in (str(connected.id), str(connected.provider_id), "simulated", None):
        assert (await asked(session, provider=name)).integration_id == connected.id
    with pytest.raises(ValidationFailedError, match="twice"):
        await opened(world, providers=["simulated", connected.id], hosts={"simulated": ["a.example"], str(connected.id): ["b.example"]})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"actor": ALICE}, "actor"),
        ({"actor": Actor(type="service", id="nightly")}, "actor"),
        ({"on_behalf_of": BOT}, "onBehalfOf"),
        ({"hosts": None}, "hosts"),
        ({"hosts": {}}, "hosts"),
        ({"hosts": [f"h{number}.example" for number in range(51)]}, "hosts"),
        ({"providers": ["no-such"]}, "providers"),
        ({"providers": [f"{number}" for number in range(60)]}, "providers"),
    ],
)
async def test_what_makes_no_session_is_refused_by_its_name(world, connected, changes, field):
    with pytest.raises(ValidationFailedError) as caught:
        await opened(world, **changes)
    assert caught.value.field == field
    assert await world.door.sessions.list(ACME) == ()


async def test_one_host_belongs_to_one_provider(world, connected):
    await world.add_key()
    both = ["simulated", "simulated_keys"]
    for hosts in ({each: ["api.example"] for each in both}, {"simulated": ["a.keys.example"], "simulated_keys": ["*.keys.example"]}):
        with pytest.raises(ValidationFailedError, match="one host to two providers"):
            await opened(world, providers=both, hosts=hosts)
    with pytest.raises(ValidationFailedError, match="mapping"):
        await opened(world, providers=both)


async def test_hosts_that_are_left_out_are_those_of_the_providers_api(world, connected):
    entries = [
        each.model_copy(update={"base_urls": {"api": "https://API.example/v1", "more": "https://b.example:8443"}}) for each in world.entries
    ]
    door = world.open(providers=entries)
    session = await opened(world, door, hosts=None)
    assert session.hosts["simulated"] == ("api.example", "b.example:8443")


async def test_an_integration_that_is_not_there_has_no_session(world):
    with pytest.raises(IntegrationNotFoundError):
        await opened(world)


async def test_sessions_are_found_by_their_own_tenant_only(world, connected):
    session = await opened(world)
    assert [each.id for each in await world.door.sessions.list(ACME)] == [session.id]
    assert await world.door.sessions.list(GLOBEX) == ()
    for method in ("get", "attach", "revoke"):
        for tenant, number in ((GLOBEX, session.id), (ACME, uuid4())):
            with pytest.raises(SessionNotFoundError):
                await getattr(world.door.sessions, method)(tenant, number)
    assert await asked(session)


async def test_the_host_says_which_tenants_there_are(world, connected):
    session = await opened(world)
    door = world.open(tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    assert (await door.sessions.get(ACME, session.id)).id == session.id
    for call in (door.sessions.list(GLOBEX), door.sessions.get(GLOBEX, session.id), door.sessions.revoke(GLOBEX, session.id)):
        with pytest.raises(TenantNotFoundError):
            await call


async def test_ten_requests_at_once_are_one_use(world, connected):
    session = await opened(world)
    tokens = await world.door.all_at_once(*[lambda: session._authorize(SessionRequest(http_method="GET", url=API))] * 10)
    assert {token.value.reveal() for token in tokens} == {(await asked(session)).value.reveal()}
    assert [event.action for event in world.events()].count("credential.used") == 1


async def test_a_refused_credential_is_replaced_while_the_session_lasts(world, connected):
    session = await opened(world)
    first = await asked(session)
    request = SessionRequest(http_method="GET", url=API, provider="simulated")
    second = await awaited(session._replace(request, first))
    assert second.generation == first.generation + 1
    key = await world.add_key()
    foreign = await world.door.credential(ACME, "simulated_keys")
    assert foreign.integration_id == key.id
    with pytest.raises(SessionRefusedError) as caught:
        await awaited(session._replace(request, foreign))
    assert caught.value.reason == "provider"
    await awaited(session.revoke())
    with pytest.raises(SessionRefusedError):
        await awaited(session._replace(request, second))


async def test_a_blocking_session_waits_for_nobody_in_an_event_loop(world, connected):
    session = await opened(world)
    if isinstance(world.door.manager, AsyncIntegrationManager):
        return
    import httpx

    with pytest.raises(ConfigurationError, match="event loop"):
        httpx.Client(auth=session.auth("simulated")).get(API)


def test_a_caller_outside_of_a_session_has_no_person():
    assert (Caller().on_behalf_of, Caller().session_id) == (None, None)


async def test_who_opens_a_session_for_an_agent_is_recorded_beside_it(world, connected):
    named = {"on_behalf_of": ALICE, "providers": ["simulated"], "hosts": ["api.example"]}
    await awaited(world.door.acting_as("grace").sessions.open(ACME, actor=BOT, **named))
    assert (world.last_event().actor, world.last_event().details["opened_by"]) == (BOT, "user:grace")
    await awaited(world.door.acting_as(BOT).sessions.open(ACME, **named))
    assert "opened_by" not in world.last_event().details


async def test_a_session_can_be_written_as_json(world, connected):
    session = await opened(world)
    shown = (await world.door.sessions.get(ACME, session.id)).as_json()
    assert shown["access"][0]["hosts"] == ["api.example"]
    assert (shown["hosts"], shown["providers"], shown["revokedAt"]) == ({"simulated": ["api.example"]}, ["simulated"], None)
    assert shown["expiresAt"].endswith("Z")


async def test_the_server_that_a_tenant_entered_is_the_host_of_its_api(world):
    door = world.open(providers=[near_provider()], applications=[])
    inputs = {"server": "https://10.0.0.7:6443", "ca": authority().pem, "token": "fake-token"}
    key = ImportedKey(provider="kubernetes", name="Ours", inputs=inputs)
    await door.import_credential(ACME, key, verify=False, actor=ALICE)
    session = await opened(world, door, providers=["kubernetes"], hosts=None)
    assert session.hosts == {"kubernetes": ("10.0.0.7:6443",)}


async def test_an_api_whose_address_is_not_known_has_no_hosts(world, connected):
    entries = [each.model_copy(update={"base_urls": {"api": "https://{region}.api.example"}}) for each in world.entries]
    with pytest.raises(ValidationFailedError) as caught:
        await opened(world, world.open(providers=entries), hosts=None)
    assert caught.value.field == "hosts"


async def test_a_provider_that_left_the_catalogue_takes_nothing_from_the_others(world, connected):
    await world.add_key()
    hosts = {"simulated": ["127.0.0.1:8000"], "simulated_keys": ["keys.example"]}
    session = await opened(world, providers=["simulated", "simulated_keys"], hosts=hosts)
    door = world.open(providers=world.entries[:1])
    attached = await door.sessions.attach(ACME, session.id)
    assert await asked(attached, "http://127.0.0.1:8000")
    assert await refusal(attached, "https://keys.example", provider="simulated_keys") == "provider"
