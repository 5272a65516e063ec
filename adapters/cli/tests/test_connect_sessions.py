"""Links to connect, on the command line."""

from __future__ import annotations

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")
ID = "01a20516-0ee1-7251-9dd0-36bc92ea1ee1"
AT = "https://app.example.com/connect"


def create(run, *more, at=AT):
    return run("connect-sessions", "create", *T, "--for", "ada", "--at", at, *more)


def test_a_link_is_printed_once_listed_without_its_token_and_revoked(run, home):
    made = create(
        run, "--provider", "simulated_keys", "--locale", "de", "--return-to", "/settings", "--origin", "https://app.example.com", *JSON
    )
    assert made.code == 0, made.err
    document = made.data()
    link = document.pop("link")
    assert link.startswith(f"{AT}/start?link=")
    assert (document["actor"], document["providers"], document["locale"]) == ({"type": "user", "id": "ada"}, ["simulated_keys"], "de")
    listed = run("connect-sessions", "list", *T, *JSON)
    assert listed.data() == [document]
    assert link.partition("=")[2] not in listed.out + run("connect-sessions", "list", *T).out
    (created,) = [each for each in run("audit", "list", *T, *JSON).data() if each["action"] == "connect_session.created"]
    assert (created["actor"]["type"], created["details"]["connects_as"]) == ("cli", "user:ada")
    assert run("connect-sessions", "revoke", document["id"], *T).code == 0
    assert run("connect-sessions", "revoke", document["id"], *T).code != 0
    assert "no connect sessions" in run("connect-sessions", "list", *T).err


def test_a_person_sees_the_link_and_how_long_it_works(run, home):
    made = create(run, at=f"{AT}/")
    assert made.out.startswith(f"{AT}/start?link=")
    assert "works once, until" in made.err
    again = create(run, at="http://127.0.0.1:8000/connect")
    assert again.out.startswith("http://127.0.0.1:8000/connect/start?link=")
    revoked = run("connect-sessions", "revoke", run("connect-sessions", "list", *T, *JSON).data()[0]["id"], *T, *JSON)
    assert '"success": true' in revoked.out


@pytest.mark.parametrize(
    "at", ["http://app.example.com/connect", "app.example.com", "https://", "https://a@b.example/", f"{AT}?a=b", f"{AT}#a", "https://[a"]
)
def test_pages_are_reached_by_https(run, home, at):
    refused = create(run, at=at)
    assert (refused.code, refused.out) == (2, "")
    assert "--at must be an https URL" in refused.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--locale", "fake_tag"), "--locale"),
        (("--return-to", "javascript:fake"), "the page to return to"),
        (("--origin", "https://fake.example/path"), "--origin"),
        (("--slot", "second"), "--slot"),
    ],
)
def test_what_makes_no_link_names_its_option(run, home, more, said):
    refused = create(run, *more)
    assert refused.code == 4, refused.err
    assert said in refused.err
    assert "fake" not in refused.err


def test_a_connect_session_that_is_not_there_is_not_found(run, home):
    refused = run("connect-sessions", "revoke", ID, *T)
    assert refused.code != 0
    assert "connect-sessions list" in refused.err
