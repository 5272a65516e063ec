"""The authorization server of the integration tests behaves as the tests that rely on it expect, shown by hand-made requests."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx
import pytest

from .authorization_server import DEFAULT_CALLBACK, AuthorizationServer, Client, NodeMissingError, SignInStoppedError
from .real_server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

LIFETIME = timedelta(seconds=90)


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server(access_token_lifetime=LIFETIME) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One authorization that a client asks for."""

    url: str
    state: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client written by hand, so that no client library can hide what the server does."""

    server: AuthorizationServer
    client: Client

    def begin(self, *, scope: str = "openid read", redirect_uri: str = DEFAULT_CALLBACK) -> Attempt:
        verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.client.id,
                "redirect_uri": redirect_uri,
                "scope": scope,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        return Attempt(url=f"{self.server.endpoints.authorization}?{query}", state=state, verifier=verifier)

    def post(self, endpoint: str, **form: str) -> httpx.Response:
        if self.client.authentication == "client_secret_post":
            form |= {"client_id": self.client.id, "client_secret": self.client.secret}
            return httpx.post(endpoint, data=form, trust_env=False)
        # RFC 6749 §2.3.1: id and secret are form encoded before they are joined.
        basic = httpx.BasicAuth(quote_plus(self.client.id), quote_plus(self.client.secret))
        return httpx.post(endpoint, data=form, auth=basic, trust_env=False)

    def exchange(self, attempt: Attempt, callback: str, *, verifier: str | None = None) -> httpx.Response:
        return self.post(
            self.server.endpoints.token,
            grant_type="authorization_code",
            code=answer_in(callback)["code"],
            redirect_uri=DEFAULT_CALLBACK,
            code_verifier=verifier or attempt.verifier,
        )

    def connected(self, *, scope: str = "openid read") -> dict[str, Any]:
        attempt = self.begin(scope=scope)
        return tokens_in(self.exchange(attempt, self.server.sign_in(attempt.url)))

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.post(self.server.endpoints.token, grant_type="refresh_token", refresh_token=refresh_token)

    def is_active(self, token: str) -> bool:
        active: bool = self.post(self.server.endpoints.introspection, token=token).raise_for_status().json()["active"]
        return active


@pytest.fixture(params=["client_secret_basic", "client_secret_post"])
def caller(request: pytest.FixtureRequest, server: AuthorizationServer) -> Caller:
    clients = {client.authentication: client for client in (server.client, server.post_client)}
    return Caller(server=server, client=clients[request.param])


def answer_in(callback: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}


def tokens_in(response: httpx.Response) -> dict[str, Any]:
    tokens: dict[str, Any] = response.raise_for_status().json()
    return tokens


def refused_with(response: httpx.Response) -> str:
    assert response.status_code == httpx.codes.BAD_REQUEST
    code: str = response.json()["error"]
    return code


def test_callback_brings_code_state_and_issuer(caller: Caller) -> None:
    attempt = caller.begin()
    callback = caller.server.sign_in(attempt.url)
    answer = answer_in(callback)
    assert callback.startswith(f"{DEFAULT_CALLBACK}?")
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == (attempt.state, caller.server.issuer)


def test_code_is_exchanged_for_tokens_that_work(caller: Caller) -> None:
    attempt = caller.begin(scope="openid email read")
    tokens = tokens_in(caller.exchange(attempt, caller.server.sign_in(attempt.url, account="carol")))
    assert tokens.keys() == {"access_token", "refresh_token", "id_token", "expires_in", "scope", "token_type"}
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == LIFETIME.total_seconds()
    assert set(tokens["scope"].split()) == {"openid", "email", "read"}
    assert caller.is_active(tokens["access_token"])
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    account = httpx.get(caller.server.endpoints.userinfo, headers=bearer, trust_env=False).raise_for_status().json()
    assert account == {"sub": "carol", "email": "carol@example.test", "email_verified": True}


def test_refresh_token_comes_without_openid_and_offline_scope(caller: Caller) -> None:
    tokens = caller.connected(scope="read write")
    assert "refresh_token" in tokens
    assert "id_token" not in tokens


def test_authorization_without_pkce_is_refused(caller: Caller) -> None:
    query = {"response_type": "code", "client_id": caller.client.id, "redirect_uri": DEFAULT_CALLBACK, "scope": "read", "state": "test"}
    answer = answer_in(caller.server.sign_in(f"{caller.server.endpoints.authorization}?{urlencode(query)}"))
    assert (answer["error"], answer["iss"]) == ("invalid_request", caller.server.issuer)


def test_wrong_code_verifier_is_refused(caller: Caller) -> None:
    attempt = caller.begin()
    callback = caller.server.sign_in(attempt.url)
    assert refused_with(caller.exchange(attempt, callback, verifier=secrets.token_urlsafe(32))) == "invalid_grant"


def test_code_used_twice_is_refused_and_ends_its_grant(caller: Caller) -> None:
    attempt = caller.begin()
    callback = caller.server.sign_in(attempt.url)
    tokens = tokens_in(caller.exchange(attempt, callback))
    assert refused_with(caller.exchange(attempt, callback)) == "invalid_grant"
    assert refused_with(caller.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_wrong_client_secret_is_refused(caller: Caller) -> None:
    impostor = Client(id=caller.client.id, secret="fake-wrong-secret", authentication=caller.client.authentication)
    response = Caller(server=caller.server, client=impostor).refresh("fake-refresh-token")
    assert response.status_code == httpx.codes.UNAUTHORIZED
    assert response.json()["error"] == "invalid_client"


def test_refresh_rotates_the_refresh_token(caller: Caller) -> None:
    first = caller.connected()
    second = tokens_in(caller.refresh(first["refresh_token"]))
    third = tokens_in(caller.refresh(second["refresh_token"]))
    assert len({tokens["refresh_token"] for tokens in (first, second, third)}) == 3
    assert len({tokens["access_token"] for tokens in (first, second, third)}) == 3
    assert caller.is_active(third["access_token"])


def test_old_refresh_token_used_again_is_refused_and_ends_its_grant(caller: Caller) -> None:
    first = caller.connected()
    second = tokens_in(caller.refresh(first["refresh_token"]))
    assert refused_with(caller.refresh(first["refresh_token"])) == "invalid_grant"
    assert refused_with(caller.refresh(second["refresh_token"])) == "invalid_grant"
    assert not caller.is_active(first["access_token"])
    assert not caller.is_active(second["access_token"])


def test_end_of_one_grant_leaves_the_others_of_the_account(caller: Caller) -> None:
    ended, other = caller.connected(), caller.connected()
    caller.post(caller.server.endpoints.revocation, token=ended["refresh_token"]).raise_for_status()
    assert refused_with(caller.refresh(ended["refresh_token"])) == "invalid_grant"
    assert tokens_in(caller.refresh(other["refresh_token"]))


def test_revoked_refresh_token_ends_its_grant(caller: Caller) -> None:
    tokens = caller.connected()
    answer = caller.post(caller.server.endpoints.revocation, token=tokens["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == httpx.codes.OK
    assert refused_with(caller.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert not caller.is_active(tokens["access_token"])


def test_denied_consent_gives_access_denied_with_state_and_issuer(caller: Caller) -> None:
    attempt = caller.begin()
    answer = answer_in(caller.server.deny(attempt.url))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", attempt.state, caller.server.issuer)
    assert "code" not in answer


def test_redirect_uri_is_followed_only_once_it_is_allowed(caller: Caller) -> None:
    new = f"http://127.0.0.1:8000/callback/{secrets.token_hex(8)}"
    with pytest.raises(SignInStoppedError, match="redirect_uri did not match") as stopped:
        caller.server.sign_in(caller.begin(redirect_uri=new).url)
    caller.server.allow_redirect_uri(new)
    attempt = caller.begin(redirect_uri=new)
    assert attempt.state not in str(stopped.value)
    assert caller.server.sign_in(attempt.url).startswith(f"{new}?")


def test_seen_requests_tell_what_was_asked_and_no_secret(caller: Caller) -> None:
    before = len(caller.server.requests())
    tokens = caller.connected()
    caller.refresh(tokens["refresh_token"])
    caller.refresh(tokens["refresh_token"])
    caller.post(caller.server.endpoints.revocation, token=tokens["access_token"])
    seen = caller.server.requests()[before:]
    assert [(one.endpoint, one.method, one.grant_type, one.has_code_verifier, one.status, one.error) for one in seen] == [
        ("token", "POST", "authorization_code", True, 200, None),
        ("token", "POST", "refresh_token", False, 200, None),
        ("token", "POST", "refresh_token", False, 400, "invalid_grant"),
        ("revocation", "POST", None, False, 200, None),
    ]
    assert {one.client_id for one in seen} == {caller.client.id}
    shown = repr(seen)
    assert not any(secret in shown for secret in (tokens["access_token"], tokens["refresh_token"], caller.client.secret))


def test_metadata_promises_what_the_tests_rely_on(server: AuthorizationServer) -> None:
    metadata = httpx.get(server.metadata_url, trust_env=False).raise_for_status().json()
    assert metadata["issuer"] == server.issuer
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert set(metadata["token_endpoint_auth_methods_supported"]) == {"client_secret_basic", "client_secret_post", "private_key_jwt"}


def test_server_ends_with_its_context(server: AuthorizationServer) -> None:
    with AuthorizationServer() as short_lived:
        assert short_lived.issuer != server.issuer
        httpx.get(short_lived.metadata_url, trust_env=False).raise_for_status()
    with pytest.raises(httpx.ConnectError):
        httpx.get(short_lived.metadata_url, trust_env=False)


def test_missing_node_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NodeMissingError, match=r"Node\.js or npm is not on the PATH; install Node\.js 22 or newer"):
        AuthorizationServer().__enter__()


def test_secret_of_a_client_is_not_shown(server: AuthorizationServer) -> None:
    assert server.client_secret not in repr(server.client)
