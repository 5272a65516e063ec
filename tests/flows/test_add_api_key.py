"""A key arrives."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import Health, Status
from cloud_integrations.domain.provider import Input, KeyFormat, Method, Present, Provider, Variable, Verification
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE


def pair_provider(world, **changes):
    """A provider whose keys have two halves, both sent on every request."""
    url = world.provider.base_url
    method = Method(
        id="pair",
        kind="key",
        inputs=(Input(name="app_key", patterns=("fake-key-.+",)), Input(name="app_secret", required=False)),
        present=Present(headers={"X-Api-Key": "{app_key}", "X-Api-Secret": "{app_secret}"}),
    )
    check = Verification(url=f"{url}/me", identity=("json:id",), status_rules={401: "dead"})
    return Provider(id="pairs", name="Pairs", methods=(method,), verifications=(check,), loopback=True, **changes)


# Accepted


async def test_a_key_that_the_provider_accepts_is_stored(world, door):
    integration = await world.add_key()
    assert (integration.tenant_id, integration.name, integration.auth_type) == (ACME, "Key of Acme", AuthType.API_KEY)
    assert (integration.status, integration.health) == (Status.ACTIVE, Health.OK)
    assert integration.account.account_id == "acct-1"
    assert integration.expires_at is None
    assert await door.list_integrations(ACME) == (integration,)
    token = await door.credential(ACME, "simulated_keys")
    assert token.value == world.provider.valid_api_key


async def test_storing_is_recorded(world):
    integration = await world.add_key()
    event = world.last_event()
    assert (event.action, event.actor, event.outcome) == ("integration.connected", ALICE, Outcome.SUCCESS)
    assert event.details == {"provider": "simulated_keys", "verified": "true"}
    assert event.resource == f"integration:{integration.id}"
    assert "integration.connected" in world.facts.names


async def test_the_provider_is_asked_before_anything_is_stored(world):
    seen = []
    world.on_send = lambda _: seen.append((world.rows.list_integrations(ACME), world.actions()))
    await world.add_key()
    assert seen == [((), [])]


@pytest.mark.parametrize("paste", [" {} ", "\t{}\n", '"{}"', "'{}'", "`{}`"])
async def test_white_space_and_quotes_around_a_pasted_key_go(world, door, paste):
    await world.add_key(api_key=Secret(paste.format(world.provider.valid_api_key.reveal())))
    assert (await door.credential(ACME, "simulated_keys")).value == world.provider.valid_api_key


async def test_an_unusual_form_warns_and_never_refuses(world):
    unusual = Secret("unusual-test-key")
    world.provider._keys[hashlib.sha256(unusual.reveal().encode()).hexdigest()] = "acct-9"
    integration = await world.add_key(api_key=unusual)
    assert integration.account.account_id == "acct-9"
    fact = next(fact for fact in world.facts.told if fact.name == "key_format.unusual")
    assert fact.facts["provider"] == "simulated_keys"
    assert "unusual-test-key" not in repr(fact)


async def test_a_key_that_may_do_little_is_accepted(world):
    world.provider.misbehave(Misbehaviour.FORBIDDEN)
    integration = await world.add_key()
    assert integration.status is Status.ACTIVE
    assert integration.account.account_id.startswith("key:")


async def test_a_provider_without_a_check_is_recorded_as_unverified(world):
    door = world.open(providers=[entry.model_copy(update={"verifications": ()}) for entry in world.entries])
    integration = await world.add_key(door=door)
    assert world.sent == []
    assert world.last_event().details["verified"] == "false"
    assert integration.account.account_id.startswith("key:")
    assert world.provider.valid_api_key.reveal() not in integration.account.account_id


async def test_the_provider_may_be_named_by_its_uuid(world, door):
    provider_id = world.entries[1].provider_id
    one = await door.add_api_key(ACME, provider_id, name="By UUID", api_key=world.provider.valid_api_key)
    two = await door.add_api_key("globex", str(provider_id), name="By text", api_key=world.provider.valid_api_key)
    assert one.provider_id == two.provider_id == provider_id


# Two halves


async def test_a_key_of_two_halves_is_kept_whole(world):
    door = world.open(providers=[*world.entries, pair_provider(world)])
    key, half = world.provider.valid_api_key, Secret(" fake-second-half ")
    await door.add_api_key(ACME, "pairs", name="Pair", api_key=key, secret_key=half)
    assert world.sent[-1].headers["X-Api-Secret"] == "fake-second-half"
    token = await door.credential(ACME, "pairs")
    assert (token.value, token.secret) == (key, Secret("fake-second-half"))
    assert b"fake-second-half" not in world.raw_dump()


async def test_a_second_half_that_the_check_needs_is_asked_for_by_its_public_name(world):
    needed = pair_provider(world)
    method = needed.methods[0]
    inputs = (method.inputs[0], method.inputs[1].model_copy(update={"required": True}))
    door = world.open(providers=[*world.entries, needed.model_copy(update={"methods": (method.model_copy(update={"inputs": inputs}),)})])
    with pytest.raises(ValidationFailedError) as caught:
        await door.add_api_key(ACME, "pairs", name="Pair", api_key=world.provider.valid_api_key)
    assert caught.value.field == "credentials.secretKey"
    assert world.sent == []


async def test_a_second_half_that_the_provider_does_not_have_is_refused(world, door):
    with pytest.raises(ValidationFailedError) as caught:
        await world.add_key(secret_key=Secret("fake-second-half"))
    assert caught.value.field == "credentials.secretKey"
    assert "fake-second-half" not in str(caught.value)
    assert world.sent == []


# Refused


@pytest.mark.requirement("AUD-08")
async def test_a_key_that_the_provider_refuses_is_not_stored(world, door):
    with pytest.raises(InvalidCredentialsError) as caught:
        await world.add_key(api_key=world.provider.invalid_api_key)
    assert caught.value.reason == "dead"
    assert caught.value.details["providerId"] == str(world.entries[1].provider_id)
    assert await door.list_integrations(ACME) == ()
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("integration.connected", Outcome.FAILURE, "dead")
    assert event.actor == ALICE
    assert world.provider.invalid_api_key.reveal() not in str(caught.value)


@pytest.mark.parametrize(
    "what",
    [
        Misbehaviour.CONNECTION_REFUSED,
        Misbehaviour.TIMEOUT_BEFORE,
        Misbehaviour.ANSWER_LOST,
        Misbehaviour.UNAVAILABLE,
        Misbehaviour.RATE_LIMITED,
        Misbehaviour.HTML_PAGE,
        Misbehaviour.GARBAGE_JSON,
        Misbehaviour.SLOW_DRIP,
        Misbehaviour.HUGE_BODY,
    ],
)
async def test_a_provider_that_cannot_be_asked_is_not_a_verdict(world, door, what):
    world.provider.misbehave(what, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await world.add_key()
    assert await door.list_integrations(ACME) == ()
    assert world.last_event().outcome is Outcome.FAILURE
    assert (await world.add_key()).status is Status.ACTIVE


async def test_who_enters_a_key_is_told_how_long_a_busy_provider_wants_to_be_left_alone(world, door):
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="me", retry_after=timedelta(seconds=90))
    with pytest.raises(ProviderUnavailableError) as busy:
        await world.add_key()
    assert busy.value.retry_after == timedelta(seconds=90)


@pytest.mark.parametrize("key", ["", "   ", '""', "fake\nkey", "fake-k\u00e9y", "x" * 20_000])
async def test_a_key_that_no_request_could_carry_names_the_public_field(world, key):
    with pytest.raises(ValidationFailedError) as caught:
        await world.add_key(api_key=Secret(key))
    assert caught.value.field == "credentials.apiKey"
    assert not key.strip('" ') or key not in str(caught.value)
    assert world.sent == []
    assert world.events() == []


async def test_a_provider_by_authorization_alone_takes_no_key(world, door):
    with pytest.raises(ValidationFailedError) as caught:
        await door.add_api_key(ACME, "simulated", name="Wrong way", api_key=world.provider.valid_api_key)
    assert caught.value.field == "credentials"
    assert "oauth2" in str(caught.value)


async def test_the_provider_must_exist_and_be_active(world, door):
    with pytest.raises(ProviderNotFoundError):
        await door.add_api_key(ACME, "nobody", name="Nobody", api_key=Secret("fake-key"))
    off = world.open(providers=[entry.model_copy(update={"active": False}) for entry in world.entries])
    with pytest.raises(ProviderInactiveError):
        await world.add_key(door=off)
    assert world.sent == []


async def test_a_second_key_is_refused_without_being_sent_anywhere(world):
    await world.add_key()
    sent = len(world.sent)
    with pytest.raises(IntegrationExistsError):
        await world.add_key(api_key=world.provider.issue_api_key())
    assert len(world.sent) == sent


@pytest.mark.requirement("ISO-06")
async def test_another_tenant_may_store_the_same_key(world, door):
    await world.add_key()
    other = await world.add_key("globex")
    assert await door.list_integrations("globex") == (other,)
    with pytest.raises(IntegrationNotFoundError):
        await door.get_integration(ACME, other.id)


async def test_a_store_in_trouble_is_said_and_nothing_is_stored(world):
    world.store.fail(1, name="find_credential")
    with pytest.raises(StorageUnavailableError):
        await world.add_key()
    world.store.fail(1, name="find_active_key")
    with pytest.raises(StorageUnavailableError):
        await world.add_key()
    world.store.heal()
    assert world.events() == []


def regional(world):
    check = Verification(
        url=f"{world.provider.base_url}/me", needs=("region",), identity=("json:id", "ctx:region"), status_rules={401: "dead"}
    )
    region = Variable(name="region", pattern="[a-z]+", required=True)
    return world.entries[1].model_copy(update={"verifications": (check,), "variables": (region,)})


# Variables


async def test_variables_are_kept_with_the_integration(world):
    door = world.open(providers=[regional(world)], applications=[])
    integration = await world.add_key(door=door, variables={"region": "north"})
    assert integration.variables == {"region": "north"}
    assert integration.account.account_id == "acct-1/north"


@pytest.mark.parametrize(
    ("variables", "field"),
    [({}, "variables.region"), ({"region": "../x"}, "variables.region"), ({"region": "north", "color": "red"}, "variables")],
)
async def test_variables_that_are_missing_malformed_or_unknown_are_refused(world, variables, field):
    door = world.open(providers=[regional(world)], applications=[])
    with pytest.raises(ValidationFailedError) as caught:
        await world.add_key(door=door, variables=variables)
    assert caught.value.field == field
    assert world.sent == []


PEM = "-----BEGIN PRIVATE KEY-----\nZmFrZS1wcml2YXRlLWtleQ==\n-----END PRIVATE KEY-----\n"
ACCOUNT = '{"type": "service_account", "private_key": "' + PEM.replace("\n", "\\n") + '"}'
PASTED = {"pem": PEM, "account": ACCOUNT, "json": '{"token": "fake"}', "foreign": "ghp_" + "fake" * 9, "elsewhere": "AKIAFAKEFAKEFAKEFAKE"}


def among_others(world):
    """A door whose catalogue knows that keys with `ghp_` are GitHub's."""
    github = Provider(
        id="github", name="GitHub", methods=world.entries[1].methods, formats=(KeyFormat(prefixes=("ghp_",), rest="[A-Za-z0-9]{36}"),)
    )
    return world.open(providers=[*world.entries, github])


