"""A narrowed credential is asked for as the vendors' own libraries ask for it."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import github
import google.auth.downscoped
import google.oauth2.credentials
import pytest
from tests.protocol.keys import pem
from tests.protocol.minting import NOW
from tests.protocol.test_installation_oracle import hub  # noqa: F401  # a fixture

from cloud_integrations.domain.narrowing import read_narrow
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.minting import build_step
from cloud_integrations.protocol.narrowing import read_narrowing
from cloud_integrations.providers import Catalogue

CATALOGUE = Catalogue.builtin()
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::é/${aws:username}"}]}
TEXT = json.dumps(POLICY, separators=(",", ":"))
ARNS = ["arn:aws:iam::123456789012:policy/one", "arn:aws:iam::aws:policy/ReadOnlyAccess"]


def build(slug, method_id, narrow, values):
    """Return the narrowed request of a built-in method."""
    provider = CATALOGUE.require(slug)
    asked = read_narrowing(provider.method_named(method_id), read_narrow(narrow))
    method = asked.minting or asked.exchanging
    known = {**provider.fill_variables({}), **values}
    return build_step(
        method.mint[0], values=known, proofs=method.proofs, provider_id=slug, now=NOW, jti="jti-1", made={"us": Secret("fake-jwt")}
    )


def form(body):
    return dict(parse_qsl(body.decode() if isinstance(body, bytes) else body, strict_parsing=True))


class _SentError(Exception):
    """The request was seen; it goes nowhere."""


def botocore_sends(operation, **arguments):
    sts = boto3.client("sts", region_name="us-east-1", aws_access_key_id="fake", aws_secret_access_key="fake")
    seen = []

    def see(request, **_):
        seen.append(form(request.body))
        raise _SentError

    sts.meta.events.register("before-send.sts", see)
    with pytest.raises(_SentError):
        getattr(sts, operation)(**arguments)
    return seen[0]


def test_a_role_is_narrowed_as_botocore_does_it():
    values = {"role_arn": "arn:aws:iam::123456789012:role/ours", "external_id": Secret("fake-external"), "product": "acme",
              "integration_id": "1", "tenant_tag": "acme"}  # fmt: skip
    ours = build("aws", "role", {"policy": POLICY, "policy_arns": ARNS, "tags": {"team": "a", "cost centre": "ü"}}, values)
    assert form(ours.body) == botocore_sends(
        "assume_role",
        RoleArn=values["role_arn"],
        RoleSessionName="acme-1",
        ExternalId="fake-external",
        SourceIdentity="acme",
        DurationSeconds=3600,
        Policy=TEXT,
        PolicyArns=[{"arn": arn} for arn in ARNS],
        Tags=[
            {"Key": key, "Value": value} for key, value in (("product", "acme"), ("tenant", "acme"), ("team", "a"), ("cost centre", "ü"))
        ],
    )


def test_a_web_identity_is_narrowed_as_botocore_does_it():
    ours = build("aws", "web_identity", {"policy": TEXT, "policy_arns": ARNS}, {"role_arn": "arn:aws:iam::123456789012:role/ours"})
    assert form(ours.body) == botocore_sends(
        "assume_role_with_web_identity",
        RoleArn="arn:aws:iam::123456789012:role/ours",
        RoleSessionName="cloud-integrations",
        WebIdentityToken="fake-jwt",
        DurationSeconds=3600,
        Policy=TEXT,
        PolicyArns=[{"arn": arn} for arn in ARNS],
    )


@pytest.mark.parametrize("method", ["service_account", "oauth2", "workload_identity"])
def test_an_access_boundary_is_sent_as_google_auth_sends_it(method):
    rule = google.auth.downscoped.AccessBoundaryRule(
        available_resource="//storage.googleapis.com/projects/_/buckets/b",
        available_permissions=["inRole:roles/storage.objectViewer"],
        availability_condition=google.auth.downscoped.AvailabilityCondition(
            "resource.name.startsWith('projects/_/buckets/b/objects/%2F+ü')", title="one & all"
        ),
    )
    boundary = google.auth.downscoped.CredentialAccessBoundary(rules=[rule])
    source = google.oauth2.credentials.Credentials(token="fake-token")
    source.refresh = lambda _: None
    sent = []

    class Answer:
        status = 200
        data = b'{"access_token": "fake-less", "expires_in": 3599, "token_type": "Bearer"}'

    def send(url, method, headers, body, **_):
        sent.append((method, url, headers["Content-Type"], form(body)))
        return Answer

    google.auth.downscoped.Credentials(source, boundary).refresh(send)
    ((http_method, url, content_type, theirs),) = sent
    narrow = {"access_boundary": boundary.to_json()["accessBoundary"]}
    request = build("google_cloud", method, narrow, {"access_token": Secret("fake-token")})
    ours = form(request.body)
    assert (request.method, request.url, request.headers["Content-Type"]) == (http_method, url, content_type)
    # The same text but for the spaces of the JSON.
    mine, wanted = (json.loads(unquote(each.pop("options"))) for each in (ours, theirs))
    assert (mine, ours) == (wanted, theirs)


def test_an_installation_is_narrowed_as_pygithub_does_it(hub):  # noqa: F811
    app = github.Auth.AppAuth("Iv1.fake", pem())
    seen = []
    with github.GithubIntegration(auth=app, base_url=f"http://127.0.0.1:{hub.server_port}") as integration:
        requester = integration.requester
        inner = requester.requestJsonAndCheck

        def see(*args, **named):
            seen.append((args, named["input"]))
            return inner(*args, **named)

        requester.requestJsonAndCheck = see
        integration.get_access_token(41, permissions={"contents": "read"})
    (((http_method, path), theirs),) = seen
    values = {"installation_id": Secret("41"), "client_id": "Iv1.fake", "application": Secret(pem())}
    request = build("github", "app_installation", {"permissions": {"contents": "read"}}, values)
    assert (request.method, urlsplit(request.url).path, json.loads(request.body)) == (http_method, path, theirs)
    assert request.headers["Content-Type"] == "application/json"
    more = build("github", "app_installation", {"permissions": {"contents": "read"}, "repositories": ["one"]}, values)
    assert json.loads(more.body) == {**theirs, "repositories": ["one"]}
