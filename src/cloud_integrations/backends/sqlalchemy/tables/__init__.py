"""The SQL of the store, one file per subject; each file registers the functions that make its changes."""

from __future__ import annotations

from . import audit, integrations, keys, outbox, pending, refresh, sealed, sessions

__all__ = ["audit", "integrations", "keys", "outbox", "pending", "refresh", "sealed", "sessions"]
