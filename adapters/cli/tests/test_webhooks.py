"""Webhooks and events on the command line, with a receiver over HTTP that verifies by `standardwebhooks` alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from .conftest import TENANT, Run

T = ("-t", TENANT)
JSON = ("-o", "json")


class Receiver:
    """A receiver on this machine."""

    def __init__(self) -> None:
        self.secret = ""
        self.status = 204
        self.verified: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.status < 300:
                    receiver.verified.append(Webhook(receiver.secret).verify(body, dict(self.headers)))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the signature of the class above
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks?key=fake-key-in-url"

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.verified]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def add(run: Run, receiver: Receiver, *more: str) -> dict[str, Any]:
    added = run("webhooks", "add", receiver.url, *more, *JSON)
    assert added.code == 0, added.err
    document: dict[str, Any] = added.data()
    receiver.secret = document.pop("secret")
    return document


def test_a_receiver_verifies_what_the_worker_delivers(run: Run, home: Path, receiver: Receiver, key_file: Path) -> None:
    webhook = add(run, receiver, *T)
    assert run("events", "test", webhook["id"], *T).code == 0
    assert run("integrations", "add", "simulated_keys", *T, "--api-key-file", key_file).code == 0
    worked = run("worker", "--once", *JSON)
    assert worked.code == 0, worked.err
    assert worked.data()["delivered"] == 1
    assert receiver.types == ["webhook.test", "integration.connected"]
    assert receiver.verified[1]["data"]["tenantId"] == TENANT
    assert run("webhooks", "list", *T, *JSON).data() == [webhook]
    assert receiver.secret not in run("webhooks", "list", *T, *JSON).out


def test_a_new_secret_is_shown_once_and_the_old_one_signs_beside_it(run: Run, home: Path, receiver: Receiver) -> None:
    webhook = add(run, receiver)
    shown = run("webhooks", "rotate-secret", webhook["id"])
    assert shown.code == 0
    assert "whsec_" in shown.out
    assert "not shown again" in shown.err
    assert run("events", "test", webhook["id"]).code == 0  # verified with the old one
    receiver.secret = run("webhooks", "rotate-secret", webhook["id"], "--overlap", "0", *JSON).data()["secret"]
    assert run("events", "test", webhook["id"]).code == 0
    assert receiver.types == ["webhook.test"] * 2


def test_what_was_not_taken_is_listed_and_tried_again(run: Run, home: Path, receiver: Receiver, added: str) -> None:
    webhook = add(run, receiver, "--event", "integration.disabled", "--provider", "simulated_keys")
    receiver.status = 500
    assert run("integrations", "disable", added, *T).code == 0
    assert run("integrations", "enable", added, *T).code == 0
    assert run("worker", "--once").code == 0
    [waits] = run("events", "list", *JSON).data()
    assert (waits["event"], waits["lastError"], waits["attempts"]) == ("integration.disabled", "status_500", 1)
    assert waits["receiver"] == f"operator:{webhook['id']}"
    table = run("events", "list", *T)
    assert "status_500" in table.out
    failed = run("events", "test", webhook["id"])
    assert failed.code != 0
    assert "status_500" in failed.err
    receiver.status = 200
    assert run("events", "retry", waits["id"], "--state", "waiting", *JSON).data() == {"retried": 1}
    assert run("worker", "--once").code == 0
    assert receiver.types == ["integration.disabled"]
    assert run("events", "list", *JSON).data() == []
    assert "none" in run("events", "list", "--state", "given_up").err
    assert "0" in run("events", "retry").out


def test_a_webhook_is_switched_off_and_on_and_removed(run: Run, home: Path, receiver: Receiver, added: str) -> None:
    webhook = add(run, receiver, *T, "--format", "cloudevents")
    assert run("webhooks", "disable", webhook["id"], *T).code == 0
    assert "off (asked)" in run("webhooks", "list", *T).out
    assert run("integrations", "disable", added, *T).code == 0
    assert run("worker", "--once").code == 0
    assert receiver.types == []
    assert run("webhooks", "enable", webhook["id"], *T, *JSON).data()["enabled"] is True
    assert run("integrations", "enable", added, *T).code == 0
    assert run("worker", "--once").code == 0
    assert receiver.types == ["integration.enabled"]
    assert run("webhooks", "remove", webhook["id"], *T, "--yes", *JSON).json() == {"success": True}
    again = run("webhooks", "remove", webhook["id"], *T, "--yes")
    assert again.code == 3
    assert "webhooks list" in again.err
    assert "no webhooks" in run("webhooks", "list", *T).err


def test_what_does_not_fit_is_refused(run: Run, home: Path) -> None:
    for words in (("http://hooks.example/",), ("https://hooks.example/", "--event", "integration.exploded")):
        assert run("webhooks", "add", *words, *T).code == 4
    off = run("webhooks", "add", "https://hooks.example/", "--format", "xml")
    assert off.code == 2
    settings = home / "cloud-integrations.toml"
    settings.write_text(f"events = false\n{settings.read_text()}")
    refused = run("webhooks", "add", "https://hooks.example/")
    assert refused.code == 8
    assert "events must be on" in refused.err
