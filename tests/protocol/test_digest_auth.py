"""A credential for HTTP Digest in the clients that send it: httpx, httpx2, requests."""

from __future__ import annotations

import io
from uuid import uuid4

import httpx
import httpx2
import pytest
import requests
from requests.adapters import BaseAdapter
from tests.digest_server import DigestServer

from cloud_integrations import kinds
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.provider import Method, Present, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, CredentialFormError, ValidationFailedError
from cloud_integrations.providers import Catalogue

from .conftest import NOW

URL = "https://api.acme.example/orgs?page=1"
METHOD = Method.model_validate(
    {
        "id": "keys",
        "kind": "key",
        "inputs": [{"name": "public", "secret": False}, {"name": "private"}],
        "present": {"digest": {"user": "{public}", "password": "{private}"}, "headers": {"X-Version": "1", "X-User": "{public}"}},
    }
)
MOMENTS = kinds.Moments(now=lambda: NOW, nonce=lambda: bytes(16), tls=lambda certificate, trust: None)


def credential(method: Method = METHOD, moments: kinds.Moments | None = MOMENTS, **changes: str) -> Credential:
    parts = {"private": Secret("fake-private"), "public": Secret("fake-public")}
    presented = kinds.present(method, parts | {name: Secret(value) for name, value in changes.items()}, variables={}, moments=moments)
    return Credential(
        parts=presented.parts,
        present=presented.present,
        nonce=presented.nonce,
        integration_id=uuid4(),  # type: ignore[arg-type]
        provider_id=uuid4(),  # type: ignore[arg-type]
        auth_type=AuthType.API_KEY,
    )


def by_httpx(server: DigestServer, package=httpx):
    def answer(request):
        if request.url.path == "/elsewhere":
            return package.Response(302, headers={"Location": "https://evil.example/orgs"})
        if request.url.path == "/within":
            return package.Response(302, headers={"Location": "/orgs"})
        status, headers, body = server.answer(request.method, str(request.url), dict(request.headers), request.read())
        return package.Response(status, headers=headers, content=body)

    def send(url=URL, *, data=None, auth=None):
        with package.Client(transport=package.MockTransport(answer), follow_redirects=True) as client:
            return client.request("POST" if data else "GET", url, content=data, auth=auth or credential().auth())

    return send


class Adapter(BaseAdapter):
    def __init__(self, server: DigestServer) -> None:
        super().__init__()
        self.server = server

    def send(self, request, **_options):
        response = requests.Response()
        response.request, response.url, response.connection = request, request.url, self  # type: ignore[attr-defined]
        moved = {"/elsewhere": "https://evil.example/orgs", "/within": "https://api.acme.example/orgs"}.get(request.path_url)
        if moved:
            response.status_code, response.headers, body = 302, requests.structures.CaseInsensitiveDict(Location=moved), b""
        else:
            status, headers, body = self.server.answer(request.method, request.url, dict(request.headers), request.body or b"")
            response.status_code, response.headers = status, requests.structures.CaseInsensitiveDict(headers)
        response.raw = io.BytesIO(body)
        return response

    def close(self) -> None:
        pass


def by_requests(server: DigestServer):
    def send(url=URL, *, data=None, auth=None):
        with requests.Session() as session:
            session.mount("https://", Adapter(server))
            return session.request("POST" if data else "GET", url, data=data, auth=auth or credential().auth())

    return send


@pytest.fixture(params=["httpx", "httpx2", "requests"])
def client(request):
    return {"httpx": by_httpx, "httpx2": lambda server: by_httpx(server, httpx2), "requests": by_requests}[request.param]


@pytest.mark.parametrize("data", [None, b"fake body"])
def test_the_challenge_is_answered_with_the_same_request(client, data) -> None:
    server = DigestServer()
    assert client(server)(data=data).status_code == 200
    first, second = server.asked
    assert first[2] is None
    assert (first[:2], first[3]) == (second[:2], second[3])
    assert (first[0], first[3]) == (("POST", b"fake body") if data else ("GET", b""))
    assert "fake-private" not in str(server.asked)


