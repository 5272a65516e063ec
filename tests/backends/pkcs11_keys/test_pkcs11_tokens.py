"""Keys and tokens that will not do, what goes wrong while it runs, and that nothing is shown."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pkcs11
import pytest
from tests.backends.key_service_answers import NothingIsShownContract
from tests.backends.named_keys import wrap
from tests.tracebacks import shown_by

from cloud_integrations.backends.keys import pkcs11 as pkcs11_keys
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import OLD, PIN, URI, shows_a_canary

# Keys and tokens that will not do


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"SENSITIVE": False}, "can be taken out of the token"),
        ({"EXTRACTABLE": True}, "can be taken out of the token"),
        ({"bits": 128}, "is not an AES key of 256 bits"),
    ],
    ids=["readable", "extractable", "short"],
)
def test_a_key_that_will_not_do_is_refused(hsm, make, attributes, sentence):
    label = f"bad-{'-'.join(attributes)}"
    hsm.make_key(label, **attributes)
    with pytest.raises(KeyringError, match=sentence) as caught:
        wrap_for_test(make(f"pkcs11:token=main;object={label}"))
    assert f"object={label}" in str(caught.value)


def test_a_key_that_is_not_in_the_token_is_named(make):
    with pytest.raises(KeyringError, match="object=none;type=secret-key is not in the token"):
        wrap_for_test(make("pkcs11:token=main;object=none"))


def test_a_name_of_several_keys_is_refused(hsm, make):
    hsm.make_key("twin")
    hsm.make_key("twin")
    with pytest.raises(KeyringError, match="is there more than once"):
        wrap_for_test(make("pkcs11:token=main;object=twin"))


def test_a_label_of_several_tokens_is_refused(hsm, make):
    hsm.make_token("twins")
    hsm.make_token("twins")
    pkcs11.lib(str(hsm.library)).reinitialize()
    with pytest.raises(KeyringError, match="could be in several tokens"):
        wrap_for_test(make("pkcs11:token=twins;object=ci"))


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_library_that_is_none_is_a_setting_at_fault(make, tmp_path, content):
    library = tmp_path / "library.so"
    if content:
        library.write_bytes(content)
    with pytest.raises(ConfigurationError, match="library cannot be loaded"):
        wrap_for_test(make(library=library))


@pytest.mark.requirement("ENC-18")
def test_a_wrong_pin_is_tried_once(make, monkeypatch):
    keys = make(pin=Secret("fake-wrong-pin"))
    for _ in range(3):
        with pytest.raises(KeyringError, match="the token refused the PIN") as caught:
            wrap(keys)
        assert "fake-wrong-pin" not in shown_by(caught.value)
    # Had it been tried again, the right PIN would be asked for now.
    monkeypatch.setattr(keys, "_pin", Secret(PIN))
    with pytest.raises(KeyringError, match="the token refused the PIN"):
        wrap(keys)
    assert make().unwrap(wrap_for_test(make())) == DATA_KEY


def test_a_login_of_another_part_of_the_program_serves(hsm, make):
    token = pkcs11.lib(str(hsm.library)).get_token(token_label="main")
    with token.open(user_pin=PIN):
        keys = make()
        assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY


@pytest.mark.requirement("ENC-18")
def test_a_pin_is_a_secret(make):
    with pytest.raises(ConfigurationError, match="pin must be a Secret") as caught:
        make(pin=PIN)
    assert "__init__ {" in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))


# What goes wrong while it runs


@pytest.mark.requirement("ENC-15")
def test_a_token_that_was_taken_out_is_used_again_once_it_is_back(hsm, make):
    keys, sibling = make(), make(OLD)
    row, other = wrap_for_test(keys), wrap_for_test(sibling)
    hsm.remove()
    try:
        for _ in range(2):
            for call in (lambda: keys.unwrap(row), lambda: wrap_for_test(keys)):
                with pytest.raises(KeyServiceUnavailableError):
                    call()
    finally:
        hsm.put_back()
    assert keys.unwrap(row) == DATA_KEY
    assert sibling.unwrap(other) == DATA_KEY


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("error", [pkcs11.DeviceRemoved, pkcs11.DeviceError, pkcs11.GeneralError, pkcs11.SessionClosed, pkcs11.PKCS11Error])
def test_a_device_that_fails_is_an_outage_and_not_a_bad_value(keys, error):
    row = wrap_for_test(keys)

    class Broken:
        def encrypt(self, *_, **__):
            raise error

        decrypt = encrypt

    broken = pkcs11_keys._TokenKey(Broken())
    (module,) = pkcs11_keys._modules.values()
    for call in (lambda: keys.unwrap(row), lambda: wrap_for_test(keys)):
        module.keys = dict.fromkeys(module.keys, broken)
        with pytest.raises(KeyServiceUnavailableError):
            call()
        assert keys.unwrap(row) == DATA_KEY


def test_what_a_token_cannot_open_again_is_not_handed_out(keys):
    row = wrap_for_test(keys)
    (module,) = pkcs11_keys._modules.values()
    ((name, key),) = module.keys.items()
    real = key._handle

    class WithNoncesOfItsOwn:
        def encrypt(self, data, *, mechanism, mechanism_param):
            own = pkcs11.GCMParams(bytes(12), mechanism_param.aad, mechanism_param.tag_bits)
            return real.encrypt(data, mechanism=mechanism, mechanism_param=own)

        def decrypt(self, *arguments, **options):
            return real.decrypt(*arguments, **options)

    module.keys = {name: pkcs11_keys._TokenKey(WithNoncesOfItsOwn())}
    with pytest.raises(KeyringError, match="does not open what it sealed") as caught:
        wrap(keys)
    assert not shows_a_canary(shown_by(caught.value))
    assert keys.unwrap(row) == DATA_KEY


def test_a_library_that_others_closed_is_opened_again(hsm, keys):
    row = wrap_for_test(keys)
    pkcs11.lib(str(hsm.library)).finalize()
    with pytest.raises(KeyServiceUnavailableError):
        keys.unwrap(row)
    assert keys.unwrap(row) == DATA_KEY


def test_many_threads_take_turns(keys):
    row = wrap_for_test(keys)
    opened = []
    start = threading.Barrier(8)

    def work():
        start.wait()
        opened.extend(keys.unwrap(wrap_for_test(keys)) for _ in range(5))
        opened.append(keys.unwrap(row))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [DATA_KEY] * 48


FORKS = """
import os, sys
from cloud_integrations.backends.keys import pkcs11
from cloud_integrations.domain.secret import Secret
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

