"""The setup guide that a manager shows: of a method, with what this installation knows."""

from __future__ import annotations

import json

import pytest
from tests.protocol.keys import pem

from cloud_integrations import Catalogue, Issuer, LocalSigningKeys
from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.provider import Input, Variable
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError, ProviderNotFoundError, ValidationFailedError
from cloud_integrations.flows.connect.guide import guide_values
from cloud_integrations.ports.settings import Settings

from .conftest import ACME, GLOBEX

pytestmark = pytest.mark.requirement("Q73")

POLICY = {"Statement": [{"Action": "read", "Resource": "it's ${all}"}]}
SLUG = "simulated_keys"


@pytest.fixture
def guided(world):
    """The provider with keys has a region, an input that is no secret, and a guide."""
    entry = world.entries[1]
    method = entry.methods[0]
    inputs = (*method.inputs, Input(name="account", secret=False, required=False))
    variables = (
        Variable(name="region", choices=("eu", "us"), default="eu", in_host=True),
        Variable(name="edition", pattern="[a-z]+", default="cloud", source="application"),
    )
    world.entries[1] = entry.model_copy(update={"methods": (method.model_copy(update={"inputs": inputs}),), "variables": variables})
    document = {"file": "policy.json", "title": "What it may do", "text": '{"policy": "{{permissions}}", "for": "{{account}}"}'}
    command = {"file": "make.sh", "title": "Make it", "text": "make --region={{region}} --account={{account}} {{edition}}\n"}
    links = [{"title": "Create", "url": "https://{{region}}.simulated.example/new?template={{template_url}}"}]
    guide = {"method": method.id, "title": "A key", "steps": ["Do."], "undo": ["Undo."], "links": links, "documents": [document, command]}
    world.guides = [ProviderGuides.model_validate({"provider": SLUG, "methods": [guide]})]
    return world


def _open(world, **settings):
    return world.open(settings=world.settings(**settings))


async def test_a_guide_shows_what_the_installation_knows(guided):
    door = _open(guided, policies={SLUG: POLICY}, template_urls={SLUG: "https://files.example/t.json?v=1"})
    shown = await door.guide(SLUG, variables={"region": "us"}, inputs={"account": "it's; rm -rf /"})
    assert (shown.provider, shown.provider_id, shown.method) == (SLUG, provider_id(SLUG), guided.entries[1].methods[0].id)
    policy, command = shown.documents
    assert json.loads(policy.text) == {"policy": POLICY, "for": "it's; rm -rf /"}
    assert command.text == "make --region=us --account='it'\"'\"'s; rm -rf /' cloud\n"
    assert [link.url for link in shown.links] == ["https://us.simulated.example/new?template=https%3A%2F%2Ffiles.example%2Ft.json%3Fv%3D1"]
    assert (shown.steps, shown.undo, shown.missing) == (("Do.",), ("Undo.",), ())


async def test_what_is_not_known_stays_visible(guided):
    shown = await _open(guided, policies={SLUG: POLICY}).guide(str(provider_id(SLUG)), method=guided.entries[1].methods[0].id)
    assert shown.documents[1].text == "make --region=eu --account='<ACCOUNT>' cloud\n"
    assert (shown.links, shown.missing) == ((), ("account", "template_url"))


async def test_a_guide_that_shows_permissions_needs_those_of_the_host(guided):
    with pytest.raises(ProviderInactiveError, match=r"has no permissions configured here, in policies\.\w+, which its setup guide shows"):
        await _open(guided).guide(SLUG)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"method": "nothing"}, "method"),
        ({"variables": {"nothing": "x"}}, "variables"),
        ({"variables": {"edition": "x"}}, "variables"),
        ({"variables": {"region": "mars"}}, "variables.region"),
        ({"inputs": {"nothing": "x"}}, "inputs"),
        ({"inputs": {"account": "x\n"}}, "inputs"),
        ({"inputs": ["account"]}, "inputs"),
    ],
)
async def test_a_value_that_is_not_valid_is_refused_by_its_name(guided, arguments, field):
    with pytest.raises(ValidationFailedError) as refused:
        await _open(guided, policies={SLUG: POLICY}).guide(SLUG, **arguments)
    assert refused.value.field == field


async def test_a_secret_has_no_way_into_a_guide(guided):
    secret = next(given.name for given in guided.entries[1].methods[0].inputs if given.secret)
    with pytest.raises(ValidationFailedError) as refused:
        await _open(guided, policies={SLUG: POLICY}).guide(SLUG, inputs={secret: "fake-secret-value"})
    assert "fake-secret-value" not in str(refused.value)
    assert refused.value.field == "inputs"


