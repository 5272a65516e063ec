"""What a caller may narrow a credential by, as data: reading it, writing it into requests, and comparing it with the answer."""

from __future__ import annotations

import json
from types import MappingProxyType
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from cloud_integrations import Catalogue
from cloud_integrations.domain.narrowing import LONGEST_NARROW, Narrow, read_narrow
from cloud_integrations.domain.provider import Input, Method, Narrowing, Provider, RefreshTokenFacts, Scopes, Step
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.narrowing import covers, find_excess, read_narrowing

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
COMPACT = json.dumps(POLICY, separators=(",", ":"))
CATALOGUE = Catalogue.builtin()


def method(slug, name):
    return CATALOGUE.require(slug).method_named(name)


def literals(slug, name, narrow):
    asked = read_narrowing(method(slug, name), read_narrow(narrow))
    return dict((asked.minting or asked.exchanging).mint[0].literals)


def refused(narrow, slug="aws", name="role"):
    with pytest.raises(ValidationFailedError) as caught:
        read_narrowing(method(slug, name), read_narrow(narrow))
    return caught.value


def test_nothing_asked_is_the_whole_credential_and_an_empty_narrowing_is_refused():
    assert read_narrow(None) is None
    with pytest.raises(ValidationFailedError, match="names nothing"):
        read_narrow({})


def test_a_narrowing_is_a_value_by_which_two_that_ask_the_same_are_equal():
    one = read_narrow({"policy": {"a": 1, "b": [2]}, "tags": {"team": "a"}})
    other = read_narrow(MappingProxyType({"tags": {"team": "a"}, "policy": {"b": (2,), "a": 1}}))
    assert (one, hash(one)) == (other, hash(other))
    assert one != read_narrow({"policy": {"a": 1, "b": [3]}, "tags": {"team": "a"}})
    assert one != read_narrow({"policy": {"a": True, "b": [2]}, "tags": {"team": "a"}})
    assert (repr(one), one.names) == ("Narrow(policy, tags)", ("policy", "tags"))


def test_a_narrowing_is_a_copy_that_nobody_can_change_afterwards():
    policy = {"Statement": ["a"]}
    narrow = read_narrow({"policy": policy})
    policy["Statement"].append("b")
    assert narrow.values == {"policy": {"Statement": ["a"]}}


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


ROUND: list = []
ROUND.append(ROUND)

HOSTILE = {
    "no mapping": ["policy"],
    "text": "policy",
    "a name that is no text": {1: "x"},
    "a name with a line break": {"policy\n": {}},
    "an empty name": {"": {}},
    "a name in upper case": {"Policy": {}},
    "deep": {"policy": nested(25)},
    "endless": {"policy": ROUND},
    "many": {"policy": ["x"] * 6_000},
    "long": {"policy": "x" * (LONGEST_NARROW + 1)},
    "long in all": {"policy": ["x" * 20_000, "y" * 20_000]},
    "bytes": {"policy": b"{}"},
    "a set": {"policy": {"a"}},
    "an object": {"policy": object()},
    "half a surrogate pair": {"policy": {"a": "\ud800"}},
    "half a surrogate pair as a name": {"policy": {"\udfff": "a"}},
    "an inner name that is no text": {"policy": {1: "a"}},
    "not a number": {"policy": {"a": float("nan")}},
    "endless number": {"policy": {"a": float("inf")}},
    "a number that readers round": {"policy": {"a": 2**53 + 1}},
    "a number of many digits": {"policy": {"a": 10**5_000}},
}


@pytest.mark.parametrize("why", HOSTILE)
def test_what_is_no_json_value_is_refused_without_repeating_it(why):
    with pytest.raises(ValidationFailedError) as caught:
        read_narrow(HOSTILE[why])
    assert caught.value.field.startswith("narrow")
    assert len(str(caught.value)) < 200