keys = pkcs11.Pkcs11Keys(sys.argv[1], library=sys.argv[2], pin=Secret(sys.stdin.read()))
row = wrap_for_test(keys)
pkcs11._module(sys.argv[2]).lock.acquire()  # as if a thread were in the library at this moment

def descend(generations):
    child = os.fork()
    if child == 0:
        good = keys.unwrap(row) == DATA_KEY == keys.unwrap(wrap_for_test(keys))
        if generations:
            good = descend(generations - 1) and good
        os._exit(0 if good else 1)
    return os.waitpid(child, 0)[1] == 0

good = descend(1)
pkcs11._module(sys.argv[2]).lock.release()
sys.exit(0 if good and keys.unwrap(row) == DATA_KEY else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_children_that_were_forked_use_the_token_too(hsm):
    # In a program of its own: a fork of the test runner would take its threads' locks along.
    done = subprocess.run([sys.executable, "-c", FORKS, URI, str(hsm.library)], input=PIN, text=True, timeout=300, check=False)
    assert done.returncode == 0


class TestNothingIsShown(NothingIsShownContract):
    type_name = "Pkcs11Keys"

    @pytest.fixture
    def other_failures(self, make, tmp_path):
        return [
            (ConfigurationError, lambda: wrap(make(library=tmp_path / "none.so"))),
            (KeyringError, lambda: wrap(make("pkcs11:token=main;object=none"))),
        ]