def test_a_stale_nonce_is_answered_once_more_and_a_wrong_password_is_not(client) -> None:
    server = DigestServer(stale=1)
    assert client(server)().status_code == 200
    assert len(server.asked) == 3
    endless = DigestServer(stale=9)
    assert client(endless)().status_code == 401
    assert len(endless.asked) == 3
    wrong = DigestServer(password="another")
    assert client(wrong)().status_code == 401
    assert len(wrong.asked) == 2


def test_without_a_challenge_nothing_is_shown(client) -> None:
    server = DigestServer(challenge=False)
    assert client(server)().status_code == 401
    assert [authorization for _, _, authorization, _ in server.asked] == [None]


def test_another_hosts_challenge_after_a_redirect_is_not_answered(client) -> None:
    server = DigestServer()
    assert client(server)("https://api.acme.example/elsewhere").status_code == 401
    assert [(url, authorization) for _, url, authorization, _ in server.asked] == [("https://evil.example/orgs", None)]


def test_a_stream_that_can_be_read_once_is_refused_where_it_could_not_be_sent_again() -> None:
    with pytest.raises(ValidationFailedError, match="bytes or text"):
        by_requests(DigestServer())(data=iter([b"fake"]))
    server = DigestServer()
    assert by_httpx(server)(data=iter([b"fake", b" body"])).status_code == 200
    assert [body for *_, body in server.asked] == [b"fake body", b"fake body"]


def test_a_client_that_cannot_show_the_answer_gets_no_request_without_a_credential() -> None:
    with pytest.raises(CredentialFormError):
        credential().auth()(httpx.Request("GET", URL))


def test_the_clients_own_digest_takes_user_and_password() -> None:
    server = DigestServer()
    assert by_httpx(server)(auth=httpx.DigestAuth(*credential().digest())).status_code == 200
    held = credential()
    assert held.forms == ("headers", "digest")
    assert held.headers() == {"X-Version": "1", "X-User": "fake-public"}
    with pytest.raises(CredentialFormError, match=r"headers\(\) and digest\(\)"):
        held.basic()
    assert "fake" not in f"{held!r}{held.auth()!r}"


def test_without_chance_there_is_no_digest_and_where_nothing_goes_auth_says_so() -> None:
    alone = Method.model_validate(METHOD.model_dump() | {"present": {"digest": {"user": "{public}", "password": "{private}"}}})
    held = credential(alone, None)
    assert held.forms == ()
    for ask in (held.digest, held.auth):
        with pytest.raises(CredentialFormError, match="values"):
            ask()
    assert held.answer('Digest realm="acme", qop=auth, nonce="fake"', http_method="GET", url=URL) is None


def test_a_colon_in_the_user_name_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValidationFailedError, match=r"credentials\.public is the user name of HTTP Digest"):
        credential(public="a:b").require_complete()


@pytest.mark.parametrize(
    ("present", "problem"),
    [
        ({"basic": {"user": "{a}"}, "digest": {"user": "{a}", "password": "{a}"}}, "basic and digest set Authorization twice"),
        ({"headers": {"authorization": "{a}"}, "digest": {"user": "{a}", "password": "{a}"}}, "headers and digest"),
        ({"sign": "aws4", "digest": {"user": "{a}", "password": "{a}"}}, "digest or sign"),
        ({"digest": {"user": "{a}"}}, "password"),
    ],
)
def test_what_sets_authorization_twice_is_no_provider_file(present, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        Present.model_validate(present)


def test_a_digest_of_what_the_method_does_not_have_is_no_provider_file() -> None:
    present = {"digest": {"user": "{public}", "password": "{privat}"}}
    methods = [{"id": "keys", "kind": "key", "inputs": [{"name": "public"}], "present": present}]
    with pytest.raises(ConfigurationError, match=r"keys\.present\.digest\.password uses {privat}"):
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": methods}))
