from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.domain.outcome import Granted, Unknown
from cloud_integrations.domain.provider import Variable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import MAX_TOKEN_BODY, HttpResponse
from cloud_integrations.protocol.refresh import read_renewal
from cloud_integrations.protocol.token_answer import MAX_LIFETIME, ReadTokens, read_number, read_time, read_variable

from .conftest import HOUR, UNUSABLE


def test_a_plain_answer_is_a_grant(read, answer, tokens, now):
    outcome = read(answer(tokens(scope="read")))
    assert isinstance(outcome, Granted)
    grant = outcome.grant
    assert grant.access_token == Secret("fake-access")
    assert grant.refresh_token == Secret("fake-refresh")
    assert grant.expires_at == now + HOUR
    assert grant.scopes == ("read",)
    assert grant.refresh_expires_at is None
    assert grant.variables == {}


@pytest.mark.requirement("OAU-045", "OAU-080")
def test_a_grant_shows_no_token(read, answer, tokens):
    assert "fake" not in repr(read(answer(tokens())))


# Status and body; what can stand beside tokens is in `test_token_answer_shapes.py`


@pytest.mark.requirement("OAU-033")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_unknown_whatever_it_holds(read, renew, answer, tokens, status):
    # What came with it is kept all the same: the refresh token that was sent may be spent.
    outcome = renew(answer(tokens(), status=status))
    assert outcome.failure == Unknown("redirect")
    assert outcome.refresh_token == Secret("fake-refresh")
    assert read(answer(tokens(), status=status)).failure == Unknown("redirect")
    assert read(answer({"error": "invalid_grant"}, status=status)) == Unknown("redirect")


# Members


@pytest.mark.requirement("OAU-038", "OAU-047", "B05")
def test_an_access_token_may_have_16_kibibytes_and_is_not_parsed(read, answer, tokens):
    outcome = read(answer(tokens(access_token="a" * 16 * 1024)))
    assert outcome.grant.access_token == Secret("a" * 16 * 1024)
    assert read(answer(tokens(access_token="fake.not-a.jwt"))).grant.access_token == Secret("fake.not-a.jwt")


@pytest.mark.requirement("OAU-040", "Q27")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3600, 3600), ("3600", 3600), ("3599.5", 3599.5), (3599.5, 3599.5), (0, 0), ("0", 0), (3.6e3, 3600), (315_360_000, 315_360_000)],
    ids=repr,
)
def test_a_lifetime_is_a_number_or_the_text_of_one(read, answer, tokens, now, value, seconds):
    assert read(answer(tokens(expires_in=value))).grant.expires_at == now + timedelta(seconds=seconds)


@pytest.mark.requirement("OAU-040", "Q25", "Q26")
@pytest.mark.parametrize("value", [..., None], ids=repr)
@pytest.mark.parametrize(
    ("facts", "lifetime"),
    [
        ({}, None),
        ({"assumed_lifetime": 7200}, timedelta(hours=2)),
        ({"expires_in": "absent", "assumed_lifetime": 7200}, timedelta(hours=2)),
        ({"expires_in": "never"}, None),
        ({"expires_in": "never", "assumed_lifetime": 7200}, None),
    ],
)
def test_the_provider_says_what_a_missing_lifetime_means(read, answer, tokens, make_client, now, value, facts, lifetime):
    outcome = read(answer(tokens(expires_in=value)), client=make_client(access_token=facts))
    assert outcome.grant.expires_at == (lifetime and now + lifetime)


def test_a_lifetime_counts_even_where_tokens_usually_never_end(read, answer, tokens, make_client, now):
    assert read(answer(tokens()), client=make_client(access_token={"expires_in": "never"})).grant.expires_at == now + HOUR


@pytest.mark.requirement("OAU-040")
def test_a_lifetime_counts_from_the_sending_of_the_request(make_client, tokens, now):
    body = json.dumps(tokens()).encode()
    headers = {"content-type": "application/json"}
    sent = HttpResponse(status=200, headers=headers, body=body, sent_at=now - timedelta(seconds=9))
    unsent = HttpResponse(status=200, headers=headers, body=body)
    client = make_client()
    assert read_renewal(client, sent, now=now).grant.expires_at == now + HOUR - timedelta(seconds=9)
    assert read_renewal(client, unsent, now=now).grant.expires_at == now + HOUR


AT = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


