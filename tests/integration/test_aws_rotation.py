"""An access key is rotated at moto's server, with its IAM checks turned on."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest
from tests.moto import checking_moto

from cloud_integrations import AesGcmCipher, Catalogue, HttpxTransport, IntegrationManager, LocalKeyring, MemoryStore
from cloud_integrations.errors import KeyRotationError
from cloud_integrations.testing import FixedClock

ACME = "acme"
DELETES = "iam:DeleteAccessKey"


def catalogue(endpoint):
    """AWS, whose STS and IAM are at *endpoint*."""
    real = Catalogue.builtin().require("aws")
    check = real.verifications[0].model_copy(update={"url": f"{endpoint}/"})
    method = real.method_named("access_key")
    ending = method.revoke.key.model_copy(update={"url": method.revoke.key.url.replace("https://iam.amazonaws.com", endpoint)})
    making = method.rotation.model_copy(update={"url": method.rotation.url.replace("https://iam.amazonaws.com", endpoint)})
    moved = method.model_copy(update={"revoke": method.revoke.model_copy(update={"key": ending}), "rotation": making})
    return Catalogue.of(real.model_copy(update={"methods": (moved,), "verifications": (check,), "loopback": True}))


def entered(key):
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def iam_of(endpoint, parts):
    """A client of IAM with the key *parts*."""
    return boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint, **{f"aws_{name}": text for name, text in parts.items()})


def opened(endpoint, clock=None):
    return IntegrationManager(
        store=MemoryStore(clock),
        transport=HttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=catalogue(endpoint),
        clock=clock,
    )


def with_key(manager, key):
    ada = manager.acting_as("ada")
    ada.add(ACME, "aws", name="Our account", inputs=entered(key))
    return ada


@pytest.mark.requirement("Q76")
@pytest.mark.parametrize(
    ("actions", "ends", "left"), [((DELETES,), "token.revoked", ["new"]), ((), "token.abandoned", ["new", "old"])], ids=["may", "may not"]
)
def test_the_old_access_key_deletes_itself_if_its_user_may(actions, ends, left):
    # moto remembers users for the whole process.
    user = "acme-may" if actions else "acme-may-not"
    with checking_moto({user: (*actions, "iam:CreateAccessKey", "iam:ListAccessKeys")}) as (endpoint, keys):
        old = keys[user]
        new = iam_of(endpoint, entered(old)).create_access_key(UserName=user)["AccessKey"]
        names = {old["AccessKeyId"]: "old", new["AccessKeyId"]: "new"}
        with opened(endpoint) as manager:
            ada = with_key(manager, old)
            ada.begin_key_rotation(ACME, "aws", inputs=entered(new))
            assert ada.finish_key_rotation(ACME, "aws").key_end == "revoke"
            removal = ada.delete(ACME, "aws")
            assert (removal.other_key, removal.key_reason) == ("revoked" if actions else "unsupported", "not_asked")
            assert ends in {record.event.action for record in ada.audit.list(ACME)}
        found = iam_of(endpoint, entered(new)).list_access_keys(UserName=user)["AccessKeyMetadata"]
        assert sorted(names[each["AccessKeyId"]] for each in found) == left


def test_aws_creates_the_new_access_key_which_then_ends_the_old_one():
    user = "acme-creates"
    clock = FixedClock()
    with checking_moto({user: (DELETES, "iam:CreateAccessKey", "iam:ListAccessKeys")}) as (endpoint, keys):
        old = keys[user]
        with opened(endpoint, clock) as manager:
            ada = with_key(manager, old)
            assert ada.begin_key_rotation(ACME, "aws", new_key="create").state == "staged"
            assert ada.finish_key_rotation(ACME, "aws").key_end == "revoke"
            new = {name: part.reveal() for name, part in manager.credential(ACME, "aws").parts.items()}
            clock.advance(timedelta(days=1))
            assert manager.worker.retry_revocations().revoked == 1
        left = iam_of(endpoint, new).list_access_keys(UserName=user)["AccessKeyMetadata"]
        assert [key["AccessKeyId"] for key in left] == [new["access_key_id"]] != [old["AccessKeyId"]]


def test_a_user_who_may_make_no_key_keeps_the_old_one():
    with checking_moto({"acme-makes-none": (DELETES,)}) as (endpoint, keys):
        old = keys["acme-makes-none"]
        with opened(endpoint) as manager:
            ada = with_key(manager, old)
            with pytest.raises(KeyRotationError) as caught:
                ada.begin_key_rotation(ACME, "aws", new_key="create")
            assert caught.value.reason == "refused"
            assert manager.credential(ACME, "aws").parts["access_key_id"].reveal() == old["AccessKeyId"]
