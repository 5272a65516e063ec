"""Connecting by OAuth2 from a terminal, end to end against a real HTTP provider."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from base64 import b64encode
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cloud_integrations import Secret
from cloud_integrations.errors import ConfigurationError, GrantRefusedError
from cloud_integrations.testing import Misbehaviour, SimulatedProvider
from cloud_integrations_cli.actions.connect import Listener

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

T = ("-t", "acme")
JSON = ("-o", "json")


def _address(process: subprocess.Popen[str]) -> str:
    """The address that the person is to open, as the terminal shows it."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+/authorize\S+", line):
            return found[0]
    raise AssertionError("no address was shown")


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def _connect(home: Path, *words: str, **more: object) -> subprocess.Popen[str]:
    return start("connect", "simulated", *T, "--no-browser", *words, cwd=home, **more)


@pytest.fixture
def connected(home: Path, provider: SimulatedProvider) -> str:
    process = _connect(home, "--port", "0", *JSON)
    page = httpx.get(provider.sign_in(_address(process)), trust_env=False)
    code, out, err = _finish(process)
    assert (code, page.status_code) == (0, 200), err
    assert "You can close this window" in page.text
    return str(json.loads(out)["data"]["id"])


def test_a_provider_is_connected_through_the_loopback_callback(connected, run, provider):
    shown = run("integrations", "show", "simulated", *T, *JSON).data()
    assert (shown["id"], shown["authType"], shown["health"]["state"]) == (connected, "oauth2", "ok")
    assert shown["scopes"] == ["read", "write"]
    assert shown["account"]["id"] == "acct-1"


def test_a_provider_is_connected_in_a_slot(home, provider, run, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_SLOTS", "true")
    process = _connect(home, "--slot", "team-a", "--port", "0", *JSON)
    httpx.get(provider.sign_in(_address(process)), trust_env=False)
    code, out, err = _finish(process)
    assert code == 0, err
    assert json.loads(out)["data"]["slot"] == "team-a"
    renewed = run("integrations", "refresh", "simulated", *T, "--slot", "team-a", *JSON)
    assert (renewed.data()["id"], provider.refresh_count) == (json.loads(out)["data"]["id"], 1)


@pytest.mark.requirement("Q41")
def test_an_account_that_is_connected_again_is_told_with_the_limit_of_its_provider(home, provider, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_SLOTS", "true")
    file = home / "simulated.toml"
    file.write_text(file.read_text().replace('"refresh_token" = {', '"refresh_token" = {"max_live" = 2, '))
    said = []
    for slot in ("one", "two"):
        process = _connect(home, "--slot", slot, "--port", "0", *JSON)
        httpx.get(provider.sign_in(_address(process)), trust_env=False)
        code, _, err = _finish(process)
        assert code == 0, err
        said.append("this tenant holds 2 grants of this account; the provider lets 2 live" in err)
    assert said == [False, True]


def test_a_renewal_is_in_the_history_of_its_provider(connected, run):
    assert run("integrations", "refresh", "simulated", *T).code == 0
    hours = run("overview", "history", "--by-provider", *JSON).data()
    assert (len(hours), {hour["provider"] for hour in hours}, sum(hour["renewed"] for hour in hours)) == (24, {"simulated"}, 1)
    heading, *rows = run("overview", "history", "--by-provider").out.splitlines()
    assert heading.split() == ["Provider", "Hour", "Renewed", "Failed"]
    assert [(row.split()[0], row.split()[-2:]) for row in rows] == [("simulated", ["1", "0"])]


def test_the_whole_life_of_a_grant(connected, run, provider, home):
    assert run("integrations", "refresh", "simulated", *T, *JSON).data()["health"]["state"] == "ok"
    assert provider.refresh_count == 1
    token = run("token", "simulated", *T, "--reveal", "--yes").out.strip()
    assert provider.is_alive(token)
    process = start("integrations", "reconnect", connected, *T, "--no-browser", "--port", "0", *JSON, cwd=home)
    httpx.get(provider.sign_in(_address(process)), trust_env=False)
    code, out, err = _finish(process)
    assert code == 0, err
    assert json.loads(out)["data"]["id"] == connected
    token = run("token", "simulated", *T, "--reveal", "--yes").out.strip()
    gone = run("integrations", "delete", connected, *T, "--yes", *JSON).json()
    assert (gone["refreshToken"], gone["accessToken"]) == ("revoked", "revoked")
    assert not provider.is_alive(token)


def test_a_revoked_grant_asks_for_a_reconnect(connected, run, provider):
    provider.revoke_grant()
    ran = run("integrations", "refresh", "simulated", *T)
    assert ran.code == 5
    assert "reconnect" in ran.err


def test_a_refusal_at_the_provider_ends_the_wait(home, provider, run):
    process = _connect(home, "--port", "0")
    page = httpx.get(provider.sign_in(_address(process), approve=False), trust_env=False)
    code, out, err = _finish(process)
    assert (code, out, page.status_code) == (5, "", 400)
    assert "access denied" in err
    assert run("integrations", "list", *T, *JSON).data() == []


def test_the_address_is_pasted_where_no_callback_can_arrive(home, provider, run):
    process = _connect(home, "--paste", *JSON, stdin=subprocess.PIPE)
    address = _address(process)
    assert parse_qs(urlsplit(address).query)["redirect_uri"][0].startswith("http://127.0.0.1:8000/api/v1/oauth/callback/")
    out, err = process.communicate(provider.sign_in(address) + "\n", timeout=PATIENCE)
    assert process.returncode == 0, err
    assert json.loads(out)["data"]["authType"] == "oauth2"


def test_what_was_pasted_must_be_the_answer(home, provider):
    process = _connect(home, "--paste", stdin=subprocess.PIPE)
    _address(process)
    _, err = process.communicate("http://127.0.0.1:8000/?code=fake-code&state=fake-state\n", timeout=PATIENCE)
    assert process.returncode == 5
    assert "fake-code" not in err


def test_nobody_comes_back(home):
    process = _connect(home, "--port", "0", "--wait", "1")
    code, _, err = _finish(process)
    assert code == 5
    assert "no callback in time" in err


def test_an_interrupted_wait_has_its_code(home):
    import signal

    process = _connect(home, "--port", "0")
    _address(process)
    process.send_signal(signal.SIGINT)
    assert _finish(process)[0] == 130


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("connect", "simulated_keys", *T, "--port", "0"), 4),
        (("connect", "github", *T, "--port", "0"), 9),
        (("connect", "nowhere", *T, "--port", "0"), 3),
        (("connect", "simulated", *T, "--port", "0", "--paste"), 2),
        (("connect", "simulated", *T, "--port", "0", "--variable", "="), 2),
    ],
)
def test_what_cannot_be_connected_is_told_before_a_browser_opens(run, home, words, code):
    assert run(*words).code == code


