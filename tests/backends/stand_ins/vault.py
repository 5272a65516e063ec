"""Vault's Transit engine over HTTP on loopback, as its API reference describes it, with real AES-GCM.

Statuses and texts are those of
https://developer.hashicorp.com/vault/api-docs/secret/transit, of https://developer.hashicorp.com/vault/api-docs#http-status-codes
and of the engine's published source (path_encrypt, path_decrypt, policy).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .served import Served

WITH_ASSOCIATED_DATA = {"aes256-gcm96", "aes128-gcm96", "chacha20-poly1305"}


@dataclass
class TransitKey:
    """A named key and its versions."""

    type: str = "aes256-gcm96"
    derived: bool = False
    min_decryption_version: int = 1
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])

    def rotate(self):
        self.versions.append(os.urandom(32))


class RefusedError(Exception):
    def __init__(self, status, *errors):
        self.status = status
        self.body = {"errors": list(errors)}


class VaultServer(Served):
    """`with VaultServer() as vault:`; change its attributes to make it misbehave."""

    def __init__(self):
        super().__init__()
        self.keys = {}
        """By their path: `transit/ci`, behind the namespace where there is one."""
        self.mounts = {"transit"}
        self.tokens = {}
        """Token → its capabilities on encrypt/ and decrypt/."""
        self.knows_associated_data = True
        """A Vault before 1.13 does not, and says nothing."""
        self.instead = None
        """(status, body) of every answer from now on."""
        self.requests = []

    def answer(self, method, path, headers, body):
        self.requests.append((method, path, headers, body))
        if self.instead is not None:
            status, answer = self.instead
            return status, {}, answer
        try:
            return 200, {}, json.dumps(self._answer(method, path, headers, body)).encode()
        except RefusedError as refused:
            return refused.status, {}, json.dumps(refused.body).encode()

    def _answer(self, method, path, headers, body):
        capabilities = self.tokens.get(headers.get("X-Vault-Token"))
        if capabilities is None:
            raise RefusedError(403, "permission denied", "invalid token")
        space = headers.get("X-Vault-Namespace")
        route = f"{space}/{path.removeprefix('/v1/')}" if space else path.removeprefix("/v1/")
        mount, action, name = route.rsplit("/", 2)
        if mount not in self.mounts or action not in {"encrypt", "decrypt"}:
            raise RefusedError(404, f'no handler for route "{route}". route entry not found.')
        if method not in {"POST", "PUT"}:
            raise RefusedError(405, "unsupported operation")
        asked = json.loads(body)
        key = self.keys.get(f"{mount}/{name}")
        if key is None and action == "encrypt":
            if "create" not in capabilities:
                raise RefusedError(403, "1 error occurred:\n\t* permission denied\n\n")
            key = self.keys[f"{mount}/{name}"] = TransitKey()
        elif "update" not in capabilities:
            raise RefusedError(403, "1 error occurred:\n\t* permission denied\n\n")
        if key is None:
            raise RefusedError(400, "encryption key not found")
        return {"request_id": "fake", "lease_id": "", "data": self._apply(action, key, asked), "warnings": None}

    def _apply(self, action, key, asked):
        associated = asked.get("associated_data", "")
        if not self.knows_associated_data:
            associated = ""
        elif associated and key.type not in WITH_ASSOCIATED_DATA:
            raise RefusedError(400, f"'[0].associated_data' provided for non-AEAD cipher suite {key.type}")
        if key.derived and "context" not in asked:
            raise RefusedError(400, "missing 'context' for key derivation; the key was created using a derived key")
        try:
            aad = base64.b64decode(associated, validate=True) or None
            return self._encrypt(key, asked, aad) if action == "encrypt" else self._decrypt(key, asked, aad)
        except binascii.Error:
            raise RefusedError(400, "illegal base64 data at input byte 0") from None

    def _encrypt(self, key, asked, aad):
        nonce = os.urandom(12)
        plaintext = base64.b64decode(asked["plaintext"], validate=True)
        sealed = nonce + AESGCM(key.versions[-1]).encrypt(nonce, plaintext, aad)
        version = len(key.versions)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def _decrypt(self, key, asked, aad):
        ciphertext = asked.get("ciphertext", "")
        if not ciphertext:
            raise RefusedError(400, "missing ciphertext to decrypt")
        if not ciphertext.startswith("vault:v"):
            raise RefusedError(400, "invalid ciphertext: no prefix")
        number, separator, encoded = ciphertext.removeprefix("vault:v").partition(":")
        if not separator:
            raise RefusedError(400, "invalid ciphertext: wrong number of fields")
        if not number.isdigit():
            raise RefusedError(400, "invalid ciphertext: version number could not be decoded")
        version = max(int(number), 1)
        if version > len(key.versions):
            raise RefusedError(400, "invalid ciphertext: version is too new")
        if version < key.min_decryption_version:
            raise RefusedError(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            sealed = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise RefusedError(400, "invalid ciphertext: could not decode base64") from None
        if len(sealed) < 12:
            raise RefusedError(400, "invalid ciphertext length")
        try:
            plaintext = AESGCM(key.versions[version - 1]).decrypt(sealed[:12], sealed[12:], aad)
        except (InvalidTag, ValueError):
            raise RefusedError(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(plaintext).decode()}
