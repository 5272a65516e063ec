"""Answers without the secrets that were sent, however they are written and wherever they are cut."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest

from cloud_integrations.clients.injector.masking import Mask
from cloud_integrations.domain.provider import Basic, Present
from cloud_integrations.domain.secret import Secret

from .upstreams import CANARY, bearer


def mask_of(*credentials, before=None):
    mask = Mask()
    for credential in credentials:
        sent = credential.headers() if "headers" in credential.forms else {}
        mask.add(credential, {**(before or {}), **sent}, before or {})
    return mask


WAYS = {
    "as it is": CANARY,
    "in JSON": json.dumps({"token": CANARY}),
    "in JSON, slashes too": json.dumps(CANARY).replace("/", "\\/"),
    "in JSON of Go": json.dumps(CANARY).replace("&", r"\u0026"),
    "in JSON of .NET": json.dumps(CANARY).replace("&", r"\u0026").replace(r"\"", r"\u0022").replace("+", r"\u002B"),
    "in HTML of Jinja": html.escape(CANARY).replace("&quot;", "&#34;"),
    "in HTML of Go": html.escape(CANARY).replace("&quot;", "&#34;").replace("+", "&#43;"),
    "in a URL": quote(CANARY, safe=""),
    "in a path": quote(CANARY),
    "in a form": quote_plus(CANARY),
    "in a URL, small letters": quote(CANARY, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
    "in HTML": html.escape(CANARY),
    "in HTML, without quotes": html.escape(CANARY, quote=False),
    **{f"in base64 after {before}": base64.b64encode(b"x" * before + CANARY.encode()).decode() for before in range(5)},
    **{f"in base64 for URLs after {before}": base64.urlsafe_b64encode(b"x" * before + CANARY.encode()).decode() for before in range(5)},
    "in the whole header": f"Authorization: Bearer {CANARY}",
    "twice": f"{CANARY}{CANARY}",
}


def leaks(text: bytes) -> bool:
    """Return whether more than a few letters of the secret can be read in *text*, also after decoding base64."""
    plain = [text]
    for run in re.findall(rb"[\w+/-]+", text.replace(b"*", b"A"), re.ASCII):
        for skipped in range(4):
            part = run[skipped:].translate(bytes.maketrans(b"-_", b"+/"))
            plain.append(base64.b64decode(part[: len(part) // 4 * 4]))
    found = [CANARY[at : at + 12].encode() for at in range(len(CANARY) - 12)]
    return any(piece in form for form in plain for piece in found)


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_found_in_each_way_of_writing_it_wherever_it_is_cut(way):
    text = f"before {WAYS[way]} after".encode()
    mask = mask_of(bearer())
    whole = mask.hide(text)
    assert len(whole) == len(text)
    assert (whole[:7], whole[-6:]) == (b"before ", b" after")
    assert b"***" in whole
    assert not leaks(whole), whole
    for cut in range(len(text)):
        assert b"".join(mask.stream([text[:cut], text[cut:]])) == whole
    assert b"".join(mask.stream(bytes([byte]) for byte in text)) == whole


def test_only_what_may_begin_a_secret_waits_for_the_next_part():
    mask = mask_of(bearer("secret-token"))
    parts = mask.stream([b"data: 1\n\n", b"data: se", b"a\n\n", b"sec", b"ret-token!"])
    assert list(parts) == [b"data: 1\n\n", b"data: ", b"sea\n\n", b"", b"************!", b""]


def test_secrets_that_overlap_are_all_hidden():
    mask = mask_of(bearer("abcdabce"), bearer("abcexyzw"))
    for cut in range(14):
        text = b"-abcdabcexyzw-"
        assert b"".join(mask.stream([text[:cut], text[cut:]])) == b"-" + b"*" * 12 + b"-"


def test_a_password_of_basic_is_hidden_and_its_user_is_not():
    credential = bearer(
        parts={"user": Secret("ada-lovelace"), "password": Secret("secret-password")},
        present=Present(basic=Basic(user="{user}", password="{password}")),
    )
    mask = mask_of(credential)
    encoded = base64.b64encode(b"ada-lovelace:secret-password")
    assert mask.hide(b"ada-lovelace secret-password " + encoded) == b"ada-lovelace " + b"*" * 15 + b" " + b"*" * len(encoded)


def test_a_secret_in_the_query_is_hidden():
    mask = mask_of(bearer("sec&ret/token", present=Present(query={"key": "{value}"})))
    assert mask.hide(b"?key=sec%26ret%2Ftoken&x=1") == b"?key=" + b"*" * 17 + b"&x=1"


def test_what_the_child_sent_itself_is_not_hidden():
    mask = mask_of(bearer("secret-token"), before={"X-Request": "a-long-name-of-the-request-0001"})
    assert mask.hide(b"a-long-name-of-the-request-0001") == b"a-long-name-of-the-request-0001"


def test_a_value_of_three_letters_is_not_looked_for():
    assert mask_of(bearer("abc", present=Present(headers={"X-Key": "{value}"}))).hide(b"abc") == b"abc"


def test_nothing_is_hidden_before_anything_was_sent():
    assert Mask().hide(b"text") == b"text"


def test_a_letter_that_begins_no_secret_does_not_wait():
    assert list(mask_of(bearer("secret-token")).stream([b"a song"])) == [b"a song", b""]