WRONG = {
    "unknown": ({"repositories": ["one"]}, "narrow"),
    "policy as a list": ({"policy": ["a"]}, "narrow.policy"),
    "empty policy": ({"policy": {}}, "narrow.policy"),
    "policy of null": ({"policy": None}, "narrow.policy"),
    "policy as text that is no JSON": ({"policy": "allow all"}, "narrow.policy"),
    "policy as text of a list": ({"policy": "[]"}, "narrow.policy"),
    "policy with a name twice": ({"policy": '{"Effect": "Deny", "Effect": "Allow"}'}, "narrow.policy"),
    "policy with a name twice below": ({"policy": '{"S": [{"Effect": "Deny", "Effect": "Allow"}]}'}, "narrow.policy"),
    "policy with NaN": ({"policy": '{"a": NaN}'}, "narrow.policy"),
    "policy that nests without end": ({"policy": "[" * 30_000}, "narrow.policy"),
    "policy with half a pair in escapes": ({"policy": '{"a": "\\ud800"}'}, "narrow.policy"),
    "policy of 2049 characters": ({"policy": {"a": "x" * 2042}}, "narrow.policy"),
    "arns as text": ({"policy_arns": "arn:aws:iam::1:policy/x"}, "narrow.policy_arns"),
    "no arns": ({"policy_arns": []}, "narrow.policy_arns"),
    "an empty arn": ({"policy_arns": [""]}, "narrow.policy_arns"),
    "an arn twice": ({"policy_arns": ["a", "a"]}, "narrow.policy_arns"),
    "eleven arns": ({"policy_arns": [f"arn:{n}" for n in range(11)]}, "narrow.policy_arns"),
    "an arn with a line break": ({"policy_arns": ["a\nb"]}, "narrow.policy_arns"),
    "numbers": ({"policy_arns": [1]}, "narrow.policy_arns"),
    "tags as a list": ({"tags": ["team"]}, "narrow.tags"),
    "no tags": ({"tags": {}}, "narrow.tags"),
    "a tag without a value": ({"tags": {"team": ""}}, "narrow.tags"),
    "a tag of the library": ({"tags": {"tenant": "globex"}}, "narrow.tags"),
    "a tag of the library in other letters": ({"tags": {"Tenant": "globex"}}, "narrow.tags"),
    "a tag twice in other letters": ({"tags": {"team": "a", "Team": "b"}}, "narrow.tags"),
    "a tag that is an object": ({"tags": {"team": {"a": "b"}}}, "narrow.tags"),
}  # fmt: skip


@pytest.mark.parametrize("why", WRONG)
def test_what_a_method_does_not_take_is_refused_by_its_name(why):
    narrow, field = WRONG[why]
    assert refused(narrow).field == field


def test_a_method_says_what_it_can_narrow_by_or_that_it_can_not():
    assert "policy, policy_arns, tags" in refused({"scopes": ["a"]}).problem
    assert "nothing narrows this method" in refused({"scopes": ["a"]}, "aws", "access_key").problem
    assert refused({"tags": {"team": "a"}}, "aws", "web_identity").field == "narrow"
    assert refused({"permissions": {"contents": "owner"}}, "github", "app_installation").field == "narrow.permissions"
    assert refused({"scopes": ["a b"]}, "google_cloud", "oauth2").field == "narrow.scopes"
    assert refused({"scopes": ['a"b']}, "google_cloud", "oauth2").field == "narrow.scopes"
    assert refused({"scopes": [str(n) + "x" * 2_000 for n in range(5)]}, "google_cloud", "oauth2").field == "narrow.scopes"
    assert refused({"scopes": []}, "google_cloud", "oauth2").field == "narrow.scopes"


def test_policies_and_tags_become_the_parameters_that_the_provider_takes():
    asked = {"policy": POLICY, "policy_arns": ["arn:1", "arn:2"], "tags": {"team": "a", "cost": "b"}}
    assert literals("aws", "role", asked) == {
        "Policy": COMPACT, "PolicyArns.member.1.arn": "arn:1", "PolicyArns.member.2.arn": "arn:2",
        "Tags.member.3.Key": "team", "Tags.member.3.Value": "a", "Tags.member.4.Key": "cost", "Tags.member.4.Value": "b",
    }  # fmt: skip
    assert literals("aws", "web_identity", {"policy": json.dumps(POLICY, indent=2)}) == {"Policy": COMPACT}


def test_in_json_lists_and_maps_stay_what_they_are():
    narrow = {"permissions": {"contents": "read"}, "repositories": ["one"]}
    step = read_narrowing(method("github", "app_installation"), read_narrow(narrow)).minting.mint[0]
    assert (step.body, dict(step.literals)) == ("json", narrow)
    assert method("github", "app_installation").mint[0].body == "none", "the file's own step is as it was"


