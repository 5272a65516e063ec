"""The contract of OAuth backends notices one that breaks a promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys

HEAD = """
from dataclasses import replace

import pytest

from cloud_integrations.oauth import Granted, Refused, StandardOAuthBackend
from cloud_integrations.testing.contracts.oauth_backend import OAuthBackendContract
"""
SUITE = """

class Broken{number}(StandardOAuthBackend):
{methods}


class Test{number}(OAuthBackendContract):
    @pytest.fixture
    def backend(self):
        return Broken{number}()
"""
BROKEN = {
    "plain http": (
        """
    def build_authorize(self, client, /, **asked):
        return super().build_authorize(client, **asked).replace("https", "http")
    """,
        "test_the_browser_is_sent_by_https_with_the_state",
    ),
    "the verifier in the open": (
        """
    def build_authorize(self, client, /, *, verifier, **asked):
        return super().build_authorize(client, verifier=verifier, **asked) + "&v=" + verifier.reveal()
    """,
        "test_the_browser_brings_no_secret",
    ),
    "a code in the address": (
        """
    def build_exchange(self, client, /, *, code, **asked):
        request = super().build_exchange(client, code=code, **asked)
        return replace(request, url=request.url + "?code=" + code.reveal())
    """,
        "test_no_url_holds_a_secret",
    ),
    "another host": (
        """
    def build_refresh(self, client, /, **asked):
        return replace(super().build_refresh(client, **asked), url="https://elsewhere.example/token")
    """,
        "test_requests_go_by_https_to_the_clients_own_hosts",
    ),
    "any issuer": (
        """
    def read_callback(self, client, params, /, *, issuer):
        return super().read_callback(client, [pair for pair in params if pair[0] != "iss"], issuer=None)
    """,
        "test_an_answer_of_another_issuer_is_refused",
    ),
    "a reader that raises": (
        """
    def read_renewal(self, client, response, /, *, now):
        response.body.decode()
        return super().read_renewal(client, response, now=now)
    """,
        "test_an_odd_answer_ends_in_an_outcome",
    ),
    "an outage that ends grants": (
        """
    def read_renewal(self, client, response, /, *, now):
        outcome = super().read_renewal(client, response, now=now)
        return outcome if isinstance(outcome, Granted) else Refused("invalid_grant")
    """,
        "test_an_outage_takes_no_grant",
    ),
    "a receipt for nothing": (
        """
    def read_revocation(self, client, response, /):
        return "revoked"
    """,
        "test_an_outage_is_no_revocation",
    ),
    "a coroutine": (
        """
    async def build_revoke(self, client, /, **asked):
        return None
    """,
        "test_it_has_every_method_and_none_waits",
    ),
}


def test_each_broken_promise_is_noticed(tmp_path):
    suites = [SUITE.format(number=number, methods=methods) for number, (methods, _) in enumerate(BROKEN.values())]
    (tmp_path / "test_broken.py").write_text(HEAD + "".join(suites), encoding="utf-8")
    wanted = {f"Test{number}::{noticed_by}" for number, (_, noticed_by) in enumerate(BROKEN.values())}
    names = " or ".join(sorted({name.partition("::")[2] for name in wanted}))
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-k", names, "test_broken.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    failed = set(re.findall(r"^FAILED test_broken\.py::(Test\d+::\w+)", ran.stdout, re.MULTILINE))
    assert wanted <= failed
