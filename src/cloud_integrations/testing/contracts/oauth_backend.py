"""What every `OAuthBackend` promises, as tests.

Inherit the class and provide the fixture it asks for:

    class TestAcmeBackend(OAuthBackendContract):
        @pytest.fixture
        def backend(self):
            return AcmeBackend()

The tests assume a provider that follows the RFCs.  For one that differs, override `provider`, and those of `granted`, `refused`,
`revoked` and `callback` whose form differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, get_args
from urllib.parse import urlsplit

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.conformance import require_part
from cloud_integrations.domain.outcome import Granted, Refused, TokenOutcome, UnreadMember
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.kinds import find_consent_method
from cloud_integrations.protocol.client import CallbackAnswer, Client, OAuthBackend, resolve_client
from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.pkce import challenge

CODE = Secret("fake-code-7f3a9d51")
STATE = Secret("fake-state-7f3a9d52-" + "s" * 43)
VERIFIER = Secret("fake-verifier-7f3a9d53-" + "v" * 43)
CLIENT_SECRET = Secret("fake-client-secret-7f3a9d54")
ACCESS, REFRESH = Secret("fake-access-7f3a9d55"), Secret("fake-refresh-7f3a9d56")
SECRETS = (CODE, STATE, VERIFIER, CLIENT_SECRET, ACCESS, REFRESH)
REDIRECT_URI = "https://app.example.com/oauth/callback/1"
ISSUER = "https://login.provider.example"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCOPES = ("read", "write")

ODD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<html><body>Sign in</body></html>",
    "half an object": b'{"access_token": "fake-acc',
    "a list": b'["access_token"]',
    "a number": b"7",
    "a text": b'"access_token"',
    "null": b"null",
    "an empty object": b"{}",
    "nulls": b'{"access_token": null, "refresh_token": null, "expires_in": null, "scope": null, "error": null}',
    "numbers": b'{"access_token": 7, "refresh_token": 7, "expires_in": "soon", "scope": 7, "error": 7}',
    "lists": b'{"access_token": [], "refresh_token": {}, "expires_in": [], "scope": [[]], "error": ["x"], "data": []}',
    "truth": b'{"access_token": true, "expires_in": true, "error": true, "data": true}',
    "deep": b'{"data": ' * 2000 + b"1" + b"}" * 2000,
    "endless numbers": b'{"access_token": "a", "expires_in": ' + b"9" * 5000 + b"}",
    "no numbers": b'{"access_token": "a", "expires_in": NaN, "not_before": Infinity}',
    "one name twice": b'{"access_token": "a", "access_token": "b"}',
    "no text": b'{"access_token": "\xff\xfe"}',
    "lone surrogates": b'{"access_token": "\\ud800", "scope": "\\udfff"}',
    "zeros": b"\0" * 64,
    "a form": b"access_token=fake&token_type=bearer&expires_in=x&scope=%ff",
    "utf-16": "{}".encode("utf-16"),
}
STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599)
CONTENT_TYPES = ("application/json", "application/x-www-form-urlencoded", "text/html; charset=nonsense", "")

ODD_CALLBACKS: dict[str, tuple[tuple[str, str], ...]] = {
    "nothing": (),
    "no state": (("code", CODE.reveal()),),
    "no code": (("state", STATE.reveal()),),
    "an empty code": (("state", STATE.reveal()), ("code", "")),
    "a code of two words": (("state", STATE.reveal()), ("code", "two words")),
    "a long code": (("state", STATE.reveal()), ("code", "c" * 100_000)),
    "two codes": (("state", STATE.reveal()), ("code", CODE.reveal()), ("code", "another")),
    "a code and an error": (("state", STATE.reveal()), ("code", CODE.reveal()), ("error", "access_denied")),
    "a strange error": (("state", STATE.reveal()), ("error", f"<script>{CODE.reveal()}</script>")),
    "a token": (("state", STATE.reveal()), ("code", CODE.reveal()), ("access_token", ACCESS.reveal())),
    "no text": (("state", "\ud800"), ("code", "\0")),
    "many": tuple((f"name{number}", "x") for number in range(1_000)),
}


def read_everything(backend: OAuthBackend, client: Client, response: HttpResponse) -> tuple[TokenOutcome, TokenOutcome]:
    """Read *response* as every kind of answer; return the outcomes of exchange and renewal.  Fails where a promise is broken."""
    grant = backend.read_grant(client, response, requested_scopes=SCOPES, now=NOW)
    renewal = backend.read_renewal(client, response, now=NOW)
    for outcome in (grant, renewal):
        assert isinstance(outcome, TokenOutcome)
        assert not shows(repr(outcome))
        if isinstance(outcome, Granted):
            assert outcome.grant.access_token.reveal()
            assert outcome.grant.expires_at is None or outcome.grant.expires_at.utcoffset() is not None
            assert set(outcome.unread) <= set(get_args(UnreadMember))
    assert backend.read_revocation(client, response) in {"revoked", "failed"}
    return grant, renewal


def shows(text: str) -> list[Secret]:
    """Return the secrets that occur in *text*."""
    return [secret for secret in SECRETS if secret.reveal() in text]


class OAuthBackendContract:
    """Inherit, and provide the fixture `backend`."""

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider's data; its first method of the kind `code` is used."""
        host = "https://login.provider.example"
        method = {"id": "code", "kind": "code", "authorize_url": f"{host}/authorize", "token_url": f"{host}/token"}
        return Provider.model_validate({"id": "provider", "name": "Provider", "methods": [{**method, "revoke": {"url": f"{host}/revoke"}}]})

    @pytest.fixture
    def client(self, backend: OAuthBackend, provider: Provider) -> Client:
        """The client whose requests are built, with `CLIENT_SECRET`."""
        method = find_consent_method(provider)
        assert method is not None
        application = OAuthApplication(provider=provider.id, client_id="client-1", client_secret=CLIENT_SECRET)
        return resolve_client(provider, method, application, {}, backend=backend)

    @pytest.fixture
    def granted(self) -> HttpResponse:
        """The provider's answer with `ACCESS` and `REFRESH` and without scopes."""
        members = {"access_token": ACCESS.reveal(), "refresh_token": REFRESH.reveal(), "token_type": "Bearer", "expires_in": 3600}
        return _answer(json.dumps(members).encode())

    @pytest.fixture
    def refused(self) -> HttpResponse:
        """The provider's answer to a refresh token that has ended."""
        return _answer(b'{"error": "invalid_grant"}', status=400)

    @pytest.fixture
    def revoked(self) -> HttpResponse:
        """The provider's answer to a revocation that succeeded."""
        return _answer(b"")

    @pytest.fixture
    def callback(self) -> tuple[tuple[str, str], ...]:
        """The parameters of a callback with `STATE` and `CODE`."""
        return (("state", STATE.reveal()), ("code", CODE.reveal()))

    @pytest.fixture
    def verifier(self, client: Client) -> Secret | None:
        return VERIFIER if client.uses_pkce else None

    @pytest.fixture
    def url(self, backend: OAuthBackend, client: Client, verifier: Secret | None) -> str:
        return backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT_URI, scopes=SCOPES, verifier=verifier)

    @pytest.fixture
    def requests(self, backend: OAuthBackend, client: Client, verifier: Secret | None) -> list[HttpRequest]:
        """Every request that the backend builds."""
        exchange = backend.build_exchange(client, code=CODE, redirect_uri=REDIRECT_URI, verifier=verifier)
        refresh = backend.build_refresh(client, refresh_token=REFRESH, redirect_uri=REDIRECT_URI)
        part = backend.build_refresh(client, refresh_token=REFRESH, scopes=SCOPES[:1])
        revocations = [backend.build_revoke(client, token=token, kind=kind) for kind, token in _TOKENS]
        return [exchange, refresh, part, *(request for request in revocations if request is not None)]

    def test_it_has_every_method_and_none_waits(self, backend: OAuthBackend) -> None:
        require_part("backend", backend, OAuthBackend)

    def test_the_browser_is_sent_by_https_with_the_state(self, url: str) -> None:
        assert urlsplit(url).scheme == "https"
        assert STATE.reveal() in url

    def test_the_browser_brings_no_secret(self, url: str) -> None:
        assert [secret.reveal() for secret in shows(url)] == [STATE.reveal()]

    def test_the_challenge_of_the_verifier_goes_along(self, url: str, client: Client) -> None:
        assert (challenge(VERIFIER) in url) is client.uses_pkce

    def test_a_code_is_read(self, backend: OAuthBackend, client: Client, callback: tuple[tuple[str, str], ...]) -> None:
        answer = backend.read_callback(client, callback, issuer=None)
        assert (answer.state, answer.code, answer.error) == (STATE, CODE, None)
        assert not shows(repr(answer))

    def test_an_error_is_read(self, backend: OAuthBackend, client: Client) -> None:
        answer = backend.read_callback(client, [("state", STATE.reveal()), ("error", "access_denied")], issuer=None)
        assert (answer.code, answer.error) == (None, "access_denied")

    def test_an_answer_of_another_issuer_is_refused(
        self, backend: OAuthBackend, client: Client, callback: tuple[tuple[str, str], ...]
    ) -> None:
        with pytest.raises(GrantRefusedError):
            backend.read_callback(client, [*callback, ("iss", "https://evil.example")], issuer=ISSUER)

    @pytest.mark.parametrize("params", ODD_CALLBACKS.values(), ids=ODD_CALLBACKS)
    def test_an_odd_callback_is_read_or_refused(self, backend: OAuthBackend, client: Client, params: tuple[tuple[str, str], ...]) -> None:
        try:
            answer = backend.read_callback(client, params, issuer=None)
        except GrantRefusedError as refusal:
            shown = f"{refusal} {refusal.details}"
        else:
            shown = repr(answer)
            assert isinstance(answer, CallbackAnswer)
            assert (answer.code is None) is not (answer.error is None)
        assert not shows(shown)

    def test_requests_go_by_https_to_the_clients_own_hosts(self, client: Client, requests: list[HttpRequest]) -> None:
        own = {urlsplit(url).hostname for url in (client.authorize_url, client.token_url, client.refresh_url, client.revoke_url) if url}
        for request in requests:
            assert urlsplit(request.url).scheme == "https"
            assert urlsplit(request.url).hostname in own

    def test_no_url_holds_a_secret(self, requests: list[HttpRequest]) -> None:
        assert [request.method for request in requests if shows(request.url)] == []

    def test_the_shape_of_a_request_shows_no_secret(self, requests: list[HttpRequest]) -> None:
        assert not shows(repr(requests))

    def test_nothing_that_it_builds_is_held_back(self, backend: OAuthBackend, client: Client, verifier: Secret | None) -> None:
        guarded = GuardedBackend("tested", backend)
        guarded.build_authorize(client, state=STATE, redirect_uri=REDIRECT_URI, scopes=SCOPES, verifier=verifier)
        guarded.build_exchange(client, code=CODE, redirect_uri=REDIRECT_URI, verifier=verifier)
        guarded.build_refresh(client, refresh_token=REFRESH)
        for kind, token in _TOKENS:
            guarded.build_revoke(client, token=token, kind=kind)

    def test_two_refresh_tokens_make_two_requests(self, backend: OAuthBackend, client: Client) -> None:
        first = backend.build_refresh(client, refresh_token=REFRESH)
        other = backend.build_refresh(client, refresh_token=ACCESS)
        assert (first.headers, first.body) != (other.headers, other.body)

    def test_a_grant_is_read(self, backend: OAuthBackend, client: Client, granted: HttpResponse) -> None:
        outcome = backend.read_grant(client, granted, requested_scopes=SCOPES, now=NOW)
        assert isinstance(outcome, Granted)
        assert (outcome.grant.access_token, outcome.grant.refresh_token) == (ACCESS, REFRESH)

    def test_a_grant_that_is_silent_about_scopes_has_those_requested(
        self, backend: OAuthBackend, client: Client, granted: HttpResponse
    ) -> None:
        outcome = backend.read_grant(client, granted, requested_scopes=SCOPES, now=NOW)
        assert isinstance(outcome, Granted)
        assert outcome.grant.scopes == SCOPES

    def test_a_renewal_is_read(self, backend: OAuthBackend, client: Client, granted: HttpResponse) -> None:
        outcome = backend.read_renewal(client, granted, now=NOW)
        assert isinstance(outcome, Granted)
        assert (outcome.grant.access_token, outcome.grant.refresh_token) == (ACCESS, REFRESH)

    def test_a_dead_refresh_token_is_refused(self, backend: OAuthBackend, client: Client, refused: HttpResponse) -> None:
        assert isinstance(backend.read_renewal(client, refused, now=NOW), Refused)

    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
    def test_an_odd_answer_ends_in_an_outcome(self, backend: OAuthBackend, client: Client, body: bytes, status: int) -> None:
        for content_type in CONTENT_TYPES:
            read_everything(backend, client, _answer(body, status=status, content_type=content_type))

    @pytest.mark.parametrize("status", [200, 400])
    def test_an_answer_with_a_byte_wrong_ends_in_an_outcome(
        self, backend: OAuthBackend, client: Client, granted: HttpResponse, refused: HttpResponse, status: int
    ) -> None:
        for body in (*_damaged(granted.body), *_damaged(refused.body)):
            read_everything(backend, client, _answer(body, status=status))

    @pytest.mark.parametrize("status", [302, 429, 500, 502, 503, 504])
    @pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"{}", b"upstream connect error"])
    def test_an_outage_takes_no_grant(self, backend: OAuthBackend, client: Client, body: bytes, status: int) -> None:
        for outcome in read_everything(backend, client, _answer(body, status=status, content_type="text/html")):
            assert not isinstance(outcome, Granted | Refused)

    def test_a_revocation_is_read(self, backend: OAuthBackend, client: Client, revoked: HttpResponse) -> None:
        if any(backend.build_revoke(client, token=token, kind=kind) is not None for kind, token in _TOKENS):
            assert backend.read_revocation(client, revoked) == "revoked"

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_an_outage_is_no_revocation(self, backend: OAuthBackend, client: Client, revoked: HttpResponse, status: int) -> None:
        assert backend.read_revocation(client, _answer(revoked.body, status=status)) == "failed"


_TOKENS: tuple[tuple[Literal["refresh", "access"], Secret], ...] = (("refresh", REFRESH), ("access", ACCESS))


def _answer(body: bytes, *, status: int = 200, content_type: str = "application/json") -> HttpResponse:
    return HttpResponse(status=status, headers={"content-type": content_type}, body=body, sent_at=NOW)


def _damaged(body: bytes) -> Iterator[bytes]:
    """Give *body* cut at each byte, with each byte changed, and replaced by noise."""
    for at in range(len(body)):
        yield body[:at]
        yield body[:at] + bytes([body[at] ^ 0x80]) + body[at + 1 :]
        yield hashlib.sha256(body[:at]).digest()
