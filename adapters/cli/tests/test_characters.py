"""No output fails for its characters, whatever the encoding of stdout and stderr is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloud_integrations.testing import SimulatedProvider

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

ENCODINGS = [
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "cp1252:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]
ASCII, CP1252, C_LOCALE = (
    pytest.param(ENCODINGS[0], id="ascii", marks=pytest.mark.repeats),
    pytest.param(ENCODINGS[1], id="cp1252"),
    pytest.param(ENCODINGS[2], id="c-locale", marks=pytest.mark.repeats),
)
by_encoding = pytest.mark.parametrize("env", [ASCII, CP1252, C_LOCALE])
NAME = "Zürich ✓ 東京"


def _end(*words: str | Path, cwd: Path, env: dict[str, str], given: str = "") -> tuple[int, str, str]:
    process = start(*words, cwd=cwd, env=env, stdin=subprocess.PIPE, encoding="latin-1")
    out, err = process.communicate(given, timeout=PATIENCE)
    return process.returncode, out, err


@by_encoding
def test_doctor_says_what_is_wrong(home, env):
    (home / "keyring").chmod(0o644)
    code, out, err = _end("doctor", cwd=home, env=env)
    assert (code, err.strip()) == (8, "something is wrong")
    assert "x keys" in out
    assert "-> " in out


@by_encoding
def test_the_demonstration_ends_well(tmp_path, env):
    code, out, err = _end("demo", cwd=tmp_path, env=env)
    assert (code, err) == (0, "")
    assert "+ connected" in out


@pytest.mark.parametrize("env", [ASCII, CP1252])
def test_names_and_errors_are_shown(home, key_file, env):
    add = ("integrations", "add", "simulated_keys", "-t", "büro", "--api-key-file", key_file, "--name")
    assert _end(*add, NAME, cwd=home, env=env)[0] == 0
    for words in (("integrations", "list", "-t", "büro"), ("integrations", "show", "simulated_keys", "-t", "büro")):
        code, out, err = _end(*words, cwd=home, env=env)
        assert (code, err) == (0, "")
        assert "rich" in out
        assert "\\u6771" in out
    code, _, err = _end(*add, "東", cwd=home, env=env)
    assert (code, err.splitlines()[-1]) == (4, "error: --name must be 3 to 50 visible characters, without space at either end")
    code, _, err = _end("--config", "東京.toml", "doctor", cwd=home, env=env)
    assert "Traceback" not in err


def test_an_argument_that_the_locale_cannot_read_is_refused_in_a_sentence(home, key_file):
    code, out, err = _end("integrations", "list", "-t", "büro", cwd=home, env=ENCODINGS[2])
    assert (code, out, err) == (4, "", "error: --tenant must be 1 to 255 visible characters\n")


def test_a_secret_that_the_encoding_does_not_have_is_not_changed(home, provider: SimulatedProvider, run, monkeypatch):
    monkeypatch.setattr("cloud_integrations_cli.actions.token.can_be_written", lambda _: False)
    key = home / "key"
    key.write_text(provider.valid_api_key.reveal())
    assert run("integrations", "add", "simulated_keys", "-t", "acme", "--api-key-file", key).code == 0
    ran = run("token", "simulated_keys", "-t", "acme", "--reveal", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert "--output json" in ran.err


def test_a_key_on_stdin_is_utf_8_whatever_the_locale(home, provider: SimulatedProvider):
    words = ("integrations", "add", "simulated_keys", "-t", "acme", "--api-key-stdin")
    code, _, err = _end(*words, cwd=home, env=ENCODINGS[0], given="\xff\xfe")
    assert (code, err) == (2, "error: --api-key-stdin is not UTF-8 text\n")
    code, _, err = _end(*words, cwd=home, env=ENCODINGS[0], given="\xef\xbb\xbf" + provider.valid_api_key.reveal() + "\r\n")
    assert code == 0, err


def test_what_an_encoding_has_is_written_as_it_is():
    program = (
        "from cloud_integrations_cli.characters import *; make_streams_safe(); print('ü✓東', can_be_written('ü'), can_be_written('✓'))"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONIOENCODING": "cp1252"}, capture_output=True, check=True)
    assert done.stdout.decode("cp1252").strip() == "ü+\\u6771 True False"
