"""A provider file is compared with the provider itself: what holds, what does not, and what cannot be seen."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cloud_integrations import Catalogue, HttpxTransport, Provider, Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.testing import (
    FixedClock,
    LiveReport,
    Misbehaviour,
    ProviderServer,
    SimulatedProvider,
    check_live,
    plan_live,
)

KEY = "fake-key-0123456789abcdef"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class _Api(BaseHTTPRequestHandler):
    """An API with a key, whose answers a test can change."""

    answers: dict[str, Any]

    def do_GET(self) -> None:
        sent = self.headers.get("X-Api-Key")
        self.answers.setdefault("seen", []).append((self.path, sent))
        if self.path == "/token":
            status, body = (200, {"access_token": f"fake-token-for-{sent}"}) if sent == KEY else (401, {"error": "invalid"})
        elif self.path == "/moved":
            status, body = 301, {}
        elif self.path == "/open":
            status, body = 200, {"account": {"id": "a-1", "name": "Acme"}, "ok": True}
        elif sent == KEY or self.headers.get("Authorization") == f"Bearer fake-token-for-{KEY}":
            status, body = 200, {"account": {"id": "a-1", "name": "Acme"}, "ok": True, "echo": sent}
        else:
            status, body = 401, {"error": "invalid"}
        status = self.answers.get("status", status)
        content = self.answers.get("body", json.dumps(body).encode())
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.answers.get("date", NOW), usegmt=True))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-RateLimit-Remaining", "99")
        self.send_header("X-RateLimit-Reset", str(int((NOW + timedelta(minutes=5)).timestamp())))
        if status == 301:
            self.send_header("Location", "https://elsewhere.example/me")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answers() -> dict[str, Any]:
    return {}


@pytest.fixture
def url(answers: dict[str, Any]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"answers": answers}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def _good(url: str) -> dict[str, Any]:
    return {
        "id": "acme",
        "name": "Acme",
        "loopback": True,
        "methods": [
            {
                "id": "key",
                "kind": "key",
                "inputs": [{"name": "api_key", "patterns": ["^fake-key-[0-9a-f]{16}$"]}],
                "present": {"headers": {"X-Api-Key": "{api_key}"}},
                "revoke": {"manual_url": "https://acme.example/keys"},
            }
        ],
        "verifications": [
            {
                "url": f"{url}/me",
                "identity": ["json:account.id"],
                "label": ["json:account.name"],
                "success": [{"path": "ok", "equals": True}],
            }
        ],
        "rate_limit": {"remaining": "X-RateLimit-Remaining", "reset": "X-RateLimit-Reset", "reset_format": "epoch_s"},
    }


def _check(data: dict[str, Any], key: str = KEY) -> LiveReport:
    provider = Provider.model_validate(data)
    with contextlib.closing(HttpxTransport()) as transport:
        return check_live(Catalogue.of(provider), provider, transport, inputs={"api_key": Secret(key)}, clock=FixedClock(NOW))


def _verdicts(report: LiveReport) -> dict[str, str]:
    return {fact.field: fact.verdict for fact in report.facts}


def test_of_a_file_that_is_true_every_fact_that_can_be_seen_holds(url, answers):
    report = _check(_good(url))
    assert (report.provider, report.method, report.key, report.not_held) == ("acme", "key", "accepted", ())
    assert _verdicts(report) == {
        "methods.key.inputs.api_key.patterns": "held",
        "verifications.0.url": "unseen",  # plain http shows no certificate
        "clock": "held",
        "verifications.0.statuses": "held",
        "verifications.0.format": "held",
        "verifications.0.success.0": "held",
        "verifications.0.identity.0": "held",
        "verifications.0.label.0": "held",
        "rate_limit.remaining": "held",
        "rate_limit.reset": "held",
        "rate_limit.reset_format": "held",
        "verifications.0.status_rules": "held",
        "methods.key.revoke": "unseen",
    }
    (_, first), (_, second) = answers["seen"]
    assert first == KEY
    assert second != KEY
    assert len(second) == len(KEY)


LIES = {
    "methods.key.inputs.api_key.patterns": lambda data: data["methods"][0]["inputs"][0].update(patterns=["^acme_[a-z]+$"]),
    "verifications.0.statuses": lambda data: data["verifications"][0].update(statuses=[204]),
    "verifications.0.format": lambda data: data["verifications"][0].update(format="xml"),
    "verifications.0.success.0": lambda data: data["verifications"][0].update(success=[{"path": "ok", "equals": False}]),
    "verifications.0.identity.0": lambda data: data["verifications"][0].update(identity=["json:id"]),
    "verifications.0.label.0": lambda data: data["verifications"][0].update(label=["json:name"]),
    "verifications.0.status_rules": lambda data: data["verifications"][0].update(status_rules={403: "dead"}),
    "rate_limit.remaining": lambda data: data["rate_limit"].update(remaining="RateLimit-Remaining"),
    "rate_limit.reset": lambda data: data["rate_limit"].update(reset="RateLimit-Reset"),
    "rate_limit.reset_format": lambda data: data["rate_limit"].update(reset_format="iso8601"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_fact_that_is_wrong_is_the_one_that_does_not_hold(url, lie):
    data = _good(url)
    LIES[lie](data)
    report = _check(data)
    assert [fact.field for fact in report.not_held] == [lie]


OTHER_LIES = {
    "another URL": (lambda data, url: data["verifications"][0].update(url=f"{url}/moved"), "verifications.0.url", "elsewhere.example"),
    "another header": (
        lambda data, _: data["methods"][0].update(present={"headers": {"X-Token": "{api_key}"}}),
        "verifications.0.statuses",
        "stands elsewhere in a request",
    ),
    "a check that asks for no key": (
        lambda data, url: data["verifications"][0].update(url=f"{url}/open"),
        "verifications.0.status_rules",
        "checks no key",
    ),
    "an id that is the key": (
        lambda data, _: data["verifications"][0].update(identity=["json:echo"]),
        "verifications.0.identity.0",
        "holds the key",
    ),
}


@pytest.mark.parametrize("lie", OTHER_LIES)
def test_what_else_may_be_wrong_is_told_with_its_reason(url, lie):
    data = _good(url)
    change, field, said = OTHER_LIES[lie]
    change(data, url)
    [fact] = _check(data).not_held
    assert (fact.field, said in fact.said) == (field, True), fact


def test_a_clock_that_differs_is_told(url, answers):
    answers["date"] = NOW + timedelta(minutes=3)
    [fact] = _check(_good(url)).not_held
    assert (fact.field, fact.said) == ("clock", "the provider's clock is 180 seconds ahead of this one")


@pytest.mark.parametrize(("status", "word"), [(429, "rate limit"), (503, "fails"), (403, "may not do this")])
def test_an_answer_that_says_nothing_of_the_file_is_no_lie(url, answers, status, word):
    answers["status"] = status
    data = _good(url)
    data["verifications"][0]["status_rules"] = {401: "dead", 403: "alive_but_denied"}
    report = _check(data)
    [fact] = [fact for fact in report.facts if fact.field.endswith("statuses")]
    assert (fact.verdict, word in fact.said) == ("unseen", True)
    assert {fact.field for fact in report.not_held} <= {"verifications.0.status_rules"}  # the server says the same to a broken key


def test_a_key_that_is_refused_leaves_the_rest_unseen(url, answers):
    report = _check(_good(url), key="fake-key-ffffffffffffffff")
    assert (report.key, [fact.field for fact in report.not_held]) == ("refused", ["verifications.0.statuses"])
    assert len(answers["seen"]) == 1


def test_where_nobody_answers_nothing_is_said_to_be_wrong(url):
    data = _good("http://127.0.0.1:1")
    report = _check(data)
    assert (report.key, report.not_held, _verdicts(report)["verifications.0.url"]) == ("unknown", (), "unseen")


def test_a_file_without_a_check_says_that_nothing_can_be_seen(url):
    data = _good(url)
    data["verifications"] = []
    report = _check(data)
    assert (report.key, _verdicts(report)["verifications"]) == ("unknown", "unseen")


def _minting(url: str) -> dict[str, Any]:
    data = _good(url)
    step = {"url": f"{url}/token", "method": "GET", "body": "none", "headers": {"X-Api-Key": "{api_key}"}}
    data["methods"][0] |= {"present": {"headers": {"Authorization": "Bearer {value}"}}, "mint": [step], "application": "owner"}
    return data


def test_a_token_that_is_made_of_the_key_is_made_first(url, answers):
    data = _minting(url)
    data["error_rules"] = [{"at": "mint", "status": 401, "class": "dead"}]
    report = _check(data)
    assert report.not_held == ()
    assert _verdicts(report)["mint"] == "held"
    assert [path for path, _ in answers["seen"]] == ["/token", "/me", "/token"]


def test_a_token_endpoint_that_is_wrong_does_not_hold(url):
    data = _minting(url)
    data["methods"][0]["mint"][0]["reply"] = {"gives": {"access_token": "token"}}
    report = _check(data)
    assert (report.key, _verdicts(report)["methods.key.mint"]) == ("unknown", "unseen")


def test_no_fact_repeats_the_key(url):
    for change in [*LIES.values(), lambda data: data["verifications"][0].update(label=["json:echo"])]:
        data = _good(url)
        change(data)
        assert KEY not in repr(_check(data))


def test_inputs_that_cannot_be_of_the_provider_are_refused_and_nothing_is_sent(url, answers):
    with pytest.raises(ValidationFailedError):
        _check(_good(url), key="fake key")
    assert answers == {}


def test_the_simulated_provider_keeps_to_its_own_file():
    simulated = SimulatedProvider()
    with ProviderServer(simulated), contextlib.closing(HttpxTransport()) as transport:
        _, provider = simulated.catalogue_entries()
        catalogue = Catalogue.of(provider)
        good = check_live(catalogue, provider, transport, inputs={"key": simulated.valid_api_key})
        assert (good.key, good.not_held) == ("accepted", ())
        simulated.misbehave(Misbehaviour.REDIRECT, endpoint="me")
        moved = check_live(catalogue, provider, transport, inputs={"key": simulated.valid_api_key})
    assert [fact.field for fact in moved.not_held] == ["verifications.0.url"]


def test_what_would_be_sent_is_told_without_a_key(url):
    provider = Provider.model_validate(_minting("https://api.acme.example") | {"loopback": False})
    token, check = plan_live(provider, provider.methods[0])
    assert (token.purpose, token.http_method, token.url, token.headers) == (
        "token",
        "GET",
        "https://api.acme.example/token",
        ("X-Api-Key",),
    )
    assert (check.url, check.headers) == ("https://api.acme.example/me", ("Accept", "Authorization"))
    assert check.credential == "in the header Authorization"
