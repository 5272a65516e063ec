"""What is handed out is what the check sends, wherever it goes and whatever the client."""

from __future__ import annotations

import io
import logging
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from cloud_integrations import kinds
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential, Presented
from cloud_integrations.domain.provider import Basic, Method, Present, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, CredentialFormError, ValidationFailedError
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.verification import build_check
from cloud_integrations.providers import Catalogue

URL = "https://api.acme.example/me?page=1"
KEY, SECOND = "fake-key+/=&~", "fake second%20half"
VARIABLES = {"email": "ada@acme.example", "region": "eu"}
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20).filter(lambda text: text == text.strip())
TEMPLATES = st.sampled_from(["{value}", "{app_key}", "{app_secret}", "{email}/{app_key}", "{app_key}:{app_secret}", "{region}-{value}"])
PREFIXED = st.builds(str.__add__, st.sampled_from(["", "Bearer ", "SSWS "]), TEMPLATES)
PRESENTS = (
    st.builds(
        dict,
        headers=st.dictionaries(st.sampled_from(["Authorization", "X-Key", "X-Other"]), PREFIXED, max_size=2),
        query=st.dictionaries(st.sampled_from(["key", "sig"]), TEMPLATES, max_size=2),
        basic=st.none() | st.builds(Basic, user=TEMPLATES) | st.builds(Basic, user=TEMPLATES | st.just(""), password=TEMPLATES),
    )
    .filter(lambda found: not (found["basic"] and "Authorization" in found["headers"]))
    .map(Present.model_validate)
    .filter(lambda present: any(present.templates()))
)


def present(method: Method, parts: dict[str, object], *, variables: dict[str, str]) -> Presented:
    secrets = {name: part if isinstance(part, Secret) else Secret(str(part)) for name, part in parts.items()}
    return kinds.present(method, secrets, variables=variables)


def acme(present: object) -> Provider:
    inputs = [{"name": "app_key"}, {"name": "app_secret", "required": False}]
    return Provider.model_validate(
        {
            "id": "acme",
            "name": "Acme",
            "methods": [{"id": "key", "kind": "key", "inputs": inputs, "present": present}],
            "variables": [{"name": name, "pattern": ".+", "required": False} for name in VARIABLES],
            "verifications": [{"url": URL}],
        }
    )


def credential(presented: Presented) -> Credential:
    """The same as it is handed out."""
    return Credential(
        parts=presented.parts,
        present=presented.present,
        variables=presented.variables,
        integration_id=uuid4(),  # type: ignore[arg-type]
        provider_id=uuid4(),  # type: ignore[arg-type]
        auth_type=AuthType.API_KEY,
    )


def sent_by_hand(handed: Credential, url: str) -> httpx.Request:
    """A request of somebody who asks for each form that fits."""
    headers = handed.headers() if "headers" in handed.forms else {}
    params = handed.params() if "params" in handed.forms else {}
    return httpx.Request("GET", httpx.URL(url).copy_merge_params(params), headers=headers)


def assert_same(check: HttpRequest, request: httpx.Request) -> None:
    own = {"accept": "application/json"}
    expected = {name.lower(): value for name, value in check.headers.items()} | own
    assert {name: value for name, value in request.headers.items() if name != "host"} | own == expected
    wanted, found = urlsplit(check.url), urlsplit(str(request.url))
    assert (found.scheme, found.netloc, found.path) == (wanted.scheme, wanted.netloc, wanted.path)
    assert sorted(parse_qsl(found.query, keep_blank_values=True)) == sorted(parse_qsl(wanted.query, keep_blank_values=True))


def assert_one_rule(check: HttpRequest, handed: Credential, url: str) -> None:
    assert_same(check, sent_by_hand(handed, url))
    request = httpx.Request("GET", url)
    assert_same(check, handed.auth()(request))
    prepared = requests.Request("GET", url, auth=handed.auth()).prepare()
    assert prepared.url == check.url
    assert_same(check, httpx.Request("GET", check.url, headers=dict(prepared.headers)))


@given(shown=PRESENTS, key=TEXT, second=TEXT)
def test_wherever_it_goes_the_check_sends_what_is_handed_out(shown, key, second) -> None:
    provider = acme(shown)
    method = provider.methods[0]
    presented = present(method, {"app_secret": second, "app_key": Secret(key)}, variables=VARIABLES)
    check = build_check(provider, method, provider.verifications[0], presented=presented, variables=VARIABLES)
    handed = credential(presented)
    assert_one_rule(check, handed, URL)
    assert handed.forms
    assert handed.values() == {"app_key": Secret(key), "app_secret": Secret(second)}
    if "basic" in handed.forms:
        basic = httpx.BasicAuth(*handed.basic())
        signed = next(basic.sync_auth_flow(httpx.Request("GET", URL)))
        assert signed.headers["authorization"] == handed.headers()["Authorization"]


