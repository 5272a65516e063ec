"""`aiobotocore_session` with the real aiobotocore, against moto's server, which checks every key and signature.

aiobotocore wants an older botocore than the other sessions have, so `nox -s aiobotocore` runs it.
"""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import pickle
import traceback
from datetime import timedelta

import pytest

pytest.importorskip("moto")
pytest.importorskip("aiobotocore")

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from tests.aws_cloud import ACME, open_cloud

from cloud_integrations.clients import aiobotocore_session
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)

from .roles import EVERYTHING, RoleWorld, keys_of

MANY = 50


@pytest.fixture(scope="module")
def cloud():
    with open_cloud() as cloud:
        yield cloud


class World(RoleWorld):
    """The same, with a session of aiobotocore."""

    def __init__(self, cloud, **options):
        super().__init__(cloud, **options)
        self.session = aiobotocore_session(self.awaiting.acting_as("worker"), ACME, region_name="us-east-1")

    def client(self, service="sts", **options):
        return self.session.create_client(service, endpoint_url=self.cloud.endpoint, **options)

    async def switch_off(self):
        # Another process may hand it out for as long as it keeps it in memory.
        await self.awaiting.acting_as("ada").edit_integration(ACME, self.integration.id, status="inactive")


@pytest.fixture
def world(cloud):
    with World(cloud) as world:
        yield world


async def test_a_client_signs_with_another_key_after_the_first_has_ended(world):
    async with world.client() as sts:
        assert ":assumed-role/" in (await sts.get_caller_identity())["Arn"]
        first = world.key_id()
        assert world.mints == 0
        world.end_key()
        world.end_life()
        assert ":assumed-role/" in (await sts.get_caller_identity())["Arn"]
        assert (world.mints, world.key_id() == first) == (1, False)


async def test_a_key_with_less_than_fifteen_minutes_is_renewed_first(cloud):
    # AWS gives no shorter life; of that, two thirds are enough.
    with World(cloud, lifetime=900) as world:
        async with world.client() as sts:
            await sts.get_caller_identity()
            world.clock.advance(timedelta(minutes=6))
            # The manager alone hands it out until its last half minute.
            await world.awaiting.credential(ACME, "aws")
            assert world.mints == 0
            await sts.get_caller_identity()
            assert world.mints == 1


async def test_fifty_tasks_make_one_key(world):
    world.end_life()
    async with world.client(config=AioConfig(max_pool_connections=MANY)) as sts:
        answers = await asyncio.gather(*(sts.get_caller_identity() for _ in range(MANY)))
    assert ({answer["Account"] for answer in answers}, world.mints) == ({"123456789012"}, 1)


async def test_a_key_that_aws_does_not_know_is_replaced_once_and_the_request_repeated(world):
    world.end_key()
    async with world.client() as sts:
        answer = await sts.get_caller_identity()
    assert (":assumed-role/" in answer["Arn"], answer["ResponseMetadata"]["RetryAttempts"], world.mints) == (True, 1, 1)


async def test_a_request_that_is_refused_twice_is_reported_as_aws_says_it(world, monkeypatch):
    replace = type(world.awaiting).replace_refused

    async def in_vain(manager, tenant_id, token):
        replaced = await replace(manager, tenant_id, token)
        world.end_key(replaced.parts["access_key_id"].reveal())
        return replaced

    monkeypatch.setattr(type(world.awaiting), "replace_refused", in_vain)
    world.end_key()
    async with world.client() as sts:
        with pytest.raises(ClientError) as caught:
            await sts.get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert world.mints == 1


async def test_a_body_is_sent_again_if_it_can_be(world, cloud):
    cloud.iam.put_role_policy(RoleName=world.name, PolicyName="all", PolicyDocument=EVERYTHING)
    async with world.client("s3") as s3:
        await s3.create_bucket(Bucket="fake-bucket")
        world.end_key()
        await s3.put_object(Bucket="fake-bucket", Key="again", Body=io.BytesIO(b"fake body"))
        assert world.mints == 1
        found = await s3.get_object(Bucket="fake-bucket", Key="again")
        assert await found["Body"].read() == b"fake body"


async def test_a_static_key_that_aws_refuses_asks_for_a_reconnect(world, cloud):
    key = keys_of(cloud, "leaving-meanwhile")
    world.ada.add("other", "aws", name="Keys", method="access_key", inputs=key)
    session = aiobotocore_session(world.awaiting, "other", region_name="us-east-1")
    async with session.create_client("sts", endpoint_url=cloud.endpoint) as sts:
        assert (await sts.get_caller_identity())["Arn"].endswith(":user/leaving-meanwhile")
        cloud.iam.delete_access_key(UserName="leaving-meanwhile", AccessKeyId=key["access_key_id"])
        with pytest.raises(ReconnectRequiredError):
            await sts.get_caller_identity()


