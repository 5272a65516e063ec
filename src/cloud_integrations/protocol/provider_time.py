"""The time of a provider: the request that asks for it, and the times that answers tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cloud_integrations.domain.provider import Method, Provider, fill
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, read_text

from .verification import find_check

_SECONDS = re.compile(r"[0-9]{1,11}")


def find_clock_host(provider: Provider, method: Method, /, *, variables: Mapping[str, str]) -> str | None:
    """Return the host, with its port, whose clock counts for the signatures of *method*; None if it signs nothing or has no check."""
    if not method.tells_time:
        return None
    check = find_check(provider, method, variables=variables)
    url = method.present.clock or (None if check is None else check.url)
    # Of a URL, only the path and the query can name inputs.
    return None if url is None else fill(urlsplit(url).netloc, variables).lower()


def build_time_request(provider: Provider, url: str, /, *, variables: Mapping[str, str]) -> HttpRequest:
    """Return the request for the provider's time, which carries no credential; *url* is `present.clock` of a method."""
    return HttpRequest(
        method="GET",
        url=fill(url, variables),
        headers={"Accept": "application/json, text/plain"},
        provider_id=str(provider.provider_id),
        loopback=provider.loopback,
        private_host=provider.on_private_host(variables),
    )


def read_time(response: HttpResponse, /) -> datetime | None:
    """Return the time in the body of an answer, in seconds since 1970; else that of its `Date`; None if it tells none."""
    text = read_text(response.body[:64], content_type=response.headers.get("content-type", ""))
    if response.status == 200 and _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    return read_date(response)


def read_date(response: HttpResponse, /) -> datetime | None:
    """Return when an answer was made, by its `Date` (RFC 9110 §6.6.1); None if it does not say, or comes from a cache (`Age`)."""
    if "age" in response.headers:
        return None
    try:
        found = parsedate_to_datetime(response.headers.get("date", ""))
        # An HTTP date is always in GMT.
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
