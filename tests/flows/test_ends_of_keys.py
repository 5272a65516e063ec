"""When a key ends, the person who enters it can say: it is kept, told ahead and counted, and gives way to what the provider says."""

from __future__ import annotations

import json
from datetime import date, timedelta, timezone
from itertools import count

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .arguments import NAIVE
from .conftest import ACME, ALICE
from .receiving import all_of, open_delivering
from .rotations import SLUG, Rotating
from .transports import StandIn

pytestmark = pytest.mark.requirement("Q54")
DAYS = timedelta(days=90)


class Answering(StandIn):
    """A provider that answers each request with the document that *answer* makes of it."""

    def __init__(self, world, answer, /):
        self.world, self.answer = world, answer

    def respond(self, request):
        return HttpResponse(status=200, body=json.dumps(self.answer(request)).encode())


def open_for(world, slug, answer, /):
    """Open a door for one built-in provider, which *answer* plays."""
    world.transport = Answering(world, answer)
    return world.open(providers=[Catalogue.builtin().require(slug)], applications=[])


@pytest.fixture
def end(world):
    return world.clock.now() + DAYS


@pytest.fixture(params=["add", "add_api_key", "reconnect", "replace_api_key", "import", "import unasked"])
def enter(request, world):
    """Each way in which a person enters a key."""
    key = world.provider.valid_api_key
    named = {"actor": ALICE}

    async def enter(ends_at):
        door = world.door
        if request.param.startswith("import"):
            imported = ImportedKey(provider=SLUG, name="Key of Acme", api_key=key, ends_at=ends_at)
            return await door.import_credential(ACME, imported, verify=request.param == "import", **named)
        given = {"inputs": {"key": key}} if request.param in {"add", "reconnect"} else {"api_key": key}
        given |= named | {"ends_at": ends_at}
        if request.param.startswith("add"):
            return await getattr(door, request.param)(ACME, SLUG, name="Key of Acme", **given)
        held = await world.add_key()
        return await getattr(door, request.param)(ACME, held.id, **given)

    return enter


async def test_the_end_that_a_person_says_is_kept_however_the_key_is_entered(world, enter, end):
    held = await enter(end.astimezone(timezone(timedelta(hours=2))))
    assert (held.reconnect_before, held.expires_at) == (end, None)
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == end


@pytest.mark.parametrize("ago", [timedelta(), timedelta(microseconds=1), timedelta(days=400)])
async def test_an_end_in_the_past_is_refused_by_name_and_nothing_is_sent(world, enter, ago):
    with pytest.raises(ValidationFailedError) as caught:
        await enter(world.clock.now() - ago)
    assert caught.value.field == "credentials.endsAt"
    assert world.provider.count("me") == (1 if world.rows.list_integrations(ACME) else 0)


@pytest.mark.parametrize("wrong", [NAIVE, date(2030, 1, 1), "2030-01-01T00:00:00Z", 1_900_000_000, True])
async def test_an_end_without_a_zone_is_refused_by_name(enter, wrong):
    with pytest.raises(ValidationFailedError) as caught:
        await enter(wrong)
    assert caught.value.field in {"credentials.endsAt", "endsAt"}


async def test_an_end_that_nobody_says_is_not_known(enter):
    assert (await enter(None)).reconnect_before is None


async def test_each_key_has_an_end_of_its_own(world, end):
    held = await world.add_key(ends_at=end)
    again = await world.door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key(), actor=ALICE)
    assert again.reconnect_before is None


@pytest.mark.parametrize(("said", "expected"), [(timedelta(days=10), timedelta(days=10)), (None, DAYS), ("never", DAYS)])
async def test_an_end_that_the_provider_says_counts_and_where_it_says_none_that_of_the_person_stays(world, end, said, expected):
    now = world.clock.now()
    told = (now + said).isoformat() if isinstance(said, timedelta) else said
    door = open_for(world, "fastly", lambda _: {"id": "1", "user_id": "fake-user", "expires_at": told})
    held = await door.add(ACME, "fastly", name="Ours", inputs={"token": "fake-" + "k" * 27}, ends_at=end, actor=ALICE)
    assert held.reconnect_before == now + expected
    world.clock.advance(expected - timedelta(days=1))
    await door.verify(ACME, held.id)
    [soon] = [fact for fact in world.facts.told if fact.name == "credential.key_ends_soon"]
    assert soon.facts["before"] == (now + expected).isoformat()


async def test_an_end_that_comes_near_is_told_although_nobody_uses_the_key_and_counted(world, end):
    door, received = open_delivering(world, "billing")
    held = await world.add_key(door=door, ends_at=end)
    assert await _counted(door) == (0, None)
    world.pass_(days=77)
    await all_of(door)
    assert received.of(held) == ["integration.connected", "credential.key_ends_soon"]
    assert received.messages[-1].data["before"] == end.isoformat()
    assert await _counted(door) == (1, end)


async def _counted(door):
    [method] = [method for report in await door.report_ageing() if report.slug == SLUG for method in report.methods]
    return method.ending_soon, method.first_end


async def test_in_a_rotation_each_of_the_two_keys_keeps_its_end(world, end):
    keys = Rotating(world)
    held = await world.add_key(ends_at=end)
    later = end + DAYS
    await keys.begin(keys.new_key(), ends_at=later)
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == end
    await keys.finish()
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == later
    await keys.cancel()
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == end


async def test_a_key_that_ends_while_it_waits_is_judged_by_the_provider_alone(world, end):
    keys = Rotating(world)
    held = await world.add_key(ends_at=end)
    soon = world.clock.now() + timedelta(days=1)
    await keys.begin(keys.new_key(), ends_at=soon)
    world.pass_(days=2)
    await keys.finish()
    assert (await world.door.get_integration(ACME, held.id)).reconnect_before == soon


async def test_a_key_that_the_provider_makes_has_no_end_that_a_person_says(world, end):
    keys = Rotating(world, makes="create")
    await keys.add()
    with pytest.raises(ValidationFailedError) as caught:
        await keys.make(ends_at=end)
    assert caught.value.field == "newKey"


async def test_the_end_of_a_key_outlives_the_tokens_that_are_minted_from_it(world, end):
    number = count()

    def answer(request):
        if request.url.endswith("/token"):
            return {"access_token": f"fake-{next(number)}", "expires_in": 3600, "token_type": "Bearer"}
        return {"id": "1", "userName": "fake"}

    door = open_for(world, "databricks", answer)
    inputs = {"client_id": "00000000-0000-4000-8000-000000000001", "client_secret": "dose" + "0" * 32}
    variables = {"workspace_host": "fake.cloud.databricks.com"}
    held = await door.add(ACME, "databricks", name="Ours", inputs=inputs, variables=variables, ends_at=end, actor=ALICE)
    first = await door.credential(ACME, held.id)
    world.pass_(hours=2)
    assert (await door.credential(ACME, held.id)).value != first.value
    assert (await door.get_integration(ACME, held.id)).reconnect_before == end
