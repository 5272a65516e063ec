from __future__ import annotations

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.provider import Callback
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.protocol.authorize import KNOWN_ERRORS, REQUESTED, find_state, read_callback

STATE = ("state", "fake-state")
CODE = ("code", "fake-code")
ISSUER = "https://login.example.com"


def read(*params, issuer=None, **facts):
    return read_callback(params, issuer=issuer, facts=Callback(**facts))


def refusal(*params, issuer=None, **facts):
    with pytest.raises(GrantRefusedError) as raised:
        read(*params, issuer=issuer, **facts)
    assert "fake" not in repr(raised.value) + str(raised.value.details)
    return raised.value.reason


def test_a_code_and_its_state_are_read():
    answer = read(STATE, CODE, ("scope", "a b"), ("session_state", "x"))
    assert (answer.state, answer.code, answer.error, answer.issuer) == (Secret("fake-state"), Secret("fake-code"), None, None)


@pytest.mark.requirement("OAU-024", "OAU-080")
def test_an_answer_shows_neither_state_nor_code():
    assert "fake" not in repr(read(STATE, CODE))


@pytest.mark.parametrize(
    "params", [[], [("state", "")], [STATE, STATE], [("state", "a" * 513)], [("state", "a b")], [("state", "é")], [("state", "a\n")]]
)
def test_a_state_that_cannot_be_ours_is_not_found(params):
    assert find_state(params) is None


def test_the_state_is_found_before_anything_else_is_read():
    assert find_state(iter([CODE, CODE, STATE])) == Secret("fake-state")
    assert find_state([("state", "a" * 512)]) is not None
    assert find_state([("state", "a")]) == Secret("a")


def test_an_answer_without_state_is_refused():
    assert refusal(CODE) == "state_missing"


@pytest.mark.requirement("OAU-021")
@pytest.mark.parametrize("name", ["code", "state", "iss", "error", "error_description", "error_uri"])
@pytest.mark.parametrize("value", ["fake-code", "other", ""])
def test_a_repeated_parameter_is_refused(name, value):
    assert refusal(STATE, CODE, (name, "fake-code"), (name, value), issuer=None) == "repeated_parameter"


@pytest.mark.requirement("OAU-021")
def test_a_repeated_code_under_another_name_is_refused():
    assert refusal(STATE, ("grant", "fake-1"), ("grant", "fake-2"), code="grant") == "repeated_parameter"
    assert refusal(STATE, ("grant", "fake-1"), ("code", "fake-1"), ("code", "fake-2"), code="grant") == "repeated_parameter"
    assert read(STATE, ("grant", "fake-1"), code="grant").code == Secret("fake-1")


@pytest.mark.requirement("OAU-022")
@pytest.mark.parametrize("name", ["access_token", "id_token", "response"])
def test_a_token_in_the_callback_is_refused(name):
    assert refusal(STATE, CODE, (name, "fake-token")) == "unexpected_token"


def test_a_flood_of_parameters_is_refused():
    assert refusal(STATE, CODE, *((f"p{n}", "x") for n in range(19))) == "too_many_parameters"
    assert read(STATE, CODE, *((f"p{n}", "x") for n in range(18))).code is not None


@pytest.mark.requirement("OAU-020")
@pytest.mark.parametrize("named", ["https://evil.example", ISSUER + "/", ISSUER.upper(), "https://login.example.com:443", ""])
@pytest.mark.parametrize("end", [CODE, ("error", "access_denied")])
@pytest.mark.parametrize("rule", ["optional", "required"])
def test_another_issuer_is_refused_also_on_errors(named, end, rule):
    with pytest.raises(GrantRefusedError) as raised:
        read_callback([STATE, end, ("iss", named)], issuer=ISSUER, facts=Callback(issuer=rule))
    assert raised.value.reason == "issuer_mismatch"


@pytest.mark.requirement("OAU-020")
def test_a_code_without_a_required_issuer_is_refused():
    with pytest.raises(GrantRefusedError) as raised:
        read_callback([STATE, CODE], issuer=ISSUER, facts=Callback(issuer="required"))
    assert raised.value.reason == "issuer_missing"


@pytest.mark.requirement("OAU-020", "OAU-023")
@pytest.mark.parametrize("beside", [(), (CODE,)])
def test_an_error_without_a_required_issuer_is_shown_as_what_it_is(beside):
    answer = read_callback([STATE, *beside, ("error", "access_denied")], issuer=ISSUER, facts=Callback(issuer="required"))
    assert (answer.error, answer.code, answer.issuer) == ("access_denied", None, None)


