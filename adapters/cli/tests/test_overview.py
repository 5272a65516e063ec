"""`overview` shows operators all tenants."""

from __future__ import annotations

import pytest

JSON = ("-o", "json")
KEYS = ("integrations", "add", "simulated_keys")


@pytest.fixture
def several(run, home, key_file):
    """Integrations of three tenants, by tenant; the third is disabled, and the second ends."""
    ids = {}
    for tenant, more in (("acme", ()), ("globex", ("--ends-at", "2099-01-31")), ("initech", ())):
        ids[tenant] = run(*KEYS, "-t", tenant, "--api-key-file", key_file, *more, *JSON).data()["id"]
    assert run("integrations", "disable", ids["initech"], "-t", "initech").code == 0
    assert run("token", "simulated_keys", "-t", "acme").code == 0
    return ids


def search(run, *words):
    return run("overview", "search", *words, *JSON).data()


def test_the_report_says_what_works(run, several):
    shown = run("overview", "report").out
    lines = dict(line.split("  ", 1) for line in shown.splitlines())
    facts = {name.strip(): value.strip() for name, value in lines.items()}
    assert (facts["Integrations"], facts["Ok"], facts["Disabled"], facts["Freezes"]) == ("3", "2", "1", "0")
    document = run("overview", "report", *JSON).data()
    assert (document["byHealth"]["ok"], document["integrations"], document["work"]["due"]["count"]) == (2, 3, 0)


def test_integrations_of_all_tenants_are_found_by_what_is_named(run, several):
    for words, tenants in (
        ((), {"acme", "globex", "initech"}),
        (("--tenant", "acme"), {"acme"}),
        (("--provider", "simulated_keys", "--health", "disabled"), {"initech"}),
        (("--ends-before", "2100-01-01"), {"globex"}),
        (("--unused-since", "2020-01-01"), set()),
        (("--unused-since", "2100-01-01", "--key-version", "1"), {"acme", "globex", "initech"}),
        (("--provider", "simulated"), set()),
    ):
        found = search(run, *words)
        assert ({each["tenantId"] for each in found["integrations"]}, found["after"]) == (tenants, None), words
        assert run("overview", "count", *words, *JSON).data() == {"number": len(tenants), "atLeast": False}
    by_tenant = {each["tenantId"]: each for each in search(run)["integrations"]}
    assert by_tenant["acme"]["lastUsedAt"] is not None
    assert by_tenant["globex"]["lastUsedAt"] is None
    assert (by_tenant["globex"]["endsAt"], by_tenant["globex"]["provider"]) == ("2099-01-31T00:00:00Z", "simulated_keys")


def test_a_renewal_is_shown(run, several):
    shown = run("overview", "renewal", "simulated_keys", "-t", "acme")
    assert (shown.code, shown.err) == (0, "")
    facts = {words[0]: words[-1] for words in (line.split() for line in shown.out.splitlines())}
    assert (facts["Generation"], facts["Phase"], facts["Lease"]) == ("1", "idle", "0")
    document = run("overview", "renewal", several["globex"], "-t", "globex", *JSON).data()
    assert (document["integrationId"], document["rule"], document["leasedUntil"]) == (several["globex"], "keep", None)
    assert "circuit" not in document
    assert run("overview", "renewal", several["globex"], "-t", "acme").code == 3


def test_a_search_says_how_it_goes_on(run, several):
    first = search(run, "--limit", "2")
    rest = search(run, "--limit", "2", "--after", first["after"])
    assert {each["id"] for each in first["integrations"] + rest["integrations"]} == set(several.values())
    assert rest["after"] is None
    assert f"--after {first['after']}" in run("overview", "search", "--limit", "2").err
    wrong = run("overview", "search", "--after", "fake")
    assert (wrong.code, "--after must be what an earlier page" in wrong.err) == (4, True), wrong.err
    assert run("overview", "search", "--health", "fine").code == 2


def test_history_ends_and_errors_are_shown(run, several):
    assert len(run("overview", "history", "--hours", "3", *JSON).data()) == 3
    assert run("overview", "history", "--hours", "1").out.splitlines()[0].split() == ["Hour", "Renewed", "Failed"]
    assert run("overview", "history", "--by-provider", *JSON).data() == []
    assert "no renewal in this time" in run("overview", "history", "--by-provider").err
    wrong = run("overview", "history", "--by-provider", "--provider", "simulated")
    assert (wrong.code, "not both" in wrong.err) == (2, True), wrong.err
    assert len(run("overview", "ends", "--days", "5", *JSON).data()) == 5
    assert "nothing ends in this time" in run("overview", "ends", "--days", "5").err
    assert run("overview", "errors", "simulated_keys", *JSON).data() == {"errors": [], "atLeast": False}
    assert "none has failed" in run("overview", "errors", "simulated_keys").err
