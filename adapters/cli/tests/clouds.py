"""The internet of a test: a proxy behind which each host of a provider answers over TLS, so that the built-in files work unchanged."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from .authority import certify


@dataclass(frozen=True)
class Asked:
    """One request as a host received it."""

    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


Answer = tuple[int, dict[str, Any] | bytes]
"""Status and body; bytes are XML."""


class _Handler(BaseHTTPRequestHandler):
    server: Internet
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.request = self.server.context.wrap_socket(self.connection, server_side=True)
        self.setup()
        self.host = self.path.partition(":")[0]

    def _answer(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.host, target.path, target.query, headers, body)
        status, said = self.server.ask(asked)
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml" if isinstance(said, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Internet(ThreadingHTTPServer):
    """Every host of the providers under test, and the proxy that leads there."""

    daemon_threads = True

    def __init__(self, folder: Path, hosts: dict[str, Callable[[Asked], Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hosts = hosts
        self.asked: list[Asked] = []
        self.down = False
        self.ca_file, chain = certify(folder, *hosts)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self._lock = threading.Lock()

    def ask(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return (503, {}) if self.down else self.hosts[asked.host](asked)

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no concern of the test."""

    @property
    def settings(self) -> str:
        return f'proxy = "http://127.0.0.1:{self.server_address[1]}"\nca_file = "{self.ca_file}"\n'


@contextmanager
def open_internet(folder: Path, hosts: dict[str, Callable[[Asked], Answer]]) -> Iterator[Internet]:
    """Let *hosts* answer behind a proxy until the block ends."""
    server = Internet(folder, hosts)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Tokens:
    """Tokens that one of these clouds gave."""

    name: str
    given: list[str] = field(default_factory=list)

    def give(self, **claims: Any) -> Answer:
        part = base64.urlsafe_b64encode(json.dumps({**claims, "jti": f"fake-{self.name}-{len(self.given)}"}).encode()).decode().rstrip("=")
        self.given.append(f"e30.{part}.fake" if claims else f"fake-{self.name}-{len(self.given)}")
        return 200, {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": 3600}


EMAIL = "robot@acme.iam.gserviceaccount.com"
APP = "11111111-2222-3333-4444-555555555555"
DIRECTORY = "99999999-2222-3333-4444-555555555555"
TENANCY, USER = "ocid1.tenancy.oc1..fake", "ocid1.user.oc1..fake"
IBM_KEY = "fake-" + "k" * 39
AZURE_SECRET = "fae8Q~" + "fake-secret-of-azure-0123456789ab"


class Clouds:
    """Google, Azure, IBM and Oracle, with one customer, as their documentation describes them."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key.public_key(), certificate
        self.google, self.azure, self.ibm = Tokens("google"), Tokens("azure"), Tokens("ibm")
        self.withdrawn = False
        """The customer has ended every key."""

    @property
    def hosts(self) -> dict[str, Callable[[Asked], Answer]]:
        return {
            "oauth2.googleapis.com": self._google,
            "login.microsoftonline.com": self._entra,
            "management.azure.com": self._azure,
            "iam.cloud.ibm.com": self._ibm,
            "identity.eu-frankfurt-1.oraclecloud.com": self._oracle,
        }

    def _google(self, asked: Asked) -> Answer:
        if asked.path == "/tokeninfo":
            alive = asked.bearer in self.google.given
            return (200, {"azp": "1", "expires_in": "3599"}) if alive else (400, {"error": "invalid_token"})
        try:
            claims = jwt.decode(asked.form["assertion"], RSAKey.import_key(self._key), algorithms=["RS256"]).claims
        except ValueError:
            claims = {}
        if self.withdrawn or claims.get("iss") != EMAIL or claims.get("aud") != "https://oauth2.googleapis.com/token":
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return self.google.give()

    def _entra(self, asked: Asked) -> Answer:
        assert asked.path == f"/{DIRECTORY}/oauth2/v2.0/token"
        if self.withdrawn or not (asked.form.get("client_secret") == AZURE_SECRET or self._is_certified(asked)):
            return 401, {"error": "invalid_client", "error_codes": [7000215], "error_description": "AADSTS7000215: fake"}
        return self.azure.give(tid=DIRECTORY, oid="o1")

    def _is_certified(self, asked: Asked) -> bool:
        if "client_assertion" not in asked.form:
            return False
        token = jwt.decode(asked.form["client_assertion"], RSAKey.import_key(self._key), algorithms=["PS256"])
        digest = base64.urlsafe_b64encode(self._certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
        return token.header["x5t#S256"] == digest and token.claims["aud"] == asked.url and token.claims["sub"] == APP

    def _azure(self, asked: Asked) -> Answer:
        return (200, {"value": []}) if asked.bearer in self.azure.given else (401, {"error": {"code": "InvalidAuthenticationToken"}})

    def _ibm(self, asked: Asked) -> Answer:
        if asked.path == "/identity/userinfo":
            return (200, {"sub": "IBMid-1"}) if asked.bearer in self.ibm.given else (401, {})
        if self.withdrawn or asked.form["apikey"] != IBM_KEY:
            return 400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        return self.ibm.give(account={"bss": "a1"}, iam_id="IBMid-1", sub="ada@acme.example")

    def _oracle(self, asked: Asked) -> Answer:
        said = dict(re.findall(r'(\w+)="([^"]*)"', asked.headers["authorization"]))
        values = {**asked.headers, "(request-target)": f"{asked.method.lower()} {asked.path}"}
        text = "\n".join(f"{name}: {values[name]}" for name in said["headers"].split())
        self._key.verify(base64.b64decode(said["signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        if self.withdrawn or said["keyId"] != f"{TENANCY}/{USER}/{self.fingerprint}":
            return 401, {"code": "NotAuthenticated"}
        return 200, {"id": USER, "name": "ada"}

    @property
    def fingerprint(self) -> str:
        """The MD5 digest of the public key, as Oracle's console shows it."""
        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.md5(der, usedforsecurity=False).digest().hex(":")
