"""Certificate authorities of tenants, and a server over TLS that wants client certificates."""

from __future__ import annotations

import json
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

BEGIN, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Authority:
    """Signs certificates."""

    def __init__(self, name="Fake authority", *, end=END):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = _pem(self._sign(self._name, self._key.public_key(), end=end, authority=True))

    def issue(self, name, *, end=END, password=None):
        """Return a certificate for *name*, an address or a host's name, and its private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()
        return _pem(self._sign(subject, key.public_key(), end=end)), text

    def _sign(self, subject, public_key, *, end, authority=False):
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(BEGIN).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # Python from 3.13 on asks for what RFC 5280 wants of each certificate.
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        if authority:
            signs = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False)
            only = x509.KeyUsage(digital_signature=False, key_cert_sign=True, encipher_only=False, decipher_only=False, **signs)
            builder = builder.add_extension(only, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(subject.rfc4514_string().removeprefix("CN="))]), False)
        return builder.sign(self._key, hashes.SHA256())


_AUTHORITIES = {}


def authority(name="Fake authority"):
    """Return the authority of this name, always the same one."""
    return _AUTHORITIES.setdefault(name, Authority(name))


def _general(name):
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers.get("Host"), sent))
        shown = self.connection.getpeercert() or {}
        name = next((value for part in shown.get("subject", ()) for key, value in part if key == "commonName"), None)
        self.server.seen.append((self.client_address[1], name, self.headers.get("Authorization")))
        status, body, *more = self.server.answer(name, self.headers.get("Authorization"))
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for header in more:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815  # as the standard library names it

    def log_message(self, *args):
        pass


class TlsServer(ThreadingHTTPServer):
    """Listens on loopback.

    `seen` has the port, the certificate's name and the Authorization header of each request; `asked` has its method, path, Host and body.
    `answer` returns a status, the content of a JSON body, and further headers.
    """

    daemon_threads = True

    def __init__(self, certificate, key, *, clients=None, tmp_path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen = []
        self.asked = []
        self.answer = lambda name, authorization: (200, {"name": name})
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = tmp_path / "server.pem"
        file.write_text(certificate + key)
        context.load_cert_chain(file)
        if clients is not None:
            context.load_verify_locations(cadata=clients)
            context.verify_mode = ssl.CERT_OPTIONAL
        # The handshake is made where the request is answered, so that a client that goes away stops nobody else.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.thread.join()
