"""Whatever a strange backend gives or raises, it ends in a value that can be relied on, or in an error of ours that names it."""

from __future__ import annotations

import traceback
from collections import UserString
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected, Unknown, Unusable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, OAuthBackendError, StaleWriteError, ValidationFailedError
from cloud_integrations.protocol.client import CallbackAnswer
from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.http import MAX_TOKEN_BODY, HttpRequest
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend

from .conftest import STATE

CODE = Secret("fake-code-of-the-callback")
TOKEN = Secret("fake-token-that-is-spent")
VERIFIER = Secret("fake-verifier-" + "v" * 43)
ACCESS, REFRESH = Secret("fake-access-token-new"), Secret("fake-refresh-token-new")
REDIRECT = "https://app.example.com/callback"
SECRETS = (CODE, STATE, TOKEN, VERIFIER, ACCESS, REFRESH, Secret("fake-client-secret"))
REVOKE = {"url": "https://api.example.com/revoke"}
VARIABLES = {"provider": {"variables": [{"name": "site", "source": "token_reply", "pattern": "[a-z]+", "required": False}]}}


class Strange(StandardOAuthBackend):
    """Does one thing otherwise, in every method that is named."""

    def __init__(self, name, answer):
        setattr(self, name, answer)


def guarded(name, answer):
    return GuardedBackend("acme", Strange(name, answer))


def gives(value):
    return lambda *_, **__: value


def raises(error):
    def strange(*_, **__):
        raise error

    return strange


def call(backend, client, name, response=None, *, now=None):
    """Call one method as a flow does."""
    asked = {
        "build_authorize": lambda: backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=["a"], verifier=VERIFIER),
        "read_callback": lambda: backend.read_callback(client, [("state", STATE.reveal()), ("code", CODE.reveal())], issuer=None),
        "build_exchange": lambda: backend.build_exchange(client, code=CODE, redirect_uri=REDIRECT, verifier=VERIFIER),
        "read_grant": lambda: backend.read_grant(client, response, requested_scopes=["a"], now=now),
        "build_refresh": lambda: backend.build_refresh(client, refresh_token=TOKEN),
        "read_renewal": lambda: backend.read_renewal(client, response, now=now),
        "build_revoke": lambda: backend.build_revoke(client, token=TOKEN, kind="refresh"),
        "read_revocation": lambda: backend.read_revocation(client, response),
    }
    return asked[name]()


def refused(backend, client, name, response=None):
    """Return what is said of a backend that does not work."""
    with pytest.raises(OAuthBackendError) as caught:
        call(backend, client, name, response)
    error = caught.value
    assert (error.backend, error.reason, error.retryable) == ("acme", "backend_failed", True)
    assert str(error) == "the OAuth backend acme does not work"
    assert error.error_description.startswith(f"{error}: {name} ")
    assert error.__cause__ is error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error.details) + error.error_description
    assert not [secret for secret in SECRETS if secret.reveal() in shown]
    return error.error_description.removeprefix(f"{error}: {name} ")


def request(**changes):
    usual = {"method": "POST", "url": "https://login.example.com/token", "headers": {"Accept": "text/plain"}, "body": b"x"}
    return HttpRequest(**{"provider_id": "another", **usual, **changes})


BUILDS = ["build_authorize", "build_exchange", "build_refresh", "build_revoke"]
READS = ["read_grant", "read_renewal"]


@pytest.mark.parametrize("name", [*BUILDS, "read_callback", "read_revocation"])
@pytest.mark.parametrize("error", [KeyError(TOKEN.reveal()), ValueError(CODE.reveal()), StaleWriteError(), RecursionError()], ids=repr)
def test_what_a_backend_raises_is_told_by_its_class_and_line_alone(make_client, answer, name, error):
    said = refused(guarded(name, raises(error)), make_client(revoke=REVOKE), name, answer({}))
    assert said.startswith(f"raised {type(error).__name__} at test_guarded_backend.py:")


@pytest.mark.parametrize("name", ["build_authorize", "build_exchange"])
def test_a_value_that_the_tenant_gave_may_be_refused_by_name(make_client, name):
    error = ValidationFailedError(field="scopes", problem="are none of this provider's")
    with pytest.raises(ValidationFailedError) as caught:
        call(guarded(name, raises(error)), make_client(), name)
    assert caught.value is error
    shows = ValidationFailedError(field="code", problem=f"{CODE.reveal()} {VERIFIER.reveal()}")
    assert refused(guarded(name, raises(shows)), make_client(), name).startswith("raised ValidationFailedError")


