"""Client certificates and authorities in PEM (RFC 7468), as tenants enter them.

Functions that raise hold a value as a `Secret` and never its text, because error reporters also send the variables of each frame.
"""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .proofs import CERTIFICATE, find_certificate, load_private_key, pem_blocks

_ENCRYPTED = ("-----BEGIN ENCRYPTED ", "Proc-Type:")


def check_certificates(method: Method, parts: Parts, /, *, now: datetime) -> None:
    """Check what a TLS connection for *method* is made from: *now* is aware.

    The client certificate must belong to its private key, which must not be encrypted, and must not have ended; the authority must be a
    certificate that has not ended.
    Raises `ValidationFailedError`, which names the input (`credentials.<name>`) and never repeats a value.
    """
    names = [name for name in places(method.present.certificate or "") if name in parts]
    if names:
        _check_pair(parts, names[0], names[-1], now)
    for name in places(method.present.trust or ""):
        if name in parts:
            _check_authorities(parts[name], name, now)


def check_client_certificate(pem: Secret, /, *, field: str, now: datetime | None) -> None:
    """Check the certificate of an OAuth application (RFC 8705 §2) in *pem*, with its private key, as `check_certificates` does.

    *now* is None where its end does not matter.  Raises `ValidationFailedError` naming *field*.
    """
    try:
        _check_pair({"pem": pem}, "pem", "pem", now)
    except ValidationFailedError as error:
        problem = error.problem
    else:
        return
    raise ValidationFailedError(field=field, problem=problem)


def order_chain(pem: Secret, /) -> Secret:
    """Return the certificate of the private key in *pem*, then the other certificates, then the key: the order that TLS reads.

    Raises `ValueError` if they do not belong together.
    """
    key = load_private_key(pem, name="certificate")
    blocks = [(label, Secret(text)) for label, text in pem_blocks(pem)]
    certificates = [text for label, text in blocks if label == CERTIFICATE]
    owners = [text for text in certificates if not isinstance(find_certificate(text, key), str)]
    if not owners:
        raise ValueError("no certificate of the private key")
    keys = [text for label, text in blocks if label.endswith("PRIVATE KEY")]
    ordered = [owners[0], *(text for text in certificates if text is not owners[0]), *keys]
    return Secret("".join(text.reveal() for text in ordered))


def read_authorities(pem: Secret, /) -> str:
    """Return the certificates in *pem*, one after the other; they are no secrets.  Raises `ValueError` if there are none."""
    found = [text for label, text in pem_blocks(pem) if label == CERTIFICATE]
    if not found:
        raise ValueError("no certificate")
    return "".join(found)


def _check_pair(parts: Parts, certificate: str, key_name: str, now: datetime | None) -> None:
    if any(mark in parts[key_name].reveal() for mark in _ENCRYPTED):
        _refuse(key_name, "is encrypted; enter the private key without a passphrase")
    key = load_private_key(parts[key_name], name=key_name)
    found = find_certificate(parts[certificate], key)
    if isinstance(found, str):
        _refuse(certificate, found)
    if now is not None and found.not_valid_after_utc <= now:
        _refuse(certificate, "is a certificate that has ended; enter the one that replaced it")


def _check_authorities(pem: Secret, name: str, now: datetime) -> None:
    found = [find_certificate(Secret(text), None) for label, text in pem_blocks(pem) if label == CERTIFICATE]
    if not found:
        _refuse(name, "holds no certificate; enter that of the authority, which begins with -----BEGIN CERTIFICATE-----")
    for each in found:
        if isinstance(each, str):
            _refuse(name, each)
    if all(not isinstance(each, str) and each.not_valid_after_utc <= now for each in found):
        _refuse(name, "holds certificates that have ended; enter the one that replaced them")


def _refuse(name: str, problem: str) -> NoReturn:
    raise ValidationFailedError(field=f"credentials.{name}", problem=problem)
