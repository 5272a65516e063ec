"""Fingerprints of tokens, accounts and keys: HMACs under a key that is in no database in the clear, so they reveal nothing."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.identifiers import ContextId, ProviderId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret

_LENGTH: Final = 16


def token_fingerprint(index: DataKey, provider_id: ProviderId, token: Secret, /) -> bytes:
    """Return the 16-byte fingerprint of a provider's token; it is the same for every tenant that holds the token."""
    return _named(index, b"token", provider_id.bytes, token.reveal().encode())


def account_fingerprint(index: DataKey, facts: Integration, application: ContextId, /) -> bytes | None:
    """Return the 16-byte fingerprint of the account that granted access to the application; None if the account is not known.

    *application* is `Client.id_for` without an owner: to the provider it is one application, whoever registered it here.
    """
    if facts.account.account_id is None:
        return None
    return _named(index, b"account", facts.provider_id.bytes, application.bytes, facts.account.account_id.encode())


def key_fingerprint(key: DataKey, secret: Secret, /) -> str:
    """Return a fingerprint of an API key under the tenant's data key, as the account id if the provider does not tell one."""
    return "key:" + hmac.new(key.key, b"ci-fingerprint/1\x00" + secret.reveal().encode(), hashlib.sha256).hexdigest()[:24]


def _named(index: DataKey, *parts: bytes) -> bytes:
    # Only the last part varies in length, so two different lists of parts are never joined to the same bytes.
    return hmac.new(index.key, b"ci-index/1\x00" + b"\x00".join(parts), hashlib.sha256).digest()[:_LENGTH]
