"""`serve` and `demo` as strangers use them: a real process, a plain HTTP client with cookies."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

FIELD = re.compile(r'name="(request|form_token)" value="([^"]+)"')


class Demo:
    """A running `serve --demo`, and a client that keeps cookies."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.ready: dict[str, Any] = json.loads(process.stdout.readline())
        self.url: str = self.ready["url"]
        self.api = f"/api/v1/tenants/{self.ready['tenantId']}"
        self.provider: dict[str, str] = self.ready["provider"]
        self.bearer = {"Authorization": f"Bearer {self.ready['token']}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE)

    def stop(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    process = start("--log-level", "debug", "serve", "--demo", "--output", "json", env={"TMPDIR": str(tmp_path)})
    try:
        yield Demo(process)
    finally:
        process.kill()
        process.communicate()


def _authorize(demo: Demo, client: httpx.Client, **more: str) -> httpx.Response:
    begun = client.post(
        f"{demo.api}/authorizations", json={"providerId": demo.provider["oauthProviderId"], "name": "By sign-in", **more}
    ).json()["data"]
    consent = client.get(begun["authorizationUrl"])
    request = dict(FIELD.findall(consent.text))["request"]
    granted = client.post(f"{demo.provider['url']}/consent", data={"request": request, "decision": "approve"})
    return client.get(granted.headers["location"])


def test_a_stranger_walks_through_the_life_of_both_kinds(demo: Demo):
    assert list(demo.ready) == ["url", "token", "tenantId", "provider"]
    with demo.client() as client:
        assert client.get(f"{demo.api}/integrations").status_code == 403
        signed_in = client.post("/session", headers=demo.bearer)
        assert signed_in.status_code == 201
        assert "httponly" in signed_in.headers["set-cookie"].lower()
        assert "samesite=lax" in signed_in.headers["set-cookie"].lower()

        connected = _authorize(demo, client)
        assert connected.status_code == 200
        oauth = connected.json()["data"]
        key = {"providerId": demo.provider["apiKeyProviderId"], "name": "By key"}
        wrong = client.post(f"{demo.api}/integrations", json={**key, "credentials": {"apiKey": demo.provider["invalidApiKey"]}})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "integration/invalid-credentials")
        right = client.post(f"{demo.api}/integrations", json={**key, "credentials": {"apiKey": demo.provider["validApiKey"]}})
        assert right.status_code == 201

        listed = client.get(f"{demo.api}/integrations", headers=demo.bearer).json()["data"]
        assert [each["id"] for each in listed] == [oauth["id"], right.json()["data"]["id"]]
        assert client.get("/api/v1/tenants/other/integrations").status_code == 403
        assert client.post(f"{demo.api}/integrations/{oauth['id']}/token").status_code == 403
        for each in listed:
            assert client.delete(f"{demo.api}/integrations/{each['id']}").json() == {"success": True}
        assert client.get(f"{demo.api}/integrations").json() == {"data": []}
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/health/live").json() == {"status": "ok"}

        assert client.delete("/session").json() == {"success": True}
        assert client.get(f"{demo.api}/integrations").status_code == 403


def test_a_code_may_be_posted_with_its_state(demo: Demo):
    with demo.client() as client:
        begun = client.post(
            f"{demo.api}/authorizations",
            json={"providerId": demo.provider["oauthProviderId"], "name": "Posted"},
            headers=demo.bearer,
        ).json()["data"]
        consent = client.get(begun["authorizationUrl"])
        request = dict(FIELD.findall(consent.text))["request"]
        location = client.post(f"{demo.provider['url']}/consent", data={"request": request, "decision": "approve"}).headers["location"]
        [code] = parse_qs(urlsplit(location).query)["code"]
        redirect_uri = location.partition("?")[0]
        body = {"providerId": demo.provider["oauthProviderId"], "name": "Posted", "code": code, "redirectUri": redirect_uri}
        posted = client.post(f"{demo.api}/integrations", json={**body, "state": begun["state"]}, headers=demo.bearer)
        assert posted.status_code == 201, posted.text


def test_a_code_may_be_posted_without_a_state_while_nothing_is_pending(demo: Demo):
    with demo.client() as client:
        provider_id = demo.provider["oauthProviderId"]
        [redirect_uri] = [
            known["redirectUri"]
            for known in client.get("/api/v1/providers", headers=demo.bearer).json()["data"]
            if known["id"] == provider_id
        ]
        asked = {"response_type": "code", "client_id": "fake-client-id", "redirect_uri": redirect_uri, "scope": "read", "state": "fake"}
        consent = client.get(f"{demo.provider['url']}/authorize", params=asked)
        request = dict(FIELD.findall(consent.text))["request"]
        location = client.post(f"{demo.provider['url']}/consent", data={"request": request, "decision": "approve"}).headers["location"]
        [code] = parse_qs(urlsplit(location).query)["code"]
        body = {"providerId": provider_id, "name": "Posted", "code": code, "redirectUri": redirect_uri}
        posted = client.post(f"{demo.api}/integrations", json=body, headers=demo.bearer)
        assert posted.status_code == 201, posted.text


def test_a_callback_is_refused_in_another_browser(demo: Demo):
    with demo.client() as mine, demo.client() as other:
        mine.post("/session", headers=demo.bearer)
        other.post("/session", headers=demo.bearer)
        begun = mine.post(f"{demo.api}/authorizations", json={"providerId": demo.provider["oauthProviderId"], "name": "Mine"}).json()[
            "data"
        ]
        request = dict(FIELD.findall(mine.get(begun["authorizationUrl"]).text))["request"]
        location = mine.post(f"{demo.provider['url']}/consent", data={"request": request, "decision": "approve"}).headers["location"]
        assert other.get(location).status_code == 400
        assert mine.get(location).status_code == 200


def test_the_pages_walk(demo: Demo):
    with demo.client() as client:
        page = client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        form_token = dict(FIELD.findall(page.text))["form_token"]
        refused = client.post("/session", data={"token": "fake", "form_token": form_token})
        assert refused.status_code == 403
        assert "not known here" in refused.text
        assert client.post("/session", data={"token": demo.ready["token"], "form_token": "other"}).status_code == 403
        cross = client.post(
            "/session", data={"token": demo.ready["token"], "form_token": form_token}, headers={"Origin": "https://evil.example"}
        )
        assert cross.status_code == 403
        assert client.post("/session", data={"token": demo.ready["token"], "form_token": form_token}).headers["location"] == "/"
        tenants = client.get("/")
        assert "user:demo" in tenants.text
        assert "/?tenant=acme" in tenants.text
        assert client.get("/?tenant=other").status_code == 403
        assert "Sign in at Simulated" in client.get("/?tenant=acme").text

        back = _authorize(demo, client, returnTo="/?tenant=acme")
        assert (back.status_code, back.headers["location"]) == (303, "/?tenant=acme")
        shown = client.get(back.headers["location"]).text
        assert "By sign-in" in shown
        assert "acct-1" in shown
        assert "You declined at the provider" in client.get("/?tenant=acme&error=declined").text
        assert "declined" not in client.get("/?tenant=acme&error=<script>declined").text

        foreign = {"Origin": "https://evil.example"}
        assert client.delete("/session", headers=foreign).status_code == 403
        assert client.post(f"{demo.api}/authorizations", json={}, headers=foreign).status_code == 403
        assert client.post("/sign-out", data={"form_token": "other"}).status_code == 403
        own = dict(FIELD.findall(shown))["form_token"]
        assert client.post("/sign-out", data={"form_token": own}).status_code == 303
        assert "Bearer token" in client.get("/").text


def test_a_browser_may_post_our_own_forms_and_nobody_elses(demo: Demo):
    with demo.client() as client:
        page = client.get("/")
        # With `no-referrer` a browser would send `Origin: null` along with our own form, and be refused.
        assert page.headers["referrer-policy"] == "same-origin"
        form = {"form_token": dict(FIELD.findall(page.text))["form_token"], "token": demo.ready["token"]}
        assert client.post("/session", data=form, headers={"Origin": "null"}).status_code == 403
        assert client.post("/session", data=form, headers={"Origin": "https://elsewhere.example"}).status_code == 403
        assert client.post("/session", data=form, headers={"Origin": "http://["}).status_code == 403
        assert client.post("/session", data=form, headers={"Origin": demo.url, "Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_as_asked_and_leaves_nothing_behind(demo: Demo, number, tmp_path):
    assert list(tmp_path.iterdir())
    code, _ = demo.stop(number)
    assert code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("OAU-081")
def test_the_log_at_debug_holds_no_secret(demo: Demo):
    with demo.client() as client:
        client.post("/session", headers=demo.bearer)
        callback = _authorize(demo, client).request.url
        credentials = {"apiKey": demo.provider["validApiKey"]}
        client.post(
            f"{demo.api}/integrations",
            json={"providerId": demo.provider["apiKeyProviderId"], "name": "By key", "credentials": credentials},
        )
        cookie = client.cookies["ci_session"]
    code, err = demo.stop(signal.SIGTERM)
    assert code == 0
    assert f"GET {callback.path} 200" in err
    secrets = [demo.ready["token"], demo.provider["validApiKey"], cookie, callback.params["code"], callback.params["state"]]
    assert [secret[:8] for secret in secrets if secret in err] == []


def test_a_port_that_is_taken_is_told(demo: Demo):
    process = start("serve", "--demo", "--port", str(urlsplit(demo.url).port))
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 8
    assert "cannot be listened on" in err


def test_a_demonstration_is_for_this_computer(run):
    assert run("serve", "--demo", "--host", "0.0.0.0").code == 8


def test_serving_the_settings(home: Path, run):
    made = run("tokens", "generate", "--actor", "service:backend", "--tenant", "*", "--permission", "list", "--permission", "providers")
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text() + "\n" + made.err.partition("settings file:")[2])
    process = start("serve", "--port", "0", cwd=home, env={"CLOUD_INTEGRATIONS_PUBLIC_URL": "https://ci.example.com"})
    assert process.stderr is not None
    try:
        assert re.match(r"serving http://127\.0\.0\.1:[1-9]\d+ ", process.stderr.readline())
        assert process.stderr.readline().endswith("are sent to public_url: https://ci.example.com\n")
    finally:
        process.terminate()
        process.communicate()
    process = start("serve", "--port", "0", "-o", "json", cwd=home, env={"CLOUD_INTEGRATIONS_PUBLIC_URL": ""})
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 8, (out, err)


def test_serving_lets_in_by_the_hash_of_a_token(home: Path, run):
    made = run("tokens", "generate", "--actor", "service:backend", "--tenant", "*", "--permission", "list", "--permission", "providers")
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text() + "\n" + made.err.partition("settings file:")[2])
    process = start("serve", "--port", "0", "-o", "json", cwd=home)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        url = ready["url"]
        assert ready["publicUrl"] == "http://127.0.0.1:8000", "what `init` wrote, and nobody listens there"
        bearer = {"Authorization": f"Bearer {made.out.strip()}"}
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/api/v1/tenants/any/integrations", headers=bearer).json() == {"data": []}
            assert client.post("/session", headers={"Authorization": "Bearer fake"}).status_code == 401
            assert client.post("/api/v1/tenants/any/authorizations", json={}, headers=bearer).status_code == 403
            client.post("/session", headers=bearer)
            assert "Tenant" in client.get("/").text
            assert client.get("/?tenant=two%20words").status_code == 422
            program = {each["slug"] for each in client.get("/api/v1/providers", headers=bearer).json()["data"]}
        assert program == {each["slug"] for each in run("providers", "list", "-o", "json").data()}
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


def test_a_permission_that_does_not_exist_is_told(home: Path, run):
    settings = home / "cloud-integrations.toml"
    settings.write_text(
        settings.read_text() + f'\n[[tokens]]\nsha256 = "{"0" * 64}"\nactor = "a:b"\ntenants = "*"\npermissions = ["fly"]\n'
    )
    ran = run("serve")
    assert ran.code == 8
    assert "fly" in ran.err


def test_lists_and_details_have_one_shape_in_both_doors(home: Path, run, key_file):
    run("integrations", "add", "simulated_keys", "-t", "acme", "--api-key-file", key_file)
    made = run("tokens", "generate", "--actor", "service:x", "--tenant", "acme")
    settings = home / "cloud-integrations.toml"
    text = settings.read_text().replace('public_url = "http://127.0.0.1:8000"\n', "")
    settings.write_text(text + "\n" + made.err.partition("settings file:")[2])
    process = start("serve", "--port", "0", "-o", "json", cwd=home)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=f"{url}/api/v1", trust_env=False, headers={"Authorization": f"Bearer {made.out.strip()}"}) as client:
            where = "/tenants/acme/integrations"
            listed = client.get(where).json()
            which = listed["data"][0]["id"]
            detail = client.get(f"{where}/{which}").json()
            audit = client.get(f"{where}/{which}/audit").json()
            check = client.post(f"{where}/{which}/verify").json()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    # The command line names the provider, too, its list holds the details that its table shows, and `show` an end that is announced.
    [shown], [told] = run("integrations", "list", "-t", "acme", "-o", "json").data(), listed["data"]
    assert shown == told | detail["data"] | {"provider": "simulated_keys"}
    assert run("integrations", "show", which, "-t", "acme", "-o", "json").data() == shown | {"deprecated": None}
    [event] = [each for each in run("audit", "list", "-t", "acme", "-o", "json").data() if each["seq"] == audit["data"][0]["seq"]]
    assert event == audit["data"][0]
    mine = run("integrations", "verify", which, "-t", "acme", "-o", "json").json()
    assert mine["data"].keys() == check["data"].keys()


