"""Providers whose keys are sent as they are: connected, checked, used and removed, through both managers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.protocol.key_providers import KEYS
from tests.protocol.plain_key_providers import PLAIN_KEYS
from tests.protocol.service_key_providers import SERVICE_KEYS
from tests.protocol.work_key_providers import WORK_KEYS

from cloud_integrations.domain.importing import ImportedKey
from cloud_integrations.domain.provider import fill
from cloud_integrations.errors import (
    AnswerLostError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
)
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .conftest import ACME, ALICE
from .transports import StandIn

# The JWT of Snowflake's key pair is made from what is entered: test_shown_proofs.py.
CASES = {f"{key.slug}-{key.method}": key for key in (*KEYS, *PLAIN_KEYS, *SERVICE_KEYS, *WORK_KEYS) if key.method != "key_pair"}
over_cases = pytest.mark.parametrize("case", sorted(CASES))


class Server(StandIn):
    """The servers of one provider, which know one key."""

    def __init__(self, world, case):
        self.world = world
        self.key = CASES[case]
        # An operator may have switched on what is no longer offered.
        self.provider = Catalogue.builtin().require(self.key.slug).model_copy(update={"active": True})
        self.method = self.provider.method_named(self.key.method)
        self.known = {name: fill(template, self.key.inputs) for name, template in self.key.headers.items()}
        self.alive = self.answer_that_means("alive")
        self.dead = self.answer_that_means("dead")
        self.answer = None
        """What is answered instead: a response, or an error to raise."""
        self.checks = []
        world.transport = self
        world.door = world.open(providers=[self.provider], applications=[])
        world.secrets += self.secrets

    @property
    def secrets(self):
        return [self.key.inputs[each.name] for each in self.method.inputs if each.secret and each.name in self.key.inputs]

    def answer_that_means(self, outcome):
        return next((answer for answer in self.key.answers if answer[2] == outcome), None)

    def respond(self, request):
        self.checks.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        whole = f"{request.method} {request.url}" == self.key.request and self.known.items() <= dict(request.headers).items()
        return said(self.alive if whole else self.dead)

    async def add(self, **changes):
        inputs = {**self.key.inputs, **changes}
        variables = dict(self.key.variables)
        return await self.world.door.add(
            ACME, self.provider.id, method=self.key.method, name="Ours", inputs=inputs, variables=variables, actor=ALICE
        )


def said(answer):
    status, body, *_ = answer
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=content)


@over_cases
@pytest.mark.requirement("Q46", "Q47")
async def test_a_key_connects_is_handed_out_and_is_removed(world, case):
    server = Server(world, case)
    held = await server.add()
    _, _, _, account, label = server.alive
    assert held.account.label == label
    assert held.account.account_id == account if account else held.account.account_id.startswith("key:")
    assert (held.renewable, held.expires_at) == (False, None)
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"

    shown = (await world.door.credential(ACME, held.id)).headers()
    own = {name: value for name, value in server.known.items() if name not in {"Accept", *server.method.headers.get("api", {})}}
    assert own.items() <= shown.items()

    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert removal.api_key == ("unsupported" if server.method.key_revocation is None else "skipped"), "the key works on"
    assert removal.manual_url.startswith("https://")
    with pytest.raises(IntegrationNotFoundError):
        await world.door.credential(ACME, held.id)
    assert world.leaks_in(world.raw_dump()) == []


@over_cases
async def test_a_wrong_key_is_refused_and_nothing_is_stored(world, case):
    server = Server(world, case)
    name = next(each.name for each in server.method.inputs if each.secret)
    right = server.key.inputs[name]
    wrong = right[:-1] + ("1" if right[-1] != "1" else "2")
    with pytest.raises(InvalidCredentialsError) as caught:
        await server.add(**{name: wrong})
    assert caught.value.reason == "dead"
    assert await world.door.list_integrations(ACME) == ()
    assert wrong not in f"{caught.value!r}{caught.value}{caught.value.details}"
    assert len(server.checks) == 1, "a wrong key is asked about once"


@over_cases
async def test_a_key_that_was_ended_needs_a_reconnect(world, case):
    server = Server(world, case)
    held = await server.add()
    server.answer = said(server.dead)
    assert (await world.door.verify(ACME, held.id)).outcome == "dead"
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, held.id)
    server.answer = None
    again = await world.door.reconnect(ACME, held.id, inputs=dict(server.key.inputs), actor=ALICE)
    assert (again.id, again.health.value) == (held.id, "ok")


@over_cases
async def test_a_key_that_may_not_ask_who_it_is_connects(world, case):
    server = Server(world, case)
    denied = server.answer_that_means("alive_but_denied")
    server.answer = said(denied) if denied else said(server.alive)
    held = await server.add()
    assert (await world.door.verify(ACME, held.id)).outcome == ("alive_but_denied" if denied else "alive")


OUTAGES = [
    ProviderUnreachableError(provider_id="x"),
    AnswerLostError(provider_id="x"),
    HttpResponse(status=503),
    HttpResponse(status=500, body=b"<html>"),
    HttpResponse(status=429, headers={"retry-after": "60"}),
]


@over_cases
@pytest.mark.requirement("Q64")
async def test_an_outage_is_no_verdict(world, case):
    server = Server(world, case)
    for outage in OUTAGES:
        server.answer = outage
        with pytest.raises(ProviderUnavailableError) as caught:
            await server.add()
        assert caught.value.retryable
    server.answer = None
    held = await server.add()
    for outage in OUTAGES:
        server.answer = outage
        if isinstance(outage, HttpResponse):
            assert (await world.door.verify(ACME, held.id)).outcome == "unknown"
        else:
            with pytest.raises(ProviderUnavailableError):
                await world.door.verify(ACME, held.id)
    assert (await world.door.credential(ACME, held.id)).headers()


@pytest.mark.requirement("Q02", "Q56")
@pytest.mark.parametrize(
    ("case", "name", "home"),
    [
        ("datadog-keys", "site", "datadoghq.com"),
        ("launchdarkly-access_token", "api_host", "app.launchdarkly.com"),
        ("new_relic-user_key", "api_host", "api.newrelic.com"),
        ("pagerduty-api_key", "api_host", "api.pagerduty.com"),
        ("sendgrid-api_key", "api_host", "api.sendgrid.com"),
        ("sentry-auth_token", "host", "sentry.io"),
    ],
)
async def test_a_key_of_another_region_is_refused_until_its_region_is_named(world, case, name, home):
    server = Server(world, case)
    elsewhere = dict(server.key.variables)
    with pytest.raises(InvalidCredentialsError):
        await world.door.add(
            ACME,
            server.provider.id,
            method=server.key.method,
            name="Ours",
            inputs=dict(server.key.inputs),
            variables={name: home},
            actor=ALICE,
        )
    assert elsewhere[name] != home
    assert (await server.add()).account is not None


# A key that ends


def saying(server, end):
    """The provider's answer to a key that works, with the end of the key where its file says that it stands."""
    status, body, *_ = server.alive
    (path,) = {check.expires.path for check in server.provider.verifications if check.expires is not None}
    *above, name = path.split(".")
    answer = json.loads(json.dumps(body))
    place = answer
    for step in above:
        place = place[step]
    place[name] = end
    return said((status, answer))


