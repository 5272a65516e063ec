"""moto's KMS over HTTP, and the keys in it."""

from __future__ import annotations

import base64

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from tests.moto import moto_server

from cloud_integrations.backends.keys.aws_kms import AwsKmsKeys
from cloud_integrations.testing.contracts.key_service import DATA_KEY

CANARIES = [DATA_KEY.decode(), DATA_KEY.hex(), base64.b64encode(DATA_KEY).decode()[:20]]


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture(scope="module")
def moto():
    with moto_server() as endpoint:
        yield endpoint


def connect(endpoint, region):
    return boto3.client(
        "kms",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="fake-access-key",
        aws_secret_access_key="fake-secret-key",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )


class Service:
    """KMS, as the shared cases ask it; an answer is the code of an error, or the whole body as bytes."""

    shows = staticmethod(shows_a_canary)

    def __init__(self, endpoint):
        self._endpoint, self._gone, self._answer, self._asked = endpoint, False, None, 0
        self._arns = {}

    def client(self, region):
        """Make a client, as `AwsKmsKeys` wants one."""
        client = connect(self._endpoint, region)
        client.meta.events.register("before-send", self._before_send)
        return client

    def arn(self, name):
        """Return the ARN of the key that the cases know by *name*."""
        if name not in self._arns:
            client = connect(self._endpoint, "us-east-1" if name == "old" else "eu-central-1")
            self._arns[name] = client.create_key()["KeyMetadata"]["Arn"]
        return self._arns[name]

    def uri(self, name):
        return f"aws-kms:{self.arn(name)}"

    def answer(self, answer):
        self._answer = answer

    def recover(self):
        self._answer = None

    def asked(self):
        return self._asked

    def stop(self):
        self._gone = True

    def sent(self, wrapped):
        return base64.b64encode(wrapped).decode()

    def _before_send(self, request, **_):
        self._asked += 1
        if self._gone:
            request.url = "http://127.0.0.1:9/"
        if self._answer is None:
            return None
        if isinstance(self._answer, bytes):
            return AWSResponse(request.url, 200, {}, _Raw(self._answer))
        body = b'{"__type": "%s", "message": "the service\'s words"}' % self._answer.encode()
        return AWSResponse(request.url, 500 if self._answer == "KMSInternalException" else 400, {}, _Raw(body))


class _Raw:
    def __init__(self, body):
        self._body = body

    def stream(self, **_):
        yield self._body


@pytest.fixture
def service(moto):
    return Service(moto)


@pytest.fixture
def make(service):
    return lambda *names: AwsKmsKeys(*map(service.arn, names or ("ci",)), client=service.client)


@pytest.fixture
def keys(make):
    return make()