@pytest.mark.requirement("Q27")
@pytest.mark.parametrize(
    ("facts", "reply", "members"),
    [
        ({"expiry_field": "expires_at", "expiry_encoding": "iso8601"}, {}, {"expires_at": "2026-11-22T13:30:00Z"}),
        ({"expiry_field": "expires_at", "expiry_encoding": "iso8601"}, {}, {"expires_at": "2026-11-22T15:30:00+02:00"}),
        ({"expiry_field": "life.end", "expiry_encoding": "epoch_s"}, {}, {"life": {"end": AT.timestamp()}}),
        ({"expiry_encoding": "epoch_ms"}, {}, {"expires_in": str(int(AT.timestamp()) * 1000)}),
        ({}, {"map": {"expires_in": "ttl"}, "encodings": {"expires_in": "epoch_s"}}, {"ttl": int(AT.timestamp())}),
        ({}, {"map": {"expires_in": "ttl"}}, {"ttl": 5400}),
        ({"assumed_lifetime": 5400}, {"encodings": {"expires_in": "iso8601"}}, {"expires_in": "20261122T13"}),
    ],
)
def test_lifetimes_are_read_in_the_providers_encoding(read, answer, tokens, make_client, facts, reply, members):
    client = make_client(access_token=facts, reply=reply)
    assert read(answer(tokens(**{"expires_in": ..., **members})), client=client).grant.expires_at == AT


@pytest.mark.requirement("Q27")
def test_members_are_found_under_the_providers_names(read, answer, make_client, now):
    names = {"access_token": "data.0.key", "refresh_token": "data.0.again", "token_type": "kind", "expires_in": "ttl"}
    client = make_client(reply={"map": names}, scopes={"reply_field": "data.0.scopes"})
    outcome = read(answer({"data": [{"key": "fake-a", "again": "fake-r", "scopes": ["x"]}], "kind": "bearer", "ttl": 3600}), client=client)
    assert outcome.grant.access_token == Secret("fake-a")
    assert outcome.grant.refresh_token == Secret("fake-r")
    assert outcome.grant.expires_at == now + HOUR
    assert outcome.grant.scopes == ("x",)


@pytest.mark.requirement("OAU-041", "Q10", "Q13")
@pytest.mark.parametrize(
    ("facts", "value", "scopes"),
    [
        ({}, "read write", ("read", "write")),
        ({}, " read  read ", ("read",)),
        ({}, "", ("asked", "for")),
        ({}, "  ", ("asked", "for")),
        ({}, [], ("asked", "for")),
        ({}, [""], ("asked", "for")),
        ({"separator": ","}, ", ,", ("asked", "for")),
        ({}, ["read", "write"], ("read", "write")),
        ({"separator": ","}, "read,write", ("read", "write")),
        ({"reply_separator": ","}, "read, write", ("read", "write")),
        ({}, ..., ("asked", "for")),
        ({}, None, ("asked", "for")),
    ],
    ids=repr,
)
def test_granted_scopes_are_those_of_the_answer_else_those_requested(read, answer, tokens, make_client, facts, value, scopes):
    client = make_client(scopes=facts)
    assert read(answer(tokens(scope=value)), client=client, requested_scopes=["asked", "for"]).grant.scopes == scopes


@pytest.mark.requirement("OAU-041")
@pytest.mark.parametrize("scope", [None, "", " ", [], [""]], ids=repr)
def test_a_silent_renewal_leaves_the_scopes_open(renew, answer, tokens, scope):
    assert renew(answer(tokens(scope=scope))).grant.scopes is None


@pytest.mark.requirement("OAU-042", "Q35")
@pytest.mark.parametrize("value", [..., None, ""], ids=repr)
def test_no_new_refresh_token_means_the_held_one(renew, answer, tokens, value):
    assert renew(answer(tokens(refresh_token=value))).grant.refresh_token is None


@pytest.mark.parametrize(
    ("value", "lifetime"), [(..., None), (None, None), (0, None), (86400, timedelta(days=1)), ("86400", timedelta(days=1))], ids=repr
)
def test_a_refresh_tokens_end_is_read_where_the_data_says(read, answer, tokens, make_client, now, value, lifetime):
    response = answer(tokens(refresh_token_expires_in=value))
    client = make_client(refresh_token={"lifetime_field": "refresh_token_expires_in"})
    assert read(response, client=client).grant.refresh_expires_at == (lifetime and now + lifetime)
    assert read(response).grant.refresh_expires_at is None


