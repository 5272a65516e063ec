"""Somebody who is told what happened and cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Protocol

FactName = Literal[
    "authorization.failed",
    "credential.answer_unread",
    "credential.reconnect_required",
    "credential.reconnect_soon",
    "credential.refresh_failed",
    "credential.refreshed",
    "credential.shared",
    "credential.unpersisted",
    "integration.account_changed",
    "integration.connected",
    "integration.reconnected",
    "integration.removed",
    "key_format.unusual",
    "revocation.delayed",
    "storage.damaged_row",
    "tenant.erased",
    "token.left_behind",
    "worker.round_failed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactKeys:
    """What `Fact.facts` holds under one name."""

    always: frozenset[str]
    sometimes: frozenset[str] = frozenset()


def _keys(*always: str, sometimes: tuple[str, ...] = ()) -> FactKeys:
    return FactKeys(always=frozenset(always), sometimes=frozenset(sometimes))


_PROVIDER = ("tenant", "provider", "provider_id")
_INTEGRATION = (*_PROVIDER, "integration")

FACT_KEYS: Final[Mapping[FactName, FactKeys]] = MappingProxyType({
    "authorization.failed": _keys(*_PROVIDER, "reason", sometimes=("integration", "error_description")),
    "credential.answer_unread": _keys(*_INTEGRATION, "members"),
    "credential.reconnect_required": _keys(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.reconnect_soon": _keys(*_INTEGRATION, "before"),
    "credential.refresh_failed": _keys(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.refreshed": _keys(*_INTEGRATION),
    "credential.shared": _keys(*_INTEGRATION),
    "credential.unpersisted": _keys(*_INTEGRATION),
    "integration.account_changed": _keys(*_INTEGRATION),
    "integration.connected": _keys(*_INTEGRATION),
    "integration.reconnected": _keys(*_INTEGRATION),
    "integration.removed": _keys(*_INTEGRATION),
    "key_format.unusual": _keys(*_PROVIDER, "hint", sometimes=("integration",)),
    "revocation.delayed": _keys(*_INTEGRATION, "token", sometimes=("error_description",)),
    "storage.damaged_row": _keys("table", "row", sometimes=("tenant",)),
    "tenant.erased": _keys("tenant"),
    "token.left_behind": _keys(*_INTEGRATION, "token", "reason"),
    "worker.round_failed": _keys("code"),
})  # fmt: skip
"""Every fact that is told, with its keys; `docs/reference/facts.md` says when, and what the values are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened, without secrets: a name from a closed list, and what `FACT_KEYS` lists for it, as text.

    Whatever is about an integration has `tenant`, `integration` (its id), `provider` (the slug, or the id of a provider that the
    catalogue does not have) and `provider_id`.  Where a provider said why it refused, `error_description` repeats it: at most 512
    printable characters without the secrets that were sent, for the operator alone.
    """

    name: FactName
    facts: Mapping[str, str] = field(default_factory=dict)


class Observer(Protocol):
    """Is told facts; what it raises is logged and goes no further."""

    def tell(self, fact: Fact, /) -> None:
        """Take note of *fact*; return quickly."""
        ...
