"""Create, open, resume and revoke connect sessions: links by which one browser connects accounts for a tenant."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from cloud_integrations.domain.arguments import LONGEST_URL, read_id, read_secret, read_text, read_text_or_none
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.domain.connect_session import (
    LINK_LIFE,
    MOST_CONNECT_SESSIONS,
    MOST_NAMED,
    VISIT_LIFE,
    ConnectSession,
    NewConnectSession,
    OpenedConnectSession,
    StoredConnectSession,
)
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import ConnectSessionId, TenantId
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import DamagedRowError, SessionNotFoundError, StaleWriteError, ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.fingerprints import connect_session_fingerprint
from cloud_integrations.flows.shared.lookup import known_tenant, read_chosen_slot, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddConnectSession, DamagedRow, OpenConnectSession, RemoveConnectSession

from .begin_oauth import check_return_to, hash_of, random_text
from .connect_windows import Use, WindowToken, hand_over, is_ours, join

_TABLE: Final = "ci_connect_session"
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_LONGEST_LOCALE: Final = 35


async def create_connect_session(
    wiring: Wiring,
    tenant: str,
    /,
    *,
    providers: Sequence[str | UUID],
    slot: str,
    locale: str | None,
    return_to: str | None,
    origin: str | None,
    connects_as: Actor,
    caller: Caller,
) -> NewConnectSession:
    """Store a session in which *connects_as* connects, and return it with the token of its link; *caller* creates it.

    Raises `ValidationFailedError`, `TenantNotFoundError` or `ProviderNotFoundError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    session = ConnectSession(
        id=ConnectSessionId(wiring.new_id()),
        tenant_id=tenant_id,
        actor=connects_as,
        providers=_read_providers(wiring, providers),
        slot=read_chosen_slot(wiring, slot),
        locale=_read_locale(locale),
        return_to=_read_return_to(wiring, return_to),
        origin=_read_origin(wiring, origin),
        created_at=(now := wiring.clock.now()),
        expires_at=now + LINK_LIFE,
    )
    rows = await wiring.store.list_connect_sessions(tenant_id)
    if sum(isinstance(row, DamagedRow) or row.facts.expires_at > now for row in rows) >= MOST_CONNECT_SESSIONS:
        problem = f"has {MOST_CONNECT_SESSIONS} connect sessions that have not ended: revoke some, or wait"
        raise ValidationFailedError(field="tenantId", problem=problem)
    token = random_text(wiring)
    about = {"connects_as": str(session.actor), "expires_at": session.expires_at.isoformat()}
    about |= {"providers": ",".join(session.providers)} if session.providers else {}
    about |= {"slot": session.slot} if session.slot else {}
    event = happened(wiring, "connect_session.created", _subject(session), caller, **about)
    await apply(wiring, AddConnectSession(session=await _stored(wiring, session, token)), event)
    return NewConnectSession(session=session, link_token=token)


async def find_connect_link(wiring: Wiring, link_token: Secret | str, /) -> ConnectSession | None:
    """Return the session whose link has this token and can still be opened; None: there is none.  Nothing is changed."""
    found = await _find(wiring, read_secret("linkToken", link_token))
    return found if found is not None and found.opened_at is None else None


async def open_connect_session(wiring: Wiring, link_token: Secret | str, /, *, request_id: str | None) -> OpenedConnectSession:
    """Open the link with this token for one browser, and return the session with the token by which that browser is known.

    Raises `SessionNotFoundError` for a link that was opened, has ended or does not exist.
    """
    link = read_secret("linkToken", link_token)
    session = await find_connect_link(wiring, link)
    if session is None:
        raise SessionNotFoundError
    now = wiring.clock.now()
    opened = replace(session, opened_at=now, expires_at=now + VISIT_LIFE)
    browser_token = random_text(wiring)
    change = OpenConnectSession(session=await _stored(wiring, opened, browser_token), link_hash=hash_of(link))
    try:
        caller = Caller(actor=session.actor, request_id=request_id)
        await apply(wiring, change, happened(wiring, "connect_session.opened", _subject(session), caller))
    except StaleWriteError:
        raise SessionNotFoundError from None  # another browser was first
    return OpenedConnectSession(session=opened, browser_token=browser_token)


async def resume_connect_session(wiring: Wiring, browser_token: Secret | str, /) -> ConnectSession | None:
    """Return the session that was opened by the browser with this token and has not ended; None: there is none."""
    token = read_secret("browserToken", browser_token)
    found = await _find(wiring, token) or await _find_by_window(wiring, token, "window")
    return found if found is not None and found.opened_at is not None else None


async def hand_over_connect_session(wiring: Wiring, browser_token: Secret | str, /) -> Secret:
    """Return a token by which another window of the browser with this token joins its session, for ten minutes.

    Raises `SessionNotFoundError`.
    """
    session = await resume_connect_session(wiring, browser_token)
    if session is None:
        raise SessionNotFoundError
    return await hand_over(wiring, session)


async def join_connect_session(wiring: Wiring, join_token: Secret | str, /) -> OpenedConnectSession:
    """Return the session that *join_token* is for, with a token by which the window that joins is known.

    Raises `SessionNotFoundError` for a token that has ended or is none, and for a session that has ended.
    """
    session = await _find_by_window(wiring, read_secret("joinToken", join_token), "join")
    if session is None:
        raise SessionNotFoundError
    return await join(wiring, session)


async def list_connect_sessions(wiring: Wiring, tenant: str, /) -> tuple[ConnectSession, ...]:
    """Return the connect sessions of the tenant that have not ended, the one that was created last first.

    A session whose row was edited is left out, and the observer is told.
    """
    found, now = [], wiring.clock.now()
    for row in await wiring.store.list_connect_sessions(await known_tenant(wiring, tenant)):
        try:
            session = await _trusted(wiring, row)
        except DamagedRowError as error:
            tell_damaged(
                wiring, DamagedRow(table=error.table, row=error.row, tenant_id=row.tenant_id if isinstance(row, DamagedRow) else None)
            )
        else:
            found += [session] if session.expires_at > now else []
    return tuple(found)


async def revoke_connect_session(wiring: Wiring, tenant: str, session_id: UUID | str, /, *, caller: Caller) -> None:
    """End a session now, whether it was opened or not.  Raises `SessionNotFoundError`."""
    tenant_id = await known_tenant(wiring, tenant)
    key = ConnectSessionId(read_id("sessionId", session_id))
    subject = Subject(tenant_id=tenant_id, other=f"connect_session:{key}")
    try:
        change = RemoveConnectSession(tenant_id=tenant_id, session_id=key)
        await apply(wiring, change, happened(wiring, "connect_session.revoked", subject, caller))
    except StaleWriteError:
        raise SessionNotFoundError from None


async def _find(wiring: Wiring, token: Secret) -> ConnectSession | None:
    row = await wiring.store.find_connect_session(hash_of(token))
    if row is None:
        return None
    session = await _trusted(wiring, row)
    return session if session.expires_at > wiring.clock.now() else None


async def _find_by_window(wiring: Wiring, token: Secret, use: Use) -> ConnectSession | None:
    read = WindowToken.read(token)
    if read is None or not await is_ours(wiring, read, use):
        return None
    # The host is not asked whether the tenant exists, as it is not for the browser that opened the link.
    rows = await wiring.store.list_connect_sessions(TenantId(read.tenant_id))
    row = next((row for row in rows if isinstance(row, StoredConnectSession) and row.facts.id == read.session_id), None)
    session = None if row is None else await _trusted(wiring, row)
    return session if session is not None and session.expires_at > wiring.clock.now() else None


async def _stored(wiring: Wiring, session: ConnectSession, token: Secret) -> StoredConnectSession:
    token_hash = hash_of(token)
    fingerprint = connect_session_fingerprint(await wiring.data_keys.index(), session, token_hash)
    return StoredConnectSession(facts=session, token_hash=token_hash, fingerprint=fingerprint)


async def _trusted(wiring: Wiring, row: StoredConnectSession | DamagedRow) -> ConnectSession:
    """Return the facts of a row that nobody has edited.  Raises `DamagedRowError`."""
    if isinstance(row, DamagedRow):
        raise DamagedRowError(table=row.table, row=row.row)
    expected = connect_session_fingerprint(await wiring.data_keys.index(), row.facts, row.token_hash)
    if not hmac.compare_digest(row.fingerprint, expected):
        raise DamagedRowError(table=_TABLE, row=str(row.facts.id))
    return row.facts


def _subject(session: ConnectSession) -> Subject:
    return Subject(tenant_id=session.tenant_id, other=f"connect_session:{session.id}")


def _read_providers(wiring: Wiring, providers: object) -> tuple[str, ...]:
    if isinstance(providers, str | bytes) or not isinstance(providers, Sequence):
        raise ValidationFailedError(field="providers", problem="must be a list of providers")
    if not all(isinstance(each, str | UUID) for each in providers):
        raise ValidationFailedError(field="providers", problem="must be slugs or UUIDs of providers")
    named = tuple(dict.fromkeys(wiring.providers.require(each).id for each in providers))
    if len(named) > MOST_NAMED:
        raise ValidationFailedError(field="providers", problem=f"must be at most {MOST_NAMED}")
    return named


def _read_locale(locale: object) -> str | None:
    found = read_text_or_none("locale", locale, most=_LONGEST_LOCALE)
    if found is not None and not _LOCALE.fullmatch(found):
        raise ValidationFailedError(field="locale", problem="must be a language tag such as de or es-MX")
    return found


def _read_return_to(wiring: Wiring, return_to: object) -> str | None:
    if return_to is None:
        return None
    text = read_text("returnTo", return_to, most=LONGEST_URL)
    if text.startswith("/"):
        check_return_to(text)
    elif not _is_site(wiring, text):
        raise ValidationFailedError(field="returnTo", problem="must be a path on this site, beginning with one slash, or an https URL")
    return text


def _read_origin(wiring: Wiring, origin: object) -> str | None:
    found = read_text_or_none("origin", origin, most=LONGEST_URL)
    if found is None:
        return None
    if not _is_site(wiring, found) or found != "{0.scheme}://{0.netloc}".format(urlsplit(found)):
        raise ValidationFailedError(field="origin", problem="must be an origin such as https://app.example.com")
    return found


def _is_site(wiring: Wiring, url: str) -> bool:
    """Say whether *url* is one of a site that people may be sent to: https, a host, no user."""
    if not url.isascii() or "\\" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
        plain = wiring.settings.loopback and parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc and (parts.scheme == "https" or plain)
