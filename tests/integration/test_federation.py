"""Clouds that trust our own issuer, played over real HTTP: they read its documents and verify its tokens with PyJWT.

The vendors' own SDKs send the same requests to the same endpoints: google-auth, msal and botocore.  The clouds are stand-ins of ours: which
condition a real cloud evaluates is not tested here.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import boto3
import google.auth.transport.requests
import httpx
import jwt as pyjwt
import msal
import pytest
import requests
import uvicorn
from botocore import UNSIGNED
from botocore.config import Config
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from google.auth import identity_pool
from starlette.concurrency import run_in_threadpool

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    Issuer,
    LocalKeyring,
    LocalSigningKeys,
    MemoryStore,
    Settings,
)
from cloud_integrations.errors import InvalidCredentialsError, TrustTooOpenError
from cloud_integrations_fastapi import create_issuer_router

ACME, GLOBEX = "acme", "globex"
ROLE = "arn:aws:iam::123456789012:role/ours"
POOL = "//iam.googleapis.com/projects/1234/locations/global/workloadIdentityPools/ours/providers/app"
EMAIL = "ours@acme-project.iam.gserviceaccount.com"
CLIENT = "11111111-2222-4333-8444-555555555555"
DIRECTORY = "99999999-2222-4333-8444-555555555555"
AUDIENCES = {"aws": "sts.amazonaws.com", "google_cloud": f"https:{POOL}", "azure": "api://AzureADTokenExchange"}
INPUTS = {
    "aws": {"role_arn": ROLE},
    "google_cloud": {"audience": POOL, "service_account_email": EMAIL},
    "azure": {"client_id": CLIENT},
}
METHODS = {"aws": "web_identity", "google_cloud": "workload_identity", "azure": "federated_credential"}
XML = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIAFAKEFAKEFAKEFAKE</AccessKeyId><SecretAccessKey>fake-secret</SecretAccessKey><SessionToken>fake-session</SessionToken>
<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
REFUSED = '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>'
ME = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>123456789012</Account>
<UserId>AROAFAKE:cloud-integrations</UserId><Arn>arn:aws:sts::123456789012:assumed-role/ours/cloud-integrations</Arn></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""


def subject_of(token):
    return pyjwt.decode(token, options={"verify_signature": False})["sub"]


class Clouds:
    """Three clouds, whose tenant trusts the issuer for one subject."""

    def __init__(self):
        self.base = ""
        self.seen: list[SimpleNamespace] = []
        self.tokens: set[str] = set()
        self.any_subject: set[str] = set()
        """Where the tenant forgot the condition on the subject: a cloud, or `impersonate`."""
        self.app = FastAPI()
        post = {"aws": self.aws, "google": self.google, "impersonate/{email}": self.impersonate, "azure": self.azure}
        for path, endpoint in post.items():
            self.app.add_api_route(f"/{path}", endpoint, methods=["POST"])
        self.app.add_api_route("/check", lambda: {"value": [], "projects": []}, methods=["GET"])

    @property
    def issuer(self):
        return f"{self.base}/identity"

    def trusts(self, token, slug):
        """Verify as a cloud does: discovery, key set, signature, issuer, audience, lifetime, and the whole subject."""
        configuration = httpx.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False).json()
        if configuration["issuer"] != self.issuer:
            return False
        keys = pyjwt.PyJWKSet.from_dict(httpx.get(configuration["jwks_uri"], trust_env=False).json())
        try:
            claims = pyjwt.decode(
                token,
                keys[pyjwt.get_unverified_header(token)["kid"]],
                algorithms=configuration["id_token_signing_alg_values_supported"],
                issuer=self.issuer,
                audience=AUDIENCES[slug],
                options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
            )
        except (pyjwt.PyJWTError, KeyError):
            return False
        assert claims["jti"] not in self.tokens
        self.tokens.add(claims["jti"])
        return (slug in self.any_subject or claims["sub"] == f"tenant:{ACME}") and claims["exp"] - claims["iat"] <= 300

    async def note(self, request):
        body = await request.body()
        form = dict(pair.split("=", 1) for pair in body.decode().split("&")) if b"=" in body and not body.startswith(b"{") else {}
        decoded = {name: requests.utils.unquote(value.replace("+", " ")) for name, value in form.items()}
        headers = {name: value for name, value in request.headers.items() if name in {"authorization", "content-type"}}
        self.seen.append(SimpleNamespace(path=request.url.path, form=decoded, body=body, headers=headers))
        return decoded

    async def aws(self, request: Request):
        form = await self.note(request)
        if form["Action"] == "GetCallerIdentity":
            return Response(ME, media_type="text/xml")
        trusted = form["RoleArn"] == ROLE and await run_in_threadpool(self.trusts, form["WebIdentityToken"], "aws")
        return Response(XML if trusted else REFUSED, 200 if trusted else 403, media_type="text/xml")

    async def google(self, request: Request):
        form = await self.note(request)
        if form["audience"] != POOL or not await run_in_threadpool(self.trusts, form["subject_token"], "google_cloud"):
            return JSONResponse({"error": "unauthorized_client", "error_description": "rejected by the attribute condition"}, 400)
        issued = "urn:ietf:params:oauth:token-type:access_token"
        principal = "fake-federated" if subject_of(form["subject_token"]) == f"tenant:{ACME}" else "fake-federated-other"
        return {"access_token": principal, "issued_token_type": issued, "token_type": "Bearer", "expires_in": 3600}

    async def impersonate(self, request: Request, email: str):
        await self.note(request)
        assert email == f"{EMAIL}:generateAccessToken"
        if request.headers["authorization"] != "Bearer fake-federated" and "impersonate" not in self.any_subject:
            return JSONResponse({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, 403)
        return {"accessToken": "fake-impersonated", "expireTime": "2030-01-01T00:00:00Z"}

    async def azure(self, request: Request):
        form = await self.note(request)
        if form["client_id"] != CLIENT or not await run_in_threadpool(self.trusts, form["client_assertion"], "azure"):
            return JSONResponse({"error": "invalid_client", "error_codes": [700213], "error_description": "no matching subject"}, 401)
        return {"access_token": "fake-azure", "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}

    def catalogue(self):
        """The three built-in providers, at these endpoints."""
        urls = {
            "aws": (f"{self.base}/aws",),
            "google_cloud": (f"{self.base}/google", f"{self.base}/impersonate/{{service_account_email}}:generateAccessToken"),
            "azure": (f"{self.base}/azure",),
        }
        return Catalogue.of(*(self.moved(slug, found) for slug, found in urls.items()))

    def moved(self, slug, urls):
        real = Catalogue.builtin().require(slug)
        method = real.method_named(METHODS[slug])
        mint = tuple(step.model_copy(update={"url": url}) for step, url in zip(method.mint, urls, strict=True))
        check = next(check for check in real.verifications if not check.for_methods or method.id in check.for_methods)
        where = f"{self.base}/aws" if slug == "aws" else f"{self.base}/check"
        here = check.model_copy(update={"url": where, "for_methods": ()})
        moved = method.model_copy(update={"mint": mint})
        return real.model_copy(update={"methods": (moved,), "verifications": (here,), "loopback": True})


@pytest.fixture(scope="module")
def signing():
    return LocalSigningKeys([LocalSigningKeys.generate_key(), LocalSigningKeys.generate_key()])


@pytest.fixture(scope="module")
def clouds(signing):
    made = Clouds()
    server = uvicorn.Server(uvicorn.Config(made.app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    made.base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    made.app.include_router(create_issuer_router(parts_of(IntegrationManager, made, signing)))
    yield made
    server.should_exit = True
    thread.join(timeout=30)


def parts_of(kind, clouds, signing):
    clouds.any_subject.clear()
    blocks = kind is IntegrationManager
    return kind(
        store=MemoryStore() if blocks else AsyncMemoryStore(),
        transport=HttpxTransport() if blocks else AsyncHttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=clouds.catalogue(),
        issuer=Issuer(url=clouds.issuer, keys=signing),
        settings=Settings(loopback=True, setup_patience=timedelta()),
    )


@pytest.fixture
def manager(clouds, signing):
    clouds.seen.clear()
    with parts_of(IntegrationManager, clouds, signing) as opened:
        yield opened.acting_as("ada")


def add(manager, slug, tenant=ACME):
    variables = {"tenant": DIRECTORY} if slug == "azure" else None
    return manager.add(tenant, slug, name="Our cloud", inputs=INPUTS[slug], method=METHODS[slug], variables=variables)


@pytest.mark.requirement("OAU-064", "OAU-065", "OAU-066")
@pytest.mark.parametrize(
    ("slug", "shown"),
    [
        ("aws", {"access_key_id": "ASIAFAKEFAKEFAKEFAKE", "secret_access_key": "fake-secret", "session_token": "fake-session"}),
        ("google_cloud", {"access_token": "fake-impersonated"}),
        ("azure", {"access_token": "fake-azure"}),
    ],
)
def test_a_cloud_that_trusts_our_issuer_gives_a_credential(manager, slug, shown):
    held = add(manager, slug)
    credential = manager.credential(ACME, slug)
    assert {name: value.reveal() for name, value in credential.values().items()} == shown
    assert (held.renewal_rule, credential.expires_at is not None) == ("mint", True)


@pytest.mark.requirement("OAU-066", "OAU-081")
@pytest.mark.parametrize("slug", METHODS)
def test_no_token_of_ours_is_logged_or_stored(manager, clouds, caplog, slug):
    caplog.set_level(logging.DEBUG)
    add(manager, slug)
    manager.credential(ACME, slug)
    # Each token begins with the base64 of a JSON object.
    assert "eyJ" not in caplog.text
    assert "eyJ" not in repr(manager.audit.list(ACME))


@pytest.mark.requirement("OAU-066")
@pytest.mark.parametrize("slug", METHODS)
def test_another_tenant_does_not_get_in_by_the_same_inputs(manager, clouds, slug):
    with pytest.raises(InvalidCredentialsError) as caught:
        add(manager, slug, GLOBEX)
    assert manager.list_integrations(GLOBEX) == ()
    assert clouds.seen
    assert "eyJ" not in f"{caught.value!r}{caught.value.details}"


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize("slug", METHODS)
def test_a_trust_that_takes_another_subject_is_not_connected_and_is_found_later(manager, clouds, slug):
    clouds.any_subject |= {slug, "impersonate"}
    with pytest.raises(TrustTooOpenError, match="subject of this tenant"):
        add(manager, slug)
    assert manager.list_integrations(ACME) == ()
    clouds.any_subject.clear()
    held = add(manager, slug)
    assert manager.verify(ACME, held.id).trust == "tight"
    clouds.any_subject |= {slug, "impersonate"}
    assert manager.verify(ACME, held.id).trust == "loose"
    assert "integration.trust_loosened" in {record.event.action for record in manager.audit.list(ACME)}


@pytest.mark.requirement("Q72")
def test_at_google_the_service_account_may_be_what_compares_the_subject(manager, clouds, monkeypatch):
    # The guide's way: the pool takes each subject, and one principal may act as the service account.
    clouds.any_subject.add("google_cloud")
    held = add(manager, "google_cloud")
    assert manager.verify(ACME, held.id).trust == "tight"
    manager.delete(ACME, held.id)
    # Without a service account nothing but the pool's condition can do it.
    monkeypatch.setitem(INPUTS, "google_cloud", {"audience": POOL})
    with pytest.raises(TrustTooOpenError):
        add(manager, "google_cloud")


async def test_the_awaiting_manager_gets_in_as_well(clouds, signing):
    async with parts_of(AsyncIntegrationManager, clouds, signing) as opened:
        acting = opened.acting_as("ada")
        await acting.add(ACME, "azure", name="Our cloud", inputs=INPUTS["azure"], variables={"tenant": DIRECTORY})
        assert (await acting.credential(ACME, "azure")).value.reveal() == "fake-azure"


def test_the_issuer_reads_its_own_documents_over_http(manager, clouds, signing):
    report = manager.issuer.check()
    assert report.problems == ("loopback",)
    assert (report.url, report.key_ids) == (clouds.issuer, tuple(key.key_id for key in signing.public_keys()))


def our_token(clouds, name):
    return next(request.form[name] for request in clouds.seen if name in request.form)


def fresh_token(manager, clouds, slug, name):
    """A token of ours that no cloud has seen: the one of a connection that a stand-in has not read."""
    before = clouds.trusts
    clouds.trusts = lambda token, _: subject_of(token) == f"tenant:{ACME}"
    try:
        add(manager, slug)
    finally:
        clouds.trusts = before
    return our_token(clouds, name)


def without(form, *names):
    return {name: value for name, value in form.items() if name not in names}


def test_botocore_sends_and_reads_the_same(manager, clouds):
    token = fresh_token(manager, clouds, "aws", "WebIdentityToken")
    ours, _of_another = [request for request in clouds.seen if "WebIdentityToken" in request.form]
    clouds.seen.clear()
    client = boto3.client("sts", region_name="us-east-1", endpoint_url=f"{clouds.base}/aws", config=Config(signature_version=UNSIGNED))
    answer = client.assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="cloud-integrations", WebIdentityToken=token, DurationSeconds=3600
    )
    [theirs] = clouds.seen
    assert theirs.form == ours.form
    assert "authorization" not in {*theirs.headers, *ours.headers}
    read = manager.credential(ACME, "aws")
    found = answer["Credentials"]
    assert {name: value.reveal() for name, value in read.values().items()} == {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "session_token": found["SessionToken"],
    }
    assert read.expires_at == found["Expiration"]


@pytest.mark.requirement("Q74")
@pytest.mark.parametrize("impersonates", [True, False])
def test_google_auth_sends_and_reads_the_same(manager, clouds, monkeypatch, impersonates):
    monkeypatch.setitem(INPUTS, "google_cloud", {"audience": POOL, **({"service_account_email": EMAIL} if impersonates else {})})
    token = fresh_token(manager, clouds, "google_cloud", "subject_token")
    ours = [request for request in clouds.seen if request.path != "/check"]
    clouds.seen.clear()
    credentials = identity_pool.Credentials(
        audience=POOL,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url=f"{clouds.base}/google",
        service_account_impersonation_url=f"{clouds.base}/impersonate/{EMAIL}:generateAccessToken" if impersonates else None,
        subject_token_supplier=SimpleNamespace(get_subject_token=lambda context, request: token),
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    credentials.refresh(google.auth.transport.requests.Request())
    theirs = clouds.seen
    *ours, of_another = ours
    assert of_another.path == ours[0].path
    assert [request.path for request in theirs] == [request.path for request in ours]
    # For the first of two steps google-auth asks for the narrower scope of the IAM API.
    narrower = "https://www.googleapis.com/auth/iam" if impersonates else "https://www.googleapis.com/auth/cloud-platform"
    assert without(theirs[0].form, "options") == {**ours[0].form, "scope": narrower}
    if impersonates:
        assert json.loads(ours[1].body) == without(json.loads(theirs[1].body), "delegates")
        assert ours[1].headers["authorization"] == theirs[1].headers["authorization"]
    assert manager.credential(ACME, "google_cloud").value.reveal() == credentials.token


class ToLoopback:
    """An HTTP client for msal that sends what is for Microsoft to a stand-in."""

    def __init__(self, clouds):
        self.clouds = clouds

    def post(self, url, **named):
        assert url == f"https://login.microsoftonline.com/{DIRECTORY}/oauth2/v2.0/token"
        return requests.post(f"{self.clouds.base}/azure", data=named["data"], headers=named["headers"], timeout=30)

    def get(self, url, **named):
        body = {
            "token_endpoint": f"https://login.microsoftonline.com/{DIRECTORY}/oauth2/v2.0/token",
            "authorization_endpoint": f"https://login.microsoftonline.com/{DIRECTORY}/oauth2/v2.0/authorize",
            "issuer": f"https://login.microsoftonline.com/{DIRECTORY}/v2.0",
        }
        return SimpleNamespace(status_code=200, text=json.dumps(body), headers={}, raise_for_status=lambda: None)

    def close(self):
        return


@pytest.mark.requirement("OAU-064")
def test_msal_sends_and_reads_the_same(manager, clouds):
    token = fresh_token(manager, clouds, "azure", "client_assertion")
    ours, _of_another = [request for request in clouds.seen if "client_assertion" in request.form]
    clouds.seen.clear()
    application = msal.ConfidentialClientApplication(
        CLIENT,
        authority=f"https://login.microsoftonline.com/{DIRECTORY}",
        client_credential={"client_assertion": lambda: token},
        http_client=ToLoopback(clouds),
        instance_discovery=False,
    )
    answer = application.acquire_token_for_client(["https://management.azure.com/.default"])
    [theirs] = clouds.seen
    assert without(theirs.form, "client_info") == ours.form
    assert answer["access_token"] == manager.credential(ACME, "azure").value.reveal()