# What people paste by mistake


@pytest.mark.requirement("OAU-080")
@pytest.mark.parametrize("mistake", PASTED)
async def test_what_is_no_key_of_the_provider_goes_nowhere_by_any_door(world, mistake):
    door, secret = among_others(world), Secret(PASTED[mistake])
    held = await world.add_key()
    sent, stored = len(world.sent), world.row(held)
    calls = [
        door.add_api_key("globex", "simulated_keys", name="Key", api_key=secret),
        door.replace_api_key(ACME, held.id, api_key=secret),
        *(
            door.import_credential(
                "globex", ImportedKey(provider="simulated_keys", name="Key", api_key=secret), verify=verify, dry_run=dry_run
            )
            for verify in (True, False)
            for dry_run in (True, False)
        ),
    ]
    for call in calls:
        with pytest.raises(ValidationFailedError) as caught:
            await call
        assert caught.value.field == "credentials.apiKey"
        assert "nothing was sent or stored" in caught.value.problem
        assert PASTED[mistake][:20] not in f"{caught.value}{caught.value.details}"
    assert len(world.sent) == sent
    assert world.row(held) == stored
    assert await door.list_integrations("globex") == ()


async def test_the_second_half_is_looked_at_too(world):
    door = world.open(providers=[pair_provider(world)], applications=[])
    for pasted in PASTED["pem"], PASTED["elsewhere"]:
        with pytest.raises(ValidationFailedError) as caught:
            await door.add_api_key(ACME, "pairs", name="Pair", api_key=Secret("fake-key-1"), secret_key=Secret(pasted))
        assert caught.value.field == "credentials.secretKey"
    assert world.sent == []


