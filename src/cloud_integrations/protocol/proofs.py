"""JWTs that authenticate a request (RFC 7515, 7519, 7523), and private keys and certificates in PEM (RFC 7468).

Functions that raise hold a key as a `Secret`, never as text, because error reporters send the variables of each frame.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NoReturn

from cloud_integrations.domain.provider import fill, places
from cloud_integrations.domain.provider.minting import APPLICATION, PemFact, Proof, ProofAlgorithm
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .pasted_keys import restore_lines

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
    from cryptography.x509 import Certificate

LONGEST_PEM: Final = 64 * 1024
"""The longest text that is read, in characters: a private key with a chain of certificates."""
_LONGEST_BLOCK: Final = 8 * 1024
"""The longest private key, in characters; RSA of 8192 bits has fewer.  Checking a longer one takes seconds."""
_BLOCK: Final = re.compile(r"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----(?P<body>(?:(?!-----BEGIN ).)*?)-----END (?P=label)-----", re.DOTALL)
"""A block ends before the next one begins, so a text of many beginnings is read once."""
_ENCRYPTED: Final = "-----BEGIN ENCRYPTED "
CERTIFICATE: Final = "CERTIFICATE"
"""The label of a certificate in PEM (RFC 7468 §5)."""
_FACTS: Final[Mapping[str, PemFact]] = {"key": "key", "sha256": "sha256", "spki_sha256": "spki_sha256"}
_LEAST_RSA: Final = 2048
_MOST_ITERATIONS: Final = 2_000_000
"""The largest iteration count of a passphrase's key derivation; OpenSSL writes 2,048."""
_MOST_SCRYPT: Final = 1 << 20
"""The largest product of scrypt's parameters (RFC 7914): 128 MiB of memory."""
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")


def make_proof(proof: Proof, /, *, values: Mapping[str, Secret | str], now: datetime, jti: str) -> Secret:
    """Sign the JWT that *proof* describes.

    *values* are the inputs and variables by name, secret ones as `Secret`, and `application`, the private key of the operator's
    application; *now* is aware, *jti* differs for each JWT.
    Raises `ValidationFailedError` naming the input that is missing, cannot be read or does not fit `alg`, and `ConfigurationError`
    for the application's key.
    """
    from joserfc import jwt  # noqa: PLC0415  # loaded only to sign
    from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415

    key = load_private_key(_required(values, proof.key_name), name=proof.key_name, passphrase=_passphrase(proof, values))
    if problem := _find_misfit(key, proof.alg):
        _refuse(proof.key_name, problem)
    known = {
        place: find_value(place, values, passphrase=_passphrase(proof, values)) for _, text in proof.templates() for place in places(text)
    }
    texts = {name: secret.reveal() for name, secret in known.items()}
    filled = {name: fill(text, texts) for name, text in proof.templates()}
    header = {"typ": "JWT", "alg": proof.alg} | {name.removeprefix("headers."): filled[name] for name in filled if _in_header(name)}
    issued_at = int(now.timestamp()) - int(proof.backdate.total_seconds())
    claims = {name.removeprefix("claims."): filled[name] for name in filled if not _in_header(name)}
    kind = ECKey if proof.alg == "ES256" else RSAKey
    return Secret(
        jwt.encode(
            header,
            {**claims, "iat": issued_at, "exp": issued_at + int(proof.lifetime.total_seconds()), "jti": jti},
            # The key that was checked; joserfc would parse the text again.
            kind(key, key),  # type: ignore[arg-type]  # `_find_misfit` has looked at its type
            algorithms=[proof.alg],
        )
    )


def find_value(place: str, values: Mapping[str, Secret | str], /, *, passphrase: Secret | None = None) -> Secret:
    """Return what a template's `{name}` or `{name.fact}` stands for; *passphrase* opens the private key of that name.

    Raises `ValidationFailedError` naming the input that is missing or cannot be read.
    """
    name, _, fact = place.partition(".")
    value = _required(values, name)
    if not fact:
        return value
    known = _FACTS.get(fact)
    if known is None:
        _refuse(name, f"has nothing that is called {fact}")
    return pem_fact(value, known, name=name, passphrase=passphrase)


