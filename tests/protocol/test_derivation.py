"""What the form of a key tells of variables, and what contradicts it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracebacks import shown_by

from cloud_integrations.domain.entered import EnteredKey
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.derivation import find_told, require_agreement
from cloud_integrations.protocol.inputs import find_input_method
from cloud_integrations.providers import Catalogue

REGIONS = [{"name": "region", "choices": ["us", "eu"], "label": "Region"}, {"name": "org", "pattern": "^[a-z]{1,20}$", "required": False}]
BY_TABLE = {"variable": "region", "pattern": "^key-([a-z]+[0-9])-.+$", "values": {"us1": "us", "us2": "us", "eu1": "eu"}}
BY_TEXT = {"variable": "region", "pattern": "^new-([a-z]+)-.+$"}
INSIDE = {"variable": "org", "pattern": "^doc-(.+)$", "path": "about.org"}
FIELDS = {"key": "credentials.apiKey", "other": "credentials.inputs.other"}


def acme(*derives: dict[str, object], other: tuple[dict[str, object], ...] = ()) -> Provider:
    inputs = [{"name": "key", "derives": derives}, {"name": "other", "required": False, "derives": other}]
    return Provider.model_validate(
        {
            "id": "acme",
            "name": "Acme",
            "variables": REGIONS,
            "methods": [{"id": "key", "kind": "key", "inputs": inputs}],
            "verifications": [{"url": "https://acme.example/{region}/me"}],
        }
    )


ACME = acme(BY_TABLE, BY_TEXT, INSIDE)


def told(text: str, provider: Provider = ACME, **more: str) -> dict[str, str]:
    inputs = {name: Secret(value) for name, value in {"key": text, **more}.items()}
    return {name: each.value for name, each in find_told(provider, provider.methods[0], inputs, fields=FIELDS).items()}


def document(content: object) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


@pytest.mark.requirement("Q56")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key-us1-fake", {"region": "us"}),
        ("key-us2-fake", {"region": "us"}),
        ("key-eu1-fake", {"region": "eu"}),
        ("new-eu-fake", {"region": "eu"}),
        ("key-jp1-fake", {}),
        ("new-jp-fake", {}),
        ("old-fake", {}),
        ("xkey-us1-fake", {}),
        ("key-us1-", {}),
        ("", {}),
    ],
)
def test_the_form_of_a_key_tells_a_variable_where_the_file_lists_what_it_says(text, expected) -> None:
    assert told(text) == expected


@pytest.mark.requirement("Q56", "Q68")
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, lambda text: b64encode(text).rstrip(b"=")])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"about": {"org": "acme"}}, {"org": "acme"}),
        ({"about": {"org": "acme"}, "text": "??>>~~ÿÿ"}, {"org": "acme"}),
        ({"about": {"org": "https://evil.example"}}, {}),
        ({"about": {"org": "a" * 21}}, {}),
        ({"about": {"org": "a\nb"}}, {}),
        ({"about": {"org": ""}}, {}),
        ({"about": {"org": 7}}, {}),
        ({"about": {"org": None}}, {}),
        ({"about": {"org": ["acme"]}}, {}),
        ({"about": "acme"}, {}),
        ({}, {}),
        ([{"about": {"org": "acme"}}], {}),
        ("acme", {}),
        (b"{", {}),
        (b"\xff\xfe\x00", {}),
        (b"[" * 5000, {}),
    ],
)
def test_a_document_inside_a_key_tells_only_what_the_variable_takes(encode, content, expected) -> None:
    assert told(f"doc-{encode(document(content)).decode()}") == expected


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    for beginning in ("doc-", "key-", "new-", ""):
        assert told(beginning + text).keys() <= {"region", "org"}


def test_what_a_table_does_not_list_tells_nothing_whatever_it_is() -> None:
    assert told("doc-" + b64encode(b'{"about": {"org": {"a": 1}}}').decode(), acme({**INSIDE, "values": {"x": "acme"}})) == {}
    assert told("doc-" + b64encode(b'{"about": {"org": "x"}}').decode(), acme({**INSIDE, "values": {"x": "acme"}})) == {"org": "acme"}


def test_of_two_rules_for_one_variable_the_first_that_tells_counts() -> None:
    assert told("key-us1-fake", acme({**BY_TABLE, "values": {"eu1": "eu"}}, BY_TABLE)) == {"region": "us"}
    assert told("key-us1-fake", acme(BY_TABLE, {**BY_TABLE, "values": {"us1": "eu"}})) == {"region": "us"}


def test_two_inputs_that_tell_different_things_are_refused_by_both_their_names() -> None:
    two = acme(BY_TABLE, other=(BY_TEXT,))
    assert told("key-us1-fake", two, other="new-us-fake") == {"region": "us"}
    with pytest.raises(ValidationFailedError) as caught:
        told("key-us1-fake", two, other="new-eu-fake")
    assert caught.value.field == "credentials.inputs.other"
    assert caught.value.problem == "does not go with credentials.apiKey: each of them tells another Region"
    assert "fake" not in shown_by(caught.value)


def agree(text: str, *, named: dict[str, str] | None = None, operator: dict[str, str] | None = None) -> None:
    found = find_told(ACME, ACME.methods[0], {"key": Secret(text)}, fields=FIELDS)
    require_agreement(ACME, found, named=named or {}, operator=operator or {}, fields=FIELDS)


def refusal(text: str, **chosen: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(ValidationFailedError) as caught:
        agree(text, **chosen)
    assert text not in shown_by(caught.value)
    return caught.value.field, caught.value.problem


@pytest.mark.requirement("Q56")
def test_a_variable_that_contradicts_the_key_is_refused_by_the_names_of_both_fields() -> None:
    agree("key-us1-fake")
    agree("key-us1-fake", named={"region": "us"})
    agree("old-fake", named={"region": "eu"})
    problem = "contradicts credentials.apiKey, which tells us; leave it out, or enter a key that fits"
    assert refusal("key-us1-fake", named={"region": "eu"}) == ("variables.region", problem)


def test_what_stands_only_in_the_key_is_not_repeated() -> None:
    problem = "contradicts credentials.apiKey, which tells another org; leave it out, or enter a key that fits"
    key = "doc-" + b64encode(b'{"about": {"org": "hidden"}}').decode()
    assert refusal(key, named={"org": "other"}) == ("variables.org", problem)


def test_what_the_operator_chose_stands_and_another_key_is_refused() -> None:
    agree("key-us1-fake", operator={"region": "us"}, named={"region": "eu"})
    problem = "tells us, and variables.region is chosen by the operator"
    assert refusal("key-us1-fake", operator={"region": "eu"}, named={"region": "us"}) == ("credentials.apiKey", problem)


def test_a_method_whose_check_needs_what_the_key_tells_is_found_by_the_key_alone() -> None:
    by_region = {"id": "by_region", "kind": "key", "inputs": [{"name": "key", "derives": [BY_TABLE]}]}
    plain = {"id": "plain", "kind": "key", "inputs": [{"name": "key"}]}
    checks = [
        {"for_methods": ["by_region"], "url": "https://acme.example/{region}/me"},
        {"for_methods": ["plain"], "url": "https://acme.example/me"},
    ]
    provider = Provider.model_validate(
        {
            "id": "acme",
            "name": "Acme",
            "variables": [{"name": "region", "choices": ["us", "eu"], "required": False}],
            "methods": [by_region, plain],
            "verifications": checks,
        }
    )
    for text, expected in (("key-us1-fake", "by_region"), ("old-fake", "plain")):
        entered = EnteredKey(api_key=Secret(f" {text}\n"))
        assert find_input_method(provider, provider.methods, entered, variables={}).id == expected


FAKE = "A" * 43


def sentry(region: object) -> str:
    content = {"iat": 0, "url": "https://sentry.io", "region_url": region, "org": "acme"}
    return f"sntrys_{b64encode(json.dumps(content).encode()).decode()}_{FAKE}"


def grafana(meta: object) -> str:
    return "glc_" + b64encode(json.dumps({"o": "7", "n": "fake", "k": "fake", "m": meta}).encode()).decode()


@pytest.mark.requirement("Q56", "Q68")
@pytest.mark.parametrize(
    ("slug", "method", "text", "expected"),
    [
        ("sentry", "auth_token", sentry("https://de.sentry.io"), {"host": "de.sentry.io"}),
        ("sentry", "auth_token", sentry("https://us.sentry.io"), {"host": "us.sentry.io"}),
        ("sentry", "auth_token", sentry("https://sentry.io"), {}),
        ("sentry", "auth_token", sentry("https://sentry.acme.example"), {}),
        ("sentry", "auth_token", sentry(None), {}),
        ("sentry", "auth_token", "sntryu_" + "0" * 64, {}),
        ("grafana_cloud", "access_policy_token", grafana({"r": "prod-eu-west-2"}), {"region": "prod-eu-west-2"}),
        ("grafana_cloud", "access_policy_token", grafana({"r": "us"}).rstrip("="), {"region": "us"}),
        ("grafana_cloud", "access_policy_token", grafana({"r": "us&x=1"}), {}),
        ("grafana_cloud", "access_policy_token", grafana({}), {}),
        ("stripe", "restricted_key", "rk_live_" + "0" * 24, {"mode": "live"}),
        ("stripe", "restricted_key", "sk_test_" + "0" * 24, {"mode": "test"}),
        ("hubspot", "private_app_token", "pat-eu1-00000000-0000-0000-0000-000000000000", {"data_center": "eu1"}),
        ("hubspot", "private_app_token", "pat-na2-00000000-0000-0000-0000-000000000000", {"data_center": "na2"}),
        ("aws", "role", "arn:aws-cn:iam::123456789012:role/name", {"dns_suffix": "amazonaws.com.cn"}),
        ("aws", "role", "arn:aws-us-gov:iam::123456789012:role/name", {"dns_suffix": "amazonaws.com"}),
        ("aws", "web_identity", "arn:aws-eusc:iam::123456789012:role/name", {"dns_suffix": "amazonaws.eu"}),
        ("aws", "web_identity", "arn:aws-iso:iam::123456789012:role/name", {}),
    ],
)
def test_keys_of_the_built_in_providers_tell_what_their_files_say(slug, method, text, expected) -> None:
    provider = Catalogue.builtin().require(slug)
    found = provider.method_named(method)
    assert found is not None
    name = next(each.name for each in found.inputs if each.derives)
    told_by = find_told(provider, found, {name: Secret(text)}, fields={name: name})
    assert {variable: each.value for variable, each in told_by.items()} == expected


def test_the_partitions_of_roles_are_those_of_botocore() -> None:
    from botocore.loaders import Loader

    known = {each["id"]: each["outputs"]["dnsSuffix"] for each in Loader().load_data("partitions")["partitions"]}
    for method_id in ("role", "web_identity"):
        method = Catalogue.builtin().require("aws").method_named(method_id)
        assert method is not None
        (rule,) = next(each.derives for each in method.inputs if each.derives)
        assert rule.values.items() <= known.items()
