"""A provider whose endpoints come from its server's metadata (RFC 8414), through both managers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import AppMisconfiguredError, GrantRefusedError, ProviderUnavailableError, ProviderUnreachableError

from .answers import said
from .conftest import ACME, ALICE, GLOBEX
from .devices import begin, open_with_devices, poll
from .transports import Before

DAY = timedelta(hours=24)
PROVIDER_ID = "00000000-0000-0000-0000-000000000000"
ENDPOINTS = {"authorization": "/authorize", "token": "/token", "revocation": "/revoke", "device_authorization": "/device"}


class Metadata(Before):
    """Answers requests for the metadata of the simulated provider; whatever else comes goes on."""

    def __init__(self, world, /):
        super().__init__(world)
        self.base = world.provider.base_url
        self.issuer = self.base
        self.fetched = []
        self.others = []
        self.answer = None
        """An answer, or an error to raise; None: good metadata."""
        self.changes = {}

    def find(self, request):
        if "/.well-known/" not in request.url:
            self.others.append(request)
            return None
        self.fetched.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        endpoints = {f"{name}_endpoint": self.base + path for name, path in ENDPOINTS.items()}
        unused = {"jwks_uri": f"{self.base}/jwks", "userinfo_endpoint": f"{self.base}/me", "registration_endpoint": f"{self.base}/new"}
        issuer = request.url.replace("/.well-known/oauth-authorization-server", "")
        return self.answer or said({"issuer": issuer, **endpoints, **unused, **self.changes}, 200)


def open_with_metadata(world, /, *, variables=(), **changes):
    """Return the metadata of a world whose door now reads the endpoints from there."""
    metadata = Metadata(world)
    world.transport = metadata
    (by_code,) = world.entries[0].methods
    written = {"authorize_url": None, "token_url": None, "par_url": None, "refresh_url": None}
    revoke = {name: value for name, value in by_code.revoke.model_dump(exclude_unset=True).items() if name != "url"}
    facts = {**by_code.model_dump(exclude_unset=True), **written, "revoke": revoke, "issuer": metadata.base, "metadata": "oauth", **changes}
    provider = {**world.entries[0].model_dump(exclude_unset=True), "methods": [facts], "variables": list(variables)}
    world.entries[0] = Provider.model_validate(provider)
    world.door = world.open()
    return metadata


@pytest.fixture
def metadata(world):
    return open_with_metadata(world)


@pytest.mark.requirement("OAU-058", "OAU-059")
async def test_one_fetch_serves_the_whole_life_of_a_connection_and_nothing_unused_is_asked(world, metadata):
    connected = await world.connect()
    await world.door.refresh(ACME, connected.id)
    removed = await world.door.delete(ACME, connected.id, actor=ALICE)
    assert removed.refresh_token is RevocationOutcome.REVOKED
    (fetched,) = metadata.fetched
    assert (fetched.method, fetched.body, dict(fetched.headers)) == ("GET", b"", {"Accept": "application/json"})
    paths = {request.url.removeprefix(metadata.base).partition("?")[0] for request in metadata.others}
    # Besides the endpoints, the check of the account, whose address the provider file has.
    assert paths == {"/token", "/revoke", "/me"}


@pytest.mark.requirement("OAU-058")
async def test_metadata_is_used_for_a_day_and_no_longer(world, metadata):
    await world.begin()
    metadata.answer = ProviderUnreachableError(provider_id=PROVIDER_ID)
    world.clock.advance(DAY - timedelta(seconds=1))
    await world.begin()
    world.clock.advance(timedelta(seconds=2))
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.begin()
    assert caught.value.reason == "metadata_unavailable"
    metadata.answer = None
    await world.begin()
    assert len(metadata.fetched) == 3


@pytest.mark.requirement("OAU-058")
async def test_callers_at_once_fetch_once(awaiting_world):
    metadata = open_with_metadata(awaiting_world)
    await awaiting_world.door.together(5, "begin_oauth", ACME, "simulated", name="Files", actor=ALICE)
    assert len(metadata.fetched) == 1


@pytest.mark.requirement("OAU-058")
async def test_what_one_tenants_issuer_says_is_not_told_to_another(world):
    variable = {"name": "realm", "pattern": "[a-z]{1,20}", "source": "input"}
    metadata = open_with_metadata(world, variables=[variable], issuer=f"{world.provider.base_url}/{{realm}}")
    for tenant in (ACME, GLOBEX, ACME):
        await world.door.begin_oauth(tenant, "simulated", name="Files", variables={"realm": "shared"}, actor=ALICE)
    assert len(metadata.fetched) == 2


@pytest.mark.requirement("OAU-058")
async def test_an_issuer_of_the_operator_is_fetched_once_for_all_tenants(world, metadata):
    for tenant in (ACME, GLOBEX):
        await world.begin(tenant)
    assert len(metadata.fetched) == 1


@pytest.mark.requirement("OAU-055", "OAU-057", "OAU-058")
@pytest.mark.parametrize("changes", [{"issuer": "https://evil.example"}, {"token_endpoint": "https://evil.example/token"}])
async def test_a_token_endpoint_that_moved_to_another_host_gets_no_refresh_token(world, metadata, changes):
    connected = await world.connect()
    world.pass_(days=2)
    metadata.changes = changes
    sent = len(metadata.others)
    for _ in range(2):
        with pytest.raises(AppMisconfiguredError) as caught:
            await world.door.refresh(ACME, connected.id)
        assert caught.value.reason == "server_metadata"
    with pytest.raises(AppMisconfiguredError):
        await world.begin(GLOBEX)
    assert len(metadata.others) == sent
    metadata.changes = {}
    assert (await world.door.refresh(ACME, connected.id, actor=ALICE)).state.value == "active"


async def test_an_outage_of_the_metadata_ends_no_grant(world, metadata):
    connected = await world.connect()
    world.pass_(days=2)
    metadata.answer = said(b"<html>", 502)
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, connected.id)
    assert world.row(connected).facts.state.value == "retry"
    metadata.answer = None
    world.pass_(minutes=5)
    assert (await world.door.refresh(ACME, connected.id)).state.value == "active"


async def test_a_token_whose_server_has_no_metadata_now_waits_in_the_outbox(world, metadata):
    connected = await world.connect()
    world.pass_(days=2)
    metadata.answer = said(b"", 503)
    removed = await world.door.delete(ACME, connected.id, actor=ALICE)
    assert removed.refresh_token is RevocationOutcome.FAILED
    metadata.answer = None
    world.pass_(hours=2)
    assert (await world.door.worker.retry_revocations()).revoked >= 1


async def test_a_server_without_a_revocation_endpoint_revokes_nothing(world, metadata):
    metadata.changes = {"revocation_endpoint": None}
    connected = await world.connect()
    removed = await world.door.delete(ACME, connected.id, actor=ALICE)
    assert removed.refresh_token is RevocationOutcome.UNSUPPORTED


async def test_requests_are_pushed_where_the_metadata_says(world, metadata):
    metadata.changes = {"pushed_authorization_request_endpoint": f"{metadata.base}/par"}
    # The simulated provider has no such endpoint.
    with pytest.raises(GrantRefusedError):
        await world.begin()
    assert [request.url for request in metadata.others] == [f"{metadata.base}/par"]


async def test_a_device_finds_its_endpoint_in_the_metadata(world):
    devices = open_with_devices(world)
    metadata = open_with_metadata(world, device={})
    begun = await begin(world)
    world.pass_(seconds=10)
    devices.consent()
    assert (await poll(world, begun)).integration.id == begun.authorization_id
    assert len(metadata.fetched) == 1


async def test_the_context_is_known_without_the_metadata(world, metadata):
    metadata.answer = said(b"", 503)
    own = await world.door.applications.save(ACME, "simulated", client_id="own-client", client_secret="fake-own-secret", actor=ALICE)
    metadata.answer = None
    assert (await world.begin()).context_id == own.id
