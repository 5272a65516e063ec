"""A new user connects Google Cloud, Azure, IBM Cloud and Oracle Cloud by the command line alone, with the built-in provider files.

The hosts answer behind a proxy and a private certificate authority, over TLS; they verify every signature that they are sent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .clouds import APP, AZURE_SECRET, DIRECTORY, EMAIL, IBM_KEY, TENANCY, USER, Clouds, Internet, open_internet
from .conftest import PATIENCE, Ran, start

T = ("-t", "acme")
JSON = ("-o", "json")
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number(), now, now + timedelta(days=2))
    return builder.sign(KEY, hashes.SHA256())


CERTIFICATE = _certificate()
FILES = {
    "service-account.json": json.dumps({
        "type": "service_account", "project_id": "acme", "private_key_id": "key-1", "private_key": PEM,
        "client_email": EMAIL, "client_id": "1", "token_uri": "https://evil.example/token",
    }, indent=2),
    "azure.secret": f"{AZURE_SECRET}\n",
    "azure.pem": CERTIFICATE.public_bytes(Encoding.PEM).decode() + PEM,
    "ibm.key": f"{IBM_KEY}\n",
    "oracle.pem": PEM,
}  # fmt: skip
SECRETS = (PEM.splitlines()[3], AZURE_SECRET, IBM_KEY)


@pytest.fixture
def clouds() -> Clouds:
    return Clouds(KEY, CERTIFICATE)


@pytest.fixture
def internet(tmp_path: Path, clouds: Clouds, initialised: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """A folder that `init` has set up, with the files that the consoles gave, behind a company's proxy."""
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with open_internet(tmp_path, clouds.hosts) as internet:
        settings = tmp_path / "cloud-integrations.toml"
        settings.write_text(internet.settings + settings.read_text())
        yield internet


def _add_words(clouds: Clouds) -> dict[str, tuple[str, ...]]:
    directory = ("--method", "service_principal", "--variable", f"tenant={DIRECTORY}", "--input", f"client_id={APP}")
    oracle = (f"tenancy={TENANCY}", f"user={USER}", f"fingerprint={clouds.fingerprint}", "private_key=@oracle.pem")
    return {
        "google_cloud": ("--method", "service_account", "--input", "key=@service-account.json"),
        "azure": (*directory, "--input", "client_secret=@azure.secret"),
        "azure_by_certificate": (*directory, "--input", "certificate=@azure.pem"),
        "ibm_cloud": ("--input", "api_key=@ibm.key"),
        "oracle_cloud": ("--variable", "region=eu-frankfurt-1", *(word for given in oracle for word in ("--input", given))),
    }


ACCOUNTS = {
    "google_cloud": EMAIL,
    "azure": f"{DIRECTORY}/o1",
    "azure_by_certificate": f"{DIRECTORY}/o1",
    "ibm_cloud": "a1/IBMid-1",
    "oracle_cloud": f"{TENANCY}/{USER}",
}
over_clouds = pytest.mark.parametrize("case", ACCOUNTS)


@pytest.fixture
def connect(run, clouds, internet):
    """Connect, and return what the command said."""

    def add(case: str, *more: str) -> Ran:
        slug = case.partition("_by")[0]
        return run("integrations", "add", slug, *T, *_add_words(clouds)[case], *more)

    return add


@over_clouds
@pytest.mark.requirement("OAU-052", "Q71")
def test_what_a_console_gave_connects_is_used_checked_and_removed(run, connect, clouds, internet, case):
    slug = case.partition("_by")[0]
    added = connect(case, *JSON)
    assert added.code == 0, added.err
    assert added.data()["account"]["id"] == ACCOUNTS[case]
    shown = run("token", slug, *T)
    place = "a signature (http_signature)" if slug == "oracle_cloud" else "the header Authorization"
    assert f"Sent in       {place}" in shown.out
    checked = run("integrations", "verify", slug, *T)
    assert (checked.code, "Works    yes" in checked.out) == (0, True)
    listed = run("integrations", "list", *T)
    removed = run("integrations", "delete", slug, *T, "--yes")
    lines = [" ".join(line.split()) for line in removed.out.splitlines()]
    assert lines[0] == "API key still works at the provider"
    assert lines[1].startswith("Withdraw it at https://")
    said = "".join(ran.out + ran.err for ran in (added, shown, checked, listed, removed))
    given = [*SECRETS, *clouds.google.given, *clouds.azure.given, *clouds.ibm.given]
    assert [secret for secret in given if secret in said or any(secret in asked.url for asked in internet.asked)] == []


