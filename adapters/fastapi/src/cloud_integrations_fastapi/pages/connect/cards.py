"""What the picker shows of each provider: its state, and what a person does next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

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
_NEEDS_PERSON: Final = frozenset({"needs_you", "choose"})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_MOST_SHOWN: Final = 6
"""How many integrations a card has; a page of its own has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An integration of the tenant, and its state."""

    integration: Integration
    state: CardState

    @property
    def idle_since(self) -> datetime:
        """When it was last used, or connected if it never was."""
        return self.integration.last_used_at or self.integration.created_at

    def mentions(self, words: Iterable[str], /) -> bool:
        """Whether its name, slot and account have all of these *words*, in lower case."""
        facts = self.integration
        text = " ".join((facts.name, facts.slot, facts.account.label or "", facts.account.account_id or "")).lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A provider in the picker, with the tenant's integrations: those that need a person first, then those that were used last."""

    provider: ProviderSummary
    state: CardState
    held: tuple[Held, ...] = ()
    can_add: bool = True
    """Whether another one can be connected."""

    @property
    def shown(self) -> tuple[Held, ...]:
        """Those that the card has room for."""
        return self.held[:_MOST_SHOWN]

    @property
    def next_step(self) -> Integration | None:
        """The only one that needs a person; None: there are none, or several."""
        needing = [each.integration for each in self.held if each.state in _NEEDS_PERSON]
        return needing[0] if len(needing) == 1 else None


def cards_of(
    providers: Sequence[ProviderSummary], integrations: Iterable[Integration], /, *, now: datetime, slots: bool, ranked: bool
) -> tuple[Card, ...]:
    """Return the cards of *providers* that can be connected or are.

    If they are *ranked*, those that need a person come first, then those that were used last; otherwise they stay in order.
    """
    own: dict[object, list[Integration]] = {}
    for integration in integrations:
        own.setdefault(integration.provider_id, []).append(integration)
    cards = []
    for provider in providers:
        held = held_by(own.get(provider.id, ()), now=now)
        is_offered = provider.active and any(map(is_connectable, provider.methods))
        if not held and not is_offered:
            continue
        state = held[0].state if held else "not_connected"
        cards.append(Card(provider=provider, state=state, held=held, can_add=is_offered and (slots or not held)))
    return tuple(sorted(cards, key=_rank) if ranked else cards)


def held_by(integrations: Iterable[Integration], /, *, now: datetime) -> tuple[Held, ...]:
    """Return *integrations* with their states: those that need a person first, then those that were used last."""
    held = [Held(integration=each, state=STATES[each.health]) for each in (each.as_of(now) for each in integrations)]
    return tuple(sorted(held, key=lambda each: (_ORDER[each.state], -_seconds(each.idle_since))))


def _rank(card: Card) -> tuple[int, float]:
    # Those without an integration stay in the order of the catalogue.
    return _ORDER[card.state], -max((_seconds(each.idle_since) for each in card.held), default=0)


def _seconds(time: datetime) -> float:
    return (time - _LONG_AGO).total_seconds()


def is_connectable(method: MethodSummary, /) -> bool:
    """Say whether a person can connect by *method* on these pages."""
    return method.auth_type is AuthType.OAUTH2 or bool(method.inputs)
