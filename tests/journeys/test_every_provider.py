"""Every method of every built-in provider, from its first request to its removal, against servers that its own file describes."""

from __future__ import annotations

import pytest

from .authorizing import LIFE
from .host import CATALOGUE, INTEGRATIONS, Host

LEFT_OUT: dict[str, str] = {}
"""What cannot be led through its life here → why.  A case that can be is no longer left out: its test then fails."""


def ways_of(method):
    """Return the ways to connect by *method*: by page and by device, or by each input of a group."""
    if method.kind in {"code", "device"}:
        return [*(["page"] if method.has_page else []), *(["device"] if method.device is not None else [])]
    groups = {each.one_of for each in method.entered_inputs} - {None}
    return [each.name for each in method.entered_inputs if each.one_of in groups] or [""]


CASES = {
    "-".join(filter(None, (provider.id, method.id, way))): (provider, method, way)
    for provider in CATALOGUE.list_providers()
    for method in provider.methods
    for way in ways_of(method)
}


def over(wanted=lambda method: True):
    """Run a test for the cases whose method is *wanted*."""
    marks = {name: [pytest.mark.xfail(reason=reason, strict=True)] for name, reason in LEFT_OUT.items()}
    names = [name for name, (_, method, _) in CASES.items() if wanted(method)]
    return pytest.mark.parametrize("case", [pytest.param(name, marks=marks.get(name, [])) for name in names])


@pytest.fixture
async def host(case):
    made = Host(*CASES[case])
    yield made
    await made.http.aclose()
    await made.manager.close()


async def lead(host):
    """Lead an integration from its connection to its removal."""
    integration = await host.connect()
    for test in host.method.must_fail:
        assert host.servers.mint.refused >= len(host.method.must_fail), f"{test.name} was not tried"
    if host.method.installation is not None:
        # The token of the person who came back is ended at once, where the provider can do that.
        facts = host.servers.authorization.person.revoke
        assert len(host.servers.authorization.revoked) == (facts is not None and facts.url is not None)
    await host.verify(integration)
    await host.renew(integration)
    if not host.needs_reconnect:
        await host.verify(integration)
    await host.remove(integration)


@over()
async def test_a_provider_is_connected_used_renewed_and_removed(host):
    await lead(host)


@over(lambda method: method.kind == "key")
async def test_a_wrong_key_is_refused_and_nothing_is_stored(host):
    await host.set_up()
    refused = await host.add_key(inputs=host.tenant.wrong_inputs, status=422)
    assert refused["error"]["code"] == "integration/invalid-credentials"
    assert (await host.call("GET", INTEGRATIONS))["data"] == []


@over(lambda method: method.kind != "installation" and not method.mint)
async def test_access_that_the_provider_ended_needs_a_reconnect(host):
    integration = await host.connect()
    refreshes, tells = bool(host.servers.authorization.refreshing), host.servers.checks.tells_dead
    host.servers.end_all()
    if not tells:
        await host.verify(integration, outcome="unknown")
        host.servers.pass_time(LIFE)
    elif refreshes:
        # The check asks for a new access token first, and the provider says why there is none.
        refused = await host.call("POST", f"{INTEGRATIONS}/{integration}/verify", status=409)
        assert refused["error"]["code"] == "integration/reconnect-required"
    else:
        await host.verify(integration, outcome="dead")
    assert await host.reveal(integration, status=409) == "integration/reconnect-required"


def test_every_provider_has_a_method_that_is_led_through_its_life():
    led = {provider.id for name, (provider, _, _) in CASES.items() if name not in LEFT_OUT}
    assert led == {provider.id for provider in CATALOGUE.list_providers()}
    assert LEFT_OUT.keys() <= CASES.keys()
