"""Signed notes and the text of checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.domain.audit import AuditHead
from cloud_integrations.domain.checkpoint import AuditCheckpoint, read_checkpoint_text, write_checkpoint
from cloud_integrations.domain.signed_note import ED25519, NoteKey, read_note, write_note
from cloud_integrations.errors import ValidationFailedError

NOW = datetime(2026, 11, 29, 20, 0, 0, 7, tzinfo=UTC)
HEADS = (AuditHead(tenant_id="acme", seq=1234, hash=b"\x01" * 32), AuditHead(tenant_id="gl\u00f6bex+7", seq=1, hash=b"\xff" * 32))
KEY = NoteKey(name="example.com/x", kind=ED25519, public=bytes(32))
NOTE = write_note("a text\n", [(KEY, b"fake signature")])


def test_a_checkpoint_is_read_as_it_was_written():
    text = write_checkpoint(NOW.astimezone(timezone(timedelta(hours=2))), HEADS)
    assert text.splitlines()[:3] == [
        "cloud-integrations audit checkpoint 1",
        "time 2026-11-29T20:00:00.000007+00:00",
        f"head acme 1234 {'01' * 32}",
    ]
    assert read_checkpoint_text("note", text) == AuditCheckpoint(taken_at=NOW, heads=HEADS)
    assert read_checkpoint_text("note", write_checkpoint(NOW, ())).heads == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("checkpoint 1", "checkpoint 2"),
        ("checkpoint 1", "cut 1"),
        ("time ", "at "),
        ("2026-11-29", "2026-13-29"),
        ("head acme", "head"),
        ("1234", "01234"),
        ("1234", "0"),
        ("1234", "9" * 20),
        ("01" * 32, "01" * 31),
        ("01" * 32, "0x" * 32),
        ("head gl", "\nhead gl"),
        ("head gl", "tail gl"),
    ],
)
def test_a_text_of_another_form_is_no_checkpoint(old, new):
    text = write_checkpoint(NOW, HEADS)
    assert old in text
    with pytest.raises(ValidationFailedError) as caught:
        read_checkpoint_text("note", text.replace(old, new, 1))
    assert caught.value.field == "note"


def test_a_note_has_its_text_and_signatures():
    note = read_note("note", NOTE)
    assert (note.text, [(each.name, each.key_id, each.signature) for each in note.signatures]) == (
        "a text\n",
        [(KEY.name, KEY.id, b"fake signature")],
    )


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"bytes",
        "",
        "a text\n",
        "a text\n\n",
        NOTE.replace("\n\n", "\n"),
        NOTE.removesuffix("\n"),
        NOTE + "\n",
        NOTE.replace("a text", "a\ttext"),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("\u2014", "-"),
        NOTE.replace("example.com/x ", ""),
        NOTE.replace("example.com/x", ""),
        "a text\n\n\u2014 name AAAA\n",
        "a text\n\n\u2014 name not-base64!\n",
        NOTE + NOTE.split("\n\n")[1] * 16,
    ],
)
def test_what_is_no_note_is_refused_without_being_repeated(note):
    with pytest.raises(ValidationFailedError) as caught:
        read_note("note", note)
    assert (caught.value.field, caught.value.problem) == ("note", "is not a signed note")


@given(st.text(max_size=200))
def test_any_text_is_a_note_or_refused(text):
    for tried in (text, NOTE + text, text + NOTE):
        try:
            read_note("note", tried)
        except ValidationFailedError:
            continue