def _ways() -> list[tuple[str, str]]:
    # Signed requests are in test_signed.py, challenges in test_digest_auth.py, certificates in tests/flows/test_certificates.py.
    providers = Catalogue.builtin().list_providers()
    ways = [(provider.id, method) for provider in providers for method in provider.methods]
    elsewhere = ("sign", "digest", "certificate")
    return [(slug, method.id) for slug, method in ways if all(getattr(method.present, form) is None for form in elsewhere)]


@pytest.mark.parametrize(("slug", "method_id"), _ways())
def test_of_each_built_in_provider_the_check_sends_what_is_handed_out(slug, method_id) -> None:
    provider = Catalogue.builtin().require(slug)
    method = next(method for method in provider.methods if method.id == method_id)
    variables = {variable.name: variable.default or "acme" for variable in provider.variables}
    names = kinds.shown_names(method)
    origins = {given.name: Secret("https://server.example") for given in method.inputs if given.form == "origin"}
    # What is no secret stays beside the token that was minted, and URLs may name it.
    origins |= {name: Secret("acme") for given in method.inputs if method.mint for name in given.public_names}
    presented = present(method, {name: Secret(f"fake-{name}") for name in names} | origins, variables=variables)
    for check in provider.verifications:
        if not check.for_methods or method.id in check.for_methods:
            request = build_check(provider, method, check, presented=presented, variables=variables)
            handed = credential(presented)
            assert_same_credential(request, handed)


def assert_same_credential(check: HttpRequest, handed: Credential) -> None:
    """Whatever else the check needs, the credential in it is that which is handed out."""
    request = requests.Request("GET", check.url, auth=handed.auth()).prepare()
    assert request.headers.items() <= check.headers.items()
    assert request.headers == handed.headers()
    assert "{" not in "".join(request.headers.values())


FORMS = {
    "headers": {"headers": {"X-Key": "{app_key}"}},
    "params": {"query": {"key": "{app_key}"}},
    "basic": {"basic": {"user": "{value}", "password": "{app_secret}"}},
}


@pytest.mark.parametrize(
    ("form", "wrong", "advice"),
    [
        ("headers", "params", "it takes headers()"),
        ("headers", "basic", "it takes headers()"),
        ("params", "headers", "it takes params()"),
        ("params", "basic", "it takes params()"),
        ("basic", "params", "it takes headers() and basic()"),
    ],
)
def test_a_form_that_does_not_fit_raises_and_says_which_does(form, wrong, advice) -> None:
    handed = credential(present(acme(FORMS[form]).methods[0], {"app_key": KEY, "app_secret": SECOND}, variables={}))
    assert getattr(handed, form)()
    with pytest.raises(CredentialFormError) as caught:
        getattr(handed, wrong)()
    assert advice in str(caught.value)
    assert (caught.value.form, caught.value.fits) == (wrong, handed.forms)
    assert KEY not in f"{caught.value!r}{caught.value.details}"


def test_a_credential_of_which_nobody_knows_the_place_gives_its_parts_alone() -> None:
    handed = credential(Presented(parts={"api_key": Secret(KEY)}, present=Present()))
    assert handed.values() == {"api_key": Secret(KEY)}
    assert (handed.value, handed.secret) == (Secret(KEY), None)
    for form in ("headers", "params", "basic", "digest", "auth"):
        with pytest.raises(CredentialFormError, match="values"):
            getattr(handed, form)()


def test_a_missing_part_is_named_instead_of_being_left_in_braces() -> None:
    handed = credential(present(acme(FORMS["basic"]).methods[0], {"app_key": KEY}, variables={}))
    for ask in (handed.headers, handed.basic, handed.require_complete):
        with pytest.raises(ValidationFailedError, match=r"credentials\.app_secret is required"):
            ask()


@pytest.mark.parametrize(
    "present",
    [{}, {"headers": {"Authorization": "Bearer {app_kye}"}}, {"query": {"key": "{app_kye}"}}, {"basic": {"user": "{app_kye}"}}],
)
def test_what_could_not_be_sent_is_no_provider_file(present) -> None:
    with pytest.raises(ConfigurationError, match=r"key\.present"):
        Catalogue.of(acme(present))


