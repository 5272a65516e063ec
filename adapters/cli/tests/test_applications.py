"""OAuth applications that tenants registered themselves, on the command line."""

from __future__ import annotations

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")
SECRET = "fake-client-secret-of-acme"


def save(run, *more, given=f"{SECRET}\n"):
    return run("applications", "save", "simulated", *T, "--client-id", "fake-client-of-acme", *more, given=given)


def test_an_application_is_saved_listed_and_removed(run, home):
    saved = save(run, "--client-secret-stdin", "--scope", "read", *JSON)
    assert saved.code == 0, saved.err
    document = saved.data()
    assert (document["clientId"], document["secrets"], document["scopes"]) == ("fake-client-of-acme", 1, ["read"])
    assert document["redirectUri"].endswith(document["id"])
    assert run("applications", "list", *T, *JSON).data() == [document]
    begun = run("applications", "list", *T)
    assert "fake-client-of-acme" in begun.out
    assert SECRET not in saved.out + saved.err + begun.out
    assert run("applications", "remove", document["id"], *T, "--yes", *JSON).code == 0
    again = run("applications", "remove", document["id"], *T, "--yes")
    assert again.code == 3
    assert "applications list" in again.err
    assert "no applications" in run("applications", "list", *T).err


def test_a_person_reads_what_to_do_next(run, home):
    saved = save(run, "--client-secret-stdin")
    assert saved.code == 0
    assert "Redirect URI" in saved.out
    assert "register the redirect URI at the provider" in saved.err


def test_secrets_come_from_files_and_not_from_two_places(run, home, tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).write_text(f"{SECRET}-{name}\n")
    files = ("--client-secret-file", str(tmp_path / "new"), "--client-secret-file", str(tmp_path / "old"))
    assert save(run, *files, *JSON).data()["secrets"] == 2
    for pair in ((*files, "--public"), ("--client-secret-stdin", "--public"), (*files, "--client-secret-stdin")):
        refused = save(run, *pair)
        assert refused.code == 2
        assert "exclude each other" in refused.err
    missing = save(run, "--client-secret-file", str(tmp_path / "none"))
    assert missing.code == 2
    assert "--client-secret-file cannot be read" in missing.err


@pytest.mark.parametrize("more", [("--public",), ("--client-secret-stdin", "--scope", "a b"), ("--client-secret-stdin", "--method", "x")])
def test_what_does_not_fit_is_refused(run, home, more):
    refused = save(run, *more)
    assert refused.code == 4, refused.err
    assert SECRET not in refused.err
