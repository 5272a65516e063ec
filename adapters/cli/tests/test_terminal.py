"""What a person at a terminal is asked."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from cloud_integrations.testing import SimulatedProvider

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

T = ("-t", "acme")


def _converse(home: Path, *words: str, answer: str) -> tuple[int, str, str]:
    """Run a command whose question is answered at a terminal."""
    keyboard, terminal = pty.openpty()
    process = start(*words, cwd=home, stdin=terminal, start_new_session=True)
    assert process.stderr is not None
    try:
        asked = ""
        # What is typed before the question is thrown away, as a hidden question does.
        while not asked.endswith(("(hidden): ", "[y/N]: ")):
            asked += (letter := process.stderr.read(1))
            assert letter, asked
        os.write(keyboard, answer.encode())
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)
        os.close(keyboard)
    return process.returncode, out, asked + err


@pytest.mark.requirement("ISO-20")
def test_a_key_is_asked_for(home: Path, provider: SimulatedProvider):
    secret = provider.valid_api_key.reveal()
    code, out, err = _converse(home, "integrations", "add", "simulated_keys", *T, answer=secret + "\n")
    assert code == 0, err
    assert "API key (hidden):" in err
    assert secret not in out + err


def test_an_empty_answer_is_no_key(home: Path):
    code, _, err = _converse(home, "integrations", "add", "simulated_keys", *T, answer="\n")
    assert code == 4
    assert "the API key is empty" in err


@pytest.mark.parametrize(("answer", "code"), [("n\n", 130), ("y\n", 0)])
def test_a_secret_is_printed_when_the_person_agrees(added: str, home: Path, provider: SimulatedProvider, answer, code):
    ended, out, err = _converse(home, "token", "simulated_keys", *T, "--reveal", answer=answer)
    assert ended == code
    assert "It is recorded in the audit" in err
    assert out == (provider.valid_api_key.reveal() + "\n" if code == 0 else "")


def test_a_deletion_that_is_declined_deletes_nothing(added: str, home: Path, run):
    assert _converse(home, "integrations", "delete", added, *T, answer="n\n")[0] == 130
    assert run("integrations", "show", added, *T).code == 0


def test_an_erasure_that_is_declined_erases_nothing(added: str, home: Path, run):
    ended, _, err = _converse(home, "tenants", "erase", *T, "--receipt", "receipt.json", answer="n\n")
    assert (ended, (home / "receipt.json").exists()) == (130, False)
    assert "Revoke 1 integration of" in err
    assert run("integrations", "show", added, *T).code == 0
