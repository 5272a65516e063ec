"""Names of tokens, accounts and keys, from which nothing can be read: HMACs under a key that no database holds."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret

_LENGTH: Final = 16


def token_fingerprint(index: DataKey, provider_id: ProviderId, token: Secret, /) -> bytes:
    """Name a token of a provider, the same for every tenant that holds it."""
    return _named(index, b"token", provider_id.bytes, token.reveal().encode())


def account_fingerprint(index: DataKey, facts: Integration, /) -> bytes | None:
    """Name the account that granted, at the application that it granted to; None where nobody knows whose it is."""
    if facts.account.account_id is None or facts.context_id is None:
        return None
    return _named(index, b"account", facts.provider_id.bytes, facts.context_id.bytes, facts.account.account_id.encode())


def key_fingerprint(key: DataKey, secret: Secret, /) -> str:
    """Name a tenant's key whose provider does not say whose it is, under the tenant's data key."""
    return "key:" + hmac.new(key.key, b"ci-fingerprint/1\x00" + secret.reveal().encode(), hashlib.sha256).hexdigest()[:24]


def _named(index: DataKey, *parts: bytes) -> bytes:
    # Only the last part has a length of its own, so no two lists of parts are the same bytes.
    return hmac.new(index.key, b"ci-index/1\x00" + b"\x00".join(parts), hashlib.sha256).digest()[:_LENGTH]
