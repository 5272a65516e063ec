from __future__ import annotations

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.pkce import challenge, make_verifier


@pytest.mark.requirement("OAU-002")
def test_a_verifier_is_32_random_bytes_in_43_characters():
    assert make_verifier(bytes(range(32))).reveal() == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.mark.requirement("OAU-002")
def test_the_challenge_is_the_one_of_rfc_7636_appendix_b():
    assert challenge(Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.requirement("OAU-003")
def test_other_randomness_gives_another_verifier_and_challenge():
    one, other = make_verifier(bytes(32)), make_verifier(b"\x01" * 32)
    assert one != other
    assert challenge(one) != challenge(other)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_verifier_is_made_from_32_bytes_only(length):
    with pytest.raises(ValueError, match="32 random bytes"):
        make_verifier(bytes(length))


@pytest.mark.parametrize("text", ["", "a" * 42, "a" * 129, "a" * 42 + " ", "a" * 42 + "é", "a" * 43 + "\n"])
def test_a_malformed_verifier_has_no_challenge(text):
    with pytest.raises(ValueError, match="43 to 128"):
        challenge(Secret(text))


@pytest.mark.requirement("OAU-080")
def test_a_verifier_is_not_shown():
    assert "AAECAw" not in repr(make_verifier(bytes(range(32))))