@pytest.mark.parametrize("mistake", ["pem", "account", "json", "foreign"])
@pytest.mark.parametrize("field", ["accessToken", "refreshToken"])
async def test_tokens_that_are_no_tokens_are_not_imported(world, mistake, field):
    door, fake = among_others(world), Secret("fake-token")
    pasted = Secret(PASTED[mistake])
    tokens = {"access_token": fake, "refresh_token": fake} | {"access_token" if field == "accessToken" else "refresh_token": pasted}
    with pytest.raises(ValidationFailedError) as caught:
        await door.import_credential(ACME, ImportedGrant(provider="simulated", name="Grant", **tokens), verify=True)
    assert caught.value.field == field
    assert "nothing was sent or stored" in caught.value.problem
    assert world.sent == []


async def test_a_private_key_is_no_code(world, door):
    with pytest.raises(ValidationFailedError) as caught:
        await door.add_oauth_code(
            ACME, "simulated", name="Grant", code=Secret(ACCOUNT), redirect_uri="https://app.example/connected", actor=ALICE
        )
    assert caught.value.field == "code"
    assert world.sent == []


async def test_what_stands_around_a_key_is_neither_sent_nor_stored(world, door):
    key = world.provider.valid_api_key.reveal()
    await door.add_api_key(ACME, "simulated_keys", name="Key", api_key=Secret(f'export SIMULATED_TOKEN="{key}"\n'))
    assert (await door.credential(ACME, "simulated_keys")).value == Secret(key)
    assert {request.headers["Authorization"] for request in world.sent} == {f"Bearer {key}"}
