"""Fields of a provider file that a kind does not read: whoever sets one is deceived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloud_integrations.domain.provider import Method


def unused_fields(method: Method, names: Iterable[str], /) -> Iterator[str]:
    """Say which of the fields *names* are set."""
    unread = sorted(name for name in names if getattr(method, name) != Method.model_fields[name].get_default())
    if unread:
        yield f" has no {', '.join(unread)} for this kind"
