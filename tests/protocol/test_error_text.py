"""What a provider says to developers, as the operator may read it."""

from __future__ import annotations

import base64

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.error_text import MAX_PROSE, clean_prose
from cloud_integrations.protocol.http import HttpRequest

PROOF = "eyJmYWtlIjoiaGVhZGVyIn0.eyJmYWtlIjoiY2xhaW1zIn0.fake-signature-0123"
TOKEN = Secret("fake-refresh+token/0123456789==")
CLIENT_SECRET = Secret("fake-client-secret")
BASIC = base64.b64encode(b"fake-client:fake-client-secret").decode()


def clean(text, *, secrets=(TOKEN, CLIENT_SECRET, None)):
    request = HttpRequest(
        method="POST", url="https://provider.example/token", headers={"authorization": f"Basic {BASIC}"}, body=b"", provider_id="fake"
    )
    return clean_prose(None if text is None else Secret(text), request=request, secrets=secrets)


@pytest.mark.requirement("OAU-023", "OAU-044")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (None, None),
        ("", None),
        ("\x00\x1b\n", None),
        ("AADSTS70000: the value of 'refresh_token' is not valid.", "AADSTS70000: the value of 'refresh_token' is not valid."),
        ("two\nlines\r\nforged=1", "two lines forged=1"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ('a "quoted" \\ word', "a quoted word"),
        ("gr\u00fc\u00dfe \u202e\u4f60", "gr e"),
        ("x" * 600, "x" * MAX_PROSE),
    ],
)
def test_hostile_text_becomes_a_short_printable_line(said, shown):
    assert clean(said) == shown


@pytest.mark.requirement("OAU-045")
@pytest.mark.parametrize(
    "said",
    [
        f"the token {TOKEN.reveal()} is unknown",
        f"token={TOKEN.reveal()}&x=1",
        "token fake-refresh%2Btoken%2F0123456789%3D%3D is unknown",
        "token fake-refresh+token... is unknown",
        "token ...0123456789== is unknown",
        f"secret {CLIENT_SECRET.reveal()}.",
        f"header Basic {BASIC}",
        # A piece that stands beside other letters
        "refresh_token=fake-refresh+tok is unknown",
        "/tokens/fake-refresh+token/01234",
        "xfake-refresh",
        # Where the text is cut, no part of a secret is left over.
        "y " * 250 + TOKEN.reveal(),
    ],
)
def test_a_secret_that_the_provider_repeats_is_removed(said):
    shown = clean(said)
    for secret in (TOKEN.reveal(), CLIENT_SECRET.reveal(), BASIC, "0123456789", "fake-refresh"):
        assert secret not in shown
    assert len(shown) <= MAX_PROSE


@pytest.mark.requirement("OAU-045", "OAU-066")
@pytest.mark.parametrize("said", [f"the assertion {PROOF} has ended", f"...{PROOF[10:]}", f"claims {PROOF.split('.')[1]}", PROOF[:30]])
@pytest.mark.parametrize(
    "sent",
    [
        {"body": f"grant_type=fake&assertion={PROOF}&scope=fake".encode()},
        {"body": f'{{"assertion": "{PROOF}"}}'.encode()},
        {"headers": {"DPoP": PROOF}},
    ],
)
def test_a_jwt_of_the_request_that_the_provider_repeats_is_removed(said, sent):
    request = HttpRequest(method="POST", url="https://provider.example/token", provider_id="fake", **sent)
    shown = clean_prose(Secret(said), request=request, secrets=())
    assert not any(PROOF[at : at + 8] in shown for at in range(len(PROOF) - 7))


def test_a_secret_of_a_letter_or_two_does_not_make_the_text_unreadable():
    assert clean("invalid code", secrets=(Secret("c"), Secret(""))) == "invalid code"
