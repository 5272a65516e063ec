"""The keys that sign our own tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.issuing import PublicSigningKey, check_issuer_url, is_local
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.protocol.egress import EndpointRefusedError, read_target

__all__ = ["AsyncSigningKeys", "Issuer", "PublicSigningKey", "SigningKeys"]


class SigningKeys(Protocol):
    """Signs with RSA keys whose private parts never leave it.

    The tests are in `cloud_integrations.testing.contracts.signing_keys`.
    """

    @property
    def waits(self) -> bool:
        """Whether a call may wait for a network or a device; `AsyncIntegrationManager` then makes it in a thread."""
        ...

    def public_keys(self) -> tuple[PublicSigningKey, ...]:
        """Return the public part of every key, at least one, each once.  The first signs; all are published.

        Raises `KeyringError` if a key may not be used, and `KeyServiceUnavailableError` if the service does not answer.
        """
        ...

    def sign(self, key_id: str, message: bytes, /) -> bytes:
        """Return the signature of *message* by the key with this id: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2; `RS256`).

        Raises `KeyringError` if there is no such key or it may not be used, and `KeyServiceUnavailableError` if the service does not
        answer.
        """
        ...


class AsyncSigningKeys(Protocol):
    """`SigningKeys` as flows use it, with methods that are awaited."""

    @property
    def waits(self) -> bool: ...

    async def public_keys(self) -> tuple[PublicSigningKey, ...]: ...

    async def sign(self, key_id: str, message: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Our own issuer of tokens: where providers read its documents, and the keys that sign.

    `url` is https, public, and the same for ever: tenants enter it at their providers, which compare it letter by letter.  http is
    allowed for a loopback address, for development.  Raises `ConfigurationError`, which names `issuer.url`.
    """

    url: str
    keys: SigningKeys

    def __post_init__(self) -> None:
        check_issuer_url(self.url)
        try:
            read_target(self.url, loopback=is_local(self.url))
        except EndpointRefusedError:
            raise ConfigurationError(setting="issuer.url", problem="must have a public host name, which is no IP address") from None
