"""Fingerprints of tokens, accounts and keys: HMACs under a key that is in no database in the clear, so they reveal nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Final
from uuid import UUID

from cloud_integrations.domain.connect_session import ConnectSession
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.identifiers import ContextId, ProviderId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.session import AgentSession

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


def session_fingerprint(index: DataKey, session: AgentSession, /) -> bytes:
    """Return the 16-byte fingerprint of what a session allows: whoever only writes to the database cannot make another one fit.

    When it was revoked does not count, so that revoking needs no key.
    """
    facts = [
        session.tenant_id,
        str(session.id),
        [session.agent.type, session.agent.id, session.on_behalf_of.type, session.on_behalf_of.id],
        [[access.name, str(access.provider_id), str(access.integration_id), *access.hosts] for access in session.access],
        session.methods,
        session.needs_approval,
        session.opened_at.isoformat(),
        session.expires_at.isoformat(),
    ]
    return _named(index, b"session", json.dumps(facts).encode())


def connect_session_fingerprint(index: DataKey, session: ConnectSession, token_hash: bytes, /) -> bytes:
    """Return the 16-byte fingerprint of a connect session and of who holds it, as `session_fingerprint` does for agents."""
    facts = [
        session.tenant_id,
        str(session.id),
        token_hash.hex(),
        [session.actor.type, session.actor.id],
        session.providers,
        session.slot,
        [session.locale, session.return_to, session.origin],
        [session.created_at.isoformat(), session.expires_at.isoformat()],
        None if session.opened_at is None else session.opened_at.isoformat(),
    ]
    return _named(index, b"connect-session", json.dumps(facts).encode())


def window_fingerprint(index: DataKey, session_id: UUID, tenant_id: str, /, *, use: str, ends: int) -> bytes:
    """Return the 16-byte fingerprint of a token of a window of a connect session: nobody else can write one."""
    return _named(index, b"connect-window", json.dumps([str(session_id), tenant_id, use, ends]).encode())


def _named(index: DataKey, *parts: bytes) -> bytes:
    # Only the last part varies in length, so two different lists of parts are never joined to the same bytes.
    return hmac.new(index.key, b"ci-index/1\x00" + b"\x00".join(parts), hashlib.sha256).digest()[:_LENGTH]
