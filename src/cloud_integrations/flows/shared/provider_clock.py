"""The clocks of providers: signatures are made for them, because a request that is signed for another time is refused.

A difference is remembered in this process, by the provider's host.  Nothing but signatures uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cloud_integrations.domain.clock_offset import LEAST, ClockOffset
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.kinds import Moments
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.provider_time import build_time_request, find_clock_host, read_date, read_time

from .sending import send
from .wiring import Wiring

_REMEMBERED: Final = timedelta(hours=1)
"""For how long a provider's own time holds."""
_LONGEST: Final = timedelta(days=1)
"""For how long a difference that a `Date` has shown holds; a later `Date` replaces it."""
_REST: Final = timedelta(minutes=1)
"""How long a provider that did not tell its time is not asked again."""
_PATIENCE: Final = timedelta(seconds=5)


async def provider_moments(wiring: Wiring, provider: Provider, method: Method, /, *, variables: Mapping[str, str]) -> Moments:
    """Return the times for the signatures of *method*, which are those of the provider's clock; it is asked if it can be.

    If the provider does not answer, our own clock counts.
    """
    host = find_clock_host(provider, method, variables=variables)
    if host is None:
        return wiring.moments
    if method.present.clock is not None and wiring.clock_offsets.find(host) is None:
        # All callers that need the same clock ask once.
        ask = partial(_ask, wiring, provider, method.present.clock, variables, host)
        await wiring.single_flight.share(("clock", host), ask)
    return replace(wiring.moments, now=partial(_now, wiring, host))


def learn_time(
    wiring: Wiring, provider: Provider, method: Method, response: HttpResponse, /, *, sent_at: datetime, variables: Mapping[str, str]
) -> bool:
    """Learn the provider's time from the answer to a check that was sent at *sent_at*.

    Returns whether the signatures of that request were made for another time, so that it may be repeated.
    """
    host = find_clock_host(provider, method, variables=variables)
    told = None if host is None else read_date(response)
    if host is None or told is None:
        return False
    measured = _measure(wiring, told, sent_at)
    used = _now(wiring, host) - wiring.clock.now()
    if abs(measured.ahead - used) < LEAST:
        return False
    wiring.clock_offsets.put(host, measured, seconds=_LONGEST.total_seconds())
    return True


async def _ask(wiring: Wiring, provider: Provider, url: str, variables: Mapping[str, str], host: str) -> None:
    sent_at = wiring.clock.now()
    request = build_time_request(provider, url, variables=variables)
    answer = await send(wiring, request, deadline=min(wiring.settings.deadline, _PATIENCE))
    told = read_time(answer) if isinstance(answer, HttpResponse) else None
    lasts = _REST if told is None else _REMEMBERED
    wiring.clock_offsets.put(host, _measure(wiring, told or wiring.clock.now(), sent_at), seconds=lasts.total_seconds())


def _measure(wiring: Wiring, told: datetime, sent_at: datetime) -> ClockOffset:
    return ClockOffset.measure(told, between=(sent_at, wiring.clock.now()), monotonic=wiring.clock.monotonic())


def _now(wiring: Wiring, host: str) -> datetime:
    now = wiring.clock.now()
    offset: ClockOffset | None = wiring.clock_offsets.find(host)
    return now if offset is None else offset.correct(now, monotonic=wiring.clock.monotonic())
