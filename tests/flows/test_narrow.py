"""A narrowed credential: less than the stored one, never stored, and never in place of another."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.domain.provider import ErrorRule, Narrowing, Step, StepReply
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationInactiveError,
    IntegrationNotFoundError,
    NotNarrowedError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .bank import KEY, LIFE, Bank
from .conftest import ACME, ALICE, GLOBEX, MALLORY
from .hub import Hub, answer

READ = {"may": {"files": "read"}}
WRITE = {"may": {"files": "write"}}
SHOP = {"shop": {"only": "books"}}


class Teller(Bank):
    """A bank whose tokens can be narrowed: `may` when they are minted, `shop` by an exchange."""

    gives = None
    """What the answer says that was given instead of what was asked."""
    shops: list[str]

    def provider(self, **changes):
        made = super().provider(**changes)
        url = self.world.provider.base_url
        [method] = made.methods
        mint = method.mint[0].model_copy(update={"body": "json"})
        narrowing = {
            "may": Narrowing(form="map", field="may", levels=("read", "write"), answer="may"),
            "shop": Narrowing(form="object", to="exchange", field="shop"),
        }
        exchange = Step(
            url=f"{url}/exchange", body="json", fields={"of": "{access_token}"}, reply=StepReply(gives={"access_token": "token"})
        )
        able = method.model_copy(update={"mint": (mint,), "narrow": narrowing, "exchange": exchange})
        rule = ErrorRule.model_validate({"at": "mint", "path": "error", "equals": "too_much", "class": "narrowing"})
        return made.model_copy(update={"methods": (able,), "error_rules": (*made.error_rules, rule)})

    def _respond(self, request):
        if request.url.endswith("/me"):
            return super()._respond(request)
        asked = json.loads(request.body)
        if isinstance(self.answer, Exception):
            raise self.answer
        said = self.answer(asked) if callable(self.answer) else self.answer
        if said is not None:
            return said
        if request.url.endswith("/exchange"):
            if asked["of"] not in self.minted:
                return self.refusal("invalid_grant")
        elif asked["key"] not in self.keys:
            return self.refusal("key_revoked")
        self.minted.append(f"fake-token-{len(self.minted)}")
        body = {"token": self.minted[-1]} if request.url.endswith("/exchange") else {"token": self.minted[-1], "expires_in": 3600}
        said = self.gives if self.gives is not None else asked.get("may")
        return HttpResponse(status=200, body=json.dumps(body | ({"may": said} if said else {})).encode())

    @property
    def send(self):
        inner = self._respond

        def respond(request):
            if not request.url.endswith("/me"):
                self.asked.append(json.loads(request.body))
            return inner(request)

        if self.world.blocking:
            return lambda request, /, *, deadline: respond(request)

        async def send(request, /, *, deadline):
            return respond(request)

        return send


@pytest.fixture
def bank(world):
    return Teller(world)


async def add(world, **more):
    return await world.door.add(ACME, "bank", name="Our bank", inputs={"key": KEY, "team": "t-1"}, actor=ALICE, **more)


async def credential(world, narrow, **named):
    return await world.door.credential(ACME, "bank", narrow=narrow, **named)


def used(world):
    return [event.details for event in world.events() if event.action == "credential.used"]


async def test_a_narrowed_credential_is_minted_shown_and_never_stored(world, bank):
    held = await add(world)
    before = world.row(held)
    less = await credential(world, READ)
    assert bank.asked[-1] == {"key": KEY, "team": "t-1", "may": {"files": "read"}}
    assert less.headers() == {"Authorization": "Bearer fake-token-1", "X-Team": "t-1"}
    assert (less.narrowed, less.expires_at, less.warning) == (("may",), world.clock.now() + LIFE, None)
    assert "read" not in repr(less)
    assert world.row(held) == before
    whole = await world.door.credential(ACME, "bank")
    assert (whole.value, whole.narrowed, whole.narrow) == (Secret("fake-token-0"), (), None)
    assert b"fake-token-1" not in world.raw_dump()


async def test_no_caller_gets_what_another_asked_for(world, bank):
    await add(world)
    whole = await world.door.credential(ACME, "bank")
    read, write, shop = [await credential(world, narrow) for narrow in (READ, WRITE, SHOP)]
    assert len({token.value.reveal() for token in (whole, read, write, shop)}) == 4
    asked = len(bank.asked)
    for narrow, token in ((None, whole), (READ, read), (WRITE, write), (SHOP, shop), ({"may": {"files": "read"}}, read)):
        assert (await credential(world, narrow)).value == token.value
        assert (await credential(world, narrow, actor=MALLORY, min_ttl=60)).value == token.value
    assert len(bank.asked) == asked, "each is remembered for as long as the whole one"


async def test_what_is_remembered_ends_with_the_cache_a_renewal_and_another_process(world, bank):
    held = await add(world)
    first = await credential(world, READ)
    world.clock.advance(timedelta(seconds=61))
    second = await credential(world, READ)
    await world.door.refresh(ACME, held.id)
    third = await credential(world, READ)
    assert len({token.value.reveal() for token in (first, second, third)}) == 3
    assert third.generation == second.generation + 1
    world.door = bank.open()
    assert (await credential(world, READ)).value != third.value
    world.door = world.open(providers=[bank.provider()], applications=[], settings=world.settings(token_cache=timedelta()))
    assert (await credential(world, READ)).value != (await credential(world, READ)).value


async def test_many_callers_share_one_mint_for_each_narrowing(world, bank):
    await add(world)
    tokens = await world.door.together(20, "credential", ACME, "bank", narrow=READ)
    assert {token.value.reveal() for token in tokens} == {"fake-token-1"}
    assert len(bank.asked) == 2


async def test_an_exchange_takes_the_stored_token_and_what_it_gives_ends_with_that(world, bank):
    held = await add(world)
    world.clock.advance(timedelta(minutes=10))
    less = await credential(world, SHOP)
    assert bank.asked[-1] == {"of": "fake-token-0", "shop": {"only": "books"}}
    assert (less.value, less.expires_at) == (Secret("fake-token-1"), held.expires_at)
    both = await credential(world, READ | SHOP)
    assert [sorted(asked) for asked in bank.asked[-2:]] == [["key", "may", "team"], ["of", "shop"]]
    assert bank.asked[-1]["of"] == "fake-token-2"
    assert (both.narrowed, both.expires_at) == (("may", "shop"), world.clock.now() + LIFE)
    long = await credential(world, SHOP, min_ttl=timedelta(hours=2))
    assert long.warning == "less_life_than_asked"


async def test_an_exchange_from_a_token_that_ended_renews_that_first(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    less = await credential(world, SHOP)
    assert bank.asked[-1]["of"] == "fake-token-1"
    assert (less.generation, world.row(held).credential.generation) == (2, 2)


async def test_a_use_is_recorded_with_the_names_and_never_with_values(world, bank):
    await add(world)
    for _ in range(2):
        await credential(world, None)
        await credential(world, READ)
        await credential(world, WRITE)
        await credential(world, READ | SHOP)
    assert used(world) == [{}, {"narrowed": "may"}, {"narrowed": "may,shop"}]
    assert "books" not in repr(world.events())


@pytest.mark.parametrize("narrow", [{}, {"policy": {}}, {"may": {}}, {"may": {"files": "own"}}, {"may": "files"}, {"shop": []}, 5])
async def test_what_cannot_be_narrowed_is_refused_and_nothing_is_asked(world, bank, narrow):
    await add(world)
    with pytest.raises(ValidationFailedError) as caught:
        await credential(world, narrow)
    assert caught.value.field.startswith("narrow")
    assert (len(bank.asked), used(world)) == (1, [])


@pytest.mark.parametrize("said", [{"files": "write"}, {"files": "read", "keys": "read"}, {}, ["files"], None])
async def test_more_than_was_asked_is_not_handed_out(world, bank, said):
    held = await add(world)
    before = world.row(held)
    bank.gives = said or ["nothing"]
    for _ in range(2):
        with pytest.raises(NotNarrowedError) as caught:
            await credential(world, READ)
        assert (caught.value.name, caught.value.retryable, caught.value.reason) == ("may", False, "not_narrowed")
    assert (len(bank.asked), world.row(held), used(world)) == (2, before, []), "it is not asked again at once"
    bank.gives = None
    world.clock.advance(timedelta(minutes=1))
    assert (await credential(world, READ)).narrowed == ("may",)


async def test_what_the_provider_calls_too_much_is_the_callers_fault_alone(world, bank):
    held = await add(world)
    bank.answer = lambda asked: bank.refusal("too_much")
    before = world.row(held)
    for _ in range(2):
        with pytest.raises(ValidationFailedError) as caught:
            await credential(world, READ)
        assert caught.value.field == "narrow.may"
    with pytest.raises(ValidationFailedError, match="narrow was refused"):
        await credential(world, READ | SHOP)
    assert (len(bank.asked), world.row(held)) == (3, before)


async def test_a_refusal_that_may_be_about_everything_is_checked_once_and_the_tenant_is_not_blamed(world, bank):
    held = await add(world)
    bank.answer = lambda asked: bank.refusal("key_revoked") if "may" in asked else None
    with pytest.raises(ValidationFailedError):
        await credential(world, READ)
    assert world.row(held).facts.health.value == "ok"
    assert [sorted(asked) for asked in bank.asked[1:]] == [["key", "may", "team"], ["key", "team"], ["key", "may", "team"]]
    with pytest.raises(ValidationFailedError):
        await credential(world, WRITE)
    assert len(bank.asked) == 5, "the whole credential is checked once a minute at most"


async def test_a_key_that_ended_asks_for_a_reconnect_also_where_only_less_is_wanted(world, bank):
    held = await add(world)
    bank.keys.remove(KEY)
    for narrow in (READ, READ, WRITE, SHOP):
        with pytest.raises(ReconnectRequiredError):
            await credential(world, narrow)
    assert world.row(held).facts.health.value == "reconnect_required"
    assert len(bank.asked) == 3


async def test_an_outage_is_retryable_and_rests_and_writes_nothing(world, bank):
    held = await add(world)
    before = world.row(held)
    bank.answer = HttpResponse(status=503, headers={"retry-after": "60"})
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError) as caught:
            await credential(world, READ)
        assert caught.value.retryable
        assert not isinstance(caught.value, NotNarrowedError)
    assert (len(bank.asked), world.row(held)) == (2, before)
    assert (await credential(world, None)).value == Secret("fake-token-0")
    bank.answer = None
    world.clock.advance(timedelta(minutes=1))
    assert (await credential(world, READ)).narrowed == ("may",)


@pytest.mark.parametrize("change", ["delete", "disable"])
async def test_an_integration_that_is_gone_meanwhile_gives_nothing(world, bank, change):
    await add(world)
    rows = world.tables.integrations

    def respond(_asked):
        for key, row in list(rows.items()):
            rows[key] = replace(row, facts=replace(row.facts, state=State.DISABLED))
            if change == "delete":
                del rows[key]

    bank.answer = respond
    with pytest.raises(IntegrationNotFoundError if change == "delete" else IntegrationInactiveError):
        await credential(world, READ)
    assert used(world) == []


async def test_a_disabled_one_another_tenants_and_one_without_its_provider_give_nothing(world, bank):
    held = await add(world)
    await credential(world, READ)
    with pytest.raises(IntegrationNotFoundError):
        await world.door.credential(GLOBEX, held.id, narrow=READ)
    await world.door.edit_integration(ACME, held.id, status="inactive", actor=ALICE)
    with pytest.raises(IntegrationInactiveError):
        await credential(world, READ)
    await world.door.edit_integration(ACME, held.id, status="active", actor=ALICE)
    other = bank.provider()
    world.door = world.open(
        providers=[other.model_copy(update={"methods": (other.methods[0].model_copy(update={"id": "new"}),)})], applications=[]
    )
    with pytest.raises(ProviderInactiveError):
        await credential(world, READ)


async def test_a_use_that_cannot_be_recorded_hands_out_nothing(world, bank):
    await add(world)
    world.store.fail(1)
    with pytest.raises(StorageUnavailableError):
        await credential(world, READ)


async def test_a_refused_one_is_replaced_by_one_that_is_narrowed_in_the_same_way(world, bank):
    held = await add(world)
    first = await credential(world, READ)
    second = await world.door.replace_refused(ACME, first)
    assert (second.narrowed, second.value) == (("may",), Secret("fake-token-2"))
    assert bank.asked[-1]["may"] == {"files": "read"}
    assert world.row(held).credential.generation == 1, "the whole one is not renewed for it"
    assert (await world.door.replace_refused(ACME, first)).value == second.value
    assert (await credential(world, READ)).value == second.value


async def test_one_that_was_exchanged_is_replaced_from_a_whole_one_that_is_renewed_once(world, bank):
    held = await add(world)
    first = await credential(world, SHOP)
    second = await world.door.replace_refused(ACME, first)
    third = await world.door.replace_refused(ACME, first)
    assert (second.value, second.value) == (third.value, Secret("fake-token-3"))
    assert (bank.asked[-1]["of"], world.row(held).credential.generation) == ("fake-token-2", 2)


async def test_an_installation_gives_a_token_for_some_repositories_that_may_only_read(world):
    hub = Hub(world)
    await hub.connect()
    less = await world.door.credential(ACME, "github", narrow={"permissions": {"contents": "read"}, "repositories": ["one"]})
    sent = hub.asked("/access_tokens")[-1]
    assert json.loads(sent.body) == {"permissions": {"contents": "read"}, "repositories": ["one"]}
    assert (less.narrowed, less.value.reveal() in hub.live) == (("permissions", "repositories"), True)
    whole = await world.door.credential(ACME, "github")
    assert (whole.value == less.value, hub.asked("/access_tokens")[0].body) == (False, b"")
    with pytest.raises(ValidationFailedError, match=r"narrow\.repositories was refused"):
        await world.door.credential(ACME, "github", narrow={"repositories": ["unknown"]})


@pytest.mark.parametrize(
    "said",
    [{"permissions": {"contents": "write"}}, {"repository_selection": "all"}, {"permissions": {"contents": "read"}, "repositories": []}],
)
async def test_an_installation_whose_token_may_more_is_not_handed_out(world, said):
    hub = Hub(world)
    await hub.connect()
    ends = (world.clock.now() + LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.secrets.append("ghs_fakemore")
    hub.instead["access_tokens"] = answer({"token": "ghs_fakemore", "expires_at": ends, **said}, 201)
    with pytest.raises(NotNarrowedError):
        await world.door.credential(ACME, "github", narrow={"permissions": {"contents": "read"}, "repositories": ["one"]})


async def test_an_exchange_that_is_refused_gives_nothing_of_what_was_minted_for_it(world, bank):
    await add(world)
    bank.answer = lambda asked: bank.refusal("too_much") if "of" in asked else None
    with pytest.raises(ValidationFailedError, match="narrow was refused"):
        await credential(world, READ | SHOP)
    assert used(world) == []