def test_a_browser_is_opened(run, home, provider, monkeypatch):
    opened: Future[str] = Future()

    def open_browser(url: str) -> bool:
        threading.Thread(target=lambda: opened.set_result(httpx.get(provider.sign_in(url), trust_env=False).text)).start()
        return True

    monkeypatch.setattr("webbrowser.open", open_browser)
    ran = run("connect", "simulated", *T, "--port", "0")
    assert ran.code == 0, ran.err
    assert "continue in the browser" in ran.err
    assert "Connected" in opened.result(timeout=PATIENCE)


def test_the_listener_refuses_everything_but_the_awaited_answer():
    state = Secret("fake-state")
    with Listener(0) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        assert httpx.get(f"{url}/callback?state=fake-state", trust_env=False).status_code == 404
        listener.expect("/callback", state)
        for strange in (
            "/",
            "/callback",
            "/callback?state=other",
            "/callback?state=fake-state&state=fake-state",
            "/other?state=fake-state",
        ):
            assert httpx.get(url + strange, trust_env=False).status_code == 404
        with pytest.raises(GrantRefusedError):
            listener.wait(0.01)


def test_a_callback_that_comes_twice_sees_the_same_end_and_leaves_no_code_in_the_address():
    with Listener(0) as listener:
        listener.expect("/callback", Secret("fake-state"))
        url = f"http://127.0.0.1:{listener.port}/callback?state=fake-state&code=fake-code"
        with ThreadPoolExecutor(2) as pool:
            pages = [pool.submit(httpx.get, url, trust_env=False) for _ in range(2)]
            assert listener.wait(PATIENCE) == [("state", "fake-state"), ("code", "fake-code")]
            listener.answer(connected=True)
            shown = [page.result(timeout=PATIENCE) for page in pages]
    for page in shown:
        assert (page.status_code, "<h1>Connected</h1>" in page.text) == (200, True)
        script = re.search("<script>(.*)</script>", page.text)[1]
        assert script == 'history.replaceState(null,"",location.pathname)'
        assert b64encode(sha256(script.encode()).digest()).decode() in page.headers["content-security-policy"]


def test_a_port_in_use_is_told():
    with Listener(0) as listener, pytest.raises(ConfigurationError, match="in use"):
        Listener(listener.port)


def test_after_an_incident_a_provider_is_asked_again_for_all_that_it_refused(connected, run, provider):
    provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    assert run("integrations", "refresh", "simulated", *T).code == 5
    assert run("integrations", "show", "simulated", *T, *JSON).data()["health"]["state"] == "reconnect_required"
    asked = run("integrations", "refresh-refused", "simulated", "--reason", "rotation_lost", *JSON).data()
    assert asked == {"asked": 0, "renewed": 0, "postponed": 0, "reconnectRequired": 0, "gone": 0, "failed": 0}
    ran = run("integrations", "refresh-refused", "simulated", "--reason", "revoked")
    assert ran.code == 0
    assert "Renewed" in ran.out
    assert "Failed" not in ran.out
    assert run("integrations", "show", connected, *T, *JSON).data()["health"]["state"] == "ok"


def test_what_is_refused_again_stays_as_it_is(connected, run, provider):
    provider.revoke_grant()
    run("integrations", "refresh", "simulated", *T)
    counts = run("integrations", "refresh-refused", "simulated", *JSON).data()
    assert (counts["asked"], counts["renewed"], counts["reconnectRequired"]) == (1, 0, 1)
