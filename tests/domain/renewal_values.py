"""Times, and how providers treat spent refresh tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cloud_integrations.domain.provider import RefreshTokenFacts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NONE = RefreshTokenFacts(rotates="never")
TOLERANT = RefreshTokenFacts(reuse="tolerant")
GRACE = RefreshTokenFacts(grace=30 * SECOND)
STRICT = RefreshTokenFacts(rotates="always")
ENDS_OLD_ACCESS = RefreshTokenFacts(rotates="always", ends_old_access=True)
