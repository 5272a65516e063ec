"""A token of SoftHSM, and the keys in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pkcs11
import pytest

from cloud_integrations.backends.keys import pkcs11 as pkcs11_keys
from cloud_integrations.backends.keys.pkcs11 import Pkcs11Keys
from cloud_integrations.domain.secret import Secret
from cloud_integrations.testing.contracts.key_service import DATA_KEY

PIN = "fake-pin-canary"
CANARIES = [PIN, DATA_KEY.decode(), DATA_KEY.hex()]
URI, OLD, STRANGE = (f"pkcs11:token=main;object={name};type=secret-key" for name in ("ci", "old", "strange"))


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


class SoftHsm:
    """SoftHSM with tokens of this test process alone; the library reads its configuration once in a process."""

    def __init__(self, library, folder):
        self.library = library
        self.tokens = folder / "tokens"
        self.away = folder / "away"
        self.tokens.mkdir()
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")

    def make_token(self, label):
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "fake-so-pin"]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"SOFTHSM2_CONF": str(self.configuration)})

    def make_key(self, label, *, token="main", bits=256, id_=None, **attributes):
        kept = {"SENSITIVE": True, "EXTRACTABLE": False} | attributes
        template = {pkcs11.Attribute[name]: value for name, value in kept.items()}
        library = pkcs11.lib(str(self.library))
        library.reinitialize()
        with library.get_token(token_label=token).open(rw=True, user_pin=PIN) as session:
            session.generate_key(pkcs11.KeyType.AES, bits, label=label, id=id_, store=True, template=template)

    def remove(self):
        """Take the tokens out."""
        self.tokens.rename(self.away)
        self.tokens.mkdir()

    def put_back(self):
        self.tokens.rmdir()
        self.away.rename(self.tokens)


def softhsm_library():
    """Where the library is: `CI_TEST_SOFTHSM` says so, else where systems put it."""
    folders = [
        "/usr/lib/softhsm",
        "/usr/lib64/softhsm",
        "/usr/lib/pkcs11",
        "/usr/lib64/pkcs11",
        "/usr/local/lib/softhsm",
        "/opt/homebrew/lib/softhsm",
    ]
    named = os.environ.get("CI_TEST_SOFTHSM")
    places = [Path(named)] if named else [Path(folder, "libsofthsm2.so") for folder in folders]
    found = [place for place in places if place.exists()]
    if found and shutil.which("softhsm2-util"):
        return found[0]
    if os.environ.get("CI"):
        pytest.fail("SoftHSM is not installed (Debian: softhsm2)", pytrace=False)
    pytest.skip("SoftHSM is not installed; on Debian: apt-get install softhsm2 (CI_TEST_SOFTHSM names the library where it is elsewhere)")


@pytest.fixture(scope="module")
def hsm(tmp_path_factory):
    hsm = SoftHsm(softhsm_library(), tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(hsm.configuration))
        hsm.make_token("main")
        for label in ("ci", "old", "strange"):
            hsm.make_key(label)
        yield hsm
        pkcs11_keys._modules.clear()
        pkcs11.unload(str(hsm.library))


class Service:
    """SoftHSM, as the shared cases ask it."""

    shows = staticmethod(shows_a_canary)

    def __init__(self, hsm):
        self.hsm = hsm

    def uri(self, name):
        return f"pkcs11:token=main;object={name};type=secret-key"

    def recover(self):
        if self.hsm.away.exists():
            self.hsm.put_back()

    def stop(self):
        self.hsm.remove()

    def sent(self, wrapped):
        return wrapped.hex()


@pytest.fixture
def service(hsm):
    service = Service(hsm)
    yield service
    service.recover()


@pytest.fixture
def make(hsm):
    """Take names of keys, or whole URIs."""

    def make(*names, **options):
        uris = [name if name.startswith("pkcs11:") else f"pkcs11:token=main;object={name}" for name in names or ("ci",)]
        return Pkcs11Keys(*uris, **({"library": hsm.library, "pin": Secret(PIN)} | options))

    pkcs11_keys._modules.clear()
    pkcs11.lib(str(hsm.library)).reinitialize()  # no login is left over
    return make


@pytest.fixture
def keys(make):
    return make()
