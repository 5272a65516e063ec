"""The built-in providers whose credential is minted, from the first key to the removal, against their documented answers."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.protocol.checks import jwt
from tests.protocol.keys import certificate_pem, pem
from tests.protocol.minting import claims

from cloud_integrations.domain.importing import ImportedKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .conftest import ACME, ALICE
from .minted_cases import APP, CASES, DIRECTORY, EMAIL, HOUR, Case, service_account
from .transports import StandIn

over_cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


class Cloud(StandIn):
    """Answers as one provider does, and keeps what it was asked."""

    def __init__(self, world, case):
        self.world, self.case = world, case
        self.minted: list[str] = []
        self.asked = []
        self.answer = None
        """What the token endpoint answers instead."""
        world.transport = self
        world.secrets += case.secrets
        world.door = world.open(providers=[Catalogue.builtin().require(case.slug)], applications=[])

    def respond(self, request):
        self.asked.append(request)
        if request.url != self.case.token_url:
            assert f"{request.method} {request.url}" == self.case.check
            alive = request.headers["Authorization"].removeprefix("Bearer ") in self.minted
            return HttpResponse(status=200 if alive else 401, body=json.dumps(self.case.body).encode())
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            status, body = self.answer
            return HttpResponse(status=status, body=json.dumps(body).encode())
        number = len(self.minted)
        self.minted.append(f"fake-{number}" if self.case.token_claims is None else jwt({**self.case.token_claims, "jti": str(number)}))
        answer = {"access_token": self.minted[-1], **self.case.lifetime}
        return HttpResponse(status=200, body=json.dumps(answer).encode())

    @property
    def forms(self):
        return [dict(parse_qsl(request.body.decode(), strict_parsing=True)) for request in self.asked if request.url == self.case.token_url]


@pytest.fixture
def cloud(world, case):
    return Cloud(world, case)


async def add(world, case, **more):
    given = {"inputs": case.inputs, "variables": case.variables, "method": case.method} | more
    return await world.door.add(ACME, case.slug, name="Ours", actor=ALICE, **given)


@pytest.mark.requirement("Q71")
@over_cases
async def test_from_the_first_key_to_the_removal(world, case, cloud):
    held = await add(world, case)
    assert (held.account.account_id, held.method_id, held.renewal_rule) == (case.account, case.method, "mint")
    credential = await world.door.credential(ACME, case.slug)
    assert credential.headers() == {"Authorization": f"Bearer {cloud.minted[0]}"}
    assert (credential.secret, credential.values()) == (None, {"access_token": Secret(cloud.minted[0])})

    world.clock.advance(case.life)
    assert (await world.door.credential(ACME, case.slug)).value == Secret(cloud.minted[1])
    report = await world.door.verify(ACME, held.id)
    assert (report.outcome, report.account.account_id, report.account_changed) == ("alive", case.account, False)

    cloud.answer = ProviderUnreachableError(provider_id="x")
    world.clock.advance(case.life - timedelta(seconds=20))
    living = await world.door.credential(ACME, case.slug)
    assert (living.value, living.warning) == (Secret(cloud.minted[1]), "refresh_failed")
    world.clock.advance(timedelta(seconds=20))
    with pytest.raises(ProviderUnavailableError):
        await world.door.credential(ACME, case.slug)

    cloud.answer = case.refusal
    world.clock.advance(timedelta(minutes=5))
    with pytest.raises(ReconnectRequiredError) as caught:
        await world.door.credential(ACME, case.slug)
    assert caught.value.reason == "refused"
    cloud.answer = None
    assert (await world.door.reconnect(ACME, held.id, inputs=case.inputs, actor=ALICE)).health.value == "ok"

    removal = await world.door.delete(ACME, held.id)
    assert (removal.api_key, removal.access_token, removal.manual_url) == ("unsupported", "skipped", case.manual_url)


@pytest.mark.requirement("OAU-052")
@over_cases
async def test_no_secret_is_in_an_address_and_none_is_stored_when_it_is_refused(world, case, cloud):
    cloud.answer = case.refusal
    with pytest.raises(InvalidCredentialsError) as caught:
        await add(world, case)
    said = f"{caught.value!r}{caught.value.details}"
    for request in cloud.asked:
        assert not [secret for secret in case.secrets if secret in request.url + said]
    assert await world.door.list_integrations(ACME) == ()


@pytest.mark.requirement("Q43")
@pytest.mark.parametrize(("slug", "least"), [("ibm_cloud", 720), ("databricks", 40), ("mongodb_atlas", 30)])
async def test_a_token_near_its_end_is_renewed_as_early_as_the_provider_wants(world, slug, least):
    case = CASES[slug]
    cloud = Cloud(world, case)
    await add(world, case)
    world.clock.advance(HOUR - timedelta(seconds=least + 1))
    await world.door.credential(ACME, slug)
    assert len(cloud.minted) == 1
    world.clock.advance(timedelta(seconds=1))
    await world.door.credential(ACME, slug)
    assert len(cloud.minted) == 2


# What is sent


@pytest.mark.requirement("OAU-065", "Q24", "Q68")
@pytest.mark.parametrize("case", [CASES["google_cloud"]])
async def test_a_service_account_signs_for_googles_own_endpoint_for_five_minutes(world, case, cloud):
    await add(world, case)
    (form,) = cloud.forms
    now = int(world.clock.now().timestamp())
    said = claims(form.pop("assertion"))
    assert form == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    assert said.pop("jti")
    assert said == {
        "iss": EMAIL, "aud": "https://oauth2.googleapis.com/token", "scope": "https://www.googleapis.com/auth/cloud-platform",
        "iat": now, "exp": now + 300,
    }  # fmt: skip


@pytest.mark.parametrize("case", [CASES["google_cloud"]])
@pytest.mark.parametrize(
    "wrong", [service_account(type="authorized_user"), service_account(private_key="fake"), json.dumps({"type": "service_account"}), pem()]
)
async def test_the_wrong_file_is_refused_before_anything_is_sent(world, case, cloud, wrong):
    with pytest.raises(ValidationFailedError) as caught:
        await add(world, case, inputs={"key": wrong})
    assert caught.value.field.startswith("credentials.")
    assert cloud.asked == []


@pytest.mark.parametrize("case", [CASES["google_cloud"]])
@pytest.mark.parametrize("private_key", ["fake", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_a_file_with_an_unusable_key_is_not_imported_and_its_field_is_named(world, case, cloud, private_key):
    inputs = {"key": service_account(private_key=private_key)}
    imported = ImportedKey(provider=case.slug, name="Imported", method=case.method, inputs=inputs)
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.import_credential(ACME, imported, verify=False)
    assert caught.value.field == "credentials.inputs.key"
    assert await world.door.list_integrations(ACME) == ()
    assert cloud.asked == []


@pytest.mark.requirement("OAU-064", "Q19")
@pytest.mark.parametrize("case", [CASES["azure"]])
@pytest.mark.parametrize("passphrase", [None, "fake passphrase"])
@pytest.mark.parametrize("pasted", [str, lambda text: text.replace("\n", "\\n")])
async def test_a_certificate_proves_the_application_for_a_minute(world, case, cloud, passphrase, pasted):
    given = {"client_id": APP, "certificate": pasted(certificate_pem() + pem(passphrase=passphrase))}
    await add(world, case, inputs=given if passphrase is None else {**given, "passphrase": passphrase})
    (form,) = cloud.forms
    said = claims(form.pop("client_assertion"))
    now = int(world.clock.now().timestamp())
    assert form == {
        "grant_type": "client_credentials", "client_id": APP, "scope": "https://management.azure.com/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }  # fmt: skip
    assert said.pop("jti")
    assert said == {"iss": APP, "sub": APP, "aud": case.token_url, "iat": now, "exp": now + 60}


@pytest.mark.parametrize("case", [CASES["azure"]])
@pytest.mark.parametrize("tenant", [None, "organizations", "common", "consumers"])
async def test_a_service_principal_belongs_to_one_directory(world, case, cloud, tenant):
    with pytest.raises(ValidationFailedError) as caught:
        await add(world, case, variables={} if tenant is None else {"tenant": tenant})
    assert (caught.value.field, cloud.asked) == ("variables.tenant", [])


@pytest.mark.parametrize("case", [CASES["azure"]])
async def test_either_a_secret_or_a_certificate_is_entered(world, case, cloud):
    for more in ({"client_secret": "fake-client-secret", "certificate": certificate_pem() + pem()}, {}):
        with pytest.raises(ValidationFailedError):
            await add(world, case, inputs={"client_id": APP, **more})
    assert cloud.asked == []


@pytest.mark.requirement("Q02")
@pytest.mark.parametrize(
    ("login", "management"),
    [("login.microsoftonline.us", "management.usgovcloudapi.net"), ("login.chinacloudapi.cn", "management.chinacloudapi.cn")],
)
async def test_a_service_principal_of_another_cloud_is_asked_about_there(world, login, management):
    token_url = f"https://{login}/{DIRECTORY}/oauth2/v2.0/token"
    check = f"GET https://{management}/subscriptions?api-version=2022-12-01"
    case = Case(**{**vars(CASES["azure"]), "token_url": token_url, "check": check})
    cloud = Cloud(world, case)
    await add(world, case, variables={"tenant": DIRECTORY, "authority_host": login, "management_host": management})
    assert cloud.forms[0]["scope"] == f"https://{management}/.default"
    assert {urlsplit(request.url).hostname for request in cloud.asked} == {login, management}


@pytest.mark.parametrize("case", [CASES["mongodb_atlas"], CASES["databricks"]], ids=["mongodb_atlas", "databricks"])
async def test_a_client_secret_goes_in_http_basic(world, case, cloud):
    await add(world, case)
    basic = b64decode(cloud.asked[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == f"{case.inputs['client_id']}:{case.inputs['client_secret']}"
    assert cloud.forms[0]["grant_type"] == "client_credentials"
    assert "client_secret" not in cloud.forms[0]


@pytest.mark.parametrize("case", [CASES["tailscale"]], ids=["tailscale"])
async def test_a_client_of_tailscale_is_in_the_form(world, case, cloud):
    await add(world, case)
    assert cloud.forms == [{"grant_type": "client_credentials", **case.inputs}]
    assert "Authorization" not in cloud.asked[0].headers


@pytest.mark.parametrize("case", [CASES["docker_hub"]], ids=["docker_hub"])
async def test_an_access_token_of_docker_is_exchanged_in_json(world, case, cloud):
    await add(world, case)
    assert json.loads(cloud.asked[0].body) == {"identifier": case.inputs["username"], "secret": case.inputs["token"]}
    assert "Authorization" not in cloud.asked[0].headers


# What refusals mean


@pytest.mark.requirement("Q70", "Q71")
@pytest.mark.parametrize("case", [CASES["azure"]])
@pytest.mark.parametrize(
    ("status", "error", "codes", "health"),
    [
        (401, "invalid_client", [7000222], "reconnect_required"),
        (401, "invalid_client", [7000215], "reconnect_required"),
        (401, "invalid_client", [700027], "reconnect_required"),
        (400, "unauthorized_client", [700016], "reconnect_required"),
        (400, "unauthorized_client", [7000112], "reconnect_required"),
        (400, "invalid_request", [1, 90002], "reconnect_required"),
        (401, "invalid_client", [700024], "application_refused"),
        (400, "temporarily_unavailable", [], "retrying"),
        (400, "invalid_scope", [70011], "retrying"),
        (503, "invalid_client", [7000222], "retrying"),
    ],
)
async def test_what_entra_says_of_the_tenants_own_application(world, case, cloud, status, error, codes, health):
    held = await add(world, case)
    cloud.answer = (status, {"error": error, "error_codes": codes, "error_description": f"AADSTS{codes}: fake"})
    world.clock.advance(HOUR)
    with pytest.raises((AppMisconfiguredError, ProviderUnavailableError, ReconnectRequiredError)):
        await world.door.credential(ACME, "azure")
    assert world.row(held).facts.health.value == health


@pytest.mark.requirement("Q33", "Q60")
@pytest.mark.parametrize("case", [CASES["google_cloud"]])
@pytest.mark.parametrize(
    ("error", "said", "health"),
    [
        ("invalid_grant", "Invalid grant: account not found", "reconnect_required"),
        (
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            "application_refused",
        ),
        ("disabled_client", "The OAuth client was disabled.", "reconnect_required"),
        ("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method", "reconnect_required"),
        ("invalid_scope", "Invalid OAuth scope or ID token audience provided.", "retrying"),
    ],
)
async def test_what_google_says_of_a_key(world, case, cloud, error, said, health):
    held = await add(world, case)
    cloud.answer = (400, {"error": error, "error_description": said})
    world.clock.advance(HOUR)
    with pytest.raises((AppMisconfiguredError, ProviderUnavailableError, ReconnectRequiredError)):
        await world.door.credential(ACME, "google_cloud")
    assert world.row(held).facts.health.value == health