@pytest.mark.parametrize("name", ["build_refresh", "build_revoke"])
def test_where_no_tenant_is_asking_nothing_is_refused_by_name(make_client, name):
    error = ValidationFailedError(field="scopes", problem="are none of this provider's")
    assert refused(guarded(name, raises(error)), make_client(revoke=REVOKE), name).startswith("raised ValidationFailedError")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "returned NoneType, not text"),
        (b"https://login.example.com", "returned bytes, not text"),
        (f"http://login.example.com/?state={STATE.reveal()}", "returned a URL that is not plain https"),
        (f"https://user@login.example.com/?state={STATE.reveal()}", "returned a URL that is not plain https"),
        ("https://login.example.com/", "returned a URL without the state"),
        (f"https://login.example.com/?state={STATE.reveal()}&v={VERIFIER.reveal()}", "returned a URL that shows a secret"),
        (f"https://login.example.com/?state={STATE.reveal()}&s=fake-client-secret", "returned a URL that shows a secret"),
    ],
)
def test_a_browser_is_sent_nowhere_that_it_should_not_go(make_client, url, problem):
    assert refused(guarded("build_authorize", gives(url)), make_client(), "build_authorize") == problem


@pytest.mark.parametrize("name", ["build_exchange", "build_refresh", "build_revoke"])
@pytest.mark.parametrize(
    ("built", "problem"),
    [
        (b"POST", "returned bytes, not an HttpRequest"),
        (request(url=7), "returned an HttpRequest with a part of a wrong type"),
        (request(body="x"), "returned an HttpRequest with a part of a wrong type"),
        (request(max_body="1"), "returned an HttpRequest with a part of a wrong type"),
        (request(method="get"), "returned an HttpRequest with a method or header that cannot be sent"),
        (request(headers={"X-Sig": "a\r\nX-Other: b"}), "returned an HttpRequest with a method or header that cannot be sent"),
        (request(headers={"X-Sïg": "a"}), "returned an HttpRequest with a method or header that cannot be sent"),
        (request(url="http://login.example.com/token"), "returned a URL that is not plain https"),
        (request(url="https://evil.example.com/token"), "returned an HttpRequest to a host that is none of the client's"),
        (request(url="https://login.example.com/fake-client-secret"), "returned a URL that shows a secret"),
        (request(url=f"https://login.example.com/?t={TOKEN.reveal()}&c={CODE.reveal()}"), "returned a URL that shows a secret"),
    ],
)
def test_no_request_leaves_that_should_not(make_client, name, built, problem):
    assert refused(guarded(name, gives(built)), make_client(revoke=REVOKE), name) == problem


@pytest.mark.parametrize("name", ["build_exchange", "build_refresh"])
def test_a_request_that_is_needed_is_built(make_client, name):
    assert refused(guarded(name, gives(None)), make_client(), name) == "returned NoneType, not an HttpRequest"


def test_a_request_with_parts_of_strange_types_ends_in_the_same_error(make_client):
    for odd in (request(headers=None), request(method=None)):
        assert refused(guarded("build_refresh", gives(odd)), make_client(), "build_refresh").startswith("raised ")


def test_how_far_a_request_goes_is_not_the_backends_choice(make_client):
    client = make_client(revoke=REVOKE)
    asked = request(url="https://api.example.com/other", loopback=True, private_host=True, tenant_server=True, max_body=1 << 40)
    built = call(guarded("build_refresh", gives(asked)), client, "build_refresh")
    refused = dict.fromkeys(("loopback", "private_host", "tenant_server"), False)
    mine = {"provider_id": str(client.provider.provider_id), "max_body": MAX_TOKEN_BODY, **refused}
    assert built == replace(asked, **mine)
    assert call(guarded("build_revoke", gives(None)), client, "build_revoke") is None


def test_a_short_text_stands_in_a_url_by_chance(make_client):
    client = make_client(application={"client_secret": Secret("token")})
    assert call(guarded("build_refresh", gives(request())), client, "build_refresh").url == "https://login.example.com/token"


@pytest.mark.parametrize(
    ("came", "problem"),
    [
        (None, "returned NoneType, not a CallbackAnswer"),
        (("code", "fake"), "returned tuple, not a CallbackAnswer"),
        (CallbackAnswer(state=STATE), "returned a CallbackAnswer with a part of a wrong type"),
        (CallbackAnswer(state=STATE, code=CODE.reveal()), "returned a CallbackAnswer with a part of a wrong type"),
        (CallbackAnswer(state=STATE, code=CODE, site=["eu"]), "returned a CallbackAnswer with a part of a wrong type"),
    ],
)
def test_a_callback_that_is_read_as_nothing_known_is_a_mistake(make_client, came, problem):
    assert refused(guarded("read_callback", gives(came)), make_client(), "read_callback") == problem


