"""What every `Cipher` promises, as tests.

Inherit the class and provide the fixture it asks for:

    class TestMyCipher(CipherContract):
        @pytest.fixture
        def cipher(self):
            return MyCipher()
"""

from __future__ import annotations

import inspect

import pytest

from cloud_integrations.domain.envelope import PLAINTEXT_LIMIT, SealingContext
from cloud_integrations.errors import DecryptError, SealingError
from cloud_integrations.ports.cipher import Cipher

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
KEY_ID = b"test-key-id-0001"
OTHER_KEY_ID = b"test-key-id-0002"
CONTEXT = SealingContext(tenant="tenant-a", table="credential", row="row-a", field="access_token", gen=7)
PAIRS = CONTEXT.pairs()
PLAINTEXT = b"a fake token \x00\xff"

OTHER_CONTEXTS = {
    "another tenant": [("tenant", "tenant-b") if key == "tenant" else (key, value) for key, value in PAIRS],
    "another table": [("table", "pending") if key == "table" else (key, value) for key, value in PAIRS],
    "another row": [("row", "row-b") if key == "row" else (key, value) for key, value in PAIRS],
    "another field": [("field", "refresh_token") if key == "field" else (key, value) for key, value in PAIRS],
    "another generation": [("gen", "8") if key == "gen" else (key, value) for key, value in PAIRS],
    "a pair missing": list(PAIRS[:-1]),
    "a pair added": [*PAIRS, ("extra", "")],
    "a pair twice": [*PAIRS, PAIRS[0]],
    "a key twice": [*PAIRS, ("gen", "8")],
    "values swapped": [(key, {"row-a": "tenant-a", "tenant-a": "row-a"}.get(value, value)) for key, value in PAIRS],
    "a boundary moved": [("tenan", "ttenant-a") if key == "tenant" else (key, value) for key, value in PAIRS],
    "nothing": [],
}


class CipherContract:
    """Inherit, and provide the fixture `cipher`; a committing cipher also overrides `forge`."""

    def forge(self, cipher: Cipher, /, *, keys: tuple[bytes, bytes], key_id: bytes) -> bytes:
        """Make a sealed value whose ciphertext and tag are valid under both *keys*, in the context `PAIRS`.

        This is the attack that commitment stops: build it as well as the scheme allows, with the
        commitment of the first key.
        """
        del keys, key_id
        pytest.fail(f"{type(cipher).__name__} says that it commits; override forge() to let that be tried")

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, PLAINTEXT_LIMIT])
    def test_what_was_sealed_opens(self, cipher: Cipher, size: int) -> None:
        plaintext = bytes(size)
        sealed = cipher.seal(plaintext, key=KEY, key_id=KEY_ID, context=PAIRS)
        assert cipher.open(sealed, key=KEY, key_id=KEY_ID, context=PAIRS) == plaintext

    def test_the_order_of_the_context_does_not_matter(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        assert cipher.open(sealed, key=KEY, key_id=KEY_ID, context=reversed(PAIRS)) == PLAINTEXT

    def test_two_seals_of_one_value_differ(self, cipher: Cipher) -> None:
        seals = {cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS) for _ in range(50)}
        assert len(seals) == 50

    def test_the_plaintext_and_the_key_are_not_in_the_sealed_value(self, cipher: Cipher) -> None:
        plaintext = b"fake-secret-that-must-not-be-seen"
        sealed = cipher.seal(plaintext, key=KEY, key_id=KEY_ID, context=PAIRS)
        assert plaintext not in sealed
        assert KEY not in sealed

    def test_the_key_id_can_be_read(self, cipher: Cipher) -> None:
        assert cipher.key_id_of(cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)) == KEY_ID

    @pytest.mark.parametrize("change", OTHER_CONTEXTS)
    def test_it_opens_in_its_own_context_only(self, cipher: Cipher, change: str) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=KEY, key_id=KEY_ID, context=OTHER_CONTEXTS[change])

    def test_it_opens_under_its_own_key_only(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=OTHER_KEY, key_id=KEY_ID, context=PAIRS)

    def test_it_opens_under_its_own_key_id_only(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=KEY, key_id=OTHER_KEY_ID, context=PAIRS)

    def test_a_rewritten_key_id_does_not_open(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS).replace(KEY_ID, OTHER_KEY_ID)
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=KEY, key_id=OTHER_KEY_ID, context=PAIRS)

    def test_no_flipped_bit_opens(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        for bit in range(len(sealed) * 8):
            changed = bytearray(sealed)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(DecryptError):
                cipher.open(bytes(changed), key=KEY, key_id=KEY_ID, context=PAIRS)

    def test_no_truncation_and_no_extension_opens(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        others = [sealed[:length] for length in range(len(sealed))] + [sealed[1:], sealed + b"\x00", sealed + sealed, bytes(200_000)]
        for other in others:
            with pytest.raises(DecryptError):
                cipher.open(other, key=KEY, key_id=KEY_ID, context=PAIRS)

    def test_the_stored_bytes_are_never_the_answer(self, cipher: Cipher) -> None:
        with pytest.raises(DecryptError):
            cipher.open(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)

    def test_every_refusal_reads_the_same(self, cipher: Cipher) -> None:
        sealed = cipher.seal(PLAINTEXT, key=KEY, key_id=KEY_ID, context=PAIRS)
        texts = set()
        for value, key, pairs in [
            (sealed[:-1], KEY, PAIRS),
            (b"", KEY, PAIRS),
            (sealed, OTHER_KEY, PAIRS),
            (sealed, KEY[:-1], PAIRS),
            (sealed, KEY, PAIRS[1:]),
            (sealed, KEY, (*PAIRS, PAIRS[0])),
        ]:
            with pytest.raises(DecryptError) as caught:
                cipher.open(value, key=key, key_id=KEY_ID, context=pairs)
            texts.add((type(caught.value), str(caught.value), repr(caught.value.args), repr(caught.value.details)))
        assert len(texts) == 1

    def test_what_is_not_fit_is_not_sealed(self, cipher: Cipher) -> None:
        for plaintext, key, key_id, pairs in [
            (bytes(PLAINTEXT_LIMIT + 1), KEY, KEY_ID, PAIRS),
            (PLAINTEXT, KEY[:-1], KEY_ID, PAIRS),
            (PLAINTEXT, KEY + b"\x00", KEY_ID, PAIRS),
            (PLAINTEXT, KEY, KEY_ID[:-1], PAIRS),
            (PLAINTEXT, KEY, KEY_ID, (*PAIRS, PAIRS[0])),
        ]:
            with pytest.raises(SealingError):
                cipher.seal(plaintext, key=key, key_id=key_id, context=pairs)

    def test_nothing_but_the_value_its_key_and_its_place_can_be_given(self, cipher: Cipher) -> None:
        assert set(inspect.signature(cipher.seal).parameters) == {"plaintext", "key", "key_id", "context"}

    def test_a_committing_cipher_never_opens_one_value_under_two_keys(self, cipher: Cipher) -> None:
        if not cipher.committing:
            pytest.skip("this cipher does not commit to its key")
        sealed = self.forge(cipher, keys=(KEY, OTHER_KEY), key_id=KEY_ID)
        # The attempt is a real one: the value opens under the key that its commitment belongs to.
        cipher.open(sealed, key=KEY, key_id=KEY_ID, context=PAIRS)
        with pytest.raises(DecryptError):
            cipher.open(sealed, key=OTHER_KEY, key_id=KEY_ID, context=PAIRS)
