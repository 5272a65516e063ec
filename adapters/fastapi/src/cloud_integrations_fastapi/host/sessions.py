"""The sessions of browsers that are signed in."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from .tokens import Access

_MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session; `form_token` is in its forms and nowhere else, so that no other site can post them.  `ends_at` is monotonic."""

    access: Access
    form_token: str
    ends_at: float


class Sessions:
    """Browser sessions of *seconds* each, in memory: a restart ends them all.  Ids are random, and kept as their SHA-256."""

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._held: dict[bytes, Session] = {}

    def open(self, access: Access, /) -> str:
        """Begin a session and return its id."""
        now = self._clock()
        self._held = {key: session for key, session in self._held.items() if session.ends_at > now}
        while len(self._held) >= _MAX_SESSIONS:
            self._held.pop(next(iter(self._held)))
        session_id = secrets.token_urlsafe(32)
        self._held[_key(session_id)] = Session(access=access, form_token=secrets.token_urlsafe(32), ends_at=now + self.seconds)
        return session_id

    def find(self, session_id: str, /) -> Session | None:
        """Return the session, or None where there is none or it has expired."""
        session = self._held.get(_key(session_id))
        return session if session is not None and session.ends_at > self._clock() else None

    def close(self, session_id: str, /) -> None:
        """End a session."""
        self._held.pop(_key(session_id), None)


def _key(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()
