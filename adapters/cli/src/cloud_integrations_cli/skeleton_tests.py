"""The test of a new provider: it passes as it is written, and says what the file promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .skeleton_answers import Answers

_HEAD = '''\
"""The provider file {slug}.toml: nothing is wrong with it, and it is used as it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore{more}
{errors}from cloud_integrations.oauth import HttpResponse

FOLDER = Path(__file__).parent
PROVIDER = {slug_text}
ANSWER = {body}
HEADERS = {headers}


class Provider:
    """Stands for the provider: answers every request, and remembers it."""

    waits = False

    def __init__(self) -> None:
        self.requests = []
        self.status = 200

    def send(self, request, /, *, deadline):
        self.requests.append(request){token}
        return HttpResponse(status=self.status, headers=HEADERS, body=json.dumps(ANSWER).encode())

    def close(self) -> None:
        pass


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def manager(provider: Provider) -> IntegrationManager:
    keys = LocalKeyring([LocalKeyring.generate_key("test")])
    return IntegrationManager(
        store=MemoryStore(),
        transport=provider,
        keys=keys,
        cipher=AesGcmCipher(),
        providers=Catalogue.load(FOLDER / f"{{PROVIDER}}.toml"),{applications}
    ).acting_as("test")


def test_nothing_is_wrong_with_the_files() -> None:
    assert [finding for finding in Catalogue.lint(FOLDER) if PROVIDER in Path(finding.file).name] == []
    assert json.loads((FOLDER / "evidence" / f"{{PROVIDER}}.json").read_bytes())
'''
_KEYS = """

INPUTS = {inputs}


def test_an_account_is_connected_and_its_credential_is_where_it_belongs(manager: IntegrationManager, provider: Provider) -> None:
    integration = manager.add("acme", PROVIDER, name="A test", inputs=INPUTS)
    check = provider.requests[-1]
    assert check.url.startswith({check_url})
    assert {shown}
    assert integration.account.account_id{account}


def test_a_dead_credential_is_refused(manager: IntegrationManager, provider: Provider) -> None:
    provider.status = {dead}
    with pytest.raises(InvalidCredentialsError):
        manager.add("acme", PROVIDER, name="A test", inputs=INPUTS)
"""
_CONSENT = """

def test_a_person_is_sent_to_the_page_of_consent(manager: IntegrationManager) -> None:
    begun = manager.begin_oauth("acme", PROVIDER, name="A test")
    assert begun.url.startswith({authorize_url})
    assert "code_challenge=" in begun.url
"""
_MINT = """
        if request.url == {token_url}:
            token = json.dumps({{"access_token": "fake-token", "token_type": "Bearer", "expires_in": 3600}})
            return HttpResponse(status=200, headers=HEADERS, body=token.encode())"""
_APPLICATION = """
        applications=[
            OAuthApplication(
                provider=PROVIDER, client_id="fake-client", client_secret="fake-secret", redirect_uris=["https://app.example/callback"]
            )
        ],"""
_INPUTS = {
    "api_key": {"api_key": "fake-key"},
    "basic": {"username": "ada", "password": "fake-password"},
    "client_credentials": {"client_id": "fake-client", "client_secret": "fake-secret"},
}


def build_test(answers: Answers, /) -> str:
    """Return the text of the test for the provider that *answers* describe."""
    by_consent = answers.kind == "oauth2"
    body, headers = _answer(answers)
    token = _MINT.format(token_url=json.dumps(answers.url("token_url", "token"))) if answers.kind == "client_credentials" else ""
    head = _HEAD.format(
        slug=answers.slug,
        slug_text=json.dumps(answers.slug),
        more=", OAuthApplication" if by_consent else "",
        errors="" if by_consent else "from cloud_integrations.errors import InvalidCredentialsError\n",
        body=json.dumps(body),
        headers=json.dumps(headers),
        token=token,
        applications=_APPLICATION if by_consent else "",
    )
    if by_consent:
        return head + _CONSENT.format(authorize_url=json.dumps(answers.url("authorize_url", "authorize")))
    rest = _KEYS.format(
        inputs=json.dumps(_INPUTS[answers.kind]),
        check_url=json.dumps(answers.url("check_url", "me")),
        shown=_shown(answers),
        account=' == "account-1"' if answers.account.startswith(("json:", "header:")) else "",
        dead=answers.dead_status or "401",
    )
    return head + rest


def _answer(answers: Answers) -> tuple[object, dict[str, str]]:
    """Return the body and the headers of an answer that names the account."""
    place, _, path = answers.account.partition(":")
    body: object = {}
    headers = {"content-type": "application/json"}
    if place == "json":
        body = "account-1"
        for step in reversed(path.split(".")):
            body = [body] if step.isdigit() else {step: body}
    elif place == "header":
        headers[path.lower()] = "account-1"
    return body, headers


def _shown(answers: Answers) -> str:
    form, _, name = (answers.place or "bearer").partition(":")
    if answers.kind == "basic":
        return 'check.headers["Authorization"].startswith("Basic ")'
    if answers.kind == "client_credentials":
        return 'check.headers["Authorization"] == "Bearer fake-token"'
    if form == "header":
        return f'check.headers[{json.dumps(name)}] == "fake-key"'
    if form == "query":
        return f'"{name}=fake-key" in check.url'
    return 'check.headers["Authorization"] == "Bearer fake-key"'
