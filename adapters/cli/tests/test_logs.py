"""Log lines as JSON: one object a line, with fields and without secrets."""

from __future__ import annotations

import json
import logging
import signal
import sys
from datetime import datetime, timedelta

import httpx
import pytest

from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations_cli.logs import JsonLines
from cloud_integrations_fastapi.request_ids import NAMES_REQUESTS, answering

from .conftest import PATIENCE, start

CANARY = "fake-secret-canary"


@pytest.fixture(autouse=True)
def formatters():
    """The handlers of the process, as they were."""
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    yield
    logging.captureWarnings(capture=False)
    for handler, formatter in before:
        handler.setFormatter(formatter)


def record(message="hello", *args, error=None, **more):
    raised = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("cloud_integrations", logging.WARNING, __file__, 1, message, args, raised)
    made.__dict__.update(more)
    return made


def line(*words, **more):
    text = JsonLines().format(record(*words, **more))
    assert "\n" not in text
    assert text.isascii()
    return json.loads(text)


def test_a_record_is_one_object_with_its_time_in_utc():
    found = line("two\nlines and %s", "\u2028 more")
    assert datetime.fromisoformat(found.pop("time")).utcoffset() == timedelta(0)
    assert found == {"level": "warning", "logger": "cloud_integrations", "message": "two\nlines and \u2028 more"}
    assert JsonLines().format(record()).partition('", ')[0].endswith("Z")


def test_the_facts_of_an_event_are_fields():
    found = line(event="integration.connected", facts={"tenant": "acme", "level": "mine", "odd": object})
    assert found["level"] == "warning"
    assert (found["event"], found["facts"]["tenant"], found["facts"]["level"]) == ("integration.connected", "acme", "mine")


def test_a_record_that_is_made_while_a_request_is_answered_names_it():
    asked, own, after = record(), record(request_id="its-own"), record()
    with answering("req-1"):
        assert NAMES_REQUESTS.filter(asked)
        assert NAMES_REQUESTS.filter(own)
    assert NAMES_REQUESTS.filter(after)
    shown = [json.loads(JsonLines().format(each)).get("requestId") for each in (asked, own, after)]
    assert shown == ["req-1", "its-own", None]


def fail():
    try:
        int(f"{CANARY}\nin a text")
    except ValueError as error:
        raise StorageUnavailableError from error


@pytest.mark.requirement("ISO-20")
def test_an_exception_is_one_field_and_the_text_of_a_foreign_one_is_not_shown():
    try:
        fail()
    except StorageUnavailableError as error:
        found = line(error=error)
    assert CANARY not in json.dumps(found)
    assert found["exception"].startswith("StorageUnavailableError: ")
    assert "<- ValueError (test_logs.py:" in found["exception"]


def test_errors_that_lead_to_each_other_are_told_and_end():
    first, second = RuntimeError(CANARY), ValueError(CANARY)
    first.__cause__, second.__context__ = second, first
    assert line(error=first)["exception"].startswith("RuntimeError () <- ValueError () <- ")
    second.__suppress_context__ = True
    assert line(error=first)["exception"] == "RuntimeError () <- ValueError ()"


def test_arguments_that_do_not_fit_the_message_are_not_shown():
    assert line("%d things", CANARY)["message"] == "%d things"


def test_an_error_that_ends_a_command_is_a_line_too(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUD_INTEGRATIONS_LOG_FORMAT", "json")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(sys.stderr)])
    ran = run("worker", "--once")
    assert ran.code == 8
    [found] = [json.loads(each) for each in ran.err.splitlines()]
    assert (found["level"], found["logger"], found["event"]) == ("error", "cloud_integrations.cli", "ended")
    assert "database_url is missing" in found["message"]


def test_another_format_is_refused(run, home):
    ran = run("--log-format", "xml", "serve")
    assert (ran.code, "must be one of text, json" in ran.err) == (2, True)
    settings = home / "cloud-integrations.toml"
    settings.write_text(f'log_format = "xml"\n{settings.read_text()}')
    ran = run("worker", "--once")
    assert (ran.code, "log_format" in ran.err) == (8, True)


@pytest.mark.programs
@pytest.mark.requirement("ISO-20")
def test_a_server_writes_one_object_a_line_and_no_secret(tmp_path):
    process = start(*("--log-level", "debug", "--log-format", "json", "serve", "--demo", "--output", "json"), env={"TMPDIR": str(tmp_path)})
    try:
        ready = json.loads(process.stdout.readline())
        api, provider = f"/api/v1/tenants/{ready['tenantId']}/integrations", ready["provider"]
        headers = {"Authorization": f"Bearer {ready['token']}", "X-Request-Id": "req-1"}
        with httpx.Client(base_url=ready["url"], trust_env=False, timeout=PATIENCE, headers=headers) as client:
            for key in ("invalidApiKey", "validApiKey"):
                body = {"providerId": provider["apiKeyProviderId"], "name": "Keys", "credentials": {"apiKey": provider[key]}}
                client.post(api, json=body, params={"code": CANARY})
            client.get(f"{api}?code={CANARY}")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    lines = [json.loads(each) for each in err.splitlines()]
    connected = [each for each in lines if each.get("event") == "integration.connected" and each["facts"]["tenant"] == ready["tenantId"]]
    assert [each["requestId"] for each in connected] == ["req-1"]
    asked = [each for each in lines if each.get("event") == "request"]
    assert {(each["requestId"], each["facts"]["path"]) for each in asked} == {("req-1", api)}
    for secret in (CANARY, ready["token"], provider["validApiKey"], provider["invalidApiKey"]):
        assert secret not in err


@pytest.mark.programs
def test_a_worker_writes_one_object_a_line(home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(f'log_format = "json"\n{settings.read_text()}')
    process = start("worker", "--interval", "1", cwd=home)
    try:
        ready = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert (ready["event"], ready["level"], ready["message"][:7]) == ("ready", "info", "working")
    *_, stopped = [json.loads(each) for each in err.splitlines()]
    assert (stopped["event"], stopped["facts"]["renewed"]) == ("stopped", 0)