@pytest.mark.parametrize("error", ["access_denied", "other", f"a {CODE.reveal()}"])
def test_an_error_of_a_callback_is_a_word_of_the_list(make_client, error):
    read = call(guarded("read_callback", gives(CallbackAnswer(state=STATE, code=CODE, error=error))), make_client(), "read_callback")
    assert read == CallbackAnswer(state=STATE, error=error if error == "access_denied" else "other")


@pytest.mark.parametrize(
    ("reason", "told"),
    [("signature_invalid", "signature_invalid"), ("What a day", "other"), (CODE.reveal().replace("-", "_"), "other"), (7, "7")],
)
def test_a_refusal_of_a_callback_keeps_its_word_and_nothing_else(make_client, reason, told):
    code = CODE.reveal().replace("-", "_")
    backend = guarded("read_callback", raises(GrantRefusedError(reason=reason, error_description=code)))
    with pytest.raises(GrantRefusedError) as caught:
        backend.read_callback(make_client(), [("code", code)], issuer=None)
    assert (caught.value.reason, caught.value.error_description, caught.value.__context__) == (told, None, None)


@pytest.mark.parametrize("code", ["", "a b", "c" * 5000])
def test_a_code_that_is_none_is_refused(make_client, code):
    with pytest.raises(GrantRefusedError):
        call(guarded("read_callback", gives(CallbackAnswer(state=STATE, code=Secret(code)))), make_client(), "read_callback")


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("strange", "problem"),
    [
        (raises(KeyError(ACCESS.reveal())), "raised KeyError at test_guarded_backend.py:"),
        (gives(None), "returned NoneType, no outcome of the closed list"),
        (gives({"access_token": ACCESS.reveal()}), "returned dict, no outcome of the closed list"),
        (gives(Granted(ACCESS)), "returned Granted, no outcome of the closed list"),
        (gives(Refused("because")), "returned Refused, no outcome of the closed list"),
        (gives(Refused("invalid_client")), "returned Refused, no outcome of the closed list"),
        (gives(Unknown(None)), "returned Unknown, no outcome of the closed list"),
    ],
    ids=["raised", "nothing", "an answer", "no grant", "no reason", "another's reason", "reason missing"],
)
def test_an_answer_that_a_backend_cannot_read_is_unknown(make_client, answer, now, name, strange, problem):
    outcome = call(guarded(name, strange), make_client(), name, answer({}), now=now)
    assert outcome == Unknown("backend_failed")
    assert outcome.over
    assert outcome.said.reveal().startswith(f"the OAuth backend acme does not work: {name} {problem}")
    assert ACCESS.reveal() not in outcome.said.reveal()


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("grant", "kept"),
    [
        (Grant(access_token=None, refresh_token=REFRESH), [("refresh", REFRESH)]),
        (Grant(access_token=Secret("two words"), refresh_token=REFRESH.reveal()), [("refresh", REFRESH)]),
        (Grant(access_token=Secret("")), []),
    ],
    ids=["none", "unusable", "empty"],
)
def test_a_grant_without_an_access_token_keeps_the_refresh_token(make_client, answer, now, name, grant, kept):
    ends = now + timedelta(days=30)
    granted = Granted(replace(grant, refresh_expires_at=ends))
    outcome = call(guarded(name, gives(granted)), make_client(), name, answer({}), now=now)
    refresh = next((token for _, token in kept), None)
    assert outcome == Unusable(Unknown("backend_failed"), refresh_token=refresh, refresh_expires_at=ends, tokens=tuple(kept))
    assert "without an access token that a header can carry" in outcome.failure.said.reveal()


GOOD = Grant(access_token=ACCESS, refresh_token=REFRESH, scopes=("a", "b"), variables={"site": "eu"})


