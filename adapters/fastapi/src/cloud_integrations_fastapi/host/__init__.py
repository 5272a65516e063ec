"""The reference server as an application: the router, sign-in by bearer token, browser sessions, and pages.  Needs the extra `host`."""

from __future__ import annotations

from .app import build_app
from .metrics import MetricsEndpoint
from .sessions import Sessions
from .tokens import Access, Tokens, new_token, token_hash

__all__ = ["Access", "MetricsEndpoint", "Sessions", "Tokens", "build_app", "new_token", "token_hash"]