async def test_a_provider_without_a_guide_says_so(guided):
    with pytest.raises(ValidationFailedError, match="method has no setup guide"):
        await _open(guided).guide(guided.provider.slug)
    with pytest.raises(ValidationFailedError, match=r"has no setup guide; \w+ of this provider has one"):
        await _open(guided).guide(SLUG, method="other")
    with pytest.raises(ProviderNotFoundError):
        await _open(guided).guide("nowhere")


async def test_the_redirect_uri_of_the_application_is_known(world):
    method = world.entries[0].methods[0].id
    guide = {"method": method, "title": "An application", "steps": ["Register {{redirect_uri}}."], "undo": ["Delete it."]}
    world.guides = [ProviderGuides.model_validate({"provider": world.provider.slug, "methods": [guide]})]
    (listed, _) = await world.open().list_providers()
    assert (await world.open().guide(world.provider.slug)).steps == (f"Register {listed.redirect_uri}.",)
    assert (await world.open(applications=[]).guide(world.provider.slug)).missing == ("redirect_uri",)


async def test_no_guide_is_asked_of_the_store(guided):
    door = _open(guided, policies={SLUG: POLICY})
    guided.store.calls.clear()
    await door.guide(SLUG)
    assert (guided.store.calls, guided.sent, guided.events(ACME)) == ([], [], [])


@pytest.mark.parametrize("setting", [{"policies": {"nowhere": POLICY}}, {"template_urls": {"nowhere": "https://files.example/t.json"}}])
def test_permissions_for_a_provider_that_is_not_there_are_refused_at_start(world, setting):
    with pytest.raises(ConfigurationError) as refused:
        _open(world, **setting)
    assert refused.value.setting == f"{next(iter(setting))}.nowhere"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"policies": {SLUG: {}}}, f"policies.{SLUG}"),
        ({"policies": None}, "policies"),
        ({"template_urls": {SLUG: "http://files.example"}}, f"template_urls.{SLUG}"),
    ],
)
def test_empty_permissions_are_no_setting(setting, named):
    with pytest.raises(ConfigurationError) as refused:
        Settings(**setting)
    assert refused.value.setting == named


def test_settings_keep_a_copy_of_the_permissions():
    document = {"actions": ["read"]}
    settings = Settings(policies={"aws": document})
    document["actions"].append("*")
    assert settings.policies == {"aws": {"actions": ["read"]}}
    assert hash(settings) == hash(Settings())


ISSUER = "https://id.acme.example/t"


def _of_aws(world, **more):
    builtin = Catalogue.builtin()
    aws = builtin.require("aws")
    world.guides = [builtin.guides_of(aws)]
    return world.open(providers=[aws], applications=[], settings=world.settings(policies={"aws": POLICY}, product="acme-backup"), **more)


@pytest.mark.requirement("OAU-084")
async def test_each_tenant_sees_the_subject_of_its_own_tokens(world):
    door = _of_aws(world, issuer=Issuer(url=ISSUER, keys=LocalSigningKeys([pem()])))
    for tenant in (ACME, GLOBEX):
        shown = await door.guide("aws", method="web_identity", tenant_id=tenant)
        trust = json.loads(next(document.text for document in shown.documents if document.name == "web-identity-trust.json"))
        assert trust["Statement"][0]["Condition"] == {
            "StringEquals": {"id.acme.example/t:sub": f"tenant:{tenant}", "id.acme.example/t:aud": "sts.amazonaws.com"}
        }
        assert (shown.missing, "--role-name=acme-backup" in shown.documents[-1].text) == ((), True)


async def test_without_a_tenant_or_an_issuer_their_names_stay_visible(world):
    door = _of_aws(world, issuer=Issuer(url=ISSUER, keys=LocalSigningKeys([pem()])))
    assert (await door.guide("aws", method="web_identity")).missing == ("subject",)
    assert (await _of_aws(world).guide("aws", method="web_identity", tenant_id=ACME)).missing == ("issuer", "issuer_host")
    # What a tenant enters goes before what the platform would say under the same name.
    pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p"
    provider, wiring = Catalogue.builtin().require("google_cloud"), door.wiring
    method = provider.method_named("workload_identity")
    assert guide_values(wiring, provider, method, tenant=None, variables={}, known={"audience": pool})["audience"] == pool
    assert "audience" not in guide_values(wiring, provider, method, tenant=None, variables={}, known={})


async def test_a_tenant_that_cannot_be_a_subject_gets_no_guide_to_trust_one(world):
    door = _of_aws(world, issuer=Issuer(url=ISSUER, keys=LocalSigningKeys([pem()])))
    with pytest.raises(ValidationFailedError) as refused:
        await door.guide("aws", method="web_identity", tenant_id="ünïcode")
    assert refused.value.field == "tenantId"
    assert (await door.guide("aws", method="access_key", tenant_id="ünïcode")).method == "access_key"
