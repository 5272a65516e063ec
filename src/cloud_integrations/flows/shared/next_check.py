"""When the worker looks next at a credential that it does not renew ahead of its end."""

from __future__ import annotations

from datetime import datetime, timedelta

from cloud_integrations.domain.freshness import keep_alive_at
from cloud_integrations.domain.provider import Method

from .trust import next_trust_check
from .wiring import Wiring


def next_check(wiring: Wiring, method: Method, /) -> datetime | None:
    """Return when the worker proves a trust again, or checks what ends by disuse; None if the method needs neither."""
    return next_trust_check(wiring, method) or next_use(wiring, method)


def next_use(wiring: Wiring, method: Method, /) -> datetime | None:
    """Return when what was used now and is not renewed is checked, because it would end by disuse; None if it does not."""
    return None if method.idle is None else next_keep_alive(wiring, method.idle)


def next_keep_alive(wiring: Wiring, idle: timedelta, /) -> datetime:
    """Return when to check what was used now and ends after *idle* without use."""
    return keep_alive_at(idle, now=wiring.clock.now(), chance=wiring.entropy.fraction())
