"""Providers whose keys are sent as they are: connected, checked, used and removed, through both managers."""

from __future__ import annotations

import json

import pytest
from tests.protocol.key_providers import KEYS
from tests.protocol.plain_key_providers import PLAIN_KEYS

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
CASES = {f"{key.slug}-{key.method}": key for key in (*KEYS, *PLAIN_KEYS) if key.method != "key_pair"}
over_cases = pytest.mark.parametrize("case", sorted(CASES))


class Server(StandIn):
    """The servers of one provider, which know one key."""

    def __init__(self, world, case):
        self.world = world
        self.key = CASES[case]
        self.provider = Catalogue.builtin().require(self.key.slug)
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
    own = {name: value for name, value in server.known.items() if name != "Accept"}
    assert own.items() <= shown.items()

    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert removal.api_key == "unsupported", "the key works on, and the page says where to end it"
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


@pytest.mark.requirement("Q02")
@pytest.mark.parametrize(
    ("case", "name", "home"),
    [
        ("datadog-keys", "site", "datadoghq.com"),
        ("new_relic-user_key", "api_host", "api.newrelic.com"),
        ("pagerduty-api_key", "api_host", "api.pagerduty.com"),
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