END_IS_SAID = ["fastly-api_token", "scaleway-api_key"]


@pytest.mark.requirement("Q54")
@pytest.mark.parametrize("case", END_IS_SAID)
async def test_a_key_that_ends_says_so_ahead_and_is_used_until_it_is_refused(world, case):
    server = Server(world, case)
    end = world.clock.now() + timedelta(days=90)
    server.answer = saying(server, end.isoformat())
    held = await server.add()
    assert (held.reconnect_before, held.expires_at) == (end, None)
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == end
    world.pass_(days=75)
    await world.door.verify(ACME, held.id)
    assert "credential.key_ends_soon" not in world.facts.names
    world.pass_(days=2)
    for _ in range(2):
        await world.door.verify(ACME, held.id)
    [told] = [fact for fact in world.facts.told if fact.name == "credential.key_ends_soon"]
    assert told.facts["before"] == end.isoformat()
    world.pass_(days=14)
    assert (await world.door.credential(ACME, held.id)).values()
    server.answer = said(server.dead)
    assert (await world.door.verify(ACME, held.id)).outcome == "dead"
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, held.id)
    later = world.clock.now() + timedelta(days=365)
    server.answer = saying(server, later.isoformat())
    again = await world.door.reconnect(ACME, held.id, inputs=dict(server.key.inputs), actor=ALICE)
    assert (again.id, again.health.value, again.reconnect_before) == (held.id, "ok", later)


@pytest.mark.requirement("Q54")
@pytest.mark.parametrize("case", END_IS_SAID)
@pytest.mark.parametrize("end", [None, "", "never", 7, "2026-13-01T00:00:00Z", {}, "1999-12-31T23:59:59Z"])
async def test_a_key_whose_end_cannot_be_read_has_none(world, case, end):
    server = Server(world, case)
    server.answer = saying(server, end)
    assert (await server.add()).reconnect_before is None


@pytest.mark.requirement("Q54")
@pytest.mark.parametrize("case", END_IS_SAID)
async def test_the_end_of_a_key_that_is_imported_is_asked_for(world, case):
    server = Server(world, case)
    end = world.clock.now() + timedelta(days=90)
    server.answer = saying(server, end.isoformat())
    entered = {"inputs": dict(server.key.inputs), "variables": dict(server.key.variables)}
    key = ImportedKey(provider=server.provider.id, method=server.key.method, name="Ours", **entered)
    assert (await world.door.import_credential(ACME, key, actor=ALICE)).reconnect_before == end
