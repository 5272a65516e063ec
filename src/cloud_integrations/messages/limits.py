"""What a provider says of its limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cloud_integrations.domain.provider import RateLimit

from .http import HttpResponse, read_retry_after


def is_rate_limited(limits: RateLimit, response: HttpResponse, body: Any, /) -> bool:
    """Say whether the answer means that too many requests were sent, by the provider's own signs."""
    if response.status == 429:
        return True
    if response.status not in limits.statuses:
        return False
    families = (limits, *limits.also)
    return (
        any(family.retry_after.lower() in response.headers for family in families)
        or any(family.remaining and response.headers.get(family.remaining.lower(), "").strip() == "0" for family in families)
        or any(test.holds(body) for test in limits.body)
    )


def read_wait(limits: RateLimit, response: HttpResponse, /, *, now: datetime) -> timedelta | None:
    """Return how long the provider asks us to wait, at most an hour; None where it does not say."""
    return read_retry_after(response.headers.get(limits.retry_after.lower(), ""), now=now)
