"""What an operator gives to setup guides: permissions that are never empty, and https addresses."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_integrations.domain.guides.policies import read_policies, read_template_urls
from cloud_integrations.errors import ValidationFailedError

pytestmark = pytest.mark.requirement("Q73")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"aws": {}}, "policies.aws"),
        ({"aws": None}, "policies.aws"),
        ({"aws": "*"}, "policies.aws"),
        ({"aws": {"Statement": []}}, "policies.aws.Statement"),
        ({"aws": {"role": ""}}, "policies.aws.role"),
        ({"aws": {"x": {1, 2}}}, "policies.aws"),
        ({"aws": {"x": float("nan")}}, "policies.aws"),
        ({"aws": {1: "x"}}, "policies.aws"),
        ({"aws": {"x": "a\u202eb"}}, "policies.aws"),
        ({1: {"x": "y"}}, "policies"),
        ("aws", "policies"),
    ],
)
def test_permissions_that_are_empty_or_no_json_are_refused(value: Any, field: str) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        read_policies("policies", value)
    assert refused.value.field == field


def test_permissions_are_copied_and_bounded() -> None:
    document: dict[str, Any] = {"a": [1, 2.5, True, None, ("x",), {"b": "c\n"}]}
    read = read_policies("policies", {"aws": document})
    document["a"].append("later")
    assert read == {"aws": {"a": [1, 2.5, True, None, ["x"], {"b": "c\n"}]}}
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    for too_much in (deep, ["x"] * 6_000):
        with pytest.raises(ValidationFailedError, match="must have at most"):
            read_policies("policies", {"aws": {"a": too_much}})


@pytest.mark.parametrize("url", ["http://a.example", "https://", "https://u@a.example", "https://a.example:0", "https://[", "x y", 5])
def test_the_address_of_a_template_is_https(url: Any) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        read_template_urls("template_urls", {"aws": url})
    assert refused.value.field == "template_urls.aws"
    assert read_template_urls("template_urls", {"aws": "https://a.example/t.json"}) == {"aws": "https://a.example/t.json"}
