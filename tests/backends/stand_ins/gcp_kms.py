"""Encrypt and Decrypt of Google Cloud KMS over gRPC on loopback, as their reference describes them, with real AES-GCM.

Messages are those of Google's own client library; statuses and texts are those of
https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1 and of what Google's service is known to answer.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud.kms_v1 import DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, KeyManagementServiceClient
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

SERVICE = "google.cloud.kms.v1.KeyManagementService"


@dataclass
class CryptoKey:
    """A key and its versions; the last is the primary one."""

    purpose: str = "ENCRYPT_DECRYPT"
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    states: dict[int, str] = field(default_factory=dict)
    """Of the versions that are not ENABLED."""

    def rotate(self):
        self.versions.append(os.urandom(32))


class RefusedError(Exception):
    def __init__(self, status, text):
        self.status = status
        self.text = text


class KmsServer:
    """`with KmsServer() as kms:`; change its attributes to make it misbehave."""

    def __init__(self):
        self.keys = {}
        """By their name."""
        self.allowed = True
        """Whether the caller may use the keys."""
        self.instead = []
        """Statuses of the next answers, or functions that change them; the last one stays when `for_ever`."""
        self.for_ever = False
        self.requests = []
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    SERVICE,
                    {
                        "Encrypt": grpc.unary_unary_rpc_method_handler(
                            self._guard(self._encrypt), EncryptRequest.deserialize, EncryptResponse.serialize
                        ),
                        "Decrypt": grpc.unary_unary_rpc_method_handler(
                            self._guard(self._decrypt), DecryptRequest.deserialize, DecryptResponse.serialize
                        ),
                    },
                )
            ]
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])

    def connect(self):
        return KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=self._channel))

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self.hang_up()
        self.stop()

    def stop(self):
        self._server.stop(grace=None).wait()

    def hang_up(self):
        self._channel.close()

    def _guard(self, answer):
        def handle(request, context):
            self.requests.append((request, dict(context.invocation_metadata())))
            change = None
            if self.instead:
                change = self.instead[0] if self.for_ever else self.instead.pop(0)
            if isinstance(change, grpc.StatusCode):
                context.abort(change, "the service's words")
            try:
                response = answer(request)
            except RefusedError as refused:
                context.abort(refused.status, refused.text)
            if change is not None:
                change(response)
            return response

        return handle

    def _find(self, name):
        if not self.allowed:
            raise RefusedError(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied on resource '{name}' (or it may not exist).")
        key = self.keys.get(name)
        if key is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"CryptoKey {name} not found.")
        if key.purpose != "ENCRYPT_DECRYPT":
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"{name} has purpose {key.purpose}, expected ENCRYPT_DECRYPT.")
        return key

    def _require_enabled(self, name, key, version):
        state = key.states.get(version, "ENABLED")
        if state != "ENABLED":
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION, f"{name}/cryptoKeyVersions/{version} is not enabled, current state is: {state}."
            )

    def _encrypt(self, request):
        check(request, "plaintext")
        check(request, "additional_authenticated_data")
        key = self._find(request.name)
        version = len(key.versions)
        self._require_enabled(request.name, key, version)
        nonce = os.urandom(12)
        sealed = AESGCM(key.versions[-1]).encrypt(nonce, request.plaintext, request.additional_authenticated_data)
        ciphertext = bytes([version]) + nonce + sealed
        return EncryptResponse(
            name=f"{request.name}/cryptoKeyVersions/{version}",
            ciphertext=ciphertext,
            ciphertext_crc32c=checksum(ciphertext),
            verified_plaintext_crc32c=request.plaintext_crc32c is not None,
            verified_additional_authenticated_data_crc32c=request.additional_authenticated_data_crc32c is not None,
        )

    def _decrypt(self, request):
        check(request, "ciphertext")
        check(request, "additional_authenticated_data")
        key = self._find(request.name)
        version = request.ciphertext[0] if request.ciphertext else 0
        if not 1 <= version <= len(key.versions):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        self._require_enabled(request.name, key, version)
        nonce, sealed = request.ciphertext[1:13], request.ciphertext[13:]
        try:
            plaintext = AESGCM(key.versions[version - 1]).decrypt(nonce, sealed, request.additional_authenticated_data)
        except (InvalidTag, ValueError):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: the ciphertext is invalid.") from None
        return DecryptResponse(plaintext=plaintext, plaintext_crc32c=checksum(plaintext), used_primary=version == len(key.versions))


def check(request, name):
    """Compare what arrived with its checksum, where one was sent."""
    sent = getattr(request, f"{name}_crc32c")
    if sent is not None and sent != checksum(getattr(request, name)):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"The checksum in field {name}_crc32c did not match the data in field {name}.")


def checksum(data):
    """CRC-32C by long division of polynomials, most significant bit first: another way than the product's."""
    flipped = int.from_bytes(bytes(int(f"{byte:08b}"[::-1], 2) for byte in data))
    length = 8 * len(data)
    rest = (flipped << 32) ^ (0xFFFFFFFF << length)
    for position in range(length - 1, -1, -1):
        if rest >> (position + 32) & 1:
            rest ^= 0x11EDC6F41 << position
    return int(f"{rest:032b}"[::-1], 2) ^ 0xFFFFFFFF
