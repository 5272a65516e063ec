"""wrapKey and unwrapKey of Azure Key Vault over HTTP on loopback, as its REST reference describes them, with real RSA-OAEP.

Statuses, codes and texts are those of https://learn.microsoft.com/en-us/rest/api/keyvault/keys, of
https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes and of
https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses.
That a disabled key still wraps was seen at Azure itself (Azure/azure-sdk-for-python, issue 45342).
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256

from .served import Served

TENANT = "11111111-2222-3333-4444-555555555555"
FAR_AWAY = 4102444800

_ports = itertools.count(1)


@functools.cache
def private_key(number):
    """Return the key of this number; making one takes a while."""
    return rsa.generate_private_key(65537, (2048, 3072, 4096)[number % 3])


def padding():
    return OAEP(MGF1(SHA256()), SHA256(), None)


@dataclass
class VaultKey:
    """One version of a key."""

    private: rsa.RSAPrivateKey
    kty: str = "RSA"
    enabled: bool = True
    operations: set[str] = field(default_factory=lambda: {"wrapkey", "unwrapkey"})


class RefusedError(Exception):
    def __init__(self, status, code, message, inner=None):
        self.status = status
        error = {"code": code, "message": message}
        if inner is not None:
            error["innererror"] = {"code": inner}
        self.body = {"error": error}


class FixedCredential:
    """A credential that always has the same token."""

    def __init__(self, token):
        self._token = token
        self.asked = []

    def get_token(self, *scopes, **options):
        self.asked.append((scopes, options.get("tenant_id")))
        return AccessToken(self._token, FAR_AWAY)


class KeyVaultServer(Served):
    """`with KeyVaultServer() as vault:`; change its attributes to make it misbehave."""

    def __init__(self, tokens):
        super().__init__()
        self.host = f"fake-{next(_ports)}.vault.azure.net"  # its own: the SDK remembers challenges by host
        self.tokens = tokens
        self.keys = {}
        """By name and version: `ci/0123…`."""
        self.resource = "https://vault.azure.net"
        """Whom the challenge asks a token for."""
        self.instead = []
        """Answers, as (status, headers, body), in place of the next ones; the last one stays when `for_ever`."""
        self.for_ever = False
        self.requests = []
        """Those with a token: (method, path, query, body)."""
        self.challenged = []
        """The bodies of those without."""

    def answer(self, method, path, headers, body):
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            self.challenged.append(body)
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{self.resource}"'
            refused = RefusedError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            return 401, {"WWW-Authenticate": challenge}, json.dumps(refused.body).encode()
        parts = urlsplit(path)
        self.requests.append((method, parts.path, parts.query, body))
        if self.instead:
            return self.instead[0] if self.for_ever else self.instead.pop(0)
        try:
            return 200, {}, json.dumps(self._answer(method, parts.path, json.loads(body))).encode()
        except RefusedError as refused:
            return refused.status, {}, json.dumps(refused.body).encode()

    def _answer(self, method, path, asked):
        _, collection, name, version, action = path.split("/")
        if method != "POST" or collection != "keys" or action not in {"wrapkey", "unwrapkey"}:
            raise RefusedError(405, "BadRequest", "Method Not Allowed")
        key = self.keys.get(f"{name}/{version}")
        if key is None:
            raise RefusedError(404, "KeyNotFound", f"A key with (name/id) {name}/{version} was not found in this key vault.")
        if action not in key.operations:
            raise RefusedError(403, "Forbidden", f"Operation {action} is not permitted on this key.", "KeyOperationForbidden")
        if not key.enabled and action == "unwrapkey":
            raise RefusedError(403, "Forbidden", "Operation unwrapKey is not allowed on a disabled key.", "KeyDisabled")
        if key.kty != "RSA" or asked.get("alg") != "RSA-OAEP-256":
            raise RefusedError(400, "BadParameter", f"Key and alg type mismatch: {key.kty}, {asked.get('alg')}")
        try:
            value = decode(asked["value"])
            result = key.private.public_key().encrypt(value, padding()) if action == "wrapkey" else key.private.decrypt(value, padding())
        except (KeyError, ValueError):
            raise RefusedError(400, "BadParameter", "The parameter is incorrect.\r\n") from None
        return {"kid": f"https://{self.host}/keys/{name}/{version}", "value": encode(result)}


class Rerouted(RequestsTransport):
    """Sends what is meant for a vault to its stand-in; the SDK refuses to send a token to anything but https."""

    def __init__(self, vault):
        super().__init__(use_env_settings=False)
        self._vault = vault
        self.timeouts = []

    def send(self, request, **options):
        self.timeouts.append((options["connection_timeout"], options["read_timeout"]))
        url = request.url
        assert url.startswith(f"https://{self._vault.host}/")
        request.url = url.replace(f"https://{self._vault.host}", self._vault.address, 1)
        try:
            return super().send(request, **options)
        finally:
            request.url = url


def encode(value):
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def decode(value):
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
