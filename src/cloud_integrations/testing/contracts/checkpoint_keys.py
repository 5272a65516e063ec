"""What every `CheckpointKeys` promises, as tests.

Inherit the class and provide the fixtures it asks for:

    class TestMyCheckpointKeys(CheckpointKeysContract):
        @pytest.fixture
        def keys(self):
            return MyCheckpointKeys(...)

        @pytest.fixture
        def rotated_keys(self):
            return MyCheckpointKeys(...)  # another key, which signs, and that of `keys`, which is trusted
"""

from __future__ import annotations

import base64

import pytest

from cloud_integrations.domain.signed_note import NoteKey, NoteSignature, SignedNote, read_note, write_note
from cloud_integrations.ports.checkpoint_keys import CheckpointKeys

_TEXT = "a fake note\n\nwith an empty line, and ünïcode\n"


def _parts(note: str) -> SignedNote:
    return read_note("note", note)


class CheckpointKeysContract:
    """Inherit, and provide the fixtures `keys` and `rotated_keys`."""

    def test_what_it_has_signed_is_signed(self, keys: CheckpointKeys) -> None:
        note = _parts(keys.sign(_TEXT))
        first = keys.public_keys()[0]
        assert (note.text, [(each.name, each.key_id) for each in note.signatures]) == (_TEXT, [(first.name, first.id)])
        assert keys.is_signed(note)

    def test_another_text_is_not_signed(self, keys: CheckpointKeys) -> None:
        signed = _parts(keys.sign(_TEXT))
        assert not keys.is_signed(SignedNote(text=f"{_TEXT}more\n", signatures=signed.signatures))
        assert not keys.is_signed(SignedNote(text=_TEXT, signatures=()))

    @pytest.mark.requirement("AUD-11")
    def test_notes_of_before_a_rotation_still_verify(self, keys: CheckpointKeys, rotated_keys: CheckpointKeys) -> None:
        old = _parts(keys.sign(_TEXT))
        assert rotated_keys.is_signed(old)
        assert keys.public_keys()[0] in rotated_keys.public_keys()
        assert _parts(rotated_keys.sign(_TEXT)).signatures[0].key_id != old.signatures[0].key_id

    @pytest.mark.requirement("AUD-11")
    def test_a_note_of_an_unknown_key_is_refused(self, keys: CheckpointKeys, rotated_keys: CheckpointKeys) -> None:
        assert not keys.is_signed(_parts(rotated_keys.sign(_TEXT)))

    def test_a_signature_of_an_unknown_key_beside_a_known_one_is_ignored(self, keys: CheckpointKeys, rotated_keys: CheckpointKeys) -> None:
        both = (*_parts(rotated_keys.sign(_TEXT)).signatures, *_parts(keys.sign(_TEXT)).signatures)
        assert keys.is_signed(SignedNote(text=_TEXT, signatures=both))

    def test_a_false_signature_of_a_known_key_spoils_a_true_one(self, keys: CheckpointKeys) -> None:
        [true] = _parts(keys.sign(_TEXT)).signatures
        [other] = _parts(keys.sign("another note\n")).signatures
        assert not keys.is_signed(SignedNote(text=_TEXT, signatures=(true, other)))
        assert not keys.is_signed(
            SignedNote(text=_TEXT, signatures=(true, NoteSignature(name=true.name, key_id=true.key_id, signature=b"1")))
        )

    def test_a_signature_under_another_name_or_id_is_not_looked_at(self, keys: CheckpointKeys) -> None:
        [true] = _parts(keys.sign(_TEXT)).signatures
        for name, key_id in (("another", true.key_id), (true.name, bytes(4))):
            signature = NoteSignature(name=name, key_id=key_id, signature=true.signature)
            assert not keys.is_signed(SignedNote(text=_TEXT, signatures=(signature,)))

    def test_a_public_key_is_read_as_it_is_written(self, rotated_keys: CheckpointKeys) -> None:
        for key in rotated_keys.public_keys():
            assert NoteKey.read(str(key)) == key
            assert base64.b64encode(key.kind + key.public).decode() in str(key)

    def test_the_keys_are_the_same_each_time(self, keys: CheckpointKeys) -> None:
        assert keys.public_keys() == keys.public_keys()

    def test_a_note_is_written_as_it_is_read(self, keys: CheckpointKeys) -> None:
        note = keys.sign(_TEXT)
        [signature] = _parts(note).signatures
        assert write_note(_TEXT, [(keys.public_keys()[0], signature.signature)]) == note
