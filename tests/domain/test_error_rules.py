"""Which answer a predicate, and a rule for errors, fits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.provider import ErrorRule, Predicate


@pytest.mark.parametrize(
    ("test", "body", "holds"),
    [
        ({"equals": True}, {"ok": True}, True),
        ({"equals": True}, {"ok": 1}, False),
        ({"equals": 1}, {"ok": True}, False),
        ({"equals": True}, {"ok": "true"}, False),
        ({"equals": False}, {"ok": False}, True),
        ({"equals": False}, {"ok": 0}, False),
        ({"equals": False}, {"ok": None}, False),
        ({"equals": 0}, {"ok": False}, False),
        ({"equals": 190}, {"ok": 190}, True),
        ({"equals": 190}, {"ok": 190.0}, True),
        ({"equals": 190}, {"ok": "190"}, False),
        ({"equals": "190"}, {"ok": 190}, False),
        ({"equals": 1.5}, {"ok": 1.5}, True),
        ({"matches": "^gone"}, {"ok": "gone for good"}, True),
        ({"matches": "good"}, {"ok": "gone for good"}, True),
        ({"matches": "1"}, {"ok": 1}, False),
        ({"matches": "x"}, {}, False),
        ({"equals": "yes"}, {"ok": "yes"}, True),
        ({"equals": "yes"}, {}, False),
        ({"equals": "yes"}, None, False),
        ({"exists": True}, {"ok": None}, True),
        ({"exists": True}, {}, False),
        ({"exists": False}, {}, True),
        ({"absent": True}, {}, True),
        ({"absent": True}, {"ok": None}, False),
        ({"absent": False}, {"ok": None}, True),
        ({"not_null": True}, {"ok": None}, False),
        ({"not_null": True}, {"ok": 0}, True),
        ({"not_null": False}, {"ok": None}, True),
    ],
)
def test_a_predicate_compares_one_place(test, body, holds) -> None:
    assert Predicate.model_validate({"path": "ok", **test}).holds(body) is holds


@pytest.mark.parametrize(("path", "holds"), [("a.0.b", True), ("a.1.b", False), ("a.x.b", False), ("a.0.b.c", False)])
def test_a_path_steps_into_objects_and_lists(path, holds) -> None:
    assert Predicate(path=path, exists=True).holds({"a": [{"b": 1}]}) is holds


LISTED = {"errors": [{"code": 7}, {"code": None}, {}, "text", [{"code": 8}], {"code": 9}]}


@pytest.mark.parametrize(
    ("test", "body", "holds"),
    [
        ({"path": "errors.*.code", "equals": 9}, LISTED, True),
        ({"path": "errors.*.code", "equals": 8}, LISTED, False),
        ({"path": "errors.*.*.code", "equals": 8}, LISTED, True),
        ({"path": "errors.*", "equals": "text"}, LISTED, True),
        ({"path": "errors.*.code", "exists": True}, LISTED, True),
        ({"path": "errors.*.reason", "exists": True}, LISTED, False),
        ({"path": "errors.*.reason", "absent": True}, LISTED, True),
        ({"path": "errors.*.code", "absent": True}, LISTED, False),
        ({"path": "errors.*.code", "not_null": True}, LISTED, True),
        ({"path": "errors.*.code", "not_null": True}, {"errors": [{"code": None}]}, False),
        ({"path": "errors.*.code", "exists": True}, {"errors": []}, False),
        ({"path": "errors.*.code", "exists": True}, {"errors": {"code": 1}}, False),
        ({"path": "errors.*.code", "exists": True}, {"errors": {"*": {"code": 1}}}, True),
        ({"path": "errors.²", "exists": True}, LISTED, False),
        ({"path": "errors." + "9" * 5000, "exists": True}, LISTED, False),
    ],
)
def test_a_star_steps_into_every_member_of_a_list(test, body, holds) -> None:
    assert Predicate.model_validate(test).holds(body) is holds


@pytest.mark.parametrize("fields", [{}, {"equals": 1, "exists": True}])
def test_a_predicate_has_exactly_one_comparison(fields) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        Predicate.model_validate({"path": "ok", **fields})


@pytest.mark.parametrize(
    ("rule", "status", "body", "fits"),
    [
        ({"status": 401}, 401, None, True),
        ({"status": 401}, 403, None, False),
        ({"path": "error", "equals": "gone"}, 200, {"error": "gone"}, True),
        ({"path": "error", "equals": "gone"}, 200, {"error": "other"}, False),
        ({"path": "error", "equals": "gone"}, 200, None, False),
        ({"path": "error", "equals": "gone"}, 200, {"error": ["gone"]}, False),
        ({"status": 400, "path": "error", "equals": "gone"}, 200, {"error": "gone"}, False),
        ({"path": "error", "matches": r"\bE42\b"}, 200, {"error": "see E42."}, True),
        ({"path": "error", "matches": r"\bE42\b"}, 200, {"error": "see E421."}, False),
        ({"path": "error", "matches": "42"}, 200, {"error": 42}, False),
        ({"path": "error.code", "equals": 190}, 400, {"error": {"code": 190}}, True),
        ({"path": "error.code", "equals": 190}, 400, {"error": {"code": "190"}}, False),
        ({"path": "error.code", "equals": "190"}, 400, {"error": {"code": 190}}, False),
        ({"path": "fatal", "equals": True}, 400, {"fatal": True}, True),
        ({"path": "fatal", "equals": True}, 400, {"fatal": 1}, False),
        ({"path": "retry", "equals": False}, 400, {"retry": False}, True),
        ({"path": "retry", "equals": False}, 400, {}, False),
        ({"path": "codes.*", "equals": 50}, 400, {"codes": [16, 50]}, True),
        ({"path": "codes.*", "equals": 50}, 400, {"codes": 50}, False),
        ({"path": "errors.*.text", "matches": "gone"}, 400, {"errors": [{"text": 1}, {"text": "is gone"}]}, True),
        ({"status": 400, "path": "codes.*", "equals": 50}, 403, {"codes": [50]}, False),
        ({"status": 401, "for_methods": ["key", "oauth2"]}, 401, None, True),
        ({"status": 401, "for_methods": ["key"]}, 401, None, False),
        ({"path": "error", "equals": "gone", "for_methods": ["key"]}, 401, {"error": "gone"}, False),
    ],
)
def test_an_error_rule_fits_by_method_status_and_value(rule, status, body, fits) -> None:
    found = ErrorRule.model_validate({"at": "token", "class": "dead", **rule})
    assert found.fits(method_id="oauth2", status=status, body=body) is fits


@pytest.mark.parametrize(
    "fields", [{}, {"path": "error"}, {"path": "error", "equals": "a", "matches": "b"}, {"status": 400, "equals": "a"}]
)
def test_an_error_rule_says_when_it_fits(fields) -> None:
    with pytest.raises(ValidationError, match=r"give a status|exactly one of"):
        ErrorRule.model_validate({"at": "token", "class": "dead", **fields})
