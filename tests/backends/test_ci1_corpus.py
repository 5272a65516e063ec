"""What any release sealed opens today."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from cloud_integrations import __version__
from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState, WrappedKey
from cloud_integrations.errors import DecryptError, KeyringError

CORPUS = Path(__file__).with_name("corpus")
RELEASES = sorted(path for path in CORPUS.iterdir() if path.is_dir())

of_every_release = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)


def contents(release):
    return json.loads((release / "sealed.json").read_text(encoding="utf-8"))


@pytest.fixture
def keyring(release, tmp_path):
    path = tmp_path / "keyring"
    path.touch(mode=0o600)
    path.write_bytes((release / "keyring").read_bytes())
    return LocalKeyring.from_file(path)


def row_of(record):
    return WrappedKey(
        key_id=UUID(record["key_id"]),
        tenant_id=record["tenant"],
        version=record["version"],
        state=KeyState.DECRYPT_ONLY,
        suite=1,
        kek_uri=record["kek_uri"],
        kek_key_id=bytes.fromhex(record["kek_key_id"]),
        wrapped=bytes.fromhex(record["wrapped"]),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        retired_at=None,
        destroyed_at=None,
    )


def test_this_release_has_its_corpus():
    assert ".".join(__version__.split(".")[:2]) in {release.name for release in RELEASES}


def test_no_corpus_was_ever_changed():
    sums = dict(line.split("  ")[::-1] for line in (CORPUS / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    files = {path.relative_to(CORPUS).as_posix(): path for release in RELEASES for path in release.iterdir()}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == sums


@of_every_release
def test_every_wrapped_key_of_a_release_unwraps(release, keyring):
    records = [*contents(release)["canaries"], *contents(release)["keys"]]
    assert len(records) >= 6
    assert {record["kek_uri"] for record in records} == {f"local:{kid}" for kid in keyring.kids}
    for record in records:
        assert keyring.unwrap(row_of(record)).hex() == record["opens_to"]


@of_every_release
def test_every_value_of_a_release_opens_under_the_key_it_names(release, keyring):
    found = contents(release)
    keys = {UUID(record["key_id"]).bytes: keyring.unwrap(row_of(record)) for record in found["keys"]}
    cipher = AesGcmCipher()
    assert len(found["values"]) >= 16
    for value in found["values"]:
        sealed = bytes.fromhex(value["sealed"])
        key_id = cipher.key_id_of(sealed)
        assert UUID(bytes=key_id) == UUID(value["key_id"])
        context = value["context"]
        assert cipher.open(sealed, key=keys[key_id], key_id=key_id, context=context.items()).decode() == value["opens_to"]
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=keys[key_id], key_id=key_id, context={**context, "tenant": "another"}.items())


@of_every_release
def test_nothing_of_a_release_opens_without_its_keyring(release):
    stranger = LocalKeyring([LocalKeyring.generate_key("fake-other")])
    same_names = LocalKeyring([LocalKeyring.generate_key(kid) for kid in ("fake-2026-02", "fake-2026-01")])
    for record in contents(release)["keys"]:
        with pytest.raises(KeyringError):
            stranger.unwrap(row_of(record))
        with pytest.raises(DecryptError):
            same_names.unwrap(row_of(record))
