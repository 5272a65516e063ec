"""The page on providers as data lists methods that are known and not offered."""

from __future__ import annotations

import re
from pathlib import Path

from cloud_integrations import Catalogue

PAGE = Path(__file__).parents[2] / "docs/explanation/providers-as-data.md"


def test_what_the_page_says_is_not_offered_is_not_offered_by_a_provider_that_is_there() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) == 9
    for provider, method in listed:
        assert Catalogue.builtin().require(provider).method_named(method) is None
