"""`boto3_session` with the real boto3, against moto's server, which checks every key and signature."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import os
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

pytest.importorskip("moto")

import botocore.session  # only where it is installed, and so below
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.aws_cloud import ACME, open_cloud

from cloud_integrations.clients import boto3_session
from cloud_integrations.clients.aws_keys import can_repeat
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationFrozenError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.testing import SimulatedProvider

from .conftest import opened
from .roles import EVERYTHING, RoleWorld, keys_of, next_key

MANY = 50


@pytest.fixture(scope="module")
def cloud():
    with open_cloud() as cloud:
        yield cloud


class World(RoleWorld):
    """The same, with a session of boto3."""

    def __init__(self, cloud, **options):
        super().__init__(cloud, **options)
        self.session = boto3_session(self.manager.acting_as("worker"), ACME, region_name="us-east-1")

    def client(self, service="sts", **options):
        return self.session.client(service, endpoint_url=self.cloud.endpoint, **options)


@pytest.fixture
def world(cloud):
    with World(cloud) as world:
        yield world


def test_a_client_signs_with_another_key_after_the_first_has_ended(world):
    sts = world.client()
    assert ":assumed-role/" in sts.get_caller_identity()["Arn"]
    first = world.key_id()
    assert world.mints == 0
    world.end_key()
    world.end_life()
    assert ":assumed-role/" in sts.get_caller_identity()["Arn"]
    assert (world.mints, world.key_id() == first) == (1, False)


def test_a_key_with_less_than_fifteen_minutes_is_renewed_first(cloud):
    # AWS gives no shorter life; of that, two thirds are enough.
    with World(cloud, lifetime=900) as world:
        sts = world.client()
        sts.get_caller_identity()
        world.clock.advance(timedelta(minutes=6))
        # The manager alone hands it out until its last half minute.
        world.manager.credential(ACME, "aws")
        assert world.mints == 0
        sts.get_caller_identity()
        assert world.mints == 1


def test_fifty_threads_make_one_key(world):
    sts = world.client(config=Config(max_pool_connections=MANY))
    world.end_life()
    with ThreadPoolExecutor(MANY) as threads:
        found = set(threads.map(lambda _: sts.get_caller_identity()["Account"], range(MANY)))
    assert (found, world.mints) == ({"123456789012"}, 1)


def test_a_key_that_aws_does_not_know_is_replaced_once_and_the_request_repeated(world):
    sts = world.client()
    world.end_key()
    answer = sts.get_caller_identity()
    assert (":assumed-role/" in answer["Arn"], answer["ResponseMetadata"]["RetryAttempts"], world.mints) == (True, 1, 1)


def test_a_request_that_is_refused_twice_is_reported_as_aws_says_it(world, monkeypatch):
    sts = world.client()
    replace = type(world.manager).replace_refused

    def in_vain(manager, tenant_id, token):
        replaced = replace(manager, tenant_id, token)
        world.end_key()
        return replaced

    monkeypatch.setattr(type(world.manager), "replace_refused", in_vain)
    world.end_key()
    with pytest.raises(ClientError) as caught:
        sts.get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert world.mints == 1


def test_a_body_is_sent_again_if_it_can_be(world, cloud):
    with cloud.open() as manager:
        manager.acting_as("ada").add(ACME, "aws", name="Keys", method="access_key", inputs=keys_of(cloud, "stored"))
        s3 = boto3_session(manager, ACME, region_name="us-east-1").client("s3", endpoint_url=cloud.endpoint)
        s3.create_bucket(Bucket="fake-bucket")
    cloud.iam.put_role_policy(RoleName=world.name, PolicyName="all", PolicyDocument=EVERYTHING)
    s3 = world.client("s3")
    s3.put_object(Bucket="fake-bucket", Key="known", Body=b"fake body")
    world.end_key()
    s3.put_object(Bucket="fake-bucket", Key="again", Body=io.BytesIO(b"fake body"))
    assert world.mints == 1
    assert s3.get_object(Bucket="fake-bucket", Key="again")["Body"].read() == b"fake body"
    left, right = os.pipe()
    os.close(right)
    with os.fdopen(left, "rb") as once:
        # boto3 itself would not send it without https.
        assert [can_repeat(body) for body in (None, b"", "", {}, io.BytesIO(), once, iter([b""]))] == [True] * 5 + [False] * 2


def test_a_static_key_works_and_its_successor_is_seen(cloud):
    with cloud.open() as manager:
        ada = manager.acting_as("ada")
        first = keys_of(cloud, "rotating")
        integration = ada.add(ACME, "aws", name="Keys", method="access_key", inputs=first)
        sts = boto3_session(manager, ACME, region_name="us-east-1").client("sts", endpoint_url=cloud.endpoint)
        assert sts.get_caller_identity()["Arn"].endswith(":user/rotating")
        ada.reconnect(ACME, integration.id, inputs=next_key(cloud, "rotating"))
        cloud.iam.delete_access_key(UserName="rotating", AccessKeyId=first["access_key_id"])
        assert sts.get_caller_identity()["ResponseMetadata"]["RetryAttempts"] == 0


def test_a_static_key_that_aws_refuses_asks_for_a_reconnect(cloud):
    with cloud.open() as manager:
        key = keys_of(cloud, "leaving")
        manager.acting_as("ada").add(ACME, "aws", name="Keys", method="access_key", inputs=key)
        sts = boto3_session(manager, ACME, region_name="us-east-1").client("sts", endpoint_url=cloud.endpoint)
        cloud.iam.delete_access_key(UserName="leaving", AccessKeyId=key["access_key_id"])
        with pytest.raises(ReconnectRequiredError):
            sts.get_caller_identity()


def test_a_role_that_stays_refused_asks_for_a_reconnect(world):
    sts = world.client()
    world.end_trust()
    world.end_life()
    # One refusal may be the operator's own fault, so it is no proof.
    for _ in range(7):
        with pytest.raises(ProviderUnavailableError):
            sts.get_caller_identity()
        world.clock.advance(timedelta(days=1))
    with pytest.raises(ReconnectRequiredError):
        sts.get_caller_identity()


def test_an_outage_may_be_tried_again_and_is_not_repeated_by_botocore(world, monkeypatch):
    sts = world.client()
    world.end_life()
    asked = []

    def down(manager, *_, **__):
        asked.append(manager)
        raise ProviderUnavailableError(provider_id="aws")

    monkeypatch.setattr(type(world.manager), "credential", down)
    with pytest.raises(ProviderUnavailableError) as caught:
        sts.get_caller_identity()
    assert (caught.value.retryable, len(asked)) == (True, 1)


def test_an_integration_that_is_switched_off_is_seen_by_the_next_request(world):
    sts = world.client()
    sts.get_caller_identity()
    world.switch_off()
    with pytest.raises(IntegrationInactiveError):
        sts.get_caller_identity()


def test_a_freeze_of_another_process_is_seen_after_the_time_that_tokens_stay_in_memory(world):
    sts = world.client()
    sts.get_caller_identity()
    begun = world.freeze()
    world.clock.advance(timedelta(minutes=1))
    for session in (sts, world.client()):
        with pytest.raises(IntegrationFrozenError):
            session.get_caller_identity()
    # Nor ahead of time.
    with pytest.raises(IntegrationFrozenError):
        world.client("s3").generate_presigned_url("get_object", Params={"Bucket": "fake-bucket", "Key": "known"})
    assert world.mints == 0
    world.unfreeze(begun)
    world.clock.advance(timedelta(minutes=1))
    assert ":assumed-role/" in sts.get_caller_identity()["Arn"]


def test_a_freeze_stops_a_key_from_being_replaced(world, monkeypatch):
    sts = world.client()
    world.end_key()
    replace = type(world.manager).replace_refused

    def frozen(manager, *named):
        world.freeze()
        world.clock.advance(timedelta(minutes=1))
        return replace(manager, *named)

    monkeypatch.setattr(type(world.manager), "replace_refused", frozen)
    with pytest.raises(IntegrationFrozenError):
        sts.get_caller_identity()
    assert world.mints == 0


def test_each_use_is_in_the_audit_log(world):
    before = world.uses
    world.client().get_caller_identity()
    assert world.uses == before + 1


def test_no_secret_is_shown(world, caplog):
    caplog.set_level(logging.DEBUG)
    sts = world.client()
    sts.get_caller_identity()
    values = world.manager.credential(ACME, "aws").values()
    secrets = [values[name].reveal() for name in ("secret_access_key", "session_token")]
    credentials = world.session.get_credentials()
    world.switch_off()
    with pytest.raises(IntegrationInactiveError) as caught:
        sts.get_caller_identity()
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "cloud_integrations" in frame.f_code.co_filename]
    shown = ["".join(traceback.format_exception(caught.value)), *(repr(value) for frame in frames for value in frame.f_locals.values())]
    # botocore's own lines show the headers that it sends, and with them the session token.
    shown += [record.getMessage() for record in caplog.records if not record.name.startswith(("botocore", "moto", "urllib3"))]
    shown += [repr(value) for value in (world.session, sts, credentials, vars(credentials))]
    assert [text for text in shown if any(secret in text for secret in secrets)] == []
    assert secrets[0] not in caplog.text


def test_the_credentials_cannot_be_pickled_and_a_copy_is_the_same(world):
    credentials = world.session.get_credentials()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(credentials)
    assert copy.copy(credentials) is credentials
    assert copy.deepcopy(credentials) is credentials


def test_a_signer_that_asks_for_single_parts_gets_them(world):
    credentials = world.session.get_credentials()
    values = {name: secret.reveal() for name, secret in world.manager.credential(ACME, "aws").values().items()}
    assert credentials.access_key == values["access_key_id"]
    assert credentials.secret_key == values["secret_access_key"]
    assert credentials.token == values["session_token"]
    assert (credentials.account_id, credentials.refresh_needed()) == (None, False)


def test_a_url_is_signed_ahead_and_what_is_not_signed_asks_for_nothing(world, monkeypatch):
    url = world.client("s3").generate_presigned_url("get_object", Params={"Bucket": "fake-bucket", "Key": "known"})
    assert world.key_id() in url
    unsigned = world.client("s3", config=Config(signature_version=UNSIGNED))
    before = world.uses
    with pytest.raises(ClientError):
        unsigned.list_buckets()
    assert world.uses == before


def test_the_keys_and_tokens_of_this_process_are_not_used(world, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, "fake-of-the-host")
    session = boto3_session(world.manager, ACME, region_name="us-east-1")
    assert session.get_credentials().access_key == world.key_id()
    assert session._session.get_auth_token(signing_name="bedrock") is None


def test_it_refuses_to_run_in_an_event_loop(world):
    sts = world.client()

    async def inside():
        with pytest.raises(ConfigurationError, match=r"asyncio\.to_thread"):
            sts.get_caller_identity()
        return await asyncio.to_thread(sts.get_caller_identity)

    assert ":assumed-role/" in asyncio.run(inside())["Arn"]


def test_names_that_cannot_be_ones_and_other_credentials_are_refused_at_once(world):
    with pytest.raises(ValidationFailedError):
        boto3_session(world.manager, "")
    with pytest.raises(ValidationFailedError) as caught:
        boto3_session(world.manager, ACME, aws_access_key_id="fake")
    assert caught.value.field == "aws_access_key_id"


def test_an_awaiting_manager_is_refused_at_once(awaiting):
    with pytest.raises(ConfigurationError, match="use an IntegrationManager"):
        boto3_session(awaiting, ACME)


@pytest.fixture
def awaiting():
    with opened(SimulatedProvider(auto_approve=True)) as other:
        yield other.awaiting


def test_a_session_of_the_host_keeps_what_it_was_set_up_with(world):
    own = botocore.session.Session()
    own.user_agent_extra = "acme/1"
    session = boto3_session(world.manager, ACME, region_name="us-east-1", botocore_session=own)
    seen = []
    sts = session.client("sts", endpoint_url=world.cloud.endpoint)
    sts.meta.events.register("before-send", lambda request, **_: seen.append(request.headers["User-Agent"].decode()))
    assert ":assumed-role/" in sts.get_caller_identity()["Arn"]
    assert "acme/1" in seen[0]