def test_a_refresh_tokens_end_has_an_encoding_of_its_own(read, answer, tokens, make_client):
    client = make_client(refresh_token={"lifetime_field": "refresh_ends"}, reply={"encodings": {"refresh_token_expires_in": "epoch_s"}})
    assert read(answer(tokens(refresh_ends=int(AT.timestamp()))), client=client).grant.refresh_expires_at == AT


@pytest.mark.requirement("OAU-043")
def test_unknown_members_are_left_behind(read, answer, tokens):
    outcome = read(answer(tokens(id_token="fake-id", whatever={"fake": 1}, host="x")))
    assert outcome.grant.variables == {}
    assert not hasattr(outcome.grant, "id_token")


@pytest.mark.requirement("OAU-046", "B04")
@pytest.mark.parametrize(
    "id_token",
    ["eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImFjY2VzcyI6ImFsbCJ9.", "not.a.token", "x" * 40_000, {"alg": "none"}, None, 7],
    ids=["unsigned", "garbage", "huge", "an-object", "null", "a-number"],
)
def test_an_id_token_proves_nothing_here(read, answer, tokens, id_token):
    # Whose account it is comes from the provider's own check, so no signature, algorithm or embedded key is ever trusted.
    plain, with_id_token = read(answer(tokens())), read(answer(tokens(id_token=id_token)))
    assert with_id_token == plain


VARIABLES = {
    "variables": [
        {"name": "instance", "source": "token_reply", "pattern": r"[a-z0-9]+\.example\.com"},
        {"name": "shard", "source": "token_reply", "pattern": "[0-9]+", "required": False},
        {"name": "host", "pattern": "[a-z]+", "required": False},
    ]
}


@pytest.mark.requirement("OAU-043", "Q04")
def test_variables_are_kept_where_the_data_names_them(read, answer, tokens, make_client):
    client = make_client(provider=VARIABLES, reply={"map": {"instance": "api.host"}})
    outcome = read(answer(tokens(api={"host": "eu1.example.com"}, shard=7, host="evil")), client=client)
    assert outcome.grant.variables == {"instance": "eu1.example.com", "shard": "7"}


@pytest.mark.requirement("Q04", "Q68")
@pytest.mark.parametrize(
    "value", ["evil.example", "eu1.example.com\n", "eu1.example.com@evil.example", "", True, 1.5, [], {}, "\ud800"], ids=repr
)
def test_a_variable_that_breaks_its_pattern_is_not_taken(read, renew, answer, tokens, make_client, value):
    client = make_client(provider=VARIABLES)
    # Without it nobody knows where a new grant is to be used; a renewed one is used where the old one was.
    assert read(answer(tokens(instance=value)), client=client).failure == UNUSABLE
    renewed = renew(answer(tokens(instance=value)), client=client)
    assert (renewed.grant.variables, renewed.unread) == ({}, ("variables",))


def test_two_variables_that_cannot_be_read_are_named_in_one_word(renew, answer, tokens, make_client):
    assert renew(answer(tokens(instance=[], shard="x")), client=make_client(provider=VARIABLES)).unread == ("variables",)


@pytest.mark.requirement("Q04")
def test_a_needed_variable_must_come_with_the_grant_and_may_be_missing_later(read, renew, answer, tokens, make_client):
    client = make_client(provider=VARIABLES)
    assert read(answer(tokens()), client=client).failure == UNUSABLE
    assert renew(answer(tokens()), client=client).grant.variables == {}


@pytest.mark.requirement("Q04")
def test_variables_that_an_answer_does_not_give_stand_anywhere_and_one_that_shows_a_token_is_not_taken(read, answer, tokens, make_client):
    shown = {
        "variables": [{"name": "host", "pattern": "[a-z]+", "required": False}, {"name": "team", "source": "token_reply", "pattern": ".+"}]
    }
    client = make_client(provider=shown)
    assert read(answer(tokens(team="T1")), client=client).grant.variables == {"team": "T1"}
    for team in ("fake-access", "fake-refresh"):
        assert read(answer(tokens(team=team)), client=client).failure == UNUSABLE


@pytest.mark.parametrize(
    ("token", "text", "shows"),
    [
        ("a" * 16, "a" * 16, True),
        ("a" * 16, f"x{'a' * 16}x", True),
        ("a" * 16, "a" * 15, False),
        ("a" * 15, f"x{'a' * 15}x", False),
        ("a" * 15, "a" * 15, True),
        ("a" * 16, "other", False),
    ],
)
def test_a_long_token_is_found_inside_of_a_text_and_a_short_one_as_the_whole(token, text, shows):
    assert ReadTokens(access=Secret(token), refresh=None).show_in(text) is shows
    assert ReadTokens(access=None, refresh=Secret(token)).show_in(text) is shows


