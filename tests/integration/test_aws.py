"""AWS as moto's server plays it, with its IAM checks turned on: keys are known by their signature.

moto checks who signs and what they may do.  It does not evaluate the trust policy of a role.
"""

from __future__ import annotations

import httpx
import pytest
from tests.moto import checking_moto

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
)
from cloud_integrations.errors import IntegrationExistsError, InvalidCredentialsError, ProviderUnavailableError

ACME = "acme"


@pytest.fixture(scope="module")
def aws():
    """The address of a server, and the keys of a user whom it knows."""
    with checking_moto({"acme": []}) as (endpoint, keys):
        yield endpoint, keys["acme"]["AccessKeyId"], keys["acme"]["SecretAccessKey"]


def catalogue(endpoint):
    """AWS, whose STS is at *endpoint*."""
    real = Catalogue.builtin().require("aws")
    check = real.verifications[0].model_copy(update={"url": f"{endpoint}/"})
    # moto writes an error one level deeper than STS does.
    deeper = [rule.model_copy(update={"path": "ErrorResponse.Errors.Error.Code"}) for rule in real.error_rules]
    return Catalogue.of(real.model_copy(update={"verifications": (check,), "error_rules": (*real.error_rules, *deeper), "loopback": True}))


def manager(endpoint):
    return IntegrationManager(
        store=MemoryStore(),
        transport=HttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=catalogue(endpoint),
    )


def inputs(key_id, secret):
    return {"access_key_id": key_id, "secret_access_key": secret}


def test_a_key_that_aws_knows_connects_and_signs_requests_to_any_service(aws):
    endpoint, key_id, secret = aws
    with manager(endpoint) as opened:
        acting = opened.acting_as("ada")
        held = acting.add(ACME, "aws", name="Our account", inputs=inputs(key_id, secret))
        assert held.account.account_id is not None
        assert held.account.label.endswith(":user/acme")
        assert acting.verify(ACME, held.id).outcome == "alive"
        credential = opened.credential(ACME, "aws")
        with httpx.Client(auth=credential.auth(service="sts"), trust_env=False) as client:
            asked = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
            answer = client.post(f"{endpoint}/", data=asked)
            assert (answer.status_code, "user/acme" in answer.text) == (200, True)
            # The signature covers the body.
            signed = credential.sign(httpx.Request("POST", f"{endpoint}/", data=asked | {"Version": "other"}), service="sts")
            headers = {name: value for name, value in signed.headers.items() if name != "content-length"}
            assert client.post(f"{endpoint}/", data=asked, headers=headers, auth=None).status_code == 403
        with pytest.raises(IntegrationExistsError):
            acting.add(ACME, "aws", name="Again", inputs=inputs(key_id, secret))
        removal = acting.delete(ACME, held.id)
        assert (removal.api_key, removal.manual_url.startswith("https://console.aws.amazon.com/")) == ("skipped", True)
        assert removal.key_reason == "not_asked"


@pytest.mark.parametrize("wrong", ["secret", "key"])
def test_a_wrong_half_is_invalid_and_nothing_is_stored(aws, wrong):
    endpoint, key_id, secret = aws
    given = inputs(key_id, "f" * 40) if wrong == "secret" else inputs("AKIAFAKEFAKEFAKEFAKE", secret)
    with manager(endpoint) as opened:
        with pytest.raises(InvalidCredentialsError) as caught:
            opened.acting_as("ada").add(ACME, "aws", name="Our account", inputs=given)
        assert caught.value.reason == "dead"
        assert secret not in f"{caught.value!r}{caught.value.details}"
        assert opened.list_integrations(ACME) == ()


def test_a_server_that_is_down_is_an_outage(aws):
    _, key_id, secret = aws
    with manager("http://127.0.0.1:1") as opened, pytest.raises(ProviderUnavailableError):
        opened.acting_as("ada").add(ACME, "aws", name="Our account", inputs=inputs(key_id, secret))


async def test_the_awaiting_manager_does_the_same(aws):
    endpoint, key_id, secret = aws
    async with AsyncIntegrationManager(
        store=AsyncMemoryStore(),
        transport=AsyncHttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=catalogue(endpoint),
    ) as opened:
        held = await opened.acting_as("ada").add(ACME, "aws", name="Our account", inputs=inputs(key_id, secret))
        assert held.account.label.endswith(":user/acme")
        credential = await opened.credential(ACME, "aws")
        async with httpx.AsyncClient(auth=credential.auth(service="sts"), trust_env=False) as client:
            answer = await client.post(f"{endpoint}/", data={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        assert answer.status_code == 200
