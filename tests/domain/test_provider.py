"""The schema of providers: what it decides and what it refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.provider_files import code, key, provider

from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.provider import (
    Input,
    Method,
    Present,
    Provider,
    RefreshTokenFacts,
    Scopes,
    Variable,
    Verification,
    fill,
    places,
)
from cloud_integrations.errors import ValidationFailedError


def test_a_provider_that_is_written_out_whole_loads_again() -> None:
    acme = provider(code(), key())
    assert Provider.model_validate(acme.model_dump(mode="json", by_alias=True)) == acme


def test_a_plain_oauth2_provider_takes_a_few_lines() -> None:
    acme = provider()
    assert acme.provider_id == provider_id("acme")
    assert acme.active
    assert acme.methods[0].pkce == "s256"


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({}, "strict"),
        ({"rotates": "unknown"}, "strict"),
        ({"rotates": "always"}, "strict"),
        ({"rotates": "sometimes"}, "strict"),
        ({"rotates": "configurable"}, "strict"),
        ({"rotates": "never"}, "none"),
        ({"rotates": "always", "grace": 30}, "grace"),
        ({"rotates": "configurable", "grace": 30}, "grace"),
        ({"rotates": "always", "reuse": "tolerant"}, "tolerant"),
        ({"rotates": "always", "reuse": "strict", "grace": 30}, "strict"),
        ({"rotates": "never", "reuse": "strict"}, "strict"),
    ],
)
def test_what_is_not_known_of_reuse_is_read_as_the_strictest(facts, rule) -> None:
    assert RefreshTokenFacts.model_validate(facts).reuse_rule == rule


def test_lengths_of_time_are_seconds_in_files() -> None:
    facts = RefreshTokenFacts.model_validate({"idle": 604800})
    assert facts.idle == timedelta(days=7)
    assert facts.model_dump(mode="json")["idle"] == 604800


VARIABLES = [
    {"name": "host", "in_host": True, "pattern": r"^[a-z]+\.acme\.example$"},
    {"name": "region", "choices": ["eu", "us"], "default": "eu"},
    {"name": "account", "pattern": "^[0-9]+$", "required": False},
    {"name": "site", "source": "token_reply", "choices": ["one"]},
    {
        "name": "login",
        "source": "application",
        "in_host": True,
        "pattern": r"^(?:[a-z0-9-]+\.)+[a-z]{2,}$",
        "default": "login.acme.example",
    },
]


def test_variables_are_checked_and_defaults_added() -> None:
    acme = provider(variables=VARIABLES)
    filled = acme.fill_variables({"host": "a.acme.example", "account": "7"})
    assert filled == {"host": "a.acme.example", "region": "eu", "account": "7", "login": "login.acme.example"}


@pytest.mark.requirement("OAU-076", "Q67")
def test_what_the_operator_chooses_no_tenant_can_change() -> None:
    acme = provider(variables=VARIABLES)
    with pytest.raises(ValidationFailedError, match=r"variables\.login is chosen by the operator"):
        acme.fill_variables({"host": "a.acme.example", "login": "evil.example"})
    filled = acme.fill_variables({"host": "a.acme.example"}, operator={"login": "git.corp.example", "region": "us"})
    assert filled["login"] == "git.corp.example"
    assert filled["region"] == "us"


def test_the_operators_value_wins_over_the_tenants() -> None:
    filled = provider(variables=VARIABLES).fill_variables({"host": "a.acme.example", "region": "eu"}, operator={"region": "us"})
    assert filled["region"] == "us"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "variables.host"),
        ({"host": "evil.example"}, "variables.host"),
        ({"host": "a.acme.example\n"}, "variables.host"),
        ({"host": "a.acme.example", "region": "evil.example"}, "variables.region"),
        ({"host": "a.acme.example", "evil.example": "1"}, "variables"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_repeated(given, field) -> None:
    with pytest.raises(ValidationFailedError) as error:
        provider(variables=VARIABLES).fill_variables(given)
    assert error.value.field == field
    assert "evil" not in str(error.value)


def telling(**rule: object) -> dict[str, object]:
    facts = {"name": "key", "derives": [{"variable": "region", "pattern": "^([a-z]+)_.+$", **rule}]}
    return {**key(), "inputs": [facts]}


@pytest.mark.requirement("Q56")
@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"variable": "zone"}, "which is no variable that tenants give"),
        ({"variable": "login"}, "which is no variable that tenants give"),
        ({"variable": "site"}, "which is no variable that tenants give"),
        ({"pattern": "^[a-z]+_.+$"}, "must have one group"),
        ({"pattern": "^([a-z]+)_(.+)$"}, "must have one group"),
        ({"pattern": "^([a-z]+_.+$"}, "is no regular expression"),
        ({"values": {"a": "asia"}}, "a value of region must be one of eu, us"),
        ({"fits_all": ["asia"]}, "a value of region must be one of eu, us"),
    ],
)
def test_a_key_can_tell_only_what_a_tenant_could_give(rule, problem) -> None:
    assert provider(telling(), variables=VARIABLES).told_by == {"region": ("key",)}
    with pytest.raises(ValidationError, match=problem):
        provider(telling(**rule), variables=VARIABLES)


def test_only_an_entered_line_tells_something() -> None:
    rule = {"variable": "region", "pattern": "^([a-z]+)_.+$"}
    with pytest.raises(ValidationError, match="derives is for the form text"):
        Input.model_validate({"name": "file", "form": "json", "derives": [rule]})
    with pytest.raises(ValidationError, match="an input with made_by has no derives"):
        Input.model_validate({"name": "id", "secret": False, "made_by": "us", "derives": [rule]})


def test_a_variable_that_the_key_may_tell_can_be_missing_until_the_key_is_read() -> None:
    needed = [{"name": "region", "choices": ["eu", "us"]}]
    acme = provider(telling(), variables=needed)
    assert acme.fill_variables({}, later=acme.told_by) == {}
    with pytest.raises(ValidationFailedError, match=r"variables\.region is required by this provider, because the key does not tell it"):
        acme.fill_variables({})


@pytest.mark.requirement("OAU-076", "Q67")
def test_a_private_address_is_meant_only_where_the_operator_named_the_host() -> None:
    hosted = provider(variables=VARIABLES, self_hosted=True)
    assert hosted.on_private_host({"login": "git.corp.example"})
    assert not hosted.on_private_host({"login": "login.acme.example", "host": "a.acme.example"})
    assert not hosted.on_private_host({})
    assert not provider(variables=VARIABLES).on_private_host({"login": "git.corp.example"})


def test_an_input_without_known_forms_always_looks_right() -> None:
    assert Input(name="token").looks_right("anything")
    assert Input(name="token", patterns=("^a$", "^b$")).looks_right("b")
    assert not Input(name="token", patterns=("a",)).looks_right("ab")


def test_templates_are_filled_from_values() -> None:
    assert fill("https://{host}/{id}", {"host": "a.example", "id": "7"}) == "https://a.example/7"
    assert places("https://{host}/{id}") == ("host", "id")
    with pytest.raises(KeyError):
        fill("https://{host}/", {})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"methods": [code(), code()]}, "one name"),
        ({"variables": [VARIABLES[1], VARIABLES[1]]}, "one name"),
        ({"variables": [{"name": "free"}]}, "give choices, a pattern or domains"),
        ({"variables": [{"name": "bad", "pattern": "("}]}, "no regular expression"),
        ({"methods": [code(token_url="http://a.example/token")]}, "https URL"),
        ({"methods": [code(token_url="http://127.0.0.1/token")]}, "https URL"),
        ({"methods": [code(token_url="http://a.example/token")], "loopback": True}, "https URL"),
        ({"methods": [code(token_url="https://user@a.example/token")]}, "without user name and fragment"),
        ({"methods": [code(token_url="https://a.example/token#x")]}, "without user name and fragment"),
        ({"methods": [code(token_url="{anything}")]}, "must be a URL"),
        ({"methods": [code(token_url="https://a.example/{nobody}")]}, "no variable of this provider"),
        ({"methods": [code(token_url="https://{region}.a.example/")], "variables": [VARIABLES[1]]}, "mark that variable in_host"),
        ({"methods": [code(revoke={"url": "http://a.example/"})]}, "https URL"),
        ({"base_urls": {"api": "http://a.example/"}}, "https URL"),
        ({"verifications": [{"url": "https://a.example/", "identity": ["xml:id"]}]}, "a path starts with"),
        ({"verifications": [{"url": "https://a.example/", "success": [{"path": "a", "matches": "("}]}]}, "no regular expression"),
        ({"verifications": [{"url": "https://a.example/", "expires": {"path": "end"}}]}, "is renewed: limit it by for_methods"),
        ({"methods": [code(idle=86400)]}, "is for what a verification checks and nothing mints"),
        ({"methods": [code(kind="Grant-Code")]}, "should match pattern"),
        ({"methods": [code(reply={"map": {"scope": "data.scope"}})]}, "names scope, which is not read from there"),
        ({"methods": [code(reply={"map": {"login": "data.login"}})], "variables": VARIABLES}, "names login, which is not read"),
        ({"methods": [key(inputs=[{"name": "token", "patterns": ["("]}])]}, "no regular expression"),
        ({"error_rules": [{"at": "api", "path": "error", "matches": "(", "class": "dead"}]}, "no regular expression"),
        ({"methods": [code(scopes={"extra_lists": {"state": ["read"]}})]}, "scopes.extra_lists may not set state"),
        ({"methods": [code(scopes={"extra_lists": {"a": ["b"]}}, authorize_params={"a": "c"})]}, "set a twice"),
        ({"methods": [code(revoke={"manual_url": "https://a.example/", "statuses": [204]})]}, "revoke without url has no statuses"),
        ({"methods": [code(reply={"map": {"expires_in": "a"}}, access_token={"expiry_field": "b"})]}, "expires_in has two places"),
        (
            {"methods": [code(reply={"encodings": {"expires_in": "epoch_s"}}, access_token={"expiry_encoding": "iso8601"})]},
            "expires_in has two encodings",
        ),
        ({"methods": [code(authorize_params={"a": "{nobody}"})]}, "authorize_params.a uses {nobody}, which is no variable"),
        ({"methods": [code(token_params={"a": "{nobody}"})]}, "token_params.a uses {nobody}, which is no variable"),
        ({"methods": [code(refresh_params={"a": "{nobody}"})]}, "refresh_params.a uses {nobody}, which is no variable"),
        ({"methods": [code(headers={"token": {"A": "{nobody}"}})]}, "headers.token.A uses {nobody}, which is no variable"),
        (
            {"methods": [code(revoke={"url": "https://a.example/", "headers": {"A": "{nobody}"}})]},
            "revoke.headers.A uses {nobody}, which is no variable",
        ),
        ({"error_rules": [{"at": "token", "for_methods": ["nobody"], "status": 400, "class": "dead"}]}, "nobody, which is no method"),
        ({"verifications": [{"url": "https://a.example/", "for_methods": ["nobody"]}]}, "nobody, which is no method"),
        ({"verifications": [{"url": "https://a.example/", "needs": ["nobody"]}]}, "nobody, which is no variable"),
        ({"verifications": [{"url": "https://a.example/", "label": ["ctx:nobody"]}]}, "nobody, which is no variable"),
        ({"id": "Acme"}, "pattern"),
        ({"unheard": 1}, "Extra inputs"),
    ],
)
def test_a_provider_that_cannot_be_right_is_refused(fields, says) -> None:
    with pytest.raises(ValidationError, match=says):
        Provider.model_validate({"id": "acme", "name": "Acme", "methods": [code()], **fields})


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:9000"])
def test_plain_http_is_for_loopback_alone(host) -> None:
    assert provider(code(token_url=f"http://{host}/token"), loopback=True).loopback


@pytest.mark.requirement("OAU-010")
@pytest.mark.parametrize("name", ["client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "request", "request_uri",
                                  "response_type", "scope", "state"])  # fmt: skip
def test_extra_authorize_parameters_leave_the_protocols_own_alone(name) -> None:
    with pytest.raises(ValidationError, match=f"may not set {name}"):
        Method.model_validate(code(authorize_params={name: "x"}))


@pytest.mark.parametrize("field", ["token_params", "refresh_params"])
@pytest.mark.parametrize(
    "name", ["assertion", "client_assertion_type", "client_id", "client_secret", "code", "grant_type", "refresh_token"]
)
def test_extra_token_parameters_leave_the_protocols_own_alone(field, name) -> None:
    with pytest.raises(ValidationError, match=f"may not set {name}"):
        Method.model_validate(code(**{field: {name: "x"}}))


def test_a_scope_at_the_token_endpoint_and_a_repeated_redirect_uri_are_the_providers_own_to_ask_for() -> None:
    Method.model_validate(code(token_params={"scope": "a"}, refresh_params={"scope": "a", "redirect_uri": "{redirect_uri}"}))
    with pytest.raises(ValidationError, match="may not set redirect_uri"):
        Method.model_validate(code(token_params={"redirect_uri": "x"}))


GRAPH = "https://graph.microsoft.com/"


@pytest.mark.requirement("OAU-041", "Q12", "Q13")
@pytest.mark.parametrize(
    ("facts", "requested", "granted", "missing"),
    [
        ({}, ["a", "b", "c", "b"], ["c", "d"], ("a", "b")),
        ({}, ["a"], ["A"], ("a",)),
        ({}, ["a"], ["*"], ("a",)),
        ({"fixed": True}, ["a"], [], ()),
        ({"offline": ["offline_access"], "unlisted": ["openid"]}, ["write", "openid", "offline_access"], [], ("write",)),
        ({"ignore_case": True}, ["User.Read"], ["user.read"], ()),
        ({"aliases": {"email": "https://a/email"}}, ["email", "x"], ["https://a/email"], ("x",)),
        ({"aliases": {"email": "https://a/email"}}, ["https://a/email"], ["email"], ()),
        ({"aliases": {"Email": "https://a/Email"}, "ignore_case": True}, ["EMAIL"], ["https://A/email"], ()),
        ({"prefixes": [GRAPH]}, ["User.Read", GRAPH + "Mail.Read"], [GRAPH + "User.Read", "Mail.Read"], ()),
        ({"prefixes": [GRAPH]}, [GRAPH], ["x"], (GRAPH,)),
        ({"prefixes": [GRAPH]}, ["User.Read"], ["https://other.example/User.Read"], ("User.Read",)),
        ({"prefixes": [GRAPH], "unlisted": [".default"]}, [GRAPH + ".default"], [], ()),
        ({"everything": "*"}, ["a", "b"], ["*"], ()),
        ({"everything": "*"}, ["a", "*"], ["b"], ("a", "*")),
        ({"includes": {"admin": ["write"], "write": ["read"]}}, ["read", "write", "admin", "x"], ["admin"], ("x",)),
        ({"includes": {"admin": ["write"], "write": ["read"]}}, ["admin", "read"], ["write"], ("admin",)),
        ({"includes": {"a": ["b"], "b": ["a"]}}, ["a", "b"], ["b"], ()),
        ({"includes": {"Root": ["*"]}, "everything": "*"}, ["x"], ["Root"], ()),
        ({"includes": {"Root": ["Leaf"]}, "ignore_case": True}, ["LEAF"], ["ROOT"], ()),
        ({"includes": {"a": ["b"]}, "unlisted": ["a"]}, ["b"], [], ()),
    ],
)
def test_scopes_are_missing_where_nothing_that_was_granted_covers_them(facts, requested, granted, missing) -> None:
    assert Scopes.model_validate(facts).missing(requested=requested, granted=granted) == missing


def _tables(names):
    return st.dictionaries(names, st.lists(names, max_size=3), max_size=4)


@given(names=st.just(st.sampled_from(["a", "A", "b", "p/a", "p/", "full", "*"])), data=st.data())
def test_a_scope_that_was_granted_is_never_missing_and_more_scopes_never_make_one_missing(names, data) -> None:
    facts = {
        "aliases": data.draw(st.dictionaries(names, names, max_size=2)),
        "prefixes": data.draw(st.lists(st.sampled_from(["p/", "P"]), max_size=2)),
        "ignore_case": data.draw(st.booleans()),
        "includes": data.draw(_tables(names)),
        "everything": data.draw(st.none() | names),
    }
    scopes = Scopes.model_validate(facts)
    granted, more = data.draw(st.lists(names)), data.draw(st.lists(names))
    assert scopes.missing(requested=granted, granted=granted) == ()
    lacking = scopes.missing(requested=more, granted=granted)
    assert set(scopes.missing(requested=more, granted=[*granted, *more[:1]])) <= set(lacking) <= set(more)


@pytest.mark.parametrize("headers", [{"X-Key": "{value}", "x-key": "{value}"}, {"authorization": "Bearer {value}"}])
def test_a_header_has_one_value(headers) -> None:
    with pytest.raises(ValidationError, match="twice"):
        Present.model_validate({"headers": headers, "basic": {"user": "{value}"}})


def test_a_length_of_time_is_not_negative() -> None:
    with pytest.raises(ValidationError, match="must not be negative"):
        RefreshTokenFacts.model_validate({"grace": -1})


@pytest.mark.parametrize("value", ["a\r\nb", "a" * 256])
def test_a_variable_is_one_short_line_of_visible_characters(value) -> None:
    with pytest.raises(ValidationFailedError, match="255 visible"):
        Variable(name="any", pattern="(?s).*").check(value)


def test_a_check_without_more_words_reads_401_as_dead() -> None:
    assert Verification(url="https://a.example/me").status_rules == {401: "dead"}


@pytest.mark.parametrize(
    ("sites", "site_from", "problem"),
    [
        ({"eu": {"host": "eu.example.com"}}, "location", None),
        ({"eu": {"host": "eu.example.com"}}, None, None),
        ({}, "location", "there are none"),
        ({"eu": {"other": "x"}}, "location", "sites.eu sets other"),
        ({"eu": {"operator": "x"}}, "location", "sites.eu sets operator"),
        ({"eu": {"host": "evil.example"}}, "location", "sites.eu.host must be one of"),
    ],
)
def test_a_site_sets_variables_of_its_provider_to_values_that_they_may_have(sites, site_from, problem) -> None:
    facts = {
        "id": "sited",
        "name": "Sited",
        "sites": sites,
        "variables": [
            {"name": "host", "choices": ["eu.example.com", "us.example.com"], "default": "us.example.com", "in_host": True},
            {"name": "operator", "choices": ["x"], "source": "application"},
        ],
        "methods": [code(token_url="https://{host}/token", callback={"site_from": site_from})],
    }
    if problem is None:
        assert Provider.model_validate(facts).sites == sites
    else:
        with pytest.raises(ValidationError, match=problem):
            Provider.model_validate(facts)