def test_the_demonstration_ends_well_and_leaves_nothing_behind(tmp_path):
    process = start("demo", env={"TMPDIR": str(tmp_path), "NO_COLOR": "1"})
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, ""), err
    assert "10. Clean up" in out
    assert "refresh token revoked, access token revoked" in out
    assert "nowhere in its files" in out
    assert "whole" in out
    assert "\x1b" not in out
    assert "fake-key-" not in out
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)


@pytest.mark.parametrize(("trusted", "statuses"), [('["127.0.0.1"]', [403, 403, 429]), ("[]", [403, 429, 429])])
def test_callbacks_behind_a_proxy_are_counted_by_the_address_of_the_browser(home: Path, trusted, statuses):
    file = home / "cloud-integrations.toml"
    file.write_text(f"trusted_proxies = {trusted}\n{file.read_text()}\n[rate_limits]\ncallback_per_minute = 1\n")
    process = start("serve", "--port", "0", "--output", "json", cwd=home)
    try:
        assert process.stdout is not None
        url = f"{json.loads(process.stdout.readline())['url']}/api/v1/oauth/callback/{uuid4()}?state=unknown"
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            answers = [client.get(url, headers={"X-Forwarded-For": f"192.0.2.{last}"}) for last in (7, 8, 7)]
        assert [answer.status_code for answer in answers] == statuses
    finally:
        process.kill()
        process.communicate()
