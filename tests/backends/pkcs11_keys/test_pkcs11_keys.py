from __future__ import annotations

from dataclasses import replace

import pkcs11
import pytest
from tests.backends.named_keys import NamedKeysContract
from tests.tracebacks import shown_by

from cloud_integrations.backends.keys.pkcs11 import Pkcs11Keys
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, DecryptError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import OLD, PIN, STRANGE, URI, shows_a_canary


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    own, strange = URI, STRANGE


@pytest.mark.requirement("ENC-03")
def test_no_bit_and_no_length_may_differ(keys):
    row = wrap_for_test(keys)
    assert len(row.wrapped) == 60
    for position in range(60):
        changed = bytearray(row.wrapped)
        changed[position] ^= 0x80
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, wrapped=bytes(changed)))
    for length in (12, 59):
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, wrapped=row.wrapped[:length]))
    assert keys.unwrap(row) == DATA_KEY


# The URI


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("pkcs11:object=ci;token=main", URI),
        ("pkcs11:type=secret-key;token=%6Dain;object=ci", URI),
        ("pkcs11:token=The token;object=k/1", "pkcs11:token=The%20token;object=k%2F1;type=secret-key"),
        ("pkcs11:id=%01%ab;object=ü;serial=1;token=t", "pkcs11:token=t;serial=1;object=%C3%BC;id=%01%AB;type=secret-key"),
    ],
)
def test_a_key_is_known_in_one_spelling(given, known):
    assert [ref.kek_uri for ref in Pkcs11Keys(given, library="none.so", pin=Secret(PIN)).keks()] == [known]


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize(
    "uri",
    [
        "",
        "pkcs11:",
        "local:ci",
        "pkcs11:token=main",
        "pkcs11:object=ci",
        "pkcs11:token=;object=ci",
        "pkcs11:token=main;object",
        "pkcs11:token=main;token=main;object=ci",
        "pkcs11:token=main;object=ci;type=private",
        "pkcs11:token=main;object=ci;slot-id=1",
        "pkcs11:token=main;object=%ff",
        "pkcs11:token=main;object=\ud800",
        f"pkcs11:token=main;object=ci?pin-value={PIN}",
        f"pkcs11:token=main;object=ci;pin-value={PIN}",
        "pkcs11:token=main;object=ci?module-path=/usr/lib/x.so",
    ],
)
def test_another_uri_is_refused_by_its_position_and_not_shown(uri):
    with pytest.raises(ConfigurationError, match="uri 2 is not pkcs11:token") as caught:
        Pkcs11Keys(URI, uri, library="none.so", pin=Secret(PIN))
    assert "__init__ {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_key_is_named_once():
    with pytest.raises(ConfigurationError, match="uri 3 names a key again"):
        Pkcs11Keys(URI, OLD, "pkcs11:object=ci;token=main", library="none.so", pin=Secret(PIN))


def test_a_serial_number_and_an_id_lead_to_the_key(hsm, make):
    hsm.make_key("named", id_=b"\x01\xab")
    serial = pkcs11.lib(str(hsm.library)).get_token(token_label="main").serial.decode()
    keys = make(f"pkcs11:serial={serial};id=%01%AB")
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY
