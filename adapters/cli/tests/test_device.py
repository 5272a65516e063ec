"""Connecting by device code from a terminal, end to end against a real HTTP provider (RFC 8628)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_integrations.testing import ProviderServer, SimulatedProvider

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

T = ("-t", "acme")
JSON = ("-o", "json")


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    provider = SimulatedProvider(device_codes=True)
    with ProviderServer(provider):
        yield provider


def _connect(home: Path, *words: str) -> subprocess.Popen[str]:
    return start("connect", "simulated", *T, "--device", *words, cwd=home)


def _code(process: subprocess.Popen[str]) -> str:
    """The code that the person is to enter, as the terminal shows it."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}\n", line):
            return found[0].strip()
    raise AssertionError("no code was shown")


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def _facts(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stderr is not None
    facts: dict[str, object] = json.loads(process.stderr.readline())
    return facts


@pytest.fixture
def connected(home: Path, provider: SimulatedProvider) -> str:
    process = _connect(home, *JSON)
    provider.enter_code(str(_facts(process)["userCode"]))
    code, out, err = _finish(process)
    assert code == 0, err
    return str(json.loads(out)["data"]["id"])


def test_the_person_enters_the_code_in_any_browser(home, provider, run):
    process = _connect(home)
    provider.enter_code(_code(process))
    code, out, err = _finish(process)
    assert code == 0, err
    assert "connected" in err
    shown = run("integrations", "show", "simulated", *T, *JSON).data()
    assert (shown["authType"], shown["health"]["state"], shown["scopes"]) == ("oauth2", "ok", ["read", "write"])
    assert shown["id"] in out


def test_a_program_reads_where_the_code_is_entered(home, provider):
    process = _connect(home, *JSON)
    facts = _facts(process)
    page = f"{provider.base_url}/activate"
    assert (facts["verificationUri"], facts["verificationUriComplete"]) == (page, f"{page}?user_code={facts['userCode']}")
    assert facts["scopes"] == ["read", "write"]
    provider.enter_code(str(facts["userCode"]))
    code, out, _ = _finish(process)
    assert (code, json.loads(out)["data"]["tenantId"]) == (0, "acme")


def test_an_integration_is_reconnected_and_another_account_is_told(connected, home, provider):
    provider.account = "acct-2"
    process = start("integrations", "reconnect", connected, *T, "--device", *JSON, cwd=home)
    provider.enter_code(str(_facts(process)["userCode"]))
    code, out, err = _finish(process)
    assert code == 0, err
    assert json.loads(out)["data"]["id"] == connected
    assert "another account than before" in err


def test_a_refusal_of_the_person_ends_the_wait(home, provider, run):
    process = _connect(home)
    provider.enter_code(_code(process), approve=False)
    code, out, err = _finish(process)
    assert (code, out) == (5, "")
    assert "access denied" in err
    assert run("integrations", "list", *T, *JSON).data() == []


def test_an_interrupted_wait_has_its_code_and_stores_nothing(home, provider, run):
    process = _connect(home)
    _code(process)
    process.send_signal(signal.SIGINT)
    code, _, err = _finish(process)
    assert (code, "Traceback" in err) == (130, False)
    assert run("integrations", "list", *T, *JSON).data() == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("connect", "simulated", *T, "--device", "--paste"), 2),
        (("connect", "simulated", *T, "--device", "--port", "0"), 2),
        (("connect", "simulated_keys", *T, "--device"), 4),
        (("connect", "nowhere", *T, "--device"), 3),
        (("connect", "simulated", *T, "--device", "--variable", "="), 2),
    ],
)
def test_what_cannot_be_connected_by_device_code_is_told_at_once(run, home, provider, words, code):
    assert run(*words).code == code
    assert provider.count("device") == 0


def test_a_reconnect_by_device_code_takes_no_callback(connected, run, provider):
    assert run("integrations", "reconnect", connected, *T, "--device", "--paste").code == 2


def test_a_provider_without_device_codes_is_told(run, home, provider):
    provider.device_codes = False
    ran = run("connect", "simulated", *T, "--device")
    assert (ran.code, ran.out) == (5, ""), ran.err
    assert "the authorization was refused" in ran.err
    assert (provider.count("device"), provider.count("poll")) == (1, 0)
    assert run("integrations", "list", *T, *JSON).data() == []
