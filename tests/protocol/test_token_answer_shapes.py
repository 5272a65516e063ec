"""What is kept of a token endpoint's answer, what stays unknown, and what is refused: one table, to be read by eye."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import pytest

from cloud_integrations.domain.outcome import Granted, Unusable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.exchange import read_grant
from cloud_integrations.protocol.http import MAX_TOKEN_BODY, HttpResponse
from cloud_integrations.protocol.refresh import read_renewal

ACCESS, REFRESH = "fake-access", "fake-refresh"
BOTH = "access refresh"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
USUAL = {"access_token": ACCESS, "token_type": "Bearer", "expires_in": 3600, "refresh_token": REFRESH}
FACTS = {
    "provider": {
        "variables": [
            {"name": "instance", "source": "token_reply", "pattern": r"[a-z0-9]+\.example\.com", "required": False},
        ]
    },
    "refresh_token": {"lifetime_field": "refresh_expires_in"},
}


class Row(NamedTuple):
    """One answer.  `unknown` names the members that are left open; `refused` says why no access token is used."""

    shape: str
    body: bytes
    kept: str = BOTH
    unknown: str = ""
    refused: str = ""
    lives: float | None = 3600
    """Seconds; 300 where it is unknown."""
    back: str = ""
    """What an exchange gives back."""
    status: int = 200
    content_type: str | None = JSON
    facts: Mapping = MappingProxyType({})


def usual(**members):
    """The usual members with some changed; `...` takes one away."""
    return json.dumps({name: value for name, value in {**USUAL, **members}.items() if value is not ...}).encode()


def beside(raw):
    """The usual members with *raw* JSON members after them."""
    return usual()[:-1] + b", " + raw + b"}"


def instead(name, raw):
    """The usual members, one of them replaced by *raw* JSON."""
    return usual(**{name: "@@"}).replace(b'"@@"', raw)


GOOD_FORM = f"access_token={ACCESS}&token_type=bearer&expires_in=3600&refresh_token={REFRESH}".encode()
TEXT = usual().decode()

ROWS = [
    Row("as the RFC has it", usual()),
    # The status and the content type
    *[Row(f"status {status}", usual(), status=status) for status in (201, 202, 203, 204, 206, 226, 299)],
    Row("no content type", usual(), content_type=None),
    *[
        Row(f"content type {content_type!r}", usual(), content_type=content_type)
        for content_type in (
            "",
            "json",
            "text/json",
            "text/plain",
            "text/plain; charset=utf-8",
            "text/html",
            "text/html; charset=UTF-8",
            "text/javascript",
            "application/javascript",
            "application/octet-stream",
            "application/problem+json",
            "application/vnd.example+json",
            FORM,
            "application/json,application/json",
            "application/json; charset",
            "application/json; charset=nonsense",
            "application/json; charset=rot13",
            "multipart/form-data; boundary=x",
        )
    ],
    Row("a form", GOOD_FORM, content_type=FORM),
    Row("a form called JSON", GOOD_FORM),
    Row("a form called text", GOOD_FORM, content_type="text/plain"),
    Row("a form called a page", GOOD_FORM, content_type="text/html; charset=utf-8"),
    Row("a form without a type", GOOD_FORM, content_type=None),
    Row("a form with a line break after it", GOOD_FORM + b"\r\n", content_type=None),
    Row("a form with spaces in a foreign field", GOOD_FORM + b"&note=two words", content_type=FORM),
    Row("a form with odd foreign fields", GOOD_FORM + b"&&x&=y&z=%zz&q=%ff", content_type=FORM),
    Row("a form with a foreign field twice", GOOD_FORM + b"&x=1&x=2", content_type=FORM),
    Row("a form with a thousand foreign fields", GOOD_FORM + b"".join(b"&x%d=1" % n for n in range(1000)), content_type=FORM),
    Row(
        "a form whose token came twice",
        GOOD_FORM + b"&access_token=fake-x",
        "refresh",
        refused="unusable_body",
        content_type=FORM,
        back="refresh",
    ),
    Row("a form whose token came twice and is the same", GOOD_FORM + f"&access_token={ACCESS}".encode(), content_type=FORM),
    # How the text is written
    Row("UTF-8 with its mark", b"\xef\xbb\xbf" + usual()),
    Row("UTF-8 with its mark, twice", b"\xef\xbb\xbf" * 2 + usual()),
    Row("UTF-16 with its mark", TEXT.encode("utf-16")),
    Row("UTF-16, big end first, with its mark", b"\xfe\xff" + TEXT.encode("utf-16-be")),
    Row("UTF-32 with its mark", TEXT.encode("utf-32")),
    Row("UTF-16 as declared", TEXT.encode("utf-16-le"), content_type="application/json; charset=UTF-16LE"),
    Row("Latin-1 as declared", usual()[:-1] + b', "name": "Ren\xe9"}', content_type='application/json; charset="ISO-8859-1"'),
    Row("Latin-1, not declared", usual()[:-1] + b', "name": "Ren\xe9"}'),
    Row("Latin-1, declared as UTF-8", usual()[:-1] + b', "name": "Ren\xe9"}', content_type="application/json; charset=utf-8"),
    Row("Latin-1, declared as ASCII", usual()[:-1] + b', "name": "Ren\xe9"}', content_type="application/json; charset=us-ascii"),
    Row("a UTF-16 mark before UTF-8 of odd length", b"\xff\xfe" + usual(x=""), "", refused="unusable_body"),
    Row("white space around it", b"\r\n\t " + usual() + b"\n\n"),
    Row("a zero byte after it", usual() + b"\0"),
    Row("raw line break in a foreign text", beside(b'"note": "two\nlines"')),
    Row("indented", json.dumps(USUAL, indent=2).encode()),
    # Foreign members
    Row("a foreign member twice", beside(b'"site": "a", "site": "b"')),
    Row("a foreign member twice, deep inside", beside(b'"x": {"y": [{"z": 1, "z": 2}]}')),
    *[Row(f"a foreign {value}", beside(b'"score": ' + value.encode())) for value in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 5000)],
    Row("a foreign member 60 levels deep", beside(b'"x": ' + b"[" * 60 + b"]" * 60)),
    Row("a foreign member 65 levels deep", beside(b'"x": ' + b"[" * 65 + b"]" * 65), "", refused="unusable_body"),
    Row("an id_token of 70 KB", usual(id_token="x" * 70_000)),
    Row("an id_token of 200 KB", usual(id_token="x" * 200_000)),
    Row("a body past 256 KiB", usual(id_token="x" * MAX_TOKEN_BODY), "", refused="unusable_body"),
    Row("a form past 256 KiB", GOOD_FORM + b"&x=" + b"x" * MAX_TOKEN_BODY, "", refused="unusable_body"),
    Row("an empty name", beside(b'"": ""')),
    *[Row(f"error {error!r}", usual(error=error)) for error in (None, "", False, 0, [], {})],
    # The lifetime
    *[
        Row(f"expires_in {value!r}", usual(expires_in=value))
        for value in ("3600", 3600.0, "3600.0", " 3600 ", "3600s", "3600 Seconds", "3600 sec")
    ],
    Row("expires_in missing", usual(expires_in=...), lives=None),
    Row("expires_in null", usual(expires_in=None), lives=None),
    Row("expires_in 0", usual(expires_in=0), lives=0),
    Row(
        "expires_in missing, and the data assumes two hours",
        usual(expires_in=...),
        lives=7200,
        facts={"access_token": {"assumed_lifetime": 7200}},
    ),
    *[
        Row(f"expires_in {value!r:.24}", usual(expires_in=value), unknown="expires_in", lives=300)
        for value in (
            "",
            " ",
            -1,
            "-1",
            -0.5,
            "never",
            "soon",
            "1e3",
            "1h",
            "0x10",
            "3,600",
            [],
            [3600],
            {},
            {"value": 3600},
            True,
            False,
            "true",
            1_893_456_000,
            "1893456000",
            1_893_456_000_000,
            10**400,
            "9" * 40,
            "2026-11-22T13:00:00Z",
            "\ud800",
            "٣٦٠٠",
        )
    ],
    *[
        Row(f"expires_in {raw}", instead("expires_in", raw.encode()), unknown="expires_in", lives=300)
        for raw in ("NaN", "1e999", "1" * 5000)
    ],
    Row("expires_in twice", beside(b'"expires_in": 60'), unknown="expires_in", lives=300),
    Row(
        "expires_in unreadable, and the data assumes two hours",
        usual(expires_in="soon"),
        unknown="expires_in",
        lives=7200,
        facts={"access_token": {"assumed_lifetime": 7200}},
    ),
    Row("expires_in 0 where tokens never end", usual(expires_in=0), lives=None, facts={"access_token": {"expires_in": "never"}}),
    Row("expires_in '0' where tokens never end", usual(expires_in="0"), lives=None, facts={"access_token": {"expires_in": "never"}}),
    Row(
        "expires_in unreadable where tokens never end",
        usual(expires_in=-1),
        unknown="expires_in",
        lives=None,
        facts={"access_token": {"expires_in": "never"}},
    ),
    *[
        Row(
            f"expires_at {value!r}",
            usual(expires_at=value),
            unknown="expires_in",
            lives=300,
            facts={"access_token": {"expiry_field": "expires_at", "expiry_encoding": "iso8601"}},
        )
        for value in ("2026-11-22T13:30:00", "2026-11-22T11:59:59Z", "2037-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "x", "", 5)
    ],
    # The refresh token's lifetime
    *[
        Row(f"refresh_expires_in {value!r:.24}", usual(refresh_expires_in=value), unknown="refresh_token_expires_in")
        for value in ("", -1, "-1", "never", [], {}, True, 1_893_456_000, "1893456000000", "9" * 40, "2027-01-01")
    ],
    Row("refresh_expires_in 0", usual(refresh_expires_in=0)),
    Row("refresh_expires_in NaN", beside(b'"refresh_expires_in": NaN'), unknown="refresh_token_expires_in"),
    # The scopes
    *[
        Row(f"scope {value!r}", usual(scope=value), unknown="scope")
        for value in (
            1,
            True,
            {},
            {"read": True},
            [1],
            [{"name": "read"}],
            [["read"]],
            ["a b"],
            "lire \xe9crire",
            'read "x"',
            "r\\w",
            "\ud800",
            "a\x00b",
        )
    ],
    Row("scope that is the token", usual(scope=f"read {ACCESS}"), unknown="scope"),
    Row("scope that holds a long token", usual(access_token=ACCESS * 2, scope=["read", f"at:{ACCESS * 2}"]), unknown="scope"),
    Row("scope twice", beside(b'"scope": "a", "scope": "b"'), unknown="scope"),
    *[Row(f"scope empty: {value!r}", usual(scope=value)) for value in ("", " ", [], [""])],
    Row("scope as a list", usual(scope=["read", "write"])),
    # The type
    *[Row(f"token_type {value!r}", usual(token_type=value)) for value in ("bearer", "BEARER", " Bearer ", "bEARER\n")],
    *[
        Row(f"token_type {value!r}", usual(token_type=value), unknown="token_type")
        for value in (..., None, "", " ", 1, ["bearer"], {}, True)
    ],
    Row("token_type twice", beside(b'"token_type": "mac"'), unknown="token_type"),
    *[
        Row(f"token_type {value!r}", usual(token_type=value), "refresh", refused="unusable_body", back=BOTH)
        for value in ("DPoP", "dpop", "mac", "HoK", "pop", "N_A", "example", "Bearer token")
    ],
    Row("a type of the provider's own", usual(token_type="BOT"), facts={"reply": {"token_types": ["bot"]}}),
    # Variables
    *[
        Row(f"instance {value!r}", usual(instance=value), unknown="variables")
        for value in ("evil.example", "", True, 1.5, [], {}, "a.example.com\n")
    ],
    Row("instance as it should be", usual(instance="eu1.example.com")),
    # The tokens
    Row("an access token of 17 KB", usual(access_token=ACCESS + "a" * 17_000)),
    Row("a refresh token of 17 KB", usual(refresh_token=REFRESH + "a" * 17_000)),
    Row(
        "both tokens of 32 KiB",
        usual(access_token=ACCESS + "a" * (32 * 1024 - len(ACCESS)), refresh_token=REFRESH + "a" * (32 * 1024 - len(REFRESH))),
    ),
    *[Row(f"refresh_token {value!r}", usual(refresh_token=value), "access") for value in (..., None, "")],
    *[
        Row(f"refresh_token {value!r:.24}", usual(refresh_token=value), "access", unknown="refresh_token")
        for value in (1, True, [], {}, ["fake"], "fake token", "fake\n", "f\xe4ke", "a" * (32 * 1024 + 1))
    ],
    Row("refresh_token twice", beside(b'"refresh_token": "fake-x"'), "access", unknown="refresh_token"),
    *[
        Row(f"access_token {value!r:.24}", usual(access_token=value), "refresh", refused="unusable_body", back="refresh")
        for value in (
            ...,
            None,
            "",
            1,
            True,
            [],
            {},
            ["fake"],
            "fake access",
            " fake",
            "fake\r\nX: y",
            "fake\t",
            "fake\x00",
            "f\xe4ke",
            "\u200bfake",
            "\ud800",
            "a" * (32 * 1024 + 1),
        )
    ],
    Row("access_token twice", beside(b'"access_token": "fake-x"'), "refresh", refused="unusable_body", back="refresh"),
    Row("access_token twice and the same", beside(f'"access_token": "{ACCESS}"'.encode())),
    Row("no token at all", usual(access_token=..., refresh_token=...), "", refused="unusable_body"),
    Row("a plus that a form did not escape", GOOD_FORM.replace(b"fake-", b"fa+ke-"), content_type=FORM),
    Row("an escaped plus in a form", GOOD_FORM.replace(b"fake-", b"fa%2Bke-"), content_type=FORM),
    Row(
        "a space in a form's token",
        GOOD_FORM.replace(b"fake-a", b"fa%20ke-a"),
        "refresh",
        refused="unusable_body",
        content_type=FORM,
        back="refresh",
    ),
    # Under other names
    Row(
        "nested, as the data says",
        json.dumps({"data": {"key": ACCESS, "again": REFRESH}, "token_type": "bearer", "expires_in": 3600}).encode(),
        facts={"reply": {"map": {"access_token": "data.key", "refresh_token": "data.again"}}},
    ),
    Row(
        "nested, and the outer member came twice",
        b'{"data": {"key": "fake-a"}, "data": {"key": "fake-b"}}',
        "",
        refused="unusable_body",
        facts={"reply": {"map": {"access_token": "data.key"}}},
    ),
    # Refused by words
    Row("error beside tokens", usual(error="made_up"), "refresh", refused="unknown_error", back=BOTH),
    Row("error as an object beside tokens", usual(error={"code": 5}), "refresh", refused="unknown_error", back=BOTH),
    Row("error twice beside tokens", beside(b'"error": null, "error": ""'), "refresh", refused="unknown_error", back=BOTH),
    Row("a dead grant beside tokens", usual(error="invalid_grant"), "", refused="invalid_grant", back=BOTH),
    Row("not processed beside tokens", usual(error="temporarily_unavailable"), "", refused="temporarily_unavailable", back=BOTH),
    Row(
        "not a success by the provider's own sign",
        usual(ok=False),
        "refresh",
        refused="unknown_error",
        back=BOTH,
        facts={"reply": {"success": [{"path": "ok", "equals": True}]}},
    ),
    Row("tokens under a 302", usual(), "refresh", refused="redirect", back=BOTH, status=302),
    Row("tokens under a 400", usual(), "refresh", refused="unexpected_status", back=BOTH, status=400),
    Row("tokens under a 500", usual(), "refresh", refused="server_error", back=BOTH, status=500),
    Row("tokens under a 429", usual(), "", refused="rate_limited", back=BOTH, status=429),
    # Neither a JSON object nor a form
    *[
        Row(f"a body {body[:16]!r} to {body[-12:]!r}", body, "", refused="unusable_body", content_type=content_type)
        for content_type in (JSON, None, FORM)
        for body in (
            b"",
            b" \n",
            b"null",
            b"[]",
            b'"fake"',
            b"5",
            b"{",
            b'{"access_token": ',
            usual()[:-1],
            usual()[:-1] + b",}",
            b"[" + usual() + b"]",
            usual() + usual(),
            usual() + b" trailing",
            b")]}',\n" + usual(),
            b"callback(" + usual() + b");",
            json.dumps(TEXT).encode(),
            b"<html>" + usual() + b"</html>",
            b'<a href="/x?a=1&access_token=fake-a&token_type=bearer">go</a>',
            b"<x><access_token>a</access_token></x>",
            b"access_token",
            b"{'access_token': 'fake'}",
            b"\x1f\x8b\x08\x00",
            b"\xff" * 20,
            b"[" * 60_000,
            b'{"a":' * 60_000,
        )
    ],
    Row(
        "a sentence with a token in it",
        b"Go to https://x.example/?a=1&access_token=fake-a now",
        "",
        refused="unusable_body",
        content_type="text/plain",
    ),
]


def test_the_table_is_long_and_names_every_shape_once():
    assert len({(row.shape, row.content_type) for row in ROWS}) == len(ROWS) >= 120


@pytest.mark.requirement("OAU-034", "OAU-035", "OAU-036", "OAU-037", "OAU-038", "OAU-039", "OAU-040", "OAU-041", "OAU-042", "Q31")
@pytest.mark.parametrize("row", ROWS, ids=[f"{number}: {row.shape}"[:80] for number, row in enumerate(ROWS)])
def test_what_is_kept_unknown_and_refused(make_client, now, row):
    client = make_client(**{**FACTS, **row.facts})
    headers = {} if row.content_type is None else {"content-type": row.content_type}
    response = HttpResponse(status=row.status, headers=headers, body=row.body, sent_at=now)
    renewed = read_renewal(client, response, now=now)
    exchanged = read_grant(client, response, requested_scopes=["asked"], now=now)
    assert "fake" not in f"{renewed!r}{exchanged!r}"
    if "access" not in row.kept:
        _is_refused(row, renewed, exchanged)
        return
    assert isinstance(renewed, Granted)
    assert isinstance(exchanged, Granted)
    assert " ".join(renewed.unread) == " ".join(exchanged.unread) == row.unknown
    for grant in renewed.grant, exchanged.grant:
        assert _is_named(grant.access_token, ACCESS)
        assert (grant.refresh_token is not None) == ("refresh" in row.kept)
        assert grant.refresh_token is None or _is_named(grant.refresh_token, REFRESH)
        assert grant.expires_at == (None if row.lives is None else now + timedelta(seconds=row.lives))
        assert grant.refresh_expires_at is None
    if "scope" in row.unknown:
        assert (renewed.grant.scopes, exchanged.grant.scopes) == (None, ("asked",))


def _is_refused(row, renewed, exchanged):
    given_back = [kind for kind, _ in exchanged.tokens] if isinstance(exchanged, Unusable) else []
    assert sorted(given_back) == sorted(row.back.split())
    failures = [outcome.failure if isinstance(outcome, Unusable) else outcome for outcome in (renewed, exchanged)]
    assert [failure.reason for failure in failures] == [row.refused] * 2
    if row.kept == "refresh":
        assert isinstance(renewed, Unusable)
        assert _is_named(renewed.refresh_token, REFRESH)
    else:
        assert not isinstance(renewed, Unusable)


def _is_named(token, name):
    # The shapes lengthen a token, or put a plus into it.
    return isinstance(token, Secret) and token.reveal().replace("fa+ke", "fake").startswith(name)
