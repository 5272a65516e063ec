"""The list of a person's installations: what is asked, and what is read from the answer."""

from __future__ import annotations

import json

import pytest

from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.provider import Listing
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.installation import MAX_LIST, build_page, find_installed, read_page

LISTING = Listing(url="https://api.example.com/mine", at="installations", account="account.id", label="account.login", permissions="may")
ENTRY = {"id": 41, "account": {"id": 410, "login": "octo-org"}, "may": {"contents": "read"}}


def page(body, status=200):
    return read_page(LISTING, HttpResponse(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://api.example.com/mine", "https://api.example.com/mine?page=2"),
        ("https://api.example.com/mine?n=1", "https://api.example.com/mine?n=1&page=2"),
    ],
)
def test_a_page_is_asked_for_with_the_persons_token(make_client, url, asked):
    listing = LISTING.model_copy(update={"url": url, "headers": {"X-Version": "1"}})
    request = build_page(make_client(), listing, token=Secret("fake-token"), page=2)
    assert (request.method, request.url, request.body, request.max_body) == ("GET", asked, b"", MAX_LIST)
    assert (request.headers["Authorization"], request.headers["X-Version"]) == ("Bearer fake-token", "1")


@pytest.mark.parametrize(
    "answer",
    [
        ({"installations": [ENTRY]}, 201),
        ({"installations": [ENTRY]}, 403),
        ([ENTRY], 200),
        ({"installations": {"0": ENTRY}}, 200),
        ({}, 200),
        (b"<html>", 200),
    ],
)
def test_what_is_no_list_is_no_list(answer):
    assert page(*answer) is None


def test_an_installation_is_found_by_its_whole_id():
    entries = page({"installations": [None, 41, {"id": True}, {"id": [41]}, {"id": "4"}, ENTRY]})
    found = find_installed(LISTING, entries, "41")
    assert (found.id, found.permissions) == ("41", ("contents:read",))
    assert found.account == AccountFacts(account_id="410", label="octo-org (installation 41)")
    assert [find_installed(LISTING, entries, other) for other in ("", "1", "410", "41.0", "True")] == [None] * 5


@pytest.mark.parametrize(
    ("entry", "account", "permissions"),
    [
        ({"id": 41}, AccountFacts(account_id=None, label="installation 41"), None),
        ({"id": 41, "may": ["all"]}, AccountFacts(account_id=None, label="installation 41"), None),
        (
            {"id": 41, "account": {"id": {}, "login": "\x07"}, "may": {"a b": "read"}},
            AccountFacts(account_id=None, label="installation 41"),
            (),
        ),
    ],
)
def test_what_is_missing_or_odd_is_left_unknown(entry, account, permissions):
    found = find_installed(LISTING, [entry], "41")
    assert (found.account, found.permissions) == (account, permissions)


def test_a_list_may_say_nothing_of_names_and_permissions():
    found = find_installed(Listing(url=LISTING.url, at="installations", account="account.id"), [ENTRY], "41")
    assert (found.account.label, found.permissions) == ("installation 41", None)
