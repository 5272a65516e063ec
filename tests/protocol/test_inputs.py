"""What a tenant enters: named inputs in several forms, and which of a provider's methods they are for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracebacks import shown_by

from cloud_integrations.domain.entered import EnteredInputs, EnteredKey, read_inputs
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.inputs import find_input_method, name_inputs, normalise

PEM = "-----BEGIN PRIVATE KEY-----\nZmFrZQ==\n-----END PRIVATE KEY-----"
FILE = {"type": "service_account", "client_email": "fake@acme.example", "private_key": f"{PEM}\n", "nested": {"id": "fake-id"}, "number": 7}
ROBOT = {
    "id": "robot",
    "kind": "key",
    "inputs": [
        {
            "name": "key",
            "form": "json",
            "must": {"type": "service_account"},
            "parts": {"private_key": "private_key", "client_email": "client_email", "key_id": "nested.id"},
        }
    ],
}
TOKEN = {"id": "token", "kind": "key", "inputs": [{"name": "token", "patterns": ["^tok_[a-z]+$"]}]}
PAIR = {"id": "pair", "kind": "key", "inputs": [{"name": "user", "secret": False}, {"name": "secret"}, {"name": "note", "required": False}]}
OTHER_PAIR = {"id": "other_pair", "kind": "key", "inputs": [{"name": "user", "secret": False, "patterns": ["^u_.+$"]}, {"name": "secret"}]}
PRINCIPAL = {
    "id": "principal",
    "kind": "key",
    "inputs": [
        {"name": "client_id", "secret": False, "normalise": ["strip", "lower"]},
        {"name": "client_secret", "one_of": "proof", "label": "Client secret"},
        {"name": "certificate", "form": "pem", "one_of": "proof", "label": "Certificate"},
    ],
}


def acme(*methods: dict[str, object]) -> Provider:
    return Provider.model_validate(
        {"id": "acme", "name": "Acme", "methods": methods, "verifications": [{"url": "https://acme.example/me"}]}
    )


def method(facts: dict[str, object]) -> Method:
    return acme(facts).methods[0]


def test_the_parts_of_a_document_take_its_place() -> None:
    parts = normalise(method(ROBOT), {"key": f"\ufeff  {json.dumps(FILE, indent=1)}\n"})
    assert parts == {"private_key": Secret(f"{PEM}\n"), "client_email": Secret("fake@acme.example"), "key_id": Secret("fake-id")}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("tok_abc", "must be a whole JSON document"),
        (json.dumps(FILE)[:-10], "must be a whole JSON document"),
        ("[1]", "must be a whole JSON document"),
        (json.dumps(FILE | {"type": "authorized_user"}), "in which type is service_account"),
        (json.dumps({name: value for name, value in FILE.items() if name != "type"}), "in which type is service_account"),
        (json.dumps(FILE | {"private_key": None}), "has no private_key; paste the whole file"),
        (json.dumps(FILE | {"private_key": ""}), "has no private_key; paste the whole file"),
        (json.dumps(FILE | {"nested": {}}), "has no nested.id; paste the whole file"),
        (json.dumps(FILE | {"client_email": ["fake@acme.example"]}), "has no client_email; paste the whole file"),
        (json.dumps(FILE | {"more": "x" * 20_000}), "is too long"),
        # JSON writes half of a surrogate pair as an escape; text with it can be neither stored nor sent.
        (json.dumps(FILE | {"client_email": "fake\ud800@acme.example"}), "has no client_email; paste the whole file"),
        (json.dumps(FILE | {"private_key": f"{PEM}\udfff"}), "has no private_key; paste the whole file"),
        (json.dumps(FILE | {"client_email": "fake\0@acme.example"}), "has no client_email; paste the whole file"),
    ],
)
def test_another_document_is_refused_in_words_that_repeat_nothing_of_it(document, problem) -> None:
    def enter() -> None:
        normalise(method(ROBOT), {"key": Secret(document)}, fields={"key": "credentials.inputs.key"})

    with pytest.raises(ValidationFailedError) as caught:
        enter()
    assert caught.value.field == "credentials.inputs.key"
    assert problem in caught.value.problem
    for told in ("ZmFrZQ", "fake@acme"):
        assert told not in shown_by(caught.value)


@pytest.mark.parametrize(("value", "fits"), [(1, True), (1.0, True), (True, False), ("one", False), (None, False)])
def test_a_value_that_must_be_there_is_compared_by_its_type(value, fits) -> None:
    wants = method({"id": "key", "kind": "key", "inputs": [{"name": "key", "form": "json", "must": {"version": 1}}]})
    text = json.dumps({"version": value})
    if fits:
        assert normalise(wants, {"key": text}) == {"key": Secret(text)}
        return
    with pytest.raises(ValidationFailedError, match="version is 1"):
        normalise(wants, {"key": text})


ONE_LINE = PEM.replace("\n", "\\n")


@pytest.mark.parametrize("pasted", [PEM, f" {PEM}\n\n", ONE_LINE, f'"{ONE_LINE}\\n"', PEM.replace("\n", "\r\n")])
def test_a_key_in_pem_is_taken_as_people_have_it(pasted) -> None:
    wants = method({"id": "key", "kind": "key", "inputs": [{"name": "key", "form": "pem"}]})
    assert normalise(wants, {"key": pasted})["key"].reveal().replace("\r\n", "\n") == PEM


def test_letter_case_is_changed_only_where_the_provider_says_so() -> None:
    wants = method({"id": "key", "kind": "key", "inputs": [{"name": "a", "normalise": ["upper"]}, {"name": "b", "normalise": ["strip"]}]})
    assert normalise(wants, {"a": "token=aB", "b": " aB "}) == {"a": Secret("TOKEN=AB"), "b": Secret("aB")}
    assert normalise(method(PRINCIPAL), {"client_id": " AB ", "client_secret": "sEcret"})["client_id"] == Secret("ab")


def test_one_of_several_inputs_is_enough_and_two_are_too_many() -> None:
    wants = method(PRINCIPAL)
    assert normalise(wants, {"client_id": "a", "client_secret": "fake"}) == {"client_id": Secret("a"), "client_secret": Secret("fake")}
    assert normalise(wants, {"client_id": "a", "certificate": PEM, "client_secret": "  "})["certificate"] == Secret(PEM)
    with pytest.raises(ValidationFailedError) as both:
        normalise(wants, {"client_id": "a", "client_secret": "fake", "certificate": PEM})
    assert (both.value.field, both.value.problem) == ("credentials.certificate", "cannot be given together with Client secret")
    with pytest.raises(ValidationFailedError) as none:
        normalise(wants, {"client_id": "a"})
    assert none.value.field == "credentials.client_secret"
    assert none.value.problem == "is required by this provider, or another of Client secret, Certificate"
    by_choice = [{**each, "required": False} for each in PRINCIPAL["inputs"][1:]]  # type: ignore[index]
    assert normalise(method({**PRINCIPAL, "inputs": [*PRINCIPAL["inputs"][:1], *by_choice]}), {"client_id": "a"})  # type: ignore[index]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"token": "anything"}, "token"),
        ({"key": json.dumps(FILE)}, "robot"),
        ({"user": "ada", "secret": "fake"}, "pair"),
        ({"user": "u_ada", "secret": "fake", "note": "x"}, "pair"),
        ({"client_id": "a", "certificate": PEM}, "principal"),
    ],
)
def test_inputs_find_their_method(inputs, expected) -> None:
    provider = acme(TOKEN, ROBOT, PAIR, OTHER_PAIR, PRINCIPAL)
    assert find_input_method(provider, provider.methods, read_inputs(inputs, None), variables={}).id == expected


def test_of_two_methods_that_fit_the_one_with_the_right_form_is_meant_and_a_named_one_wins() -> None:
    provider = acme(OTHER_PAIR, PAIR)
    inputs = {"user": "ada", "secret": "fake"}
    assert find_input_method(provider, provider.methods, read_inputs(inputs, None), variables={}).id == "pair"
    assert find_input_method(provider, provider.methods, read_inputs(inputs, "other_pair"), variables={}).id == "other_pair"
    no_form_fits = acme(OTHER_PAIR)
    assert find_input_method(no_form_fits, no_form_fits.methods, read_inputs(inputs, None), variables={}).id == "other_pair"


@pytest.mark.parametrize("entered", [{"token": "tok_abc"}, "tok_abc"])
def test_where_two_methods_fit_equally_well_a_new_key_is_for_the_current_one(entered) -> None:
    other = {**TOKEN, "id": "other"}
    any_form = {"id": "any_form", "kind": "key", "inputs": [{"name": "token"}]}
    read = EnteredKey(api_key=Secret(entered)) if isinstance(entered, str) else read_inputs(entered, None)

    def found(*methods, current):
        provider = acme(*methods)
        return find_input_method(provider, provider.methods, read, variables={}, current=current).id

    assert found(TOKEN, other, current="other") == "other"
    assert found(TOKEN, other, current="gone") == "token"
    # Keys of a known form are for the method that knows it.
    assert found(TOKEN, any_form, current="any_form") == "token"
    assert found(any_form, TOKEN, current="token") == "token"
    assert found(any_form, {**any_form, "id": "second"}, current="second") == "second"


def test_inputs_that_fit_no_method_are_answered_with_those_that_do() -> None:
    provider = acme(TOKEN, PAIR)
    for inputs in ({"user": "ada"}, {"token": "a", "user": "b"}, {"sekret": "fake-pasted"}):
        with pytest.raises(ValidationFailedError) as caught:
            find_input_method(provider, provider.methods, read_inputs(inputs, None), variables={})
        assert (caught.value.field, caught.value.problem) == ("credentials.inputs", "must be token; or user, secret, note")
    with pytest.raises(ValidationFailedError) as unknown:
        find_input_method(provider, provider.methods, read_inputs({"user": "ada"}, "pear"), variables={})
    assert unknown.value.field == "method"
    assert "token, pair" in unknown.value.problem
    assert "pear" not in unknown.value.problem


@pytest.mark.parametrize(("pasted", "expected"), [(json.dumps(FILE), "robot"), ("tok_abc", "token"), ("abc", "token"), (PEM, "signing")])
def test_a_single_key_goes_to_the_method_of_its_form(pasted, expected) -> None:
    signing = {"id": "signing", "kind": "key", "inputs": [{"name": "private_key", "form": "pem"}]}
    provider = acme(TOKEN, ROBOT, signing)
    assert find_input_method(provider, provider.methods, EnteredKey(api_key=Secret(pasted)), variables={}).id == expected


@pytest.mark.parametrize(
    ("inputs", "named", "field"),
    [
        ({}, None, "credentials.inputs"),
        (None, None, "credentials.inputs"),
        ([("token", "fake")], None, "credentials.inputs"),
        ({1: "fake"}, None, "credentials.inputs"),
        ({"token": 1}, None, "credentials.inputs.token"),
        ({"token": ""}, None, "credentials.inputs.token"),
        ({"fake pasted secret": ""}, None, "credentials.inputs"),
        ({"token": "fake"}, 7, "method"),
    ],
)
def test_what_is_no_inputs_at_all_is_refused_by_its_field(inputs, named, field) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        read_inputs(inputs, named)
    assert caught.value.field == field
    assert "pasted" not in str(caught.value)


def test_inputs_show_nothing_of_themselves() -> None:
    assert "fake" not in repr(EnteredInputs(inputs={"token": Secret("fake")}))
    assert name_inputs(method(TOKEN), EnteredInputs(inputs={"token": Secret("fake")})) == (
        {"token": Secret("fake")},
        {"token": "credentials.inputs.token"},
    )


@given(st.dictionaries(st.sampled_from(["key", "other"]), st.text(max_size=40)))
def test_anything_entered_ends_in_parts_or_in_one_error(inputs) -> None:
    try:
        parts = normalise(method(ROBOT), inputs)
    except ValidationFailedError:
        return
    assert set(parts) == {"private_key", "client_email", "key_id"}


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "a b"},
        {"name": "a", "parts": {"b": "c"}},
        {"name": "a", "form": "pem", "must": {"b": "c"}},
        {"name": "a", "form": "xml"},
        {"name": "a", "patterns": ["("]},
    ],
)
def test_an_input_that_contradicts_itself_is_refused(facts) -> None:
    with pytest.raises(ValueError, match=r"methods\.0\.inputs\.0"):
        acme({"id": "key", "kind": "key", "inputs": [facts]})
