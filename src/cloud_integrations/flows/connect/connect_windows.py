"""Windows of a connect session: a browser that opened the link inside a frame goes on in a window of its own, whose cookies are others."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from cloud_integrations.domain.connect_session import HAND_OVER_LIFE, ConnectSession, OpenedConnectSession
from cloud_integrations.domain.secret import Secret
from cloud_integrations.flows.shared.fingerprints import window_fingerprint
from cloud_integrations.flows.shared.wiring import Wiring

Use = Literal["join", "window"]
"""What a token is for.  `join`: it lets a window into the session, for ten minutes.  `window`: the window is known by it."""
_PARTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowToken:
    """A token of a session as it is written; nothing of it is believed before its fingerprint was compared."""

    use: str
    ends: int
    session_id: UUID
    tenant_id: str
    fingerprint: bytes

    @classmethod
    def read(cls, token: Secret, /) -> WindowToken | None:
        """Return what stands in a token; None for one that is none."""
        parts = token.reveal().split(".")
        if len(parts) != _PARTS or not parts[1].isascii() or not parts[1].isdecimal():
            return None
        use, ends, session, tenant, fingerprint = parts
        try:
            return cls(
                use=use,
                ends=int(ends),
                session_id=UUID(hex=session),
                tenant_id=base64.urlsafe_b64decode(tenant + "=" * (-len(tenant) % 4)).decode(),
                fingerprint=bytes.fromhex(fingerprint),
            )
        except (ValueError, binascii.Error):
            return None


async def hand_over(wiring: Wiring, session: ConnectSession, /) -> Secret:
    """Return a token by which another window joins *session*; it ends with the session, and after ten minutes."""
    return await _written(wiring, session, "join", min(session.expires_at, wiring.clock.now() + HAND_OVER_LIFE).timestamp())


async def join(wiring: Wiring, session: ConnectSession, /) -> OpenedConnectSession:
    """Return *session* with a token by which the window that joins is known until the session ends."""
    return OpenedConnectSession(session=session, browser_token=await _written(wiring, session, "window", session.expires_at.timestamp()))


async def is_ours(wiring: Wiring, written: WindowToken, use: Use, /) -> bool:
    """Say whether we wrote *written* for this *use*, and it has not ended; the session may have."""
    expected = await _fingerprint(wiring, written.session_id, written.tenant_id, written.use, written.ends)
    is_whole = hmac.compare_digest(expected, written.fingerprint)
    return is_whole and written.use == use and written.ends > wiring.clock.now().timestamp()


async def _written(wiring: Wiring, session: ConnectSession, use: Use, ends: float) -> Secret:
    fingerprint = await _fingerprint(wiring, session.id, session.tenant_id, use, int(ends))
    tenant = base64.urlsafe_b64encode(session.tenant_id.encode()).rstrip(b"=").decode()
    return Secret(f"{use}.{int(ends)}.{session.id.hex}.{tenant}.{fingerprint.hex()}")


async def _fingerprint(wiring: Wiring, session_id: UUID, tenant_id: str, use: str, ends: int) -> bytes:
    return window_fingerprint(await wiring.data_keys.index(), session_id, tenant_id, use=use, ends=ends)
