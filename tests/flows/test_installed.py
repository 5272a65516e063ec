"""What becomes of an installation: renewal, verification, reconnect and removal."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import GrantRefusedError, ProviderUnavailableError, ReconnectRequiredError

from .conftest import ACME, ALICE
from .hub import PAGE, Hub, answer


@pytest.fixture
def hub(world):
    return Hub(world)


# Renewal, verification and the end


async def test_an_ended_token_is_minted_again(world, hub):
    await hub.connect()
    world.pass_(hours=1)
    tokens = {(await world.door.credential(ACME, "github")).value.reveal() for _ in range(2)}
    assert tokens == {"ghs_fake41x2"}
    assert hub.codes == 1


async def test_it_is_verified_with_its_own_token(world, hub):
    integration = (await hub.connect()).integration
    report = await world.door.verify(ACME, integration.id, actor=ALICE)
    assert (report.outcome, report.account.account_id, report.account_changed) == ("alive", "410", False)
    hub.live.clear()
    assert (await world.door.verify(ACME, integration.id, actor=ALICE)).outcome == "alive", "a dead token is minted again"
    assert hub.minted == 2


@pytest.mark.parametrize("end", ["removed", "suspended"])
async def test_an_ended_installation_needs_a_reconnect(world, hub, end):
    integration = (await hub.connect()).integration
    hub.installed.pop(41) if end == "removed" else hub.suspended.add(41)
    world.pass_(hours=1)
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, "github")
    removal = await world.door.delete(ACME, integration.id, actor=ALICE)
    assert removal.installation is RevocationOutcome.SKIPPED


async def test_a_suspension_that_was_lifted_is_seen_by_the_operators_refresh(world, hub):
    integration = (await hub.connect()).integration
    hub.suspended.add(41)
    world.pass_(hours=1)
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, "github")
    hub.suspended.clear()
    await world.door.refresh(ACME, integration.id, actor=Actor(type="operator", id="root"))
    assert (await world.door.credential(ACME, "github")).value.reveal() == "ghs_fake41x2"


@pytest.mark.parametrize("message", [{"message": "gone fishing"}, {}])
async def test_another_404_ends_nothing(world, hub, message):
    integration = (await hub.connect()).integration
    hub.instead["access_tokens"] = answer(message, 404)
    world.pass_(hours=1)
    with pytest.raises(ProviderUnavailableError):
        await world.door.credential(ACME, "github")
    assert world.row(integration).facts.state is State.RETRY


@pytest.mark.requirement("OAU-050")
async def test_a_removal_ends_the_token_and_says_that_the_app_stays(world, hub):
    integration = (await hub.connect()).integration
    removal = await world.door.delete(ACME, integration.id, actor=ALICE)
    assert hub.live == set()
    assert (removal.access_token, removal.refresh_token, removal.api_key) == ("revoked", "skipped", "skipped")
    assert (removal.installation, removal.manual_url) == ("unsupported", PAGE)
    assert not any(request.method == "DELETE" and "/app/installations" in request.url for request in hub.requests)
    said = dict(next(event for event in world.events() if event.action == "integration.removed").details)
    assert (said["installation"], said["manual_url"]) == ("unsupported", PAGE)


# Reconnecting


async def test_a_reconnect_after_a_new_installation_keeps_the_integration(world, hub):
    integration = (await hub.connect()).integration
    hub.installed.pop(41)
    world.pass_(hours=1)
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, "github")
    hub.installed[77] = "octo-org"
    hub.sees["octocat"] = [77]
    begun = await world.door.begin_reconnect(ACME, integration.id, actor=ALICE)
    again = await world.come_back(begun, hub.come_back(begun, 77))
    assert (again.integration.id, again.integration.name) == (integration.id, integration.name)
    assert not again.account_changed
    assert again.integration.account.label == "octo-org (installation 77)"
    assert (await world.door.credential(ACME, "github")).value.reveal() == "ghs_fake77x2"


async def test_where_accounts_are_pinned_another_account_is_refused_and_its_token_ended(world, hub):
    door = hub.open(settings=world.settings(pin_accounts=True))
    integration = (await hub.connect(door=door)).integration
    begun = await door.begin_reconnect(ACME, integration.id, actor=ALICE)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, hub.come_back(begun, 42), door=door)
    assert caught.value.reason == "other_account"
    assert hub.live == {"ghs_fake41x1"}
    assert (await door.credential(ACME, "github")).value.reveal() == "ghs_fake41x1"


async def test_one_mint_serves_many_callers(world, hub):
    await hub.connect()
    world.pass_(hours=1)
    tokens = await world.door.together(20, "credential", ACME, "github")
    assert {token.value.reveal() for token in tokens} == {"ghs_fake41x2"}


async def test_a_sign_in_of_old_can_become_an_installation(world, hub):
    """The operator went from user tokens to installations; what was held before is revoked."""
    old = hub.open(application={"method_id": "app_user_token", "variables": {}})
    begun = await hub.begin(door=old)
    code = hub.come_back(begun)
    hub.instead["user"] = answer({"id": 1, "login": "octocat"})
    integration = (await world.come_back(begun, code, door=old)).integration
    assert integration.renewal_rule == "reconnect"
    (held,) = hub.live
    begun = await world.door.begin_reconnect(ACME, integration.id, method="app_installation", actor=ALICE)
    again = await world.come_back(begun, hub.come_back(begun))
    assert (again.integration.renewal_rule, again.integration.method_id) == ("mint", "app_installation")
    assert held not in hub.live
    # While the old sign-in was stored, it was not known whether giving the new one back would end it; the outbox sees to it later.
    world.pass_(days=1)
    await world.door.worker.retry_revocations()
    assert hub.live == {"ghs_fake41x1"}
