"""The operator's OAuth applications are checked before anything is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from cloud_integrations.documents import ProviderOut
from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.provider import Deprecation, Variable
from cloud_integrations.errors import AppMisconfiguredError, ConfigurationError
from cloud_integrations.ports.settings import Settings

from .conftest import ACME


@pytest.mark.requirement("OAU-007")
@pytest.mark.parametrize(
    "url",
    ["http://app.example/cb", "https://app.example/cb#x", "https://user@app.example/cb", "app.example/cb", "http://127.0.0.1:8000/cb"],
)
def test_a_callback_must_be_https(world, url):
    with pytest.raises(ConfigurationError) as caught:
        world.open(settings=Settings(callback_url=url))
    assert caught.value.setting == "callback_url"


@pytest.mark.requirement("OAU-007")
@pytest.mark.parametrize(
    "host", ["a..b.example", "a" * 64 + ".example", "ü.example", "[::1", "%zz.example", "a_.-.example", "0x7f.1", "-a.example"]
)
def test_a_callback_has_a_host_that_a_browser_can_reach(world, host):
    url = f"https://{host}/cb"
    with pytest.raises(ConfigurationError) as caught:
        world.open(settings=Settings(callback_url=url))
    assert caught.value.setting == "callback_url"
    with pytest.raises(ConfigurationError) as caught:
        world.open(applications=[world.provider.application(redirect_uris=(url,))])
    assert caught.value.setting == "applications[simulated].redirect_uris"


@pytest.mark.parametrize("host", ["intranet", "10.0.0.5", "[fd00::5]", "app.example:8443", "localhost"])
def test_a_callback_may_be_inside_the_operators_network(world, host):
    assert world.open(settings=Settings(callback_url=f"https://{host}/cb"))


@pytest.mark.requirement("OAU-007")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_on_a_developers_machine_a_loopback_callback_will_do(world, host):
    assert world.open(settings=Settings(callback_url=f"http://{host}:8000/cb", loopback=True))


def test_a_redirect_uri_of_an_application_is_checked_too(world):
    with pytest.raises(ConfigurationError) as caught:
        world.open(applications=[world.provider.application(redirect_uris=("http://app.example/cb",))])
    assert caught.value.setting == "applications[simulated].redirect_uris"


def test_a_deadline_that_outlasts_the_lease_is_refused(world):
    with pytest.raises(ConfigurationError) as caught:
        world.open(settings=world.settings(deadline=timedelta(seconds=30), lease=timedelta(seconds=30)))
    assert caught.value.setting == "deadline"


@pytest.mark.parametrize("slug", ["nobody", "Not A Slug", "simulated_keys"])
def test_an_application_for_a_provider_that_cannot_use_it_is_refused(world, slug):
    with pytest.raises(ConfigurationError) as caught:
        world.open(applications=[OAuthApplication(provider=slug, client_id="fake-client")])
    assert caught.value.setting == f"applications[{slug}]"


def test_two_applications_for_one_provider_are_refused(world):
    with pytest.raises(ConfigurationError) as caught:
        world.open(applications=[world.provider.application()] * 2)
    assert "twice" in str(caught.value)


def test_an_application_without_any_redirect_uri_is_refused(world):
    with pytest.raises(ConfigurationError) as caught:
        world.open(settings=Settings())
    assert caught.value.setting == "callback_url"


async def test_an_application_with_its_own_redirect_uri_needs_no_callback(world):
    door = world.open(settings=Settings(), applications=[world.provider.application(redirect_uris=("https://app.example/own",))])
    assert (await world.begin(door=door)).redirect_uri == "https://app.example/own"


@pytest.mark.requirement("OAU-049")
async def test_a_refresh_token_goes_to_no_other_application_than_its_own(world):
    held = await world.connect()
    other = replace(world.provider.application(), client_id="fake-other-client")
    door = world.open(applications=[other])
    sent = len(world.sent)
    with pytest.raises(AppMisconfiguredError) as caught:
        await door.refresh(ACME, held.id)
    assert caught.value.reason == "application_changed"
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.open(applications=[]).refresh(ACME, held.id)
    assert caught.value.reason == "no_usable_application"
    assert len(world.sent) == sent


async def test_a_redirect_uri_that_depends_on_the_tenant_is_not_shown(world):
    method = world.entries[0].methods[0].model_copy(update={"authorize_url": "https://simulated.example/{region}/authorize"})
    variable = Variable(name="region", pattern="[a-z]+")
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method,), "variables": (variable,)})])
    (summary,) = await door.list_providers()
    assert (summary.slug, summary.redirect_uri) == ("simulated", None)


@pytest.mark.requirement("Q66")
async def test_what_a_provider_has_announced_to_end_is_told_of_its_methods(world):
    entry = world.entries[0]
    offered = entry.methods[0].id
    later = Deprecation(methods=(offered,), ends=date(2027, 4, 30), instead="Use a key.", source="https://acme.example/oauth2")
    first = later.model_copy(update={"ends": date(2027, 1, 31), "instead": "Use a key soon."})
    told = [entry.model_copy(update={"deprecations": (later, first)})]
    (summary,) = await world.open(providers=told).list_providers()
    (oauth2,) = [each.deprecated for each in summary.methods if each.id == offered]
    assert (summary.deprecated, oauth2.ends, oauth2.instead) == (None, date(2027, 1, 31), "Use a key soon.")
    assert ProviderOut.of(summary).as_json()["methods"][0]["deprecated"] == {
        "ends": "2027-01-31", "instead": "Use a key soon.", "source": "https://acme.example/oauth2",
    }  # fmt: skip
    whole = Deprecation(instead="The service ends.", source="https://acme.example/end")
    (summary,) = await world.open(providers=[entry.model_copy(update={"deprecations": (whole,)})]).list_providers()
    assert {each.deprecated for each in summary.methods} == {summary.deprecated}
    assert ProviderOut.of(summary).as_json()["deprecated"]["ends"] is None
