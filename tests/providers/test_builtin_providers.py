"""The built-in providers: well formed, safe, with evidence, and as the facts say."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from cloud_integrations.domain.provider import Provider, places
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.providers import Catalogue

from .grants import RENEWAL, REVOCATION
from .slugs import SLUGS

FOLDER = files("cloud_integrations.providers")
SOURCES: dict[str, Any] = json.loads((FOLDER / "evidence" / "_sources.json").read_text(encoding="utf-8"))

GOOGLE = "https://www.googleapis.com/auth/"
GRAPH = "https://graph.microsoft.com/"
ARM = "https://management.azure.com/"

over_providers = pytest.mark.parametrize("slug", SLUGS)


def _provider(slug: str) -> Provider:
    return Catalogue.builtin().require(slug)


def _data(slug: str) -> dict[str, Any]:
    data = tomllib.loads((FOLDER / f"{slug}.toml").read_text(encoding="utf-8"))
    guides = FOLDER / "guides" / f"{slug}.toml"
    if guides.is_file():
        data["guides"] = {guide["method"]: guide for guide in tomllib.loads(guides.read_text(encoding="utf-8"))["methods"]}
    return data


def _evidence(slug: str) -> dict[str, list[Any]]:
    """Path → sources, grade and day; and, for a fact that no field holds, the fact itself."""
    return json.loads((FOLDER / "evidence" / f"{slug}.json").read_text(encoding="utf-8"))


def _look(data: Any, path: str) -> Any:
    """Follow a dotted path; a step into a list is an index, or the id of the entry."""
    for step in path.split("."):
        if isinstance(data, list):
            data = data[int(step)] if step.isdigit() else next(entry for entry in data if entry["id"] == step)
        else:
            data = data[step]
    return data


def _find(data: Any, path: str) -> Any:
    try:
        return _look(data, path)
    except (KeyError, StopIteration, IndexError):
        return None


def _leaves(data: dict[str, Any], path: str) -> list[str]:
    found = []
    for name, value in data.items():
        found += _leaves(value, f"{path}.{name}") if isinstance(value, dict) and name != "headers" else [f"{path}.{name}"]
    return found


def test_all_are_there() -> None:
    assert [provider.id for provider in Catalogue.builtin().list_providers()] == SLUGS


@over_providers
def test_hosts_end_in_a_fixed_domain_unless_the_operator_hosts_them(slug: str) -> None:
    provider = _provider(slug)
    # One of a list of domains is as good as one that is written out.
    chosen = [variable.name for variable in provider.variables if variable.in_host and variable.choices] or ["none"]
    for variable in provider.variables:
        assert variable.pattern is None or (variable.pattern.startswith("^") and variable.pattern.endswith("$"))
        if not variable.in_host or variable.choices or variable.domains:
            continue
        assert variable.pattern is not None
        if provider.self_hosted:
            assert variable.source == "application"
        elif re.search(r"(?:(?:\\\.[a-z]+)+|\\\.\(\?:(?:[a-z-]+(?:\\\.[a-z]+)+\|?)+\))\$$", variable.pattern) is None:
            # Then it is one label, and every template goes on with the fixed domain.
            assert re.fullmatch(variable.pattern, "a.b") is None
            templates = [template for _, template in provider._templates() if variable.name in places(template)]
            assert templates
            fixed = rf"\{{{variable.name}\}}\.(?:[a-z]+(?:\.[a-z]+)+|\{{(?:{'|'.join(chosen)})\}})(?:/|$)"
            assert all(re.search(fixed, template) for template in templates)


HOSTILE = [
    "127.0.0.1",
    "169.254.169.254",
    "user@evil.example.com",
    "a.example.com:8080",
    "a.example.com/x",
    "a..com",
    "evil.com#",
    "[::1]",
    "",
]


@pytest.mark.requirement("OAU-072")
@pytest.mark.parametrize("hostile", HOSTILE)
@over_providers
def test_no_host_variable_accepts_an_address_a_port_or_user_information(slug: str, hostile: str) -> None:
    for variable in _provider(slug).variables:
        if variable.in_host:
            with pytest.raises(Exception, match=r"must be one of|does not have the form|is no host of this provider") as error:
                variable.check(hostile)
            assert not hostile or hostile not in str(error.value)


@over_providers
def test_patterns_are_anchored(slug: str) -> None:
    patterns = [pattern for method in _provider(slug).methods for given in method.inputs for pattern in given.patterns]
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)


@over_providers
def test_every_method_has_a_check_and_a_way_to_be_ended(slug: str) -> None:
    provider = _provider(slug)
    for method in provider.methods:
        assert [check for check in provider.verifications if not check.for_methods or method.id in check.for_methods]
        assert method.revoke is not None
        assert method.revoke.manual_url is not None


@over_providers
def test_checks_and_rules_name_methods_that_exist(slug: str) -> None:
    provider = _provider(slug)
    named = {name for entry in (*provider.verifications, *provider.error_rules) for name in entry.for_methods}
    assert named <= {method.id for method in provider.methods}


@over_providers
def test_every_check_and_every_rule_can_be_reached(slug: str) -> None:
    provider = _provider(slug)
    for method in provider.methods:
        fitting = [check for check in provider.verifications if not check.for_methods or method.id in check.for_methods]
        # The first that needs no variable ends the list: what stands behind it is never asked.
        assert all(places(check.url) or check.needs for check in fitting[:-1])
    bearers = any(method.revoke is not None and method.revoke.auth == "bearer" for method in provider.methods)
    assert bearers or not [rule for rule in provider.error_rules if rule.at == "api"]


@pytest.mark.requirement("OAU-052", "OAU-032")
@over_providers
def test_no_token_and_no_secret_travels_in_a_url(slug: str) -> None:
    provider = _provider(slug)
    secrets = {given.name for method in provider.methods for given in method.inputs if given.secret} | {"access_token", "value"}
    for where, template in provider._templates():
        assert not secrets & set(places(template)), where
    assert not any(method.present.query for method in provider.methods)


@over_providers
def test_evidence_speaks_of_what_is_there(slug: str) -> None:
    data = _data(slug)
    for path, (sources, grade, checked_on, *fact) in _evidence(slug).items():
        assert (_find(data, path) is None) is (len(fact) == 1), path
        assert set(sources.split()) <= SOURCES.keys()
        assert grade in {"verified", "corroborated", "memory"}
        assert (sources == "general-knowledge") == (grade == "memory")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", checked_on)


@over_providers
def test_what_decides_behaviour_has_evidence(slug: str) -> None:
    data = _data(slug)
    wanted: list[str] = []
    for method in data["methods"]:
        for block in ("refresh_token", "revoke"):
            wanted += _leaves(method.get(block, {}), f"methods.{method['id']}.{block}")
    for index, check in enumerate(data["verifications"]):
        wanted += [path for path in _leaves(check, f"verifications.{index}") if "status_rules" not in path]
        wanted += [f"verifications.{index}.status_rules"] if "status_rules" in check else []
    wanted += [f"programs.{at}.{field}" for at, each in enumerate(data.get("programs", [])) for field in each if field != "for_methods"]
    wanted += [f"deprecations.{at}.{field}" for at, _ in enumerate(data.get("deprecations", [])) for field in ("ends", "instead")]
    wanted += [f"guides.{method}" for method in data.get("guides", {})]
    assert sorted(set(wanted) - _evidence(slug).keys()) == []


def test_evidence_is_kept_for_each_provider_and_each_source_is_used() -> None:
    names = {file.name.removesuffix(".json") for file in (FOLDER / "evidence").iterdir()} - {"_sources"}
    assert names == set(SLUGS)
    assert {source for slug in SLUGS for entry in _evidence(slug).values() for source in entry[0].split()} == SOURCES.keys()


# provider, method → device authorization endpoint, client authentication
DEVICES = {
    ("github", "app_user_token"): ("https://{web_host}/login/device/code", "none"),
    ("github", "oauth_app"): ("https://{web_host}/login/device/code", "none"),
    ("gitlab", "oauth2"): ("https://{host}/oauth/authorize_device", "client"),
    ("okta", "oauth2"): ("https://{org_host}/oauth2/v1/device/authorize", "client"),
    ("planetscale", "oauth2"): ("https://auth.planetscale.com/oauth/authorize_device", "client"),
    ("sentry", "oauth2"): ("https://{host}/oauth/device/code/", "client"),
    ("vercel", "oauth2"): ("https://api.vercel.com/login/oauth/device-authorization", "client"),
}


def test_device_codes_are_as_the_facts_say() -> None:
    found = {
        (provider.id, method.id): (method.device.url, method.device.client_auth)
        for provider in Catalogue.builtin().list_providers()
        for method in provider.methods
        if method.device is not None
    }
    assert found == DEVICES


def test_renewal_is_as_the_facts_say() -> None:
    found = {}
    for provider in Catalogue.builtin().list_providers():
        for method in provider.methods:
            if method.kind == "code":
                facts = method.refresh_token
                seconds = int(facts.grace.total_seconds())
                found[provider.id, method.id] = (facts.rotates, facts.reuse_rule, seconds, method.pkce, method.client_auth[0])
    assert found == RENEWAL


@pytest.mark.requirement("Q38", "Q39", "Q41")
@pytest.mark.parametrize(
    ("slug", "method_id", "idle", "ends_old_access", "max_live"),
    [
        ("atlassian", "oauth2_3lo", timedelta(days=90), False, None),
        ("auth0", "oauth2", timedelta(days=30), False, None),
        ("azure", "oauth2", timedelta(days=90), False, None),
        ("bitbucket", "oauth2", timedelta(days=90), False, None),
        ("box", "oauth2", timedelta(days=60), False, None),
        ("dropbox", "oauth2", None, False, None),
        ("github", "oauth_app", None, False, 10),
        ("github", "app_user_token", timedelta(days=183), True, None),
        ("gitlab", "oauth2", None, True, None),
        ("google_cloud", "oauth2", timedelta(days=180), False, 100),
        ("okta", "oauth2", timedelta(days=7), False, None),
        ("railway", "oauth2", None, False, 100),
        ("salesforce", "oauth2", None, False, 5),
        ("supabase", "oauth2", None, True, None),
        ("zoom", "oauth2", timedelta(days=90), False, None),
        ("zendesk", "oauth2", timedelta(days=30), True, None),
    ],
)
def test_lives_of_refresh_tokens_are_as_the_facts_say(slug, method_id, idle, ends_old_access, max_live) -> None:
    facts = next(method.refresh_token for method in _provider(slug).methods if method.id == method_id)
    assert (facts.idle, facts.ends_old_access, facts.max_live) == (idle, ends_old_access, max_live)


@pytest.mark.requirement("Q54")
def test_what_ends_by_disuse_and_is_kept_alive_is_as_the_facts_say() -> None:
    found = {(each.id, method.id): method.idle for each in Catalogue.builtin().list_providers() for method in each.methods if method.idle}
    year = timedelta(days=365)
    assert found == {("github", "oauth_app"): year, ("github", "pat"): year, ("okta", "api_token"): timedelta(days=30)}


@pytest.mark.requirement("Q41")
def test_which_grants_of_an_account_count_together_is_as_the_facts_say() -> None:
    methods = [(each.id, method.refresh_token) for each in Catalogue.builtin().list_providers() for method in each.methods]
    found = {(slug, facts.max_live, facts.max_live_of) for slug, facts in methods if facts.max_live is not None}
    assert found == {
        ("github", 10, "scopes"),
        ("google_cloud", 100, "application"),
        ("railway", 100, "application"),
        ("salesforce", 5, "application"),
    }


def test_revocation_is_as_the_facts_say() -> None:
    found = {}
    for provider in Catalogue.builtin().list_providers():
        for method in provider.methods:
            if method.kind == "code" and method.revoke is not None:
                revoke = method.revoke
                request = (f"{revoke.method} {revoke.url}", revoke.auth, revoke.which, revoke.kills)
                found[provider.id, method.id] = request if revoke.url else None
    assert found == REVOCATION


def test_ids_of_providers_are_the_same_for_ever() -> None:
    assert _provider("github").provider_id == UUID("0b787c47-5e70-5923-9a3e-bbb34f727ebf")
    assert _provider("okta").provider_id == UUID("cb7d75bb-3317-5cca-a881-9b733ca8c65a")


@pytest.mark.requirement("OAU-041")
@pytest.mark.parametrize(
    ("slug", "requested", "granted", "missing"),
    [
        ("google_cloud", ["openid", "email", "profile"], ["openid", f"{GOOGLE}userinfo.email", f"{GOOGLE}userinfo.profile"], ()),
        ("google_cloud", [f"{GOOGLE}userinfo.email", f"{GOOGLE}cloud-platform"], ["email"], (f"{GOOGLE}cloud-platform",)),
        ("azure", ["User.Read", f"{GRAPH}mail.read", "openid", "offline_access"], [f"{GRAPH}User.Read", "Mail.Read"], ()),
        ("azure", [f"{ARM}.default", f"{GRAPH}.default"], [f"{ARM}user_impersonation"], ()),
        ("azure", [f"{ARM}user_impersonation"], ["user_impersonation"], (f"{ARM}user_impersonation",)),
        ("github", ["repo", "public_repo", "read:repo_hook", "read:user", "read:org"], ["repo", "user", "admin:org"], ()),
        ("github", ["repo", "admin:org"], ["public_repo", "read:org"], ("repo", "admin:org")),
        ("gitlab", ["read_api", "read_user"], ["api"], ()),
        ("gitlab", ["api", "read_user"], ["read_api"], ("api",)),
        ("linode", ["linodes:read_write", "account:read_only"], ["*"], ()),
        ("linode", ["linodes:read_only", "volumes:read_write"], ["linodes:read_write", "volumes:read_only"], ("volumes:read_write",)),
        ("slack", ["team:read", "chat:write"], ["team:read"], ("chat:write",)),
        ("zendesk", ["users:read", "tickets:read"], ["read"], ()),
        ("zendesk", ["tickets:write"], ["read"], ("tickets:write",)),
        ("stripe", ["read_only"], ["read_write"], ()),
        ("stripe", ["read_write"], ["read_only"], ("read_write",)),
    ],
)
def test_each_providers_scopes_are_compared_its_own_way(
    slug: str, requested: list[str], granted: list[str], missing: tuple[str, ...]
) -> None:
    method = next(method for method in _provider(slug).methods if method.kind == "code")
    assert method.scopes.missing(requested=requested, granted=granted) == missing


@over_providers
def test_every_scope_that_is_asked_for_by_default_is_found_in_an_answer_that_repeats_it(slug: str) -> None:
    for method in _provider(slug).methods:
        asked = (*method.scopes.default, *method.scopes.always)
        assert method.scopes.missing(requested=asked, granted=asked) == ()


@pytest.mark.parametrize("host", ["acme.okta.com", "acme.oktapreview.com", "acme.okta-emea.com", "acme.okta-gov.com", "acme.okta.mil"])
def test_okta_is_reached_in_each_of_its_cells(host) -> None:
    assert _provider("okta").fill_variables({"org_host": host}) == {"org_host": host}


@pytest.mark.parametrize(
    "host", ["acme-admin.okta.com", "acme-admin.oktapreview.com", "okta.com", "acme.okta.com.evil.example", "acme.okta.org"]
)
def test_oktas_console_and_other_hosts_are_refused(host) -> None:
    with pytest.raises(ValidationFailedError, match=r"variables\.org_host"):
        _provider("okta").fill_variables({"org_host": host})


@pytest.mark.parametrize("subdomain", ["acme.zendesk.com", "acme.evil", "-acme", "acme-", "ACME", "a", "acme/x", "a" * 64])
def test_a_subdomain_of_zendesk_is_one_label(subdomain) -> None:
    assert _provider("zendesk").fill_variables({"subdomain": "acme-2"}) == {"subdomain": "acme-2"}
    with pytest.raises(ValidationFailedError, match=r"variables\.subdomain"):
        _provider("zendesk").fill_variables({"subdomain": subdomain})


@pytest.mark.parametrize(
    ("slug", "method_id", "key"),
    [
        ("cloudflare", "user_api_token", "cfut_" + "A" * 40 + "0" * 8),
        ("cloudflare", "account_api_token", "cfat_" + "A" * 40 + "0" * 8),
        ("cloudflare", "global_key", "cfk_" + "A" * 40 + "0" * 8),
        ("digitalocean", "pat", "dop_v1_" + "0" * 64),
        ("github", "pat", "ghp_" + "A" * 36),
        ("gitlab", "pat", "glpat-" + "A" * 20),
        ("google_cloud", "api_key", "AIza" + "A" * 35),
        ("okta", "api_token", "00" + "A" * 40),
        ("slack", "bot_or_user_token", "xoxb-fake-token"),
        ("slack", "bot_or_user_token", "xoxe.xoxp-fake-token"),
    ],
)
def test_keys_look_as_their_providers_publish(slug, method_id, key) -> None:
    method = _provider(slug).method_named(method_id)
    assert method is not None
    assert method.inputs[0].looks_right(key)
    assert not method.inputs[0].looks_right("fake")
