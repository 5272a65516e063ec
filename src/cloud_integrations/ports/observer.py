"""Somebody who is told what happened and cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened: a name from a closed list and facts without secrets.

    Names: `authorization.failed`, `integration.connected`, `integration.reconnected`, `integration.account_changed`,
    `integration.removed`, `credential.refreshed`, `credential.refresh_failed`,
    `credential.reconnect_required`, `credential.reconnect_soon`, `credential.unpersisted`, `revocation.delayed`,
    `credential.shared` (another tenant holds the same token), `token.left_behind` (a token that came could neither be stored
    nor given back), `key_format.unusual`, `tenant.erased`, `credential.answer_unread`.  Where a provider said why it refused,
    `error_description` repeats it: at most 512 printable characters without the secrets that were sent, for the operator alone.

    The facts of `credential.answer_unread`: `tenant`, `integration`, `provider`, and `members`, the names of what could not be read
    in a token endpoint's answer, joined by commas, each from `messages.outcome.UnreadMember`.
    """

    name: str
    facts: Mapping[str, str] = field(default_factory=dict)


class Observer(Protocol):
    """Is told facts; what it raises is logged and goes no further."""

    def tell(self, fact: Fact, /) -> None:
        """Take note of *fact*; return quickly."""
        ...
