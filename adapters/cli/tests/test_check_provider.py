"""`providers check`: a file alone, and with `--live` against a provider over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_integrations.testing import Misbehaviour, SimulatedProvider

from .conftest import Run

FILE = "simulated_keys.toml"


def _live(run: Run, key_file: Path, *more: str):
    return run("providers", "check", FILE, "--live", "--input", f"key=@{key_file}", *more)


def test_without_live_nothing_is_sent_and_what_would_be_is_told(home: Path, run: Run, provider: SimulatedProvider):
    ran = run("providers", "check", FILE)
    assert (ran.code, provider.requests) == (4, ())  # the file says of no page where a key is ended
    assert "✗ simulated_keys.toml: methods.key.revoke is missing" in ran.out
    assert f"  GET {provider.base_url}/me\n    checks the credential; headers: Accept, Authorization\n" in ran.out
    [request] = run("providers", "check", FILE, "-o", "json").data()["requests"]["key"]
    assert (request["http_method"], request["url"]) == ("GET", f"{provider.base_url}/me")


@pytest.fixture
def whole(home: Path) -> Path:
    """The file with a page where a key is ended, so that nothing is wrong with it."""
    file = home / FILE
    text = file.read_text(encoding="utf-8")
    revoke = '"revoke" = {"manual_url" = "https://simulated.example/keys"}'
    text = text.replace("fake-key-.+", "^fake-key-.+$").replace('"id" = "key"', f'{revoke}, "id" = "key"')
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.requirement("ISO-20")
def test_a_true_file_holds_and_the_key_is_in_no_output(whole: Path, run: Run, provider: SimulatedProvider, key_file: Path):
    before = sorted(whole.parent.rglob("*"))
    secret = provider.valid_api_key.reveal()
    ran = _live(run, key_file)
    assert ran.code == 0, ran.out + ran.err
    for line in ("✓ verifications.0.statuses: a key that works is answered with 200", "✓ verifications.0.identity.0: json:id is acct-1"):
        assert line in ran.out
    assert "✓ verifications.0.status_rules: a broken key is answered with 401, which the file calls dead" in ran.out
    assert "0 did not" in ran.err
    told = _live(run, key_file, "-o", "json")
    assert (told.data()["ok"], told.data()["key"]) == (True, "accepted")
    assert secret not in ran.out + ran.err + told.out + told.err
    assert sorted(whole.parent.rglob("*")) == before
    assert len(provider.requests) == 4


LIES = {
    "verifications.0.statuses": ('"url" = ', '"statuses" = [204], "url" = '),
    "verifications.0.identity.0": ("json:id", "json:account"),
    "verifications.0.label.0": ("json:label", "json:email"),
    "verifications.0.status_rules": ('"401" = "dead"', '"400" = "dead"'),
    "methods.key.inputs.key.patterns": ("^fake-key-.+$", "^acme-.+$"),
}


@pytest.mark.parametrize("field", LIES)
def test_a_wrong_fact_is_told_with_its_exit_code(whole: Path, run: Run, key_file: Path, field: str):
    text = whole.read_text(encoding="utf-8")
    changed = text.replace(*LIES[field])
    assert changed != text
    whole.write_text(changed, encoding="utf-8")
    ran = _live(run, key_file)
    wrong = [line for line in ran.out.splitlines() if line.startswith("✗")]
    assert (ran.code, [line.split(":")[0] for line in wrong]) == (4, [f"✗ {field}"]), ran.out


def test_a_key_that_is_refused_has_its_own_exit_code(whole: Path, run: Run, tmp_path: Path):
    other = tmp_path / "other.key"
    other.write_text("fake-key-of-nobody")
    ran = _live(run, other)
    assert (ran.code, "the key is refused (401)" in ran.out) == (5, True)
    assert "of-nobody" not in ran.out + ran.err


def test_a_provider_that_does_not_answer_has_its_own_exit_code(whole: Path, run: Run, key_file: Path, provider: SimulatedProvider):
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    assert _live(run, key_file).code == 6


def test_a_redirect_is_told(whole: Path, run: Run, key_file: Path, provider: SimulatedProvider):
    provider.misbehave(Misbehaviour.REDIRECT, endpoint="me")
    ran = _live(run, key_file)
    assert (ran.code, "✗ verifications.0.url: the answer is a redirect (302) to " in ran.out) == (4, True)


@pytest.mark.requirement("ISO-20")
def test_a_key_is_no_argument(whole: Path, run: Run, provider: SimulatedProvider):
    ran = run("providers", "check", FILE, "--live", "--input", "key=fake-key-here")
    assert (ran.code, "fake-key-here" in ran.out + ran.err, provider.requests) == (2, False, ())


def test_a_key_comes_from_standard_input(whole: Path, run: Run, provider: SimulatedProvider):
    ran = run("providers", "check", FILE, "--live", "--input", "key=-", given=provider.valid_api_key.reveal())
    assert ran.code == 0, ran.err


def test_what_is_no_provider_file_is_told(home: Path, run: Run):
    assert run("providers", "check", "nowhere.toml").code == 2
    (home / "bad.toml").write_text('id = "bad"\n')
    ran = run("providers", "check", "bad.toml", "--live")
    assert (ran.code, ran.out.startswith("✗ bad.toml: ")) == (4, True)
    assert run("providers", "check", FILE, "--method", "none").code == 2
