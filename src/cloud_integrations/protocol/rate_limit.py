"""Whether an answer is a rate limit, and how long the provider asks to wait.

Token answers, checks of credentials and revocations are all read by these two functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.domain.provider import LimitHeaders, RateLimit

from .http import HttpResponse

MAX_WAIT = timedelta(hours=1)
"""The longest wait that a provider can ask for; a longer one is shortened to it."""

_NUMBER = re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,9})?\Z")
_DURATION = re.compile(r"(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m(?!s))?(?:([0-9.]+)s)?(?:([0-9.]+)ms)?\Z")
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_PARAMETER = re.compile(r";\s*([rt])\s*=\s*([0-9]{1,19})(?=\s*(?:;|\Z))")


def is_rate_limited(limits: RateLimit, response: HttpResponse, body: Any, /) -> bool:
    """Return whether the answer is a rate limit: any 429 (RFC 6585 §4), or as the provider file says.

    *body* is the answer's JSON, or None.
    """
    if response.status == 429:
        return True
    if response.status not in limits.statuses:
        return False
    return any(test.holds(body) for test in limits.body) or any(
        headers.retry_after.lower() in response.headers or _nothing_left(headers, response) is True for headers in (limits, *limits.also)
    )


def read_wait(limits: RateLimit, response: HttpResponse, body: Any, /, *, now: datetime) -> timedelta | None:
    """Return how long the provider asks to wait before the next request, from 0 to `MAX_WAIT`; None: it does not say.

    `Retry-After` is read first, then a wait in the body (*body* is its JSON, or None).  If the answer is a rate limit, the time at which
    the limit is reset is read next, and then the wait that the provider file assumes.
    """
    families = (limits, *limits.also)
    seconds = _first(_retry_after(family, response, now) for family in families)
    if seconds is None and limits.wait_path is not None:
        seconds = _first(_read_delay(value) for value in find_all(body, limits.wait_path))
    if seconds is None and is_rate_limited(limits, response, body):
        seconds = _first(_until_reset(family, response, now) for family in families)
        if seconds is None and limits.assumed_wait is not None:
            seconds = limits.assumed_wait.total_seconds()
    return None if seconds is None else timedelta(seconds=min(max(seconds, 0.0), MAX_WAIT.total_seconds()))


def _first(found: Any) -> float | None:
    return next((seconds for seconds in found if seconds is not None), None)


def _retry_after(family: LimitHeaders, response: HttpResponse, now: datetime) -> float | None:
    # RFC 9110 §10.2.3: seconds or a date.  Some servers send decimals, too.
    text = response.headers.get(family.retry_after.lower(), "").strip()
    return _first(_read(reader, text, now) for reader in (_delta_s, _http_date))


def _until_reset(family: LimitHeaders, response: HttpResponse, now: datetime) -> float | None:
    # If requests of this limit are left, another limit was hit, and the reset of this one does not matter.
    if family.reset is None or _nothing_left(family, response) is False:
        return None
    text = response.headers.get(family.reset.lower(), "").strip()
    return _read(_FORMATS[family.reset_format], text, now)


def _nothing_left(family: LimitHeaders, response: HttpResponse) -> bool | None:
    text = None if family.remaining is None else response.headers.get(family.remaining.lower())
    if text is None:
        return None
    if family.reset_format == "structured":
        return any(policy.get("r") == 0 for policy in _policies(text))
    return text.strip().startswith("-") or _read_delay(text.strip()) == 0


def _read_delay(value: Any) -> float | None:
    """Return a length of time in seconds from a JSON value: a number, or text with or without units."""
    if isinstance(value, str):
        return _read(_duration, value.strip(), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def _read(reader: Callable[[str, Any], float], text: str, now: datetime | None) -> float | None:
    try:
        return reader(text, now)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str) -> float:
    if not _NUMBER.match(text):
        raise ValueError("not a number")
    return float(text)


def _epoch_s(text: str, now: datetime) -> float:
    return _number(text) - now.timestamp()


def _epoch_ms(text: str, now: datetime) -> float:
    return _number(text) / 1000 - now.timestamp()


def _delta_s(text: str, _: datetime) -> float:
    return _number(text)


def _iso8601(text: str, now: datetime) -> float:
    return _until(datetime.fromisoformat(text), now)


def _http_date(text: str, now: datetime) -> float:
    return _until(parsedate_to_datetime(text), now)


def _until(at: datetime, now: datetime) -> float:
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _structured(text: str, _: datetime) -> float:
    """Read `"burst";r=0;t=30` (draft-ietf-httpapi-ratelimit-headers): the longest time among the policies with nothing left."""
    policies = _policies(text)
    spent = [policy for policy in policies if policy.get("r") == 0] or policies
    return max(policy["t"] for policy in spent if "t" in policy)


def _policies(text: str) -> list[Mapping[str, float]]:
    return [{name: float(value) for name, value in _PARAMETER.findall(item.strip())} for item in text.split(",")]


def _duration(text: str, _: object) -> float:
    """Read `6m0s`, `1.5s`, `250ms`; a number without a unit is seconds."""
    if _NUMBER.match(text):
        return float(text)
    found = _DURATION.match(text)
    if not text or found is None:
        raise ValueError("not a length of time")
    return sum(float(number) * unit for number, unit in zip(found.groups(), _UNITS, strict=True) if number is not None)


_FORMATS: Mapping[str, Callable[[str, datetime], float]] = {
    "epoch_s": _epoch_s,
    "epoch_ms": _epoch_ms,
    "delta_s": _delta_s,
    "iso8601": _iso8601,
    "http_date": _http_date,
    "structured": _structured,
    "duration_text": _duration,
}