@pytest.mark.requirement("OAU-020")
def test_a_required_issuer_without_expectation_never_matches():
    with pytest.raises(GrantRefusedError) as raised:
        read_callback([STATE, CODE, ("iss", ISSUER)], issuer=None, facts=Callback(issuer="required"))
    assert raised.value.reason == "issuer_mismatch"


@pytest.mark.requirement("OAU-020")
def test_the_expected_issuer_is_accepted_and_an_unexpected_one_is_not_believed():
    assert read(STATE, CODE, ("iss", ISSUER), issuer=ISSUER).issuer == ISSUER
    assert read(STATE, ("error", "access_denied"), ("iss", ISSUER), issuer=ISSUER).issuer == ISSUER
    assert read(STATE, CODE, issuer=ISSUER).issuer is None
    assert read(STATE, CODE, ("iss", ISSUER)).issuer is None


@pytest.mark.requirement("OAU-023")
@pytest.mark.parametrize(
    ("sent", "read_as"),
    [*((known, known) for known in sorted(KNOWN_ERRORS)), ("<script>fake", "other"), ("", "other"), ("ACCESS_DENIED", "other")],
)
def test_an_error_is_matched_against_the_known_ones(sent, read_as):
    answer = read(STATE, ("error", sent), ("error_description", "fake prose <b>"), ("error_uri", "https://fake.example"))
    assert (answer.error, answer.code) == (read_as, None)
    assert answer.state == Secret("fake-state")
    assert "fake" not in repr(answer)


@pytest.mark.requirement("OAU-023")
def test_a_code_beside_an_error_is_not_used():
    assert read(STATE, CODE, ("error", "access_denied")).code is None


@pytest.mark.requirement("OAU-024")
@pytest.mark.parametrize(
    ("code", "reason"), [("", "code_missing"), ("a" * 4097, "code_unusable"), ("fake\r\n", "code_unusable"), ("fäke", "code_unusable")]
)
def test_a_code_that_cannot_be_one_is_refused(code, reason):
    assert refusal(STATE, ("code", code)) == reason


@pytest.mark.requirement("OAU-024")
def test_a_code_may_have_four_kibibytes():
    assert read(STATE, ("code", "a" * 4096)).code is not None


def test_an_answer_without_code_is_refused():
    assert refusal(STATE) == "code_missing"


@pytest.mark.requirement("OAU-022")
def test_an_id_token_beside_the_code_is_dropped_where_the_providers_data_says_that_it_comes():
    answer = read(STATE, CODE, ("id_token", "fake-id-token"), ignore=["id_token"])
    assert answer == read(STATE, CODE)
    assert refusal(STATE, CODE, ("access_token", "fake-token"), ignore=["id_token"]) == "unexpected_token"
    assert refusal(STATE, CODE, ("response", "fake-token"), ignore=["id_token"]) == "unexpected_token"


@pytest.mark.requirement("Q03")
@pytest.mark.parametrize(("named", "site"), [([("location", "eu")], "eu"), ([("location", "")], ""), ([], None)])
def test_the_site_is_read_where_the_providers_data_says_that_one_is_named(named, site):
    assert read(STATE, CODE, *named, site_from="location").site == site
    assert read(STATE, CODE, *named).site is None


@pytest.mark.requirement("OAU-021")
def test_a_repeated_site_is_refused():
    assert refusal(STATE, CODE, ("location", "eu"), ("location", "us"), site_from="location") == "repeated_parameter"


INSTALLATION = {"installation_from": "installation_id", "requested": {"setup_action": "request"}}


def test_the_installation_is_read_where_the_providers_data_says_that_one_is_named():
    named = ("installation_id", "7")
    assert read(STATE, CODE, named, **INSTALLATION).installation == "7"
    assert read(STATE, CODE, named, ("setup_action", "install"), **INSTALLATION).code == Secret("fake-code")
    assert read(STATE, CODE, named).installation is None
    assert read(STATE, CODE, **INSTALLATION).installation is None
    assert refusal(STATE, CODE, named, named, **INSTALLATION) == "repeated_parameter"
    assert refusal(STATE, CODE, *[("setup_action", "install")] * 2, **INSTALLATION) == "repeated_parameter"


def test_an_installation_that_somebody_must_agree_to_grants_nothing():
    answer = read(STATE, CODE, ("setup_action", "request"), ("iss", ISSUER), issuer=ISSUER, **INSTALLATION)
    assert (answer.error, answer.code, answer.state, answer.issuer) == (REQUESTED, None, Secret("fake-state"), ISSUER)


def test_no_provider_file_can_turn_the_comparison_of_issuers_off():
    with pytest.raises(ValidationError):
        Callback.model_validate({"issuer": "off"})