def pem_fact(pem: Secret, fact: PemFact, /, *, name: str, passphrase: Secret | None = None) -> Secret:
    """Read from *pem* its private key, the hash of its certificate or of its public key (see `PemFact`).

    *name* is the input's, for errors.  Raises `ValidationFailedError` for a text that does not have it.
    """
    if fact == "key":
        return _require_block(pem, name=name)
    if fact == "sha256":
        found = find_certificate(pem, None if _has_no_key(pem) else load_private_key(pem, name=name, passphrase=passphrase))
        if isinstance(found, str):
            _refuse(name, found)
        return Secret(base64.urlsafe_b64encode(_fingerprint(found)).rstrip(b"=").decode())
    key = load_private_key(pem, name=name, passphrase=passphrase)
    return Secret(base64.b64encode(sha256(_public_bytes(key)).digest()).decode())


def check_pem(
    pem: Secret, /, *, name: str, passphrase: Secret | None = None, alg: ProofAlgorithm | None = None, certificate: bool = False
) -> None:
    """Raise `ValidationFailedError` naming the input unless *pem* holds one private key that can be opened.

    With *alg* the key must fit that signature; with *certificate* the text must hold its certificate, too.
    """
    key = load_private_key(pem, name=name, passphrase=passphrase)
    if alg is not None and (problem := _find_misfit(key, alg)):
        _refuse(name, problem)
    if certificate:
        pem_fact(pem, "sha256", name=name, passphrase=passphrase)


def load_private_key(pem: Secret, /, *, name: str, passphrase: Secret | None = None) -> PrivateKeyTypes:
    """Return the one private key in *pem*; a passphrase is ignored if the key is not encrypted.

    The text may also contain certificates, and its line breaks may be lost or written as a backslash and `n`.
    Raises `ValidationFailedError` naming the input, or `ConfigurationError` for that of the operator's application.
    """
    found = _open(_require_block(pem, name=name), passphrase)
    if isinstance(found, str):
        _refuse(name, found)
    return found


def _refuse(name: str, problem: str) -> NoReturn:
    if name == APPLICATION:
        raise ConfigurationError(setting="the private key of the OAuth application", problem=problem)
    raise ValidationFailedError(field=f"credentials.{name}", problem=problem)


def _required(values: Mapping[str, Secret | str], name: str) -> Secret:
    value = values.get(name)
    if not value:
        _refuse(name, "is required by this provider")
    return Secret(value) if isinstance(value, str) else value


def _passphrase(proof: Proof, values: Mapping[str, Secret | str]) -> Secret | None:
    value = None if proof.passphrase_name is None else values.get(proof.passphrase_name)
    return Secret(value) if isinstance(value, str) else value


def _in_header(name: str) -> bool:
    return name == "kid" or name.startswith("headers.")


def pem_blocks(pem: Secret) -> Iterator[tuple[str, str]]:
    """Give the label and the text of each PEM block, its lines as they should be."""
    for found in _BLOCK.finditer(restore_lines(pem.reveal()[: LONGEST_PEM + 1])):
        body = "\n".join(line.strip() for line in found["body"].strip().split("\n"))
        if ":" not in body:
            joined = "".join(body.split())
            body = "\n".join(joined[at : at + 64] for at in range(0, len(joined), 64))
        yield found["label"], f"-----BEGIN {found['label']}-----\n{body}\n-----END {found['label']}-----\n"


def _has_no_key(pem: Secret) -> bool:
    return not any(label.endswith("PRIVATE KEY") for label, _ in pem_blocks(pem))


def _require_block(pem: Secret, *, name: str) -> Secret:
    found = _find_block(pem)
    if isinstance(found, str):
        _refuse(name, found)
    return found


def _find_block(pem: Secret) -> Secret | str:
    """Return the block of the one private key, or what is wrong."""
    if len(pem.reveal()) > LONGEST_PEM:
        return "is too long"
    blocks = list(pem_blocks(pem))
    keys = [(label, text) for label, text in blocks if label.endswith("PRIVATE KEY")]
    if len(keys) > 1:
        return "holds more than one private key; enter the one that is meant"
    if not keys:
        return _describe_other({label for label, _ in blocks})
    [(label, text)] = keys
    if label.startswith("OPENSSH"):
        return "is a private key in the format of OpenSSH; enter it in PEM, which begins with -----BEGIN PRIVATE KEY-----"
    return "is too long" if len(text) > _LONGEST_BLOCK else Secret(text)


