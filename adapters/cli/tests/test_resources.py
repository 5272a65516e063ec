"""What a credential reaches, on the command line."""

from __future__ import annotations

import pytest

from cloud_integrations.testing import ProviderServer, SimulatedProvider

T = ("-t", "acme")
JSON = ("-o", "json")
pytestmark = pytest.mark.requirement("Q05")


@pytest.fixture
def provider():
    provider = SimulatedProvider(resources=[{"id": "north", "name": "Acme North"}, {"id": "south"}])
    with ProviderServer(provider):
        yield provider


def test_the_list_is_shown_and_one_is_chosen(added, run):
    assert run("integrations", "show", added, *T, *JSON).data()["health"]["state"] == "choose_resource"
    shown = run("integrations", "resources", added, *T)
    assert (shown.code, shown.err) == (0, "")
    assert "Acme North" in shown.out
    assert "choose resource" in run("integrations", "show", added, *T).out
    chosen = run("integrations", "choose", added, "north", *T, *JSON)
    assert (chosen.code, chosen.data()["health"]["state"]) == (0, "ok")
    found = run("integrations", "resources", "simulated_keys", *T, *JSON).data()
    assert (found["chosen"], [each["id"] for each in found["resources"]]) == ("north", ["north", "south"])
    assert "yes" in run("integrations", "resources", added, *T).out


def test_what_is_not_in_the_list_is_refused(added, run):
    refused = run("integrations", "choose", added, "west", *T)
    assert (refused.code, refused.out) == (4, "")


def test_a_list_that_is_not_whole_is_told(added, run, provider):
    provider.resources = [{"id": "north"}, {"id": "../odd"}]
    assert "may lack some" in run("integrations", "resources", added, *T).err