def test_an_access_boundary_is_wrapped_and_escaped():
    rules = {"accessBoundaryRules": [{"availableResource": "//storage.googleapis.com/projects/_/buckets/b"}]}
    [(name, text)] = literals("google_cloud", "service_account", {"access_boundary": rules}).items()
    assert (name, json.loads(unquote(text))) == ("options", {"accessBoundary": rules})
    assert text.startswith("%7B")


def test_scopes_go_to_the_refresh_and_nothing_else_does():
    asked = read_narrowing(method("google_cloud", "oauth2"), read_narrow({"scopes": ["a", "b"]}))
    assert (asked.scopes, asked.minting, asked.exchanging) == (("a", "b"), None, None)


# permissions that were asked for, what the answer says, whether that is no more
PERMISSIONS = [
    ({"contents": "read"}, {"contents": "read", "metadata": "read"}, True),
    ({"contents": "write"}, {"contents": "read"}, True),
    ({"contents": "read"}, {}, True),
    ({"contents": "read"}, {"contents": "write"}, False),
    ({"contents": "read"}, {"contents": "read", "issues": "read"}, False),
    ({"contents": "read"}, {"metadata": "write"}, False),
    ({"contents": "read"}, {"contents": "owner"}, False),
    ({"contents": "read"}, {"contents": None}, False),
    ({"contents": "read"}, ["contents"], False),
    ({"contents": "read"}, None, False),
]


@pytest.mark.parametrize(("asked", "said", "fits"), PERMISSIONS)
def test_permissions_of_the_answer_may_be_less_and_not_more(asked, said, fits):
    requests = read_narrowing(method("github", "app_installation"), read_narrow({"permissions": asked}))
    assert (find_excess(requests, {"permissions": [said]}) is None) is fits
    assert find_excess(requests, {}) == "permissions", "silence is no answer"
    assert find_excess(requests, {"permissions": [said, said]}) == "permissions"


@pytest.mark.parametrize(
    ("said", "fits"),
    [(["one"], True), (["One", "two"], True), (["one", "three"], False), ([], False), ([None], False), ([{"one": 1}], False)],
)
def test_repositories_of_the_answer_are_among_those_that_were_asked(said, fits):
    requests = read_narrowing(method("github", "app_installation"), read_narrow({"repositories": ["one", "Two"]}))
    assert (find_excess(requests, {"repositories": said}) is None) is fits


def test_scopes_of_the_answer_are_compared_as_missing_ones_are():
    rule = Scopes(includes={"repo": ("repo:status",)}, aliases={"email": "https://example/email"})
    assert covers(rule, asked=["repo"], granted=["repo:status"])
    assert covers(rule, asked=["email"], granted=["https://example/email"])
    assert not covers(rule, asked=["repo:status"], granted=["repo"])


