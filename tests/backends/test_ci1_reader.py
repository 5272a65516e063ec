"""A reader in another language, written from the page alone, opens what the product seals and refuses what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ci1 import VECTORS, WRITER

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.domain.envelope import PLAINTEXT_LIMIT

PROGRAM = Path(__file__).with_name("ci1_open.mjs")
OLDEST = 20


@pytest.fixture(scope="module")
def read():
    """Open cases with Node; fail where CI is set and Node is missing, so that no proof goes missing unseen, else skip."""
    node = shutil.which("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout if node else ""
    if not node or int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        problem = f"the reader of CI1 needs Node.js {OLDEST} or newer on PATH, and found {version.strip() or 'none'}; install it"
        if os.environ.get("CI"):
            pytest.fail(problem, pytrace=False)
        pytest.skip(problem)

    def read(cases):
        done = subprocess.run([node, PROGRAM], input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


def case(sealed, *, key, key_id, context):
    return {"sealed": sealed.hex(), "key": key.hex(), "key_id": key_id.hex(), "context": list(context)}


def test_it_opens_every_published_value(read):
    assert read(VECTORS["positive"]) == [vector["plaintext"] for vector in VECTORS["positive"]]


def test_it_refuses_every_published_wrong_value(read):
    opened = zip(VECTORS["negative"], read(VECTORS["negative"]), strict=True)
    assert [vector["name"] for vector, answer in opened if answer is not None] == []


places = st.fixed_dictionaries(
    {
        "key": st.binary(min_size=32, max_size=32),
        "key_id": st.binary(min_size=16, max_size=16),
        "context": st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=6).map(lambda pairs: list(pairs.items())),
    }
)
values = st.tuples(st.binary(max_size=400), places, st.integers(0, 10_000), st.integers(0, 255))


@settings(max_examples=10, deadline=None)
@given(st.lists(values, min_size=10, max_size=40))
def test_it_opens_what_the_product_seals_and_refuses_it_changed(read, batch):
    cases, expected = [], []
    for plaintext, place, at, change in batch:
        sealed = bytearray(AesGcmCipher().seal(plaintext, **place))
        cases.append(case(sealed, **place))
        expected.append(plaintext.hex())
        sealed[at % len(sealed)] ^= change
        cases.append(case(sealed, **place))
        expected.append(None if change else plaintext.hex())
    assert read(cases) == expected


def test_both_have_the_same_limits(read):
    key, key_id = WRITER.KEY, WRITER.KEY_ID
    long, short = [("long", "v" * 70_000)], [("a", "")]
    whole = AesGcmCipher().seal(bytes(PLAINTEXT_LIMIT), key=key, key_id=key_id, context=short)
    placed = AesGcmCipher().seal(b"fake", key=key, key_id=key_id, context=long)
    most = [(f"{number:05}", "") for number in range(0xFFFF)]
    crowded = AesGcmCipher().seal(b"fake", key=key, key_id=key_id, context=most)
    answers = read(
        [
            case(whole, key=key, key_id=key_id, context=short),
            case(placed, key=key, key_id=key_id, context=long),
            case(crowded, key=key, key_id=key_id, context=most),
            case(crowded, key=key, key_id=key_id, context=[*most, ("one more", "")]),
        ]
    )
    assert answers == [bytes(PLAINTEXT_LIMIT).hex(), b"fake".hex(), b"fake".hex(), None]
