"""Providers that take no token but a signature: connected, checked, used and removed, through both managers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import (
    AnswerLostError,
    CredentialFormError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .clouds import CASES, Cloud, private_key
from .conftest import ACME, ALICE

over_clouds = pytest.mark.parametrize("slug", sorted(CASES))


async def add(world, cloud, **changes):
    inputs = {**cloud.case.inputs, **changes}
    variables = cloud.case.variables
    return await world.door.add(ACME, cloud.provider.id, name="Our cloud", inputs=inputs, variables=variables, actor=ALICE)


@over_clouds
@pytest.mark.requirement("Q47", "Q51")
async def test_a_key_connects_signs_any_request_and_is_removed(world, slug):
    cloud = Cloud(world, slug)
    held = await add(world, cloud)
    assert (held.account.account_id, held.account.label) == (cloud.case.account, cloud.case.label)
    assert (held.renewable, held.expires_at) == (False, None)
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"

    credential = await world.door.credential(ACME, slug)
    request = Unsigned(method="POST", url=cloud.case.api, headers={"Content-Type": "application/json"}, body=b'{"fake":1}')
    signed = credential.sign(request, **cloud.case.options)
    assert cloud.accepts("POST", signed.url, signed.headers, request.body, **cloud.case.options) == "yes"
    assert cloud.accepts("DELETE", signed.url, signed.headers, request.body, **cloud.case.options) == "no"
    with pytest.raises(CredentialFormError):
        credential.headers()

    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert removal.api_key == "unsupported", "the key works on, and the page says where to end it"
    assert removal.manual_url.startswith("https://")
    with pytest.raises(IntegrationNotFoundError):
        await world.door.credential(ACME, slug)


@over_clouds
async def test_a_wrong_secret_is_refused_and_nothing_is_stored(world, slug):
    cloud = Cloud(world, slug)
    with pytest.raises(InvalidCredentialsError) as caught:
        await add(world, cloud, **cloud.case.wrong)
    assert caught.value.reason == "dead"
    assert await world.door.list_integrations(ACME) == ()
    for secret in (*cloud.case.wrong.values(), *cloud.case.inputs.values()):
        assert secret not in f"{caught.value!r}{caught.value}{caught.value.details}"
    assert len(cloud.checks) == 1, "a wrong secret is asked about once"


@over_clouds
async def test_a_key_that_was_ended_needs_a_reconnect(world, slug):
    cloud = Cloud(world, slug)
    held = await add(world, cloud)
    cloud.answer = cloud.said(None, cloud.case.refusal)
    assert (await world.door.verify(ACME, held.id)).outcome == "dead"
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, slug)
    cloud.answer = None
    again = await world.door.reconnect(ACME, held.id, inputs=dict(cloud.case.inputs), actor=ALICE)
    assert (again.id, again.health.value, again.account.account_id) == (held.id, "ok", cloud.case.account)


OUTAGES = [
    ProviderUnreachableError(provider_id="x"),
    AnswerLostError(provider_id="x"),
    HttpResponse(status=503),
    HttpResponse(status=500, body=b"<html>"),
    HttpResponse(status=200, body=b"<html>"),
    HttpResponse(status=429, headers={"retry-after": "60"}),
]


@over_clouds
@pytest.mark.requirement("Q64")
@pytest.mark.parametrize("number", range(len(OUTAGES)))
async def test_an_outage_is_no_verdict(world, slug, number):
    cloud = Cloud(world, slug)
    cloud.answer = OUTAGES[number]
    with pytest.raises(ProviderUnavailableError) as caught:
        await add(world, cloud)
    assert caught.value.retryable
    cloud.answer = None
    held = await add(world, cloud)
    cloud.answer = OUTAGES[number]
    if isinstance(cloud.answer, HttpResponse):
        assert (await world.door.verify(ACME, held.id)).outcome == "unknown"
    else:
        with pytest.raises(ProviderUnavailableError):
            await world.door.verify(ACME, held.id)
    assert cloud.accepts("GET", *await signed_get(world, cloud), b"", **cloud.case.options) == "yes"


async def signed_get(world, cloud):
    credential = await world.door.credential(ACME, cloud.provider.id)
    signed = credential.sign(Unsigned(method="GET", url=cloud.case.api), **cloud.case.options)
    return signed.url, signed.headers


@pytest.mark.requirement("Q60", "Q62")
@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("akamai_edgegrid", (403, {})),
        ("alibaba_cloud", (403, {"Code": "NoPermission"})),
        ("exoscale", (403, {"message": "Forbidden by role policy"})),
        ("oracle_cloud", (404, {"code": "NotAuthorizedOrNotFound"})),
        ("ovhcloud", (403, {"errorCode": "NOT_GRANTED_CALL"})),
        ("tencent_cloud", (200, {"Response": {"Error": {"Code": "AuthFailure.UnauthorizedOperation"}}})),
        ("wasabi", (403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")),
    ],
)
async def test_a_key_that_may_not_ask_who_it_is_connects(world, slug, answer):
    cloud = Cloud(world, slug)
    cloud.answer = cloud.said(None, answer)
    held = await add(world, cloud)
    assert held.account.account_id.startswith("key:"), "a keyed fingerprint, because the provider names no account"
    assert (await world.door.verify(ACME, held.id)).outcome == "alive_but_denied"


@pytest.mark.requirement("Q60")
@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("exoscale", (403, {"message": "Invalid request signature"})),
        ("ovhcloud", (403, {"errorCode": "INVALID_KEY"})),
        ("ovhcloud", (403, {"errorCode": "INVALID_CREDENTIAL"})),
        ("ovhcloud", (403, {"errorCode": "NOT_CREDENTIAL"})),
        ("alibaba_cloud", (404, {"Code": "InvalidAccessKeyId.NotFound"})),
        ("alibaba_cloud", (403, {"Code": "InvalidAccessKeyId.Inactive"})),
        ("tencent_cloud", (200, {"Response": {"Error": {"Code": "AuthFailure.SecretIdNotFound"}}})),
    ],
)
async def test_each_name_for_a_key_that_does_not_work_is_known(world, slug, answer):
    cloud = Cloud(world, slug)
    cloud.answer = cloud.said(None, answer)
    with pytest.raises(InvalidCredentialsError):
        await add(world, cloud)


async def test_a_limit_with_status_200_is_no_verdict(world):
    cloud = Cloud(world, "tencent_cloud")
    cloud.answer = cloud.said(None, (200, {"Response": {"Error": {"Code": "RequestLimitExceeded"}}}))
    with pytest.raises(ProviderUnavailableError):
        await add(world, cloud)


@pytest.mark.parametrize("slug", ["alibaba_cloud", "huawei_cloud", "tencent_cloud"])
async def test_the_token_of_temporary_keys_goes_beside_the_signature(world, slug):
    cloud = Cloud(world, slug)
    name = {"tencent_cloud": "token"}.get(slug, "security_token")
    cloud.case = replace(cloud.case, inputs={**cloud.case.inputs, name: "fake-session-token"})
    await add(world, cloud)
    assert "fake-session-token" in cloud.checks[-1].headers.values()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"private_key": "-----BEGIN RSA PRIVATE KEY-----\nfake\n-----END RSA PRIVATE KEY-----"}, "cannot be read"),
        ({"private_key": "-----BEGIN PUBLIC KEY-----\nfake\n-----END PUBLIC KEY-----"}, "is a public key"),
        ({"fingerprint": private_key()}, "private key"),
    ],
)
async def test_a_private_key_that_is_none_is_refused_before_anybody_is_asked(world, given, problem):
    cloud = Cloud(world, "oracle_cloud")
    with pytest.raises(ValidationFailedError, match=problem) as caught:
        await add(world, cloud, **given)
    assert caught.value.field == f"credentials.inputs.{next(iter(given))}"
    assert cloud.checks == []


async def test_an_encrypted_private_key_is_opened_by_its_passphrase(world):
    cloud = Cloud(world, "oracle_cloud")
    encrypted = private_key(passphrase="fake passphrase")
    with pytest.raises(ValidationFailedError, match="enter its passphrase too"):
        await add(world, cloud, private_key=encrypted)
    with pytest.raises(ValidationFailedError, match="cannot be opened"):
        await add(world, cloud, private_key=encrypted, passphrase="fake other passphrase")
    held = await add(world, cloud, private_key=encrypted, passphrase="fake passphrase")
    assert held.account.account_id == cloud.case.account


@pytest.mark.requirement("Q57", "OAU-072")
@pytest.mark.parametrize(
    ("slug", "variables"),
    [
        ("ovhcloud", {"api_host": "api.ovh.example"}),
        ("akamai_edgegrid", {"host": "akab-fake.luna.akamaiapis.net.example"}),
        ("oracle_cloud", {"region": "eu-frankfurt-1.example"}),
        ("huawei_cloud", {"region": "eu-west-101/x"}),
        ("alibaba_cloud", {"region": "a.b"}),
    ],
)
async def test_a_host_of_a_stranger_is_refused(world, slug, variables):
    cloud = Cloud(world, slug)
    with pytest.raises(ValidationFailedError, match=r"variables\."):
        await world.door.add(ACME, slug, name="Our cloud", inputs=dict(cloud.case.inputs), variables=variables, actor=ALICE)
    assert cloud.checks == []


async def test_secrets_stay_secret(world):
    cloud = Cloud(world, "ovhcloud")
    held = await add(world, cloud)
    credential = await world.door.credential(ACME, held.id)
    assert credential.values()["application_secret"] == Secret("fake-secret-value")
    assert "fake-secret" not in f"{credential!r}{held!r}"
    assert world.leaks_in(world.raw_dump()) == []
