"""What the picker shows of each provider: its state, and what a person does next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cloud_integrations import AuthType, Health, Integration, MethodSummary, ProviderSummary

CardState = Literal["connected", "choose", "needs_you", "trouble", "off", "not_connected"]
"""The state of a provider for this tenant.

`connected`: it works.  `choose`: it works, and the tenant must say which of the things that it reaches is meant.  `needs_you`: the tenant
must reconnect.  `trouble`: the provider or this site has a problem, and nobody of the tenant need act.  `off`: it is switched off.
`not_connected`: there is no integration.
"""
STATES: dict[Health, CardState] = {
    Health.OK: "connected",
    Health.CHOOSE_RESOURCE: "choose",
    Health.RETRYING: "trouble",
    Health.UNKNOWN: "trouble",
    Health.APPLICATION_REFUSED: "trouble",
    Health.RECONNECT_REQUIRED: "needs_you",
    Health.DISABLED: "off",
}
_ORDER: dict[CardState, int] = {"needs_you": 0, "choose": 1, "trouble": 2, "connected": 3, "off": 4, "not_connected": 5}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A provider in the picker, with the tenant's integrations, the one that changed last first."""

    provider: ProviderSummary
    state: CardState
    integrations: tuple[Integration, ...] = ()
    can_add: bool = True
    """Whether another one can be connected."""


def cards_of(
    providers: Sequence[ProviderSummary], integrations: Iterable[Integration], /, *, now: datetime, slots: bool, ranked: bool
) -> tuple[Card, ...]:
    """Return the cards of *providers* that can be connected or are.

    If they are *ranked*, those that need a person come first, then those that changed last; otherwise they stay in order.
    """
    held: dict[object, list[Integration]] = {}
    for integration in integrations:
        held.setdefault(integration.provider_id, []).append(integration.as_of(now))
    cards = []
    for provider in providers:
        own = sorted(held.get(provider.id, ()), key=lambda each: each.updated_at, reverse=True)
        is_offered = provider.active and any(map(is_connectable, provider.methods))
        if not own and not is_offered:
            continue
        states: list[CardState] = [STATES[each.health] for each in own] or ["not_connected"]
        state = min(states, key=lambda each: _ORDER[each])
        cards.append(Card(provider=provider, state=state, integrations=tuple(own), can_add=is_offered and (slots or not own)))
    return tuple(sorted(cards, key=_rank) if ranked else cards)


def _rank(card: Card) -> tuple[int, float]:
    newest = card.integrations[0].updated_at if card.integrations else _LONG_AGO
    # Those without an integration stay in the order of the catalogue.
    return _ORDER[card.state], -(newest - _LONG_AGO).total_seconds()


def is_connectable(method: MethodSummary, /) -> bool:
    """Say whether a person can connect by *method* on these pages."""
    return method.auth_type is AuthType.OAUTH2 or bool(method.inputs)