async def test_a_role_that_stays_refused_asks_for_a_reconnect(world):
    async with world.client() as sts:
        world.end_trust()
        world.end_life()
        # One refusal may be the operator's own fault, so it is no proof.
        for _ in range(7):
            with pytest.raises(ProviderUnavailableError):
                await sts.get_caller_identity()
            world.clock.advance(timedelta(days=1))
        with pytest.raises(ReconnectRequiredError):
            await sts.get_caller_identity()


async def test_an_outage_may_be_tried_again_and_is_not_repeated_by_botocore(world, monkeypatch):
    asked = []

    async def down(manager, *_, **__):
        asked.append(manager)
        raise ProviderUnavailableError(provider_id="aws")

    async with world.client() as sts:
        world.end_life()
        monkeypatch.setattr(type(world.awaiting), "credential", down)
        with pytest.raises(ProviderUnavailableError) as caught:
            await sts.get_caller_identity()
    assert (caught.value.retryable, len(asked)) == (True, 1)


async def test_an_integration_that_is_switched_off_is_seen_by_the_next_request(world):
    async with world.client() as sts:
        await sts.get_caller_identity()
        await world.switch_off()
        with pytest.raises(IntegrationInactiveError):
            await sts.get_caller_identity()


async def test_each_use_is_in_the_audit_log(world):
    before = world.uses
    async with world.client() as sts:
        await sts.get_caller_identity()
    assert world.uses == before + 1


async def test_no_secret_is_shown(world, caplog):
    caplog.set_level(logging.DEBUG)
    async with world.client() as sts:
        await sts.get_caller_identity()
        values = world.values()
        secrets = [values[name] for name in ("secret_access_key", "session_token")]
        credentials = await world.session.get_credentials()
        await world.switch_off()
        with pytest.raises(IntegrationInactiveError) as caught:
            await sts.get_caller_identity()
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "cloud_integrations" in frame.f_code.co_filename]
    shown = ["".join(traceback.format_exception(caught.value)), *(repr(value) for frame in frames for value in frame.f_locals.values())]
    # The lines of botocore and aiohttp show the headers that they send, and with them the session token.
    others = ("aiobotocore", "botocore", "moto", "urllib3")
    shown += [record.getMessage() for record in caplog.records if not record.name.startswith(others)]
    shown += [repr(value) for value in (world.session, sts, credentials, vars(credentials))]
    assert [text for text in shown if any(secret in text for secret in secrets)] == []
    assert secrets[0] not in caplog.text


async def test_the_credentials_cannot_be_pickled_and_a_copy_is_the_same(world):
    credentials = await world.session.get_credentials()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(credentials)
    assert copy.copy(credentials) is credentials
    assert copy.deepcopy(credentials) is credentials


async def test_a_signer_that_asks_for_single_parts_gets_them(world):
    credentials, values = await world.session.get_credentials(), world.values()
    assert await credentials.get_access_key() == values["access_key_id"]
    assert await credentials.get_secret_key() == values["secret_access_key"]
    assert await credentials.get_token() == values["session_token"]
    assert (await credentials.get_account_id(), credentials.refresh_needed()) == (None, False)


async def test_a_url_is_signed_ahead_and_what_is_not_signed_asks_for_nothing(world):
    async with world.client("s3") as s3:
        url = await s3.generate_presigned_url("get_object", Params={"Bucket": "fake-bucket", "Key": "known"})
    assert world.key_id() in url
    before = world.uses
    async with world.client("s3", config=AioConfig(signature_version=UNSIGNED)) as unsigned:
        with pytest.raises(ClientError):
            await unsigned.list_buckets()
    assert world.uses == before


async def test_the_keys_and_tokens_of_this_process_are_not_used(world, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, "fake-of-the-host")
    session = aiobotocore_session(world.awaiting, ACME, region_name="us-east-1")
    assert await (await session.get_credentials()).get_access_key() == world.key_id()
    assert session.get_auth_token(signing_name="bedrock") is None


async def test_a_session_of_the_host_keeps_what_it_was_set_up_with_but_for_its_credentials(world):
    own = AioSession()
    own.user_agent_extra = "acme/1"
    own.set_credentials("fake-of-the-host", "fake-of-the-host")
    session = aiobotocore_session(world.awaiting, ACME, session=own)
    assert session is own
    seen = []
    async with session.create_client("sts", region_name="us-east-1", endpoint_url=world.cloud.endpoint) as sts:
        sts.meta.events.register("before-send", lambda request, **_: seen.append(str(request.headers["User-Agent"])))
        assert ":assumed-role/" in (await sts.get_caller_identity())["Arn"]
    assert "acme/1" in seen[0]


def test_a_name_that_cannot_be_one_is_refused_at_once(world):
    with pytest.raises(ValidationFailedError):
        aiobotocore_session(world.awaiting, "")


def test_a_blocking_manager_is_refused_at_once(world):
    with pytest.raises(ConfigurationError, match="use an AsyncIntegrationManager"):
        aiobotocore_session(world.manager, ACME)
