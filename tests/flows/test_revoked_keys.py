"""A pasted key is revoked at its provider if that is asked for, and only then."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import IntegrationNotFoundError, ProviderUnreachableError, StorageUnavailableError, ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE, GLOBEX
from .transports import StandIn

pytestmark = pytest.mark.requirement("Q76")

TOKEN_ID = "ed17574386854bf78a67040be0a770b0"  # the id of a token of Cloudflare's documentation
ACCOUNT_ID = "0" * 32
ACTIVE = {"success": True, "result": {"id": TOKEN_ID, "status": "active"}}

PROVIDERS = {
    "gitlab": {
        "method": "pat",
        "key": "glpat-fake-token-0123456789",
        "who": {"id": 3, "name": "deploys", "user_id": 7},
        "asked": ("DELETE", "https://gitlab.com/api/v4/personal_access_tokens/self"),
        "shown": {"PRIVATE-TOKEN": "{key}"},
        "answer": (204, b""),
    },
    "okta": {
        "method": "api_token",
        "key": "00" + "f" * 40,
        "variables": {"org_host": "acme.okta.com"},
        "who": {"id": "00u1", "profile": {"login": "ada"}},
        "asked": ("DELETE", "https://acme.okta.com/api/v1/api-tokens/current"),
        "shown": {"Authorization": "SSWS {key}"},
        "answer": (204, b""),
    },
    "cloudflare user": {
        "method": "user_api_token",
        "key": "cfut_" + "f" * 48,
        "who": ACTIVE,
        "asked": ("DELETE", f"https://api.cloudflare.com/client/v4/user/tokens/{TOKEN_ID}"),
        "shown": {"Authorization": "Bearer {key}"},
        "answer": (200, json.dumps({"success": True, "errors": [], "result": {"id": TOKEN_ID}}).encode()),
    },
    "cloudflare account": {
        "method": "account_api_token",
        "key": "cfat_" + "f" * 48,
        "variables": {"account_id": ACCOUNT_ID},
        "who": ACTIVE,
        "asked": ("DELETE", f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT_ID}/tokens/{TOKEN_ID}"),
        "shown": {"Authorization": "Bearer {key}"},
        "answer": (200, json.dumps({"success": True, "errors": [], "result": {"id": TOKEN_ID}}).encode()),
    },
    "twilio": {
        "method": "api_key",
        "key": "fake-key-secret",
        "inputs": {"account_sid": "AC" + "0" * 32, "key_sid": "SK" + "0" * 32, "key_secret": "fake-key-secret"},
        "who": {"incoming_phone_numbers": []},
        "asked": ("DELETE", f"https://api.twilio.com/2010-04-01/Accounts/AC{'0' * 32}/Keys/SK{'0' * 32}.json"),
        "shown": {"Authorization": "Basic " + b64encode(f"SK{'0' * 32}:fake-key-secret".encode()).decode()},
        "answer": (204, b""),
    },
    "github": {
        "method": "pat",
        "key": "ghp_" + "f" * 36,
        "who": {"id": 7, "login": "ada"},
        "asked": ("POST", "https://api.github.com/credentials/revoke"),
        "shown": {"User-Agent": "cloud-integrations", "Content-Type": "application/json"},
        "body": {"credentials": ["{key}"]},
        "answer": (202, b""),
    },
}


class Provider(StandIn):
    """The server of one provider, with one key, which may be ended."""

    def __init__(self, world, name="gitlab"):
        self.world = world
        self.case = PROVIDERS[name]
        self.slug = name.partition(" ")[0]
        self.key = self.case["key"]
        self.answers = []
        """What is answered to revocations, one after the other, each a response or an error to raise; the last one for ever."""
        self.asked = []
        world.transport = self
        world.door = world.open(providers=[Catalogue.builtin().require(self.slug)], applications=[], settings=world.settings(slots=True))
        world.secrets.append(self.key)

    def respond(self, request):
        if f"{request.method} {request.url}" != " ".join(self.case["asked"]):
            return HttpResponse(status=200, headers={}, body=json.dumps(self.case["who"]).encode())
        self.asked.append(request)
        answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]) if self.answers else self.case["answer"]
        if isinstance(answer, Exception):
            raise answer
        return HttpResponse(status=answer[0], headers={}, body=answer[1])

    async def add(self, tenant=ACME, **changes):
        given = {"method": self.case["method"], "name": "Ours", "inputs": self.inputs, "variables": self.case.get("variables")}
        return await self.world.door.add(tenant, self.slug, **given | changes, actor=ALICE)

    @property
    def inputs(self):
        method = Catalogue.builtin().require(self.slug).method_named(self.case["method"])
        return {method.inputs[0].name: self.key, **self.case.get("inputs", {})}

    async def remove(self, held, tenant=ACME, **asked):
        return await self.world.door.delete(tenant, held.id, **{"revoke_key": True} | asked, actor=ALICE)


@pytest.fixture
def hub(world):
    return Provider(world)


def outcomes(removal):
    return removal.api_key, removal.key_reason, removal.manual_url


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_key_is_revoked_by_its_providers_own_request_if_that_is_asked_for(world, name):
    hub = Provider(world, name)
    held = await hub.add()
    assert outcomes(await hub.remove(held)) == (RevocationOutcome.REVOKED, None, None)
    (request,) = hub.asked
    shown = {header: text.format(key=hub.key) for header, text in hub.case["shown"].items()}
    assert shown.items() <= dict(request.headers).items()
    body = {name: [hub.key] for name in hub.case.get("body", {})}
    assert json.loads(request.body or b"{}") == body
    # A request that takes keys in its body shows none elsewhere.
    assert bool(body) != any(hub.key in text or text.startswith("Basic ") for text in request.headers.values())
    with pytest.raises(IntegrationNotFoundError):
        await world.door.credential(ACME, held.id)
    removed, revoked = world.events()[-2:]
    assert (removed.action, removed.details) == ("integration.removed", {"earlier": "0"})
    assert (revoked.action, revoked.outcome, revoked.details) == ("token.revoked", "success", {"token": "api_key"})
    assert world.rows.count_entries("revocation") == 0
    assert world.leaks_in(world.raw_dump()) == []


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_key_that_nobody_asked_to_revoke_goes_on_working_and_the_receipt_says_so(world, name):
    hub = Provider(world, name)
    held = await hub.add()
    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert (removal.api_key, removal.key_reason) == (RevocationOutcome.SKIPPED, "not_asked")
    assert removal.manual_url.startswith("https://")
    assert world.last_event().details == {"earlier": "0", "api_key": "not_asked", "manual_url": removal.manual_url}
    assert hub.asked == []


async def test_a_provider_without_such_a_request_is_said_to_have_none(world, door):
    held = await world.add_key()
    sent = len(world.sent)
    removal = await door.delete(ACME, held.id, revoke_key=True)
    assert (removal.api_key, removal.key_reason) == (RevocationOutcome.UNSUPPORTED, None)
    assert len(world.sent) == sent


async def test_tokens_are_revoked_whatever_is_asked_of_keys(world, door):
    held = await world.connect()
    removal = await door.delete(ACME, held.id, revoke_key=True)
    assert (removal.refresh_token, removal.api_key, removal.key_reason) == (RevocationOutcome.REVOKED, RevocationOutcome.SKIPPED, None)


@pytest.mark.parametrize("asked", ["true", 1, None])
async def test_what_is_neither_true_nor_false_is_refused_before_anything_is_deleted(world, hub, asked):
    held = await hub.add()
    with pytest.raises(ValidationFailedError) as caught:
        await hub.remove(held, revoke_key=asked)
    assert caught.value.field == "revokeKey"
    assert [found.id for found in await world.door.list_integrations(ACME)] == [held.id]


@pytest.mark.parametrize("answer", [(204, b""), (401, b'{"message": "401 Unauthorized"}')])
async def test_a_key_that_the_provider_no_longer_knows_is_dead(world, hub, answer):
    hub.answers = [answer]
    assert (await hub.remove(await hub.add())).api_key is RevocationOutcome.REVOKED


async def test_a_key_that_may_not_end_itself_is_left_to_its_owner(world, hub):
    hub.answers = [(403, b'{"message": "403 Forbidden"}')]
    removal = await hub.remove(await hub.add())
    assert outcomes(removal) == (RevocationOutcome.UNSUPPORTED, None, "https://gitlab.com/-/user_settings/personal_access_tokens")
    given_up = world.last_event()
    assert (given_up.action, given_up.outcome, given_up.reason) == ("token.abandoned", "failure", "status_403")
    assert world.rows.count_entries("revocation") == 0, "the answer would be the same tomorrow"


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (204, b'{"error": "x"}'),
        (200, b""),
        (404, b""),
        (429, b""),
        (503, b""),
        ProviderUnreachableError(provider_id="gitlab"),
    ],
)
async def test_what_was_not_confirmed_waits_in_the_outbox_and_is_repeated(world, hub, answer):
    hub.answers = [answer, hub.case["answer"]]
    held = await hub.add()
    assert outcomes(await hub.remove(held)) == (RevocationOutcome.FAILED, None, None)
    assert world.last_event().details == {"token": "api_key"}
    assert world.leaks_in(world.raw_dump()) == []
    world.clock.advance(timedelta(hours=1))
    run = await world.door.worker.retry_revocations()
    assert (run.revoked, run.waiting) == (1, 0)
    assert hub.asked[0].headers == hub.asked[1].headers
    assert world.last_event().action == "token.revoked"


async def test_the_id_that_a_request_needs_is_remembered_until_it_is_repeated(world):
    hub = Provider(world, "cloudflare user")
    hub.answers = [(503, b""), hub.case["answer"]]
    await hub.remove(await hub.add())
    world.clock.advance(timedelta(hours=1))
    assert (await world.door.worker.retry_revocations()).revoked == 1


async def test_a_key_whose_id_was_never_told_is_left_to_its_owner(world):
    hub = Provider(world, "cloudflare user")
    # No check has run, so nobody has told the id of the token.
    held = await imported(hub)
    removal = await hub.remove(held)
    assert removal.api_key is RevocationOutcome.UNSUPPORTED
    assert (world.last_event().reason, hub.asked) == ("unsupported", [])


async def imported(hub):
    from cloud_integrations import ImportedKey  # used here alone

    given = ImportedKey(provider=hub.slug, name="Ours", inputs=hub.inputs, method=hub.case["method"])
    return await hub.world.door.import_credential(ACME, given, verify=False, actor=ALICE)


async def test_a_key_that_the_tenant_has_in_another_slot_is_left_alone(world, hub):
    held = await hub.add()
    other = await hub.add(slot="other")
    assert outcomes(await hub.remove(held)) == (RevocationOutcome.SKIPPED, "held", None)
    assert (world.last_event().action, world.last_event().reason) == ("token.kept", "held")
    assert hub.asked == []
    assert (await hub.remove(other)).api_key is RevocationOutcome.REVOKED


async def test_a_key_that_another_tenant_has_is_left_alone(world, hub):
    held, theirs = await hub.add(), await hub.add(GLOBEX)
    assert outcomes(await hub.remove(held)) == (RevocationOutcome.SHARED, None, None)
    assert hub.asked == []
    assert (await hub.remove(theirs, GLOBEX)).api_key is RevocationOutcome.REVOKED


async def test_a_key_that_replaced_another_is_the_one_that_is_found(world, hub):
    held, theirs = await hub.add(), await hub.add(GLOBEX)
    hub.key += "-2"
    await world.door.reconnect(GLOBEX, theirs.id, inputs=hub.inputs, actor=ALICE)
    assert (await hub.remove(held)).api_key is RevocationOutcome.REVOKED, "nobody else holds it any more"
    with_it = await hub.add()
    assert (await hub.remove(with_it)).api_key is RevocationOutcome.SHARED


async def test_an_imported_key_is_found_as_well(world, hub):
    held = await imported(hub)
    await hub.add(GLOBEX)
    assert (await hub.remove(held)).api_key is RevocationOutcome.SHARED


async def test_a_key_that_the_provider_had_refused_is_not_asked_about(world, hub):
    held = await hub.add()
    stored = world.rows.find_integration(ACME, held.id)
    world.tables.integrations[ACME, held.id] = replace(
        stored, facts=replace(stored.facts, state=type(stored.facts.state).NEEDS_REAUTH, reason="refused")
    )
    assert outcomes(await hub.remove(held)) == (RevocationOutcome.SKIPPED, None, None)
    assert hub.asked == []


async def test_a_key_that_does_not_open_prevents_no_removal(world, hub):
    held = await hub.add()
    stored = world.rows.find_integration(ACME, held.id)
    world.tables.integrations[ACME, held.id] = replace(stored, credential=replace(stored.credential, presented=b"no"))
    assert (await hub.remove(held)).api_key is RevocationOutcome.UNSUPPORTED
    assert await world.door.list_integrations(ACME) == ()


async def test_a_store_that_does_not_say_who_holds_the_key_lets_nothing_be_sent(world, hub):
    held = await hub.add()

    def fail(name, _):
        if name == "find_holders":
            raise StorageUnavailableError

    world.store.before = fail
    assert (await hub.remove(held)).api_key is RevocationOutcome.FAILED
    assert (world.last_event().reason, hub.asked) == ("storage/unavailable", [])


async def test_a_file_that_no_longer_says_how_keeps_the_key_in_the_outbox(world, hub):
    hub.answers = [(503, b"")]
    await hub.remove(await hub.add())
    entry = Catalogue.builtin().require("gitlab")
    for providers in ([], [without_revocation(entry)]):
        world.door = world.open(providers=providers, applications=[])
        world.clock.advance(timedelta(hours=2))
        run = await world.door.worker.retry_revocations()
        assert (run.delayed, run.waiting) == (1, 1)


def without_revocation(entry):
    methods = [method.model_copy(update={"revoke": None}) if method.id == "pat" else method for method in entry.methods]
    return entry.model_copy(update={"methods": tuple(methods)})


async def test_a_file_that_asks_for_more_than_was_entered_leaves_the_key_to_its_owner(world, hub):
    hub.answers = [(503, b"")]
    await hub.remove(await hub.add())
    entry = Catalogue.builtin().require("gitlab")
    pat = entry.method_named("pat")
    more = pat.inputs[0].model_copy(update={"name": "other"})
    shown = pat.present.model_copy(update={"headers": {"X-Key": "{token}{other}"}})
    changed = pat.model_copy(update={"inputs": (*pat.inputs, more), "present": shown, "rotation": None})
    world.door = world.open(providers=[entry.model_copy(update={"methods": (changed,), "verifications": ()})], applications=[])
    world.clock.advance(timedelta(hours=2))
    assert (await world.door.worker.retry_revocations()).abandoned == 1


async def test_an_erased_tenant_is_told_that_the_key_still_works(world, hub):
    await hub.add()
    receipt = await world.door.erase_tenant(ACME, actor=ALICE)
    assert (receipt.integrations, receipt.revoked, receipt.left_alone, receipt.not_revoked) == (1, 0, 0, 1)
    assert receipt.manual_urls == ("https://gitlab.com/-/user_settings/personal_access_tokens",)


async def test_the_list_of_providers_says_which_keys_can_be_revoked(world, hub):
    (summary,) = await world.door.list_providers()
    assert {method.id: method.revokes_key for method in summary.methods} == {"pat": True}