@pytest.mark.parametrize("template", ["{value}", "{file}", "a {file}"])
def test_what_may_have_several_lines_goes_into_no_header(template) -> None:
    inputs = [{"name": "note", "secret": False}, {"name": "file", "form": "pem"}]
    method = {"id": "key", "kind": "key", "inputs": inputs, "present": {"headers": {"X-Key": template}}}
    with pytest.raises(ConfigurationError, match="several lines"):
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [method]}))


def test_an_access_token_is_placed_by_what_its_provider_declares() -> None:
    endpoints = {"authorize_url": "https://a.example/authorize", "token_url": "https://a.example/token"}
    method = {"id": "code", "kind": "code", **endpoints, "present": {"headers": {"Authorization": "Bearer {missing}"}}}
    with pytest.raises(ConfigurationError, match="missing"):
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [method]}))


def test_nothing_of_it_is_shown(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    handed = credential(present(acme(FORMS["params"]).methods[0], {"app_key": KEY, "app_secret": SECOND}, variables=VARIABLES))
    for shown in (repr(handed), str(handed), repr(handed.auth()), repr(Presented(parts=handed.parts)), caplog.text):
        assert "fake" not in shown


def test_a_client_with_auth_sends_it() -> None:
    seen: list[httpx.Request] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    handed = credential(present(acme(FORMS["params"]).methods[0], {"app_key": KEY}, variables={}))
    with httpx.Client(auth=handed.auth(), transport=httpx.MockTransport(api), trust_env=False) as client:
        client.get(URL)
    assert dict(parse_qsl(urlsplit(str(seen[0].url)).query)) == {"page": "1", "key": KEY}
    assert "authorization" not in seen[0].headers


def test_a_request_that_is_sent_again_carries_the_later_credential_alone() -> None:
    method = acme(FORMS["params"]).methods[0]
    request = httpx.Request("GET", URL)
    for key in ("fake-first", "fake-second"):
        credential(present(method, {"app_key": key}, variables={})).auth()(request)
    assert str(request.url) == f"{URL}&key=fake-second"


def test_the_method_is_one_for_a_pair() -> None:
    method: Method = acme(FORMS["basic"]).methods[0]
    handed = credential(present(method, {"app_secret": SECOND, "app_key": KEY}, variables={}))
    assert (handed.value, handed.secret) == (Secret(KEY), Secret(SECOND))
    assert handed.basic() == (KEY, SECOND)


class Redirecting(BaseAdapter):
    """Sends whoever asks `api.example` on, and keeps what was sent."""

    def __init__(self, location):
        super().__init__()
        self.location, self.sent = location, []

    def send(self, request, **_options):
        self.sent.append((request.url, dict(request.headers)))
        answer = requests.Response()
        answer.status_code, answer.url, answer.request, answer.raw = 200, request.url, request, io.BytesIO()
        if len(self.sent) == 1:
            answer.status_code, answer.headers["Location"] = 302, self.location
        return answer

    def close(self):
        pass


@pytest.mark.parametrize(
    ("location", "follows"),
    [("/second", True), ("https://api.example/second", True), ("https://other.example/", False), ("http://api.example/", False)],
)
def test_requests_shows_the_credential_to_no_other_host(location, follows):
    shown = Presented(parts={"token": Secret("fake-token")}, present=Present(headers={"PRIVATE-TOKEN": "{token}"}))
    api = Redirecting(location)
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", api)
        session.mount("http://", api)
        session.get("https://api.example/first", auth=shown.auth())
    first, second = api.sent
    assert first[1]["PRIVATE-TOKEN"] == "fake-token"
    assert ("fake-token" in str(second)) is follows


@pytest.mark.parametrize(("user", "field"), [("{value}", "credentials.user"), ("{email}/token", "credentials.email")])
def test_a_user_name_with_a_colon_is_refused(user, field):
    presented = Presented(
        parts={"user": Secret("fake:user")},
        present=Present(basic=Basic(user=user, password="{user}")),
        variables={"email": "a:b@acme.example"},
    )
    with pytest.raises(ValidationFailedError) as refused:
        presented.require_complete()
    assert refused.value.field == field
    assert "colon" in str(refused.value)
    Presented(parts={"key": Secret("a:b")}, present=Present(basic=Basic(user="x", password="{key}"))).require_complete()
