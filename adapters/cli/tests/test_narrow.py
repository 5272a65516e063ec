"""A narrowed credential on the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud_integrations.testing import ProviderServer, SimulatedProvider

from .test_connect import JSON, T, connected  # noqa: F401  # a fixture

pytestmark = [pytest.mark.programs, pytest.mark.usefixtures("connected")]


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    """A provider that narrows: its refresh tokens never rotate."""
    provider = SimulatedProvider(rotation="never")
    with ProviderServer(provider):
        yield provider


def test_a_file_narrows_the_credential(home, run):
    (home / "less.json").write_text('{"scopes": ["read"]}')
    less = run("token", "simulated", *T, "--narrow", "less.json", *JSON).data()
    assert (less["scopes"], less["narrowed"]) == (["read"], ["scopes"])
    whole = run("token", "simulated", *T, *JSON).data()
    assert (whole["scopes"], whole["narrowed"]) == (["read", "write"], [])
    shown = run("token", "simulated", *T, "--narrow", "less.json")
    assert "Narrowed by" in shown.out
    values = [run("token", "simulated", *T, *more, "--reveal", "--yes").out for more in ((), ("--narrow", "less.json"))]
    assert values[0] != values[1]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scopes": ["read"], "scopes": ["write"]}', "[" * 100_000, '"scopes"'])
def test_what_is_no_json_object_is_refused(home, run, text):
    (home / "less.json").write_text(text)
    ran = run("token", "simulated", *T, "--narrow", "less.json", "--reveal", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert "--narrow needs a JSON object" in ran.err


@pytest.mark.parametrize("text", ["{}", '{"policy": {}}', '{"scopes": []}', '{"scopes": ["admin"]}'])
def test_what_cannot_be_narrowed_is_refused_and_nothing_is_printed(home, run, text):
    (home / "less.json").write_text(text)
    ran = run("token", "simulated", *T, "--narrow", "less.json", "--reveal", "--yes")
    assert ran.code != 0
    assert ran.out == ""
    assert run("token", "simulated", *T, "--narrow", "missing.json").code == 2
