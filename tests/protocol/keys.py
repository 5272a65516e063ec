"""Private keys and certificates, made once for all tests that sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.tracebacks import shown_by

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.proofs import check_pem

PASSPHRASE = "fake passphrase é"
OLD = "TraditionalOpenSSL"
_MAKERS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "other rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa 1024": lambda: rsa.generate_private_key(65537, 1024),
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "dsa": lambda: dsa.generate_private_key(1024),
}


@cache
def _key(kind):
    return _MAKERS[kind]()


def key(kind="rsa"):
    return _key(kind)


@cache
def pem(kind="rsa", /, *, form="PKCS8", passphrase=None):
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key(kind).private_bytes(Encoding.PEM, getattr(PrivateFormat, form), encryption).decode()


@cache
def public_pem(kind="rsa"):
    return key(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@cache
def certificate(kind="rsa"):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"fake {kind}")])
    return (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key(kind).public_key(), serial_number=7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=3650))
        .sign(key(kind), hashes.SHA256())
    )


@cache
def certificate_pem(kind="rsa"):
    return certificate(kind).public_bytes(Encoding.PEM).decode()


def block(label, body):
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def refused(text, /, **options):
    """Return what is wrong with a key; the error shows nothing of it."""
    with pytest.raises(ValidationFailedError) as caught:
        check_pem(Secret(text), name="private_key", **options)
    assert caught.value.field == "credentials.private_key"
    shown = shown_by(caught.value)
    assert not any(line in shown for line in text.splitlines() if len(line) > 24 and "-----" not in line)
    return caught.value.problem
