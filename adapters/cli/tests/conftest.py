"""Command lines to run, in this process and as real ones, against a simulated provider over HTTP."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud_integrations.testing import ProviderServer, SimulatedProvider
from cloud_integrations_cli.app import app

TENANT = "acme"
NETWORK = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
PATIENCE = 300
"""Seconds after which a program is said to hang; none needs so long, whatever else the machine does."""


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def data(self) -> Any:
        return self.json()["data"]


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("CLOUD_INTEGRATIONS_") or name.upper() in NETWORK]:
        monkeypatch.delenv(name)
    levels = {
        name: logging.getLogger(name).level for name in ("cloud_integrations", "cloud_integrations.access", "cloud_integrations.serve")
    }

    def command(*words: str | Path, given: str | None = None, charset: str = "utf-8") -> Ran:
        result = CliRunner(charset=charset).invoke(app, [str(word) for word in words], input=given, prog_name="cloud-integrations")
        return Ran(result.exit_code, result.stdout, result.stderr)

    yield command
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def start(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
    """Start a real command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "cloud_integrations_cli", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        stdin=more.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text="encoding" not in more,
        **more,
    )


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    provider = SimulatedProvider()
    with ProviderServer(provider):
        yield provider


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `init` has set up, to be copied."""
    folder = tmp_path_factory.mktemp("initialised")
    with contextlib.chdir(folder):
        ran = CliRunner().invoke(app, ["init"], env={name: None for name in os.environ if name.startswith("CLOUD_INTEGRATIONS_")})
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def home(tmp_path: Path, run: Run, provider: SimulatedProvider, initialised: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `init` has set up, with the simulated provider in its settings."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    for entry in provider.catalogue_entries():
        (tmp_path / f"{entry.id}.toml").write_text(as_toml(entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    application = provider.application()
    assert application.client_secret is not None
    (tmp_path / "client.secret").write_text(application.client_secret.reveal())
    settings = tmp_path / "cloud-integrations.toml"
    settings.write_text(
        f'provider_files = ["simulated.toml", "simulated_keys.toml"]\n{settings.read_text()}\n'
        f'[[applications]]\nprovider = "simulated"\nclient_id = "{application.client_id}"\nclient_secret_file = "client.secret"\n'
    )
    return tmp_path


def as_toml(document: dict[str, Any]) -> str:
    """Write a catalogue entry: JSON's scalars and lists are TOML's, and its objects become inline tables."""
    return "\n".join(f"{name} = {_value(value)}" for name, value in document.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


@pytest.fixture
def key_file(tmp_path: Path, provider: SimulatedProvider) -> Path:
    file = tmp_path / "api.key"
    file.write_text(provider.valid_api_key.reveal() + "\n")
    return file


@pytest.fixture
def added(home: Path, run: Run, key_file: Path) -> str:
    """The id of an integration by API key."""
    ran = run("integrations", "add", "simulated_keys", "-t", TENANT, "--api-key-file", key_file, "-o", "json")
    assert ran.code == 0, ran.err
    return str(ran.data()["id"])
