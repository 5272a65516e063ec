"""The request by which a key of AWS ends itself, and what its answer says in XML."""

from __future__ import annotations

import pytest

from cloud_integrations import Catalogue, Secret
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.signing import Signed
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.key_revocation import build_key_revocation, read_key_revocation

pytestmark = pytest.mark.requirement("Q76")
DELETED = b'<DeleteAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata/></DeleteAccessKeyResponse>'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, DELETED, "revoked"),
        (200, b"<html><body>Sign in</body></html>", "failed"),
        (200, b'<HTML xmlns="http://www.w3.org/1999/xhtml">Sign in</HTML>', "failed"),
        (200, b"<!DOCTYPE html><html></html>", "failed"),
        (200, b"<unclosed>", "failed"),
        (403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", "unsupported"),
        (404, b"<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>", "unsupported"),
        (400, b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>", "failed"),
        (503, DELETED, "failed"),
    ],
)
def test_only_an_answer_of_the_api_itself_says_that_a_key_is_dead(status, body, expected):
    provider = Catalogue.builtin().require("aws")
    response = HttpResponse(status=status, headers={"content-type": "text/xml"}, body=body)
    assert read_key_revocation(provider, provider.method_named("access_key").key_revocation, response) == expected


def test_the_key_is_named_in_the_form_and_signs_for_the_service_that_ends_it():
    provider = Catalogue.builtin().require("aws")
    method = provider.method_named("access_key")
    signed = []

    def sign(unsigned, _parts, options):
        signed.append((unsigned, options))
        return Signed(url=unsigned.url, headers=unsigned.headers)

    parts = {"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("f" * 40)}
    variables = {"region": "eu-central-1", "dns_suffix": "amazonaws.com"}
    presented = Presented(parts=parts, present=method.present, variables=variables, signer=sign)
    request = build_key_revocation(
        provider, method, method.key_revocation, presented=presented, variables=variables, identity=None
    )  # fmt: skip
    assert (request.method, request.url) == ("POST", "https://iam.amazonaws.com/")
    ((unsigned, options),) = signed
    assert unsigned.body == b"Action=DeleteAccessKey&Version=2010-05-08&AccessKeyId=AKIAFAKEFAKEFAKEFAKE"
    assert (unsigned.headers["Content-Type"], options) == ("application/x-www-form-urlencoded", {"service": "iam", "region": "us-east-1"})