@pytest.mark.requirement("OAU-039")
@pytest.mark.parametrize(("token_type", "taken"), [("Bearer", True), ("MAC", True), ("other", False)])
def test_bearer_is_known_beside_the_types_of_the_providers_data(read, answer, tokens, make_client, token_type, taken):
    outcome = read(answer(tokens(token_type=token_type)), client=make_client(reply={"token_types": ["mac"]}))
    assert isinstance(outcome, Granted) is taken


@pytest.mark.parametrize(("token_type", "taken"), [("DPoP", True), (" dpop ", True), ("Bearer", False)])
def test_tokens_that_are_bound_to_a_key_are_taken_as_such_only(read, answer, tokens, make_client, token_type, taken):
    assert isinstance(read(answer(tokens(token_type=token_type)), client=make_client(present={"sign": "dpop"})), Granted) is taken


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "names", "scopes"),
    [
        (b"access_token=fake%2Baccess&token_type=bearer&scope=a+b", {}, ("a", "b")),
        (b"access_token=fake+access&token_type=bearer&scope=a+b", {}, ("a", "b")),
        (b"key=fake+access&token_type=bearer&scope=a+b", {"access_token": "key"}, ("a", "b")),
        (b"X note=some words&access_token=fake+access&token_type=bearer", {}, ("read", "write")),
        (b"%ff=%ff&scope=%ff&access_token=fake+access&token_type=bearer", {}, ("read", "write")),
    ],
)
def test_in_a_form_a_plus_is_a_space_but_in_a_token(read, answer, make_client, body, names, scopes):
    grant = read(answer(body, content_type=FORM), client=make_client(reply={"map": names})).grant
    assert (grant.access_token, grant.scopes) == (Secret("fake+access"), scopes)


def test_a_form_has_the_limit_of_every_answer_and_its_own_charset(read, answer):
    start = b"access_token=fake-access==&token_type=bearer&filler="
    longest = start + b"x" * (MAX_TOKEN_BODY - len(start))
    assert read(answer(longest, content_type=FORM)).grant.access_token == Secret("fake-access==")
    assert read(answer(longest + b"x", content_type=FORM)) == UNUSABLE
    declared = read(answer("access_token=fake-access&token_type=bearer".encode("utf-16-le"), content_type=f"{FORM}; charset=utf-16-le"))
    assert declared.grant.access_token == Secret("fake-access")


@pytest.mark.requirement("OAU-040")
def test_the_longest_lifetime_is_ten_years_and_a_day_of_no_zone_begins_in_utc():
    def at(value, encoding="seconds"):
        return read_time(value, encoding, sent_at=AT)

    assert at(MAX_LIFETIME.total_seconds()) == AT + MAX_LIFETIME
    assert at(MAX_LIFETIME.total_seconds() + 1) is None
    assert at("2026-12-01", "iso8601") == datetime(2026, 12, 1, tzinfo=UTC)
    assert at("20261201T13", "iso8601") is None
    assert at("2026-12-01T02:00:00+02:00", "iso8601").tzinfo is UTC


@pytest.mark.parametrize("value", [float("inf"), float("nan"), True, None, "inf", [1]], ids=repr)
def test_what_is_no_number_is_not_read_as_one(value):
    with pytest.raises(TypeError):
        read_number(value)


@pytest.mark.parametrize(("value", "text"), [("7", "7"), (7, "7"), (True, None), (["7"], None), (7.5, None)], ids=repr)
def test_a_variable_is_text_or_a_whole_number(value, text):
    assert read_variable(Variable(name="shard", source="token_reply", pattern=".+"), value) == text


# Failures


@pytest.mark.requirement("OAU-040")
@pytest.mark.parametrize("value", [0, "0", 0.0], ids=["number", "text", "float"])
def test_data_that_says_a_token_never_ends_wins_over_a_lifetime_of_0(read, answer, tokens, make_client, now, value):
    never = make_client(access_token={"expires_in": "never"})
    assert read(answer(tokens(expires_in=value)), client=never).grant.expires_at is None
    assert read(answer(tokens(expires_in=60)), client=never).grant.expires_at == now + timedelta(seconds=60)
    assert read(answer(tokens(expires_in=value))).grant.expires_at == now