def _describe_other(labels: set[str]) -> str:
    if any(label.endswith("PUBLIC KEY") for label in labels):
        return "is a public key; enter the private key"
    if CERTIFICATE in labels:
        return "is a certificate without its private key; enter both"
    return "is no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----"


def _open(block: Secret, passphrase: Secret | None) -> PrivateKeyTypes | str:
    """Return the private key, or what is wrong."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # loaded only to sign

    text = block.reveal()
    # OpenSSL's older form (RFC 1421 §4.6) says so in a header, which no base64 looks like.
    encrypted = text.startswith(_ENCRYPTED) or "Proc-Type:" in text
    if encrypted and not passphrase:
        return "is encrypted; enter its passphrase too"
    if text.startswith(_ENCRYPTED) and _is_costly(text):
        return "is encrypted in a way that is not supported; encrypt it with fewer iterations"
    password = passphrase.reveal().encode(errors="surrogatepass") if encrypted and passphrase else None
    try:
        return load_pem_private_key(text.encode(errors="surrogatepass"), password)
    except BaseException as error:
        if not _is_damage(error):
            raise
        return "cannot be opened with this passphrase" if encrypted else "is a private key that cannot be read; copy it whole"


def _is_damage(error: BaseException) -> bool:
    """Say whether a parser of cryptography has refused what it read, or has broken off on it.

    The parsers are written in Rust.  Where one breaks off, pyo3 raises an error that is no `Exception`, from a class without a name to
    import: a tenant could end a worker with it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # as above
    from cryptography.x509 import InvalidVersion  # noqa: PLC0415

    refusals = ValueError | TypeError | UnsupportedAlgorithm | InvalidVersion
    return isinstance(error, refusals) or type(error).__name__ == "PanicException"


def _is_costly(text: str) -> bool:
    """Say whether the passphrase's key derivation (RFC 8018) asks for more work than a private key is worth.

    The encrypted key contains these numbers, so a tenant can choose them freely.
    """
    try:
        numbers, oids = _algorithm(base64.b64decode("".join(text.splitlines()[1:-1])))
        first, *others = numbers
    except (ValueError, IndexError):
        return True
    if _SCRYPT in oids:
        for factor in others[:2]:
            first *= factor
        return first > _MOST_SCRYPT or any(number > 64 for number in others[2:])
    return first > _MOST_ITERATIONS or any(number > 64 for number in others)


def _algorithm(der: bytes) -> tuple[list[int], list[bytes]]:
    """Return the numbers and object identifiers of the algorithm of an EncryptedPrivateKeyInfo (RFC 5958 §3)."""
    _, at, _ = _element(der, 0)
    _, at, end = _element(der, at)
    numbers: list[int] = []
    oids: list[bytes] = []
    while at < end:
        tag, start, after = _element(der, at)
        if tag == 0x02:
            numbers.append(int.from_bytes(der[start:after]))
        elif tag == 0x06:
            oids.append(der[start:after])
        at = start if tag == 0x30 else after
    return numbers, oids


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the DER element at *at*; raises `IndexError` after the end."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size]), start + size
    return der[at], start, start + length


def _find_misfit(key: PrivateKeyTypes, alg: ProofAlgorithm) -> str | None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415

    if alg == "ES256":
        fits = isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
        return None if fits else "must be a private key of the elliptic curve P-256"
    fits = isinstance(key, RSAPrivateKey) and key.key_size >= _LEAST_RSA
    return None if fits else f"must be an RSA private key of at least {_LEAST_RSA} bits"


def find_certificate(pem: Secret, key: PrivateKeyTypes | None) -> Certificate | str:
    """Return the first certificate, or that of *key* among several; or what is wrong."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    try:
        found = [load_pem_x509_certificate(text.encode()) for label, text in pem_blocks(pem) if label == CERTIFICATE]
        if not found:
            return "holds no certificate; enter it with its private key"
        owner = next((one for one in found if key is None or _spki(one.public_key()) == _public_bytes(key)), None)
    except BaseException as error:
        if not _is_damage(error):
            raise
        return "holds a certificate that cannot be read"
    return owner or "holds a certificate that does not belong to its private key"


def _fingerprint(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # as above

    return certificate.fingerprint(SHA256())


def _public_bytes(key: PrivateKeyTypes) -> bytes:
    return _spki(key.public_key())


def _spki(key: PublicKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415  # as above

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
