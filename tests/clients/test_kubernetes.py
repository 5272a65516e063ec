"""The clients for Kubernetes beyond what every client promises: the tenant's server, its authority, client certificates and watches.

The API server is a stand-in of ours over TLS, which is no Kubernetes.  The awaiting client belongs to one event loop, so what every
client promises is here, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import pickle
import ssl
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from tests.authorities import authority
from tests.clusters import ADMIN, ROBOT, TOKEN, ApiServer, near_provider

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.errors import (
    CloudIntegrationsError,
    ConfigurationError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import TENANT
from .packages import HTTPX, KUBERNETES, KUBERNETES_ASYNCIO

pytestmark = pytest.mark.skipif(
    KUBERNETES is None or KUBERNETES_ASYNCIO is None or "httpx" not in HTTPX, reason="this session has no clients of Kubernetes"
)
NEXT = TOKEN.replace("5d1c", "7e2f")
MANY = 50


class Blocking:
    """The client of kubernetes, made for each call."""

    def __init__(self, manager, awaiting):
        self.manager = manager

    def call(self, use, **options):
        """Call *use* with a client, and return what it returns."""
        from cloud_integrations.clients import kubernetes_client

        with kubernetes_client(self.manager, TENANT, **options) as client:
            return use(client)

    def review(self, client):
        from kubernetes.client import AuthenticationV1Api

        return AuthenticationV1Api(client).create_self_subject_review({"kind": "SelfSubjectReview"}).status.user_info.username

    def raw(self, client):
        from kubernetes.client import CoreV1Api

        return CoreV1Api(client).list_namespace(_preload_content=False).status


class Awaiting:
    """The client of kubernetes_asyncio, made for each call in an event loop of its own."""

    def __init__(self, manager, awaiting):
        self.manager = awaiting

    def call(self, use, **options):
        from cloud_integrations.clients import async_kubernetes_client

        async def inside():
            async with await async_kubernetes_client(self.manager, TENANT, **options) as client:
                found = use(client)
                return await found if asyncio.iscoroutine(found) else found

        return asyncio.run(inside())

    async def review(self, client):
        from kubernetes_asyncio.client import AuthenticationV1Api

        return (await AuthenticationV1Api(client).create_self_subject_review({"kind": "SelfSubjectReview"})).status.user_info.username

    async def raw(self, client):
        from kubernetes_asyncio.client import CoreV1Api

        answer = await CoreV1Api(client).list_namespace(_preload_content=False)
        answer.release()
        return answer.status


BOTH = pytest.mark.parametrize("kind", [Blocking, Awaiting])


class Cluster:
    """A cluster of the tenant at a stand-in, and two managers of one installation."""

    def __init__(self, server):
        from cloud_integrations.backends.transport.httpx_transport import HttpxTransport

        self.server, rows, awaited = server, MemoryStore(), AsyncMemoryStore()
        awaited._store = rows
        parts = {
            "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(near_provider()),
            # One manager sees at once what the other has changed.
            "settings": Settings(callback_url="https://app.example/oauth/callback", token_cache=timedelta()),
        }
        self.manager = IntegrationManager(store=rows, transport=HttpxTransport(), **parts)
        self.awaiting = AsyncIntegrationManager(store=awaited, transport=_Awaited(self.manager._wiring.transport), **parts)
        self.ada = self.manager.acting_as("ada")

    def add(self, **changes):
        inputs = {"server": self.server.url, "ca": authority().pem, "token": TOKEN} | changes
        return self.ada.add(TENANT, "kubernetes", name="Ours", inputs={name: text for name, text in inputs.items() if text})

    @property
    def shown(self):
        """The Authorization headers of the requests of clients, after those of the check."""
        return [authorization for _, _, authorization in self.server.seen]


class _Awaited:
    def __init__(self, transport):
        self._transport = transport

    async def send(self, request, /, *, deadline):
        return await self._transport.send(request, deadline=deadline)

    async def close(self):
        pass


@pytest.fixture
def cluster(tmp_path):
    with ApiServer(tmp_path=tmp_path) as server:
        made = Cluster(server)
        yield made
        made.manager.close()


@BOTH
def test_a_token_goes_to_the_tenants_server_which_its_authority_proves(cluster, kind):
    cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    assert subject.call(subject.review) == ROBOT
    assert cluster.shown[-1] == f"Bearer {TOKEN}"
    assert cluster.server.asked[-1][2] == cluster.server.url.removeprefix("https://")


@BOTH
def test_a_server_of_another_authority_is_shown_nothing(cluster, kind):
    cluster.add()
    subject, before = kind(cluster.manager, cluster.awaiting), len(cluster.server.seen)
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        subject.call(subject.review, ssl_context=ssl.create_default_context(cadata=authority("Another").pem))
    assert len(cluster.server.seen) == before


@BOTH
def test_a_client_certificate_is_shown_and_its_key_is_on_no_disk(cluster, kind, tmp_path, monkeypatch):
    certificate, key = authority("Clients").issue(ADMIN)
    cluster.add(token=None, client_certificate=certificate, client_key=key)
    subject = kind(cluster.manager, cluster.awaiting)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def review(client):
        assert [file for file in Path(tmp_path).rglob("*") if file.is_file() and file.name != "server.pem"] == []
        assert (client.configuration.cert_file, client.configuration.key_file) == (None, None)
        return subject.review(client)

    assert subject.call(review) == ADMIN
    assert cluster.server.seen[-1][1:] == (ADMIN, None)


@BOTH
def test_a_watch_that_begins_again_shows_the_token_of_then(cluster, kind):
    held = cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    if kind is Blocking:

        def twice(client):
            first = subject.review(client)
            change(cluster, held)
            return first, subject.review(client)
    else:

        async def twice(client):
            first = await subject.review(client)
            change(cluster, held)
            return first, await subject.review(client)

    assert subject.call(twice) == (ROBOT, ROBOT)
    assert cluster.shown[-1] == f"Bearer {NEXT}"


def change(cluster, held, **changes):
    """Enter another token, and let the first one end."""
    cluster.server.tokens = {NEXT: ROBOT}
    cluster.ada.reconnect(TENANT, held.id, inputs={"server": cluster.server.url, "ca": authority().pem, "token": NEXT} | changes)


@BOTH
def test_a_token_is_not_sent_to_the_server_that_the_tenant_had_before(cluster, kind, tmp_path):
    """The client was made for that server, and with its authority."""
    held = cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    (tmp_path / "other").mkdir()
    with ApiServer(tmp_path=tmp_path / "other") as other:
        other.tokens = {NEXT: ROBOT}

        def move(client):
            change(cluster, held, server=other.url)
            return subject.review(client)

        before = len(cluster.server.seen)
        with pytest.raises(ConfigurationError, match="another API server"):
            subject.call(move)
    assert len(cluster.server.seen) == before


@BOTH
def test_an_integration_that_is_switched_off_is_seen_by_the_next_request(cluster, kind):
    held = cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)

    def switch_off(client):
        cluster.ada.edit_integration(TENANT, held.id, status="inactive")
        return subject.review(client)

    with pytest.raises(IntegrationInactiveError):
        subject.call(switch_off)


@BOTH
def test_a_token_that_the_server_refuses_asks_for_a_reconnect(cluster, kind):
    cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    cluster.server.tokens = {}
    with pytest.raises(ReconnectRequiredError):
        subject.call(subject.review)


@BOTH
def test_a_client_certificate_that_is_refused_is_the_packages_own_error(cluster, kind):
    certificate, key = authority("Clients").issue(ADMIN)
    cluster.add(token=None, client_certificate=certificate, client_key=key)
    subject = kind(cluster.manager, cluster.awaiting)
    cluster.server.people = set()
    with pytest.raises(Exception, match="401"):
        subject.call(subject.review)


@BOTH
def test_a_request_with_settings_of_its_own_shows_those_alone(cluster, kind):
    cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    own = {"in": "header", "type": "api_key", "key": "authorization", "value": "Bearer fake-of-the-host"}

    def other(client):
        package = KUBERNETES if kind is Blocking else KUBERNETES_ASYNCIO
        api = package.client.AuthenticationV1Api(client)
        return api.create_self_subject_review({"kind": "SelfSubjectReview"}, _request_auth=own)

    before = len(cluster.server.seen)
    with pytest.raises(Exception, match="401"):
        subject.call(other)
    assert cluster.shown[before:] == ["Bearer fake-of-the-host"]


@BOTH
def test_a_configuration_of_the_host_keeps_its_settings(cluster, kind):
    cluster.add()
    subject = kind(cluster.manager, cluster.awaiting)
    own = (KUBERNETES if kind is Blocking else KUBERNETES_ASYNCIO).client.Configuration()
    own.connection_pool_maxsize = 3
    seen = subject.call(lambda client: (client.configuration.connection_pool_maxsize, client.configuration.host), configuration=own)
    assert seen == (3, cluster.server.url)


# A cluster that takes the tokens of another provider; over http, as the API of the simulated provider is.


@pytest.fixture(params=[Blocking, Awaiting], ids=lambda kind: kind.__name__)
def elsewhere(request, world):
    subject = request.param(world.manager, world.awaiting)
    call = subject.call
    subject.call = lambda use: call(use, provider="simulated", server=world.api.url)
    return subject


def test_a_refused_token_of_another_provider_is_replaced_once_and_the_request_repeated(world, elsewhere):
    world.end_token()
    assert elsewhere.call(elsewhere.raw) == 200
    assert (world.api.statuses, world.provider.refresh_count) == ([401, 200], 1)


def test_a_request_that_is_refused_twice_is_reported(world, elsewhere):
    world.api.refuses = 2
    try:
        status = elsewhere.call(elsewhere.raw)
    except KUBERNETES.client.ApiException as error:
        status = error.status
    assert status == 401
    assert (world.api.statuses, world.provider.refresh_count) == ([401, 401], 1)


def test_a_body_is_sent_again(world, elsewhere):
    world.end_token()
    with contextlib.suppress(Exception):  # the answer is no review
        elsewhere.call(elsewhere.review)
    assert [seen.status for seen in world.api.seen] == [401, 200]
    assert world.api.seen[0].body == world.api.seen[1].body != b""


def test_a_grant_that_was_revoked_asks_for_a_reconnect(world, elsewhere):
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        elsewhere.call(elsewhere.raw)


def test_an_outage_may_be_tried_again(world, elsewhere):
    world.end_token()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as caught:
        elsewhere.call(elsewhere.raw)
    assert caught.value.retryable


def test_fifty_tasks_renew_once(world):
    world.end_token()
    subject = Awaiting(world.manager, world.awaiting)

    async def many(client):
        return await asyncio.gather(*(subject.raw(client) for _ in range(MANY)))

    assert subject.call(many, provider="simulated", server=world.api.url) == [200] * MANY
    assert world.provider.refresh_count == 1


def test_no_token_is_shown(world, elsewhere, caplog):
    caplog.set_level(logging.DEBUG)
    token = world.token
    shown = []

    def look(client):
        shown.extend([repr(client), str(client), repr(vars(client)), repr(vars(client.configuration))])
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(client)
        assert copy.copy(client) is copy.deepcopy(client) is client
        return elsewhere.raw(client)

    elsewhere.call(look)
    world.provider.revoke_grant()
    with pytest.raises(CloudIntegrationsError) as caught:
        elsewhere.call(elsewhere.raw)
    frames = [
        frame for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "cloud_integrations/clients" in frame.f_code.co_filename
    ]
    shown += ["".join(traceback.format_exception(caught.value)), *(repr(value) for frame in frames for value in frame.f_locals.values())]
    shown += [record.getMessage() for record in caplog.records]
    assert [text for text in shown if token in text] == []


def test_each_use_is_in_the_audit_log(world, elsewhere):
    elsewhere.call(elsewhere.raw)
    actions = [record.event.action for record in world.manager.acting_as("ada").audit.list(TENANT, limit=100)]
    assert "credential.used" in actions
    assert world.api.tokens == [token_id(world.token)]


def test_a_credential_without_a_server_asks_for_one(world):
    for kind in (Blocking, Awaiting):
        subject = kind(world.manager, world.awaiting)
        with pytest.raises(ValidationFailedError) as caught:
            subject.call(subject.raw, provider="simulated")
        assert caught.value.field == "server"


def test_a_manager_of_the_other_kind_is_refused(world):
    with pytest.raises(ConfigurationError, match="use an IntegrationManager"):
        Blocking(world.awaiting, None).call(None)
    with pytest.raises(ConfigurationError, match="use an AsyncIntegrationManager"):
        Awaiting(None, world.manager).call(None)
