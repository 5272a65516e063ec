"""Providers are found on the command line by what a person types."""

from __future__ import annotations

from typing import Any

import pytest

JSON = ("--output", "json")


def _slugs(run: Any, *options: str) -> list[str]:
    ran = run("providers", "list", *options, "--fields", "slug", *JSON)
    assert ran.code == 0, ran.err
    return [each["slug"] for each in ran.data()]


def test_providers_are_searched_the_best_first(run: Any, home: Any) -> None:
    assert _slugs(run, "--search", "akamai cloud")[0] == "linode"
    assert _slugs(run, "--search", "cloudfalre") == ["cloudflare"]
    assert {"neon", "planetscale"} <= set(_slugs(run, "--search", "postgresql", "--category", "database"))
    assert _slugs(run, "--search", "postgresql", "--category", "payments") == []
    assert "stripe" in _slugs(run, "--category", "payments")
    assert "github" not in _slugs(run, "--category", "payments")


def test_nothing_found_and_a_wrong_category_say_so(run: Any, home: Any) -> None:
    ran = run("providers", "list", "--search", "qqqqqq")
    assert (ran.code, "no provider fits" in ran.out + ran.err) == (0, True)
    ran = run("providers", "list", "--category", "clouds")
    assert ran.code == 4
    assert "cloud, paas, database" in ran.err


def test_a_provider_is_shown_with_what_it_is(run: Any, home: Any) -> None:
    shown = run("providers", "show", "linode").out
    assert "Akamai Cloud" in shown
    assert "Kubernetes clusters" in shown


@pytest.mark.requirement("Q56")
def test_a_provider_shows_which_variables_the_key_tells(run: Any, home: Any) -> None:
    assert "not needed where token tells it" in " ".join(run("providers", "show", "grafana_cloud").out.split())
    shown = run("providers", "show", "grafana_cloud", *JSON).data()
    assert [(each["name"], each["required"], each["toldBy"]) for each in shown["variables"]] == [("region", False, ["token"])]
