"""Find fields of a provider file that a kind does not read, and which would have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloud_integrations.domain.provider import Method


def unused_fields(method: Method, names: Iterable[str], /) -> Iterator[str]:
    """Yield a problem that lists those of the fields *names* that are set."""
    unread = sorted(name for name in names if getattr(method, name) != Method.model_fields[name].get_default(call_default_factory=True))
    if unread:
        yield f" has no {', '.join(unread)} for this kind"
