"""Sessions of agents, on the command line."""

from __future__ import annotations

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")
ID = "01a20516-0ee1-7251-9dd0-36bc92ea1ee1"


@pytest.fixture
def connected(run, home, provider):
    added = run("integrations", "add", "simulated_keys", *T, "--api-key-stdin", given=provider.valid_api_key.reveal())
    assert added.code == 0, added.err


def begin(run, *more):
    return run("sessions", "open", *T, "--agent", "bot", "--on-behalf-of", "ada", "--provider", "simulated_keys", *more)


def test_a_session_is_opened_listed_and_revoked(run, connected):
    opened = begin(run, "--host", "api.example", "--host", "simulated_keys=*.example.com", "--ttl", "600", *JSON)
    assert opened.code == 0, opened.err
    document = opened.data()
    assert (document["agent"], document["onBehalfOf"]) == ({"type": "agent", "id": "bot"}, {"type": "user", "id": "ada"})
    assert [(access["name"], access["hosts"]) for access in document["access"]] == [("simulated_keys", ["api.example", "*.example.com"])]
    assert (document["methods"], document["revokedAt"], document["needsApproval"]) == (["GET", "HEAD"], None, False)
    assert run("sessions", "list", *T, *JSON).data() == [document]
    assert "bot" in run("sessions", "list", *T).out
    revoked = run("sessions", "revoke", document["id"], *T, *JSON)
    assert revoked.data()["revokedAt"] is not None
    assert "revoked" in run("sessions", "revoke", document["id"], *T).err
    begun = next(each for each in run("audit", "list", *T, *JSON).data() if each["action"] == "session.opened")
    assert begun["actor"] == {"type": "agent", "id": "bot"}
    assert begun["details"]["opened_by"].startswith("cli:")


def test_the_answer_for_a_person_and_for_a_script_is_the_id(run, connected):
    opened = begin(run, "--host", "api.example", "--http-method", "POST")
    assert opened.code == 0, opened.err
    assert opened.out.strip() == run("sessions", "list", *T, *JSON).data()[0]["id"]
    assert "POST to api.example, until" in opened.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--host", "https://fake.example"), "--host"),
        ((), "--host"),
        (("--host", "api.example", "--http-method", "CONNECT"), "--http-method"),
        (("--host", "api.example", "--ttl", "86401"), "--ttl"),
        (("--host", "api.example", "--on-behalf-of", ""), "--on-behalf-of"),
        (("--host", "other=api.example"), "--host"),
    ],
)
def test_what_makes_no_session_names_its_option(run, connected, more, said):
    refused = begin(run, *more)
    assert refused.code == 4, refused.err
    assert said in refused.err
    assert "fake.example" not in refused.err


def test_hosts_name_their_provider_where_there_are_several(run, connected):
    refused = begin(run, "--provider", "simulated", "--host", "api.example")
    assert refused.code == 2
    assert "PROVIDER=HOST" in refused.err


def test_a_session_that_is_not_there_is_not_found(run, home):
    refused = run("sessions", "revoke", ID, *T)
    assert refused.code == 3
    assert "sessions list" in refused.err
    assert "no sessions" in run("sessions", "list", *T).err
