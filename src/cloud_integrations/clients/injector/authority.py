"""The certificate authority of one run: it exists so that the injecting proxy can read what a child sends by TLS.

Its key is never written anywhere.  It signs for the allowed hosts alone (name constraints, RFC 5280 §4.2.1.10), and it ends with the run.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloud_integrations.backends.tls import make_server_context
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.egress import find_address

_BEFORE: Final = timedelta(minutes=5)
"""Clocks of containers may be behind."""
_EVERYWHERE: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class RunAuthority:
    """Issues certificates for hosts of one run.

    *hosts* are names, addresses, and `*.` before a name, without ports; *life* is how long the run may last.
    """

    def __init__(self, hosts: Iterable[str], /, *, life: timedelta) -> None:
        now = datetime.now(UTC)
        self._begin, self._end = now - _BEFORE, now + life
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cloud-integrations, this run only")])
        self._certificate = self._make_own(_constraints(hosts))
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.pem = self._certificate.public_bytes(Encoding.PEM).decode()
        """Its certificate, which is public."""

    def context_for(self, host: str, /) -> ssl.SSLContext:
        """Return the TLS context of a server that is *host* to the child."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._make_context(host)
            return self._contexts[host]

    def _make_own(self, constraints: x509.NameConstraints) -> x509.Certificate:
        public = self._key.public_key()
        builder = self._builder(self._name, public)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(constraints, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _make_context(self, host: str) -> ssl.SSLContext:
        builder = self._builder(x509.Name([]), self._leaf_key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(host)]), critical=True)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        key = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return make_server_context(Secret(certificate + key))

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(self._begin).not_valid_after(self._end)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _constraints(hosts: Iterable[str]) -> x509.NameConstraints:
    names = [host.removeprefix("*.") for host in hosts]
    permitted: list[x509.GeneralName] = [
        x509.DNSName(name) if (address := find_address(name)) is None else x509.IPAddress(ip_network(address)) for name in names
    ]
    # A kind of name that no subtree permits would be unconstrained.
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(name, x509.IPAddress) for name in permitted):
        excluded.extend(x509.IPAddress(network) for network in _EVERYWHERE)
    if not any(isinstance(name, x509.DNSName) for name in permitted):
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(permitted_subtrees=permitted or None, excluded_subtrees=excluded or None)


def _general(host: str) -> x509.GeneralName:
    address = find_address(host)
    return x509.DNSName(host) if address is None else x509.IPAddress(address)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
