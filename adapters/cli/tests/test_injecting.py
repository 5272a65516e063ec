"""`exec --inject`: a program uses a tenant's credential and never has it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .conftest import PATIENCE, start

T = ("-t", "acme")
JSON = ("-o", "json")
PROGRAM = """
import json, os, sys, urllib.error, urllib.request
def ask(url, method="GET"):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, method=method)).status
    except urllib.error.HTTPError as error:
        return error.code
asked = [ask(sys.argv[1] + "/me"), ask(sys.argv[1] + "/me", "DELETE"), ask("http://127.0.0.1:1/")]
open("seen", "w").write(json.dumps({"asked": asked, "environ": dict(os.environ)}))
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def api(run, home, provider):
    added = run("integrations", "add", "simulated_keys", *T, "--api-key-stdin", given=provider.valid_api_key.reveal())
    assert added.code == 0, added.err
    return provider.base_url


def opening(api):
    return ("--inject", "--provider", "simulated_keys", "--agent", "bot", "--on-behalf-of", "ada", "--host", urlsplit(api).netloc)


def test_a_program_uses_the_key_and_the_session_ends_with_it(run, api, provider):
    ran = run("exec", *T, *opening(api), "--", sys.executable, "-c", PROGRAM, api, "7")
    assert (ran.code, ran.out) == (7, ""), ran.err
    seen = json.loads(Path("seen").read_text(encoding="utf-8"))
    assert seen["asked"] == [200, 403, 403]
    assert provider.valid_api_key.reveal() not in json.dumps(seen) + ran.err
    [session] = run("sessions", "list", *T, *JSON).data()
    assert session["revokedAt"] is not None
    assert (session["agent"]["id"], session["onBehalfOf"]["id"], session["methods"]) == ("bot", "ada", ["GET", "HEAD"])
    actions = [each["action"] for each in run("audit", "list", *T, *JSON).data()]
    assert actions.count("session.refused") == 2


def test_an_open_session_is_used_and_stays_open(run, api):
    opened = run("sessions", "open", *T, *opening(api)[1:], "--http-method", "GET", *JSON)
    assert opened.code == 0, opened.err
    ran = run("exec", *T, "--inject", "--session", opened.data()["id"], "--", sys.executable, "-c", PROGRAM, api, "0")
    assert ran.code == 0, ran.err
    assert json.loads(Path("seen").read_text(encoding="utf-8"))["asked"] == [200, 403, 403]
    assert run("sessions", "list", *T, *JSON).data()[0]["revokedAt"] is None


def test_the_session_ends_where_the_program_cannot_be_started(run, api):
    assert run("exec", *T, *opening(api), "--", "no-such-program-here").code == 2
    assert run("sessions", "list", *T, *JSON).data()[0]["revokedAt"] is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows passes no signal on")
def test_the_session_ends_with_a_program_that_is_ended(run, api):
    program = "import signal; print('ready', flush=True); signal.pause()"
    process = start("exec", *T, *opening(api), "--", sys.executable, "-c", program, cwd=Path.cwd())
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, err
    assert run("sessions", "list", *T, *JSON).data()[0]["revokedAt"] is not None


@pytest.mark.parametrize(
    "more",
    [
        *[("--inject",), ("--inject", "--agent", "bot"), ("--agent", "bot"), ("--session", "1"), ("--host", "api.example")],
        # Who limits what a program may do, and forgets --inject, must not give it the whole credential.
        *[("--http-method", "GET"), ("--ttl", "60")],
        *[("--inject", "--session", "1", "--http-method", "GET"), ("--inject", "--session", "1", "--host", "api.example")],
        *[("--inject", "--session", "1", "--ttl", "60"), ("--inject", "--session", "1", "--agent", "bot")],
    ],
)
def test_what_belongs_together_is_named(run, home, more):
    refused = run("exec", *T, *more, "--", "true")
    assert (refused.code, "--inject" in refused.err) == (2, True)
