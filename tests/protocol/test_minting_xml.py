"""Answers in XML: those of AWS, and hostile ones."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.parsers import create_parser
from tests.protocol.minting import answer, minted, read

from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Refused, Rejected, Unknown
from cloud_integrations.domain.secret import Secret

STS = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <SourceIdentity>product</SourceIdentity>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/demo/product-1</Arn>
      <AssumedRoleId>FAKEROLEID:product-1</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>FAKEACCESSKEYID</AccessKeyId>
      <SecretAccessKey>fake/secret+access</SecretAccessKey>
      <SessionToken>
       fakeSession//token==
      </SessionToken>
      <Expiration>2026-11-28T13:00:00Z</Expiration>
    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleResponse>"""
AWS = {
    "reply": {
        "format": "xml",
        "at": "AssumeRoleResponse.AssumeRoleResult.Credentials",
        "gives": {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey", "session_token": "SessionToken"},
        "expires": {"path": "Expiration", "encoding": "iso8601"},
    }
}
STS_REFUSES = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>%s</Code><Message>User is not authorized to perform: sts:AssumeRole</Message></Error>
  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>"""
STS_RULES = {
    "error_rules": [
        {"at": "token", "path": "ErrorResponse.Error.Code", "equals": "AccessDenied", "class": "retry"},
        {"at": "mint", "path": "ErrorResponse.Error.Code", "equals": "AccessDenied", "class": "reauthorize"},
        {"at": "mint", "path": "ErrorResponse.Error.Code", "matches": "^Signature", "class": "platform_config"},
    ]
}


@pytest.mark.requirement("Q31")
def test_the_answer_of_aws_is_read_as_botocore_reads_it() -> None:
    model = botocore.session.get_session().get_service_model("sts").operation_model("AssumeRole").output_shape
    theirs = create_parser("query").parse({"status_code": 200, "headers": {}, "body": STS}, model)["Credentials"]
    values, expires_at, unread = minted(read(answer(STS), **AWS))
    assert values == {
        "access_key_id": theirs["AccessKeyId"],
        "secret_access_key": theirs["SecretAccessKey"],
        "session_token": theirs["SessionToken"].strip(),
    }
    assert (expires_at, unread) == (theirs["Expiration"], ())


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        (b"AccessDenied", 403, Refused("invalid_grant")),
        (b"SignatureDoesNotMatch", 403, Misconfigured("platform_config")),
        (b"MalformedPolicyDocument", 400, Rejected("unexpected_status")),
        (b"InternalFailure", 500, Unknown("server_error")),
        (b"Throttling", 429, NotProcessed("rate_limited")),
    ],
)
def test_a_refusal_in_xml_goes_by_the_providers_rules(code, status, outcome) -> None:
    result = read(answer(STS_REFUSES % code, status=status), provider=STS_RULES, **AWS)
    assert result == outcome
    assert status == 429 or result.said == Secret("User is not authorized to perform: sts:AssumeRole")


def xml(inside, *, before=""):
    return f'{before}<r xmlns="urn:x" xmlns:y="urn:y">{inside}</r>'.encode()


BOMB = "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 10))


@pytest.mark.parametrize(
    "body",
    [
        xml("<access_token>&a9;</access_token>", before=f'<!DOCTYPE r [<!ENTITY a0 "fake">{BOMB}]>'),
        xml("<access_token>&a;</access_token>", before='<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        xml("<access_token>fake</access_token>", before='<!DOCTYPE r SYSTEM "https://evil.example/r.dtd">'),
        xml("<access_token>fake</access_token>", before="<!DOCTYPE r>"),
        xml("<access_token>&undefined;</access_token>"),
        xml("<access_token>fake</access_token>" + "<a>" * 30_000 + "</a>" * 30_000),
        xml("<a>" * 64 + "<access_token>fake</access_token>" + "</a>" * 64),
        xml("<access_token>fake-1</access_token><access_token>fake-2</access_token>"),
        xml("<access_token>fake-1</access_token><y:access_token>fake-2</y:access_token>"),
        xml("<access_token>fake-1</access_token>" * 3),
        xml("<access_token><value>fake</value></access_token>"),
        xml("<access_token/>"),
        xml("<access_token>  \n </access_token>"),
        xml("<access_token>fake\n1</access_token>"),
        xml('<a access_token="fake"/>'),
        xml("<access_token>fake</access_token><error>denied</error>"),
        xml("<access_token>fake</access_token>")[:-3],
        xml("<access_token>fake</access_token>") * 2,
        xml("<access_token>fake</access_token><a>" + "x" * 300_000 + "</a>"),
        xml("<access_token>fake</access_token>").replace(b"fake", b"\xff"),
        xml("<z:access_token>fake</z:access_token>"),
    ],
    ids=lambda body: repr(body[:60]) + str(len(body)),
)
def test_xml_that_bombs_or_repeats_itself_gives_nothing(body) -> None:
    result = read(answer(body), reply={"format": "xml", "at": "r"}, success=[{"path": "r.error", "absent": True}])
    assert result in [Unknown("unusable_body"), Unknown("unknown_error")]


@pytest.mark.parametrize(
    "body",
    [
        xml("<access_token>fake-1</access_token>"),
        xml("<y:access_token>fake-1</y:access_token>"),
        xml("\n <!-- note --> <access_token> <![CDATA[fake-1]]>\n</access_token> around "),
        xml("<access_token>fake&#45;1</access_token>", before='<?xml version="1.0" encoding="utf-7"?>'),
        xml("<access_token>fake-1</access_token>", before='<?xml version="1.0" encoding="no-such"?>'),
        b"\xef\xbb\xbf" + xml("<access_token>fake-1</access_token>"),
        xml("<access_token>fake-1</access_token>").decode().encode("utf-16"),
        xml("<a>" * 62 + "</a>" * 62 + "<access_token>fake-1</access_token>"),
    ],
    ids=lambda body: repr(body[:60]) + str(len(body)),
)
def test_xml_is_read_whatever_its_namespaces_comments_and_charset(body) -> None:
    assert minted(read(answer(body), reply={"format": "xml", "at": "r"}))[0] == {"access_token": "fake-1"}
