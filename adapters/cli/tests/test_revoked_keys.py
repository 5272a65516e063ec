"""A key is revoked at its provider when an integration is deleted, if that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider

pytestmark = pytest.mark.requirement("Q76")
T = ("-t", "acme")
JSON = ("-o", "json")


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    provider = SimulatedProvider(revokes_keys=True)
    with ProviderServer(provider):
        yield provider


def test_a_key_is_revoked_as_well_if_that_is_asked_for(run, added, provider):
    gone = run("integrations", "delete", added, *T, "--revoke-key", "--yes")
    assert (gone.code, gone.out) == (0, "API key  revoked\n"), gone.err
    assert provider.requests[-1].status == 204


def test_a_key_goes_on_working_if_not_and_the_command_says_how_it_could_have_ended(run, added, provider):
    before = len(provider.requests)
    gone = run("integrations", "delete", added, *T, "--yes")
    assert gone.out == "API key  still works at the provider\n"
    assert "--revoke-key" in gone.err
    assert len(provider.requests) == before


def test_what_became_of_it_is_in_the_json(run, added):
    said = run("integrations", "delete", added, *T, "--yes", *JSON).json()
    assert (said["apiKey"], said["keyReason"]) == ("skipped", "not_asked")


def test_a_revocation_that_failed_is_told_and_retried(run, added, provider):
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    gone = run("integrations", "delete", added, *T, "--revoke-key", "--yes")
    assert gone.out == "API key  failed\n"
    assert "revocations retry" in gone.err
    assert run("doctor").out.count("revocations") >= 1


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), "? Its key goes on working at the provider [y/N]"),
        (("--revoke-key",), " and revoke its key? Whatever else uses the key stops working [y/N]"),
    ],
)
def test_the_question_says_what_becomes_of_the_key(run, added, monkeypatch, words, asked):
    heard = []
    monkeypatch.setattr("cloud_integrations_cli.prompts.can_ask", lambda: True)
    monkeypatch.setattr("cloud_integrations_cli.prompts.ask", lambda question: heard.append(question) or "n")
    assert run("integrations", "delete", added, *T, *words).code != 0
    assert heard[0].strip().endswith(f"of acme{asked}:")
    assert run("integrations", "show", added, *T).code == 0


def test_a_key_that_another_tenant_has_too_is_left(run, added, key_file):
    assert run("integrations", "add", "simulated_keys", "-t", "globex", "--api-key-file", key_file).code == 0
    gone = run("integrations", "delete", added, *T, "--revoke-key", "--yes")
    assert gone.out == "API key  shared\n"
    assert "holds the same key" in gone.err


def test_the_provider_is_shown_with_what_it_can(run, added):
    assert "revokes the key if asked" in " ".join(run("providers", "show", "simulated_keys").out.split())
    (method,) = run("providers", "show", "simulated_keys", *JSON).data()["methods"]
    assert method["revokesKey"] is True