@over_clouds
def test_token_prints_what_requests_carry_when_it_is_told_to(run, connect, clouds, case):
    connect(case)
    slug = case.partition("_by")[0]
    data = run("token", slug, *T, "--reveal", "--yes", *JSON).data()
    printed = run("token", slug, *T, "--reveal", "--yes")
    if slug == "oracle_cloud":
        assert (data["forms"], data["headers"]) == (["sign"], {})
        assert data["values"]["private_key"].strip() == PEM.strip()
        assert printed.out.startswith("private_key: -----BEGIN PRIVATE KEY-----\n")
        assert f"tenancy: {TENANCY}\n" in printed.out
        assert "each request is signed with these" in printed.err
        return
    [token] = {"google_cloud": clouds.google, "azure": clouds.azure, "ibm_cloud": clouds.ibm}[slug].given
    assert data["headers"] == {"Authorization": f"Bearer {token}"}
    assert (data["forms"], data["values"], printed.out) == (["headers"], {"access_token": token}, f"{token}\n")


@over_clouds
def test_a_key_that_the_customer_ended_is_refused_and_says_what_to_do(run, connect, clouds, case):
    clouds.withdrawn = True
    refused = connect(case)
    assert (refused.code, "the provider refused these credentials" in refused.err) == (5, True)
    clouds.withdrawn = False
    connect(case)
    clouds.withdrawn = True
    slug = case.partition("_by")[0]
    asked = run("integrations", "verify" if slug == "oracle_cloud" else "refresh", slug, *T)
    assert asked.code == 5
    again = run("token", slug, *T)
    assert (again.code, "the tenant must reconnect this integration" in again.err) == (5, True)
    assert "integrations reconnect" in again.err


@over_clouds
def test_an_outage_is_called_an_outage(run, connect, internet, case):
    connect(case)
    internet.down = True
    checked = run("integrations", "verify", case.partition("_by")[0], *T)
    assert (checked.code, "Works    unknown" in checked.out) == (6, True)
    assert "the provider cannot be used right now" in checked.err
    assert "refused" not in checked.err
    assert connect(case, "-t", "globex").code == 6


@pytest.mark.parametrize(
    ("case", "changed", "says"),
    [
        ("azure", ("--variable", "tenant=organizations"), "--variable tenant needs a value that fits this method"),
        ("google_cloud", ("--input", "key=@azure.pem"), "--input key must be a whole JSON document"),
        ("oracle_cloud", ("--variable", "region=Frankfurt"), "--variable region"),
        ("ibm_cloud", ("--input", "api_key=@service-account.json"), "--input api_key"),
    ],
)
def test_a_wrong_paste_is_named_before_anything_is_sent(run, clouds, internet, case, changed, says):
    words = _add_words(clouds)[case]
    at = words.index(next(word for word in words if word.partition("=")[0] == changed[1].partition("=")[0]))
    refused = run("integrations", "add", case, *T, *words[:at], changed[1], *words[at + 1 :])
    assert (refused.code, internet.asked) == (4, [])
    assert says in " ".join(refused.err.split())
    assert [secret for secret in SECRETS if secret in refused.err] == []


def test_it_is_the_same_in_a_process_of_its_own(connect, internet):
    assert connect("google_cloud").code == 0
    process = start("token", "google_cloud", *T, cwd=Path.cwd())
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "works; --reveal prints it" in out) == (0, True), err