STEP = {"url": "https://acme.example/token", "fields": {"key": "{key}"}}
MINTED = {"id": "m", "kind": "key", "inputs": [{"name": "key"}], "mint": [STEP]}
CODE = {"id": "m", "kind": "code", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t"}
SPENDS_NOTHING = {"rotates": "never"}
EXCHANGE = {"url": "https://acme.example/less", "fields": {"token": "{access_token}"}}
TO_EXCHANGE = {"form": "object", "to": "exchange", "field": "options"}

CONTRADICTIONS = {
    "no field": {**MINTED, "narrow": {"a": {"form": "list"}}},
    "a list in a form without numbers": {**MINTED, "narrow": {"a": {"form": "list", "field": "a"}}},
    "a map in a form without a field for values": {**MINTED, "narrow": {"a": {"form": "map", "field": "a.{n}"}}},
    "an object with a number": {**MINTED, "narrow": {"a": {"form": "object", "field": "a.{n}"}}},
    "a number that is taken": {
        **MINTED, "mint": [{**STEP, "fields": {"a.1": "x"}}], "narrow": {"a": {"form": "list", "field": "a.{n}"}},
    },
    "a parameter of the protocol": {**MINTED, "narrow": {"a": {"form": "object", "field": "client_id"}}},
    "levels of a list": {**MINTED, "narrow": {"a": {"form": "list", "field": "a.{n}", "levels": ["read"]}}},
    "an escaped list": {**MINTED, "narrow": {"a": {"form": "list", "field": "a.{n}", "escaped": True}}},
    "an answer about an object": {**MINTED, "narrow": {"a": {"form": "object", "field": "a", "answer": "a"}}},
    "a step that is left out": {**MINTED, "mint": [{**STEP, "when": "key"}], "narrow": {"a": {"form": "object", "field": "a"}}},
    "a GET": {
        **MINTED, "mint": [{"url": STEP["url"], "method": "GET", "body": "none"}], "narrow": {"a": {"form": "object", "field": "a"}},
    },
    "numbers in JSON": {
        **MINTED, "mint": [{"url": STEP["url"], "body": "json"}], "narrow": {"a": {"form": "list", "field": "a.{n}"}},
    },
    "no mint": {**CODE, "narrow": {"a": {"form": "object", "field": "a"}}},
    "no exchange": {**CODE, "narrow": {"a": TO_EXCHANGE}},
    "an exchange that nothing goes to": {**CODE, "exchange": EXCHANGE},
    "a refresh by another name": {**CODE, "refresh_token": SPENDS_NOTHING, "narrow": {"scope": {"form": "list", "to": "refresh"}}},
    "a refresh with a field": {
        **CODE, "refresh_token": SPENDS_NOTHING, "narrow": {"scopes": {"form": "list", "to": "refresh", "field": "scope"}},
    },
    "a refresh that rotates": {**CODE, "narrow": {"scopes": {"form": "list", "to": "refresh"}}},
    "a refresh that ends the old token": {
        **CODE, "refresh_token": {**SPENDS_NOTHING, "ends_old_access": True}, "narrow": {"scopes": {"form": "list", "to": "refresh"}},
    },
    "a refresh with a scope of its own": {
        **CODE, "refresh_token": SPENDS_NOTHING, "refresh_params": {"scope": "a"}, "narrow": {"scopes": {"form": "list", "to": "refresh"}},
    },
    "fixed scopes": {
        **CODE, "refresh_token": SPENDS_NOTHING, "scopes": {"fixed": True}, "narrow": {"scopes": {"form": "list", "to": "refresh"}},
    },
    "a token bound to a key": {
        **CODE, "refresh_token": SPENDS_NOTHING, "present": {"sign": "dpop"}, "narrow": {"scopes": {"form": "list", "to": "refresh"}},
    },
    "a key without a mint": {"id": "m", "kind": "key", "inputs": [{"name": "key"}], "exchange": EXCHANGE, "narrow": {"a": TO_EXCHANGE}},
    "an exchange with a secret that is not there": {
        **CODE, "exchange": {**EXCHANGE, "fields": {"a": "{refresh_token}"}}, "narrow": {"a": TO_EXCHANGE},
    },
    "an exchange with a token in its URL": {
        **CODE, "exchange": {"url": "https://acme.example/{access_token}"}, "narrow": {"a": TO_EXCHANGE},
    },
    "an exchange over http": {**CODE, "exchange": {**EXCHANGE, "url": "http://acme.example/less"}, "narrow": {"a": TO_EXCHANGE}},
}  # fmt: skip


@pytest.mark.parametrize("why", CONTRADICTIONS)
def test_a_file_whose_narrowing_would_have_no_effect_is_refused(why):
    with pytest.raises((ValidationError, ConfigurationError)):
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [CONTRADICTIONS[why]]}))


def test_the_text_of_a_caller_is_no_template():
    step = Step(url="https://acme.example/token", fields={"key": "{key}"}).adding({"Policy": "{key}"}, told={})
    assert step.literals == {"Policy": "{key}"}
    made = Method(id="m", kind="key", inputs=(Input(name="key"),), mint=(Step(url="https://a.example/t", fields={"key": "{key}"}),),
                  narrow={"policy": Narrowing(form="object", field="Policy")}, refresh_token=RefreshTokenFacts())  # fmt: skip
    sent = read_narrowing(made, Narrow("", {"policy": {"a": "${key} {key}"}})).minting.mint[0]
    assert sent.literals == {"Policy": '{"a":"${key} {key}"}'}
    assert list(sent.templates()) == [("fields.key", "{key}")]