@pytest.mark.parametrize(
    ("odd", "read", "unread"),
    [
        ({}, {}, ()),
        ({"access_token": ACCESS.reveal()}, {}, ()),
        ({"refresh_token": 7}, {"refresh_token": None}, ("refresh_token",)),
        ({"expires_at": datetime(2026, 11, 22, 13)}, {"expires_at": 300}, ("expires_in",)),  # noqa: DTZ001  # that is the point
        ({"expires_at": 3600}, {"expires_at": 300}, ("expires_in",)),
        ({"expires_at": datetime.max.replace(tzinfo=UTC)}, {"expires_at": 300}, ("expires_in",)),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"expires_at": 300}, ("expires_in",)),
        ({"expires_at": datetime(2026, 11, 22, 14, tzinfo=timezone(timedelta(hours=1)))}, {"expires_at": 3600}, ()),
        ({"refresh_expires_at": "soon"}, {"refresh_expires_at": None}, ("refresh_token_expires_in",)),
        ({"scopes": ["a", "b", "a"]}, {}, ()),
        ({"scopes": "a b"}, {"scopes": None}, ("scope",)),
        ({"scopes": (7,)}, {"scopes": None}, ("scope",)),
        ({"scopes": ("a b",)}, {"scopes": None}, ("scope",)),
        ({"scopes": (ACCESS.reveal(),)}, {"scopes": None}, ("scope",)),
        ({"scopes": ()}, {"scopes": ()}, ()),
        ({"variables": None}, {"variables": {}}, ("variables",)),
        ({"variables": {"site": "EU 1"}}, {"variables": {}}, ("variables",)),
        ({"variables": {"site": "eu", "other": "x"}}, {}, ("variables",)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", READS)
def test_what_is_odd_beside_a_token_is_left_unknown(make_client, answer, now, name, odd, read, unread):
    outcome = call(guarded(name, gives(Granted(replace(GOOD, **odd)))), make_client(**VARIABLES), name, answer({}), now=now)
    at = {key: now + timedelta(seconds=value) for key, value in read.items() if isinstance(value, int)}
    assert outcome == Granted(replace(GOOD, **read | at), unread)


@pytest.mark.parametrize("unread", [("scope", "colour", 7), ["scope"], None], ids=repr)
def test_only_known_members_are_named_as_unread(make_client, answer, now, unread):
    outcome = call(guarded("read_grant", gives(Granted(GOOD, unread))), make_client(**VARIABLES), "read_grant", answer({}), now=now)
    assert outcome == Granted(GOOD, ("scope",) if isinstance(unread, tuple) else ())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Refused("invalid_grant", said=Secret("why")), Refused("invalid_grant")),
        (Misconfigured("invalid_client"), Misconfigured("invalid_client")),
        (Rejected("denied", timedelta(seconds=5)), Rejected("denied", timedelta(seconds=5))),
        (NotProcessed("retry", timedelta(hours=2)), NotProcessed("retry")),
        (NotProcessed("retry", timedelta(seconds=-1)), NotProcessed("retry")),
        (Unknown("server_error", 30, over=False), Unknown("server_error", over=False)),
    ],
    ids=repr,
)
def test_a_failure_of_the_closed_list_stands(make_client, answer, now, given, kept):
    outcome = call(guarded("read_renewal", gives(given)), make_client(), "read_renewal", answer({}), now=now)
    assert outcome == kept
    assert outcome.said == given.said


def test_what_the_provider_said_is_a_secret_until_it_is_cleaned(make_client, answer, now):
    backend = guarded("read_renewal", gives(Refused("invalid_grant", said="text")))
    assert call(backend, make_client(), "read_renewal", answer({}), now=now).said is None


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ((("refresh", REFRESH), ("access", ACCESS)), (("refresh", REFRESH), ("access", ACCESS))),
        ([("access", ACCESS.reveal()), ("id", ACCESS), ("refresh",), None, ("refresh", None)], (("access", ACCESS),)),
        (None, ()),
    ],
    ids=["all", "some", "none"],
)
@pytest.mark.parametrize("failure", [Refused("grant_dead"), None, Granted(GOOD)], ids=lambda value: type(value).__name__)
def test_tokens_that_may_not_be_used_are_not_lost(make_client, answer, now, tokens, kept, failure):
    given = Unusable(failure, refresh_token=REFRESH, refresh_expires_at="soon", tokens=tokens)
    outcome = call(guarded("read_renewal", gives(given)), make_client(), "read_renewal", answer({}), now=now)
    mine = failure if isinstance(failure, Refused) else Unknown("backend_failed")
    assert outcome == Unusable(mine, refresh_token=REFRESH, tokens=kept)


@pytest.mark.parametrize("said", ["revoked", "failed"])
def test_a_revocation_is_read(make_client, answer, said):
    assert call(guarded("read_revocation", gives(said)), make_client(), "read_revocation", answer({})) == said


@pytest.mark.parametrize("said", [True, None, "gone", UserString("revoked!")], ids=repr)
def test_a_revocation_is_surely_done_or_it_is_not(make_client, answer, said):
    problem = refused(guarded("read_revocation", gives(said)), make_client(), "read_revocation", answer({}))
    assert problem == 'returned neither "revoked" nor "failed"'
