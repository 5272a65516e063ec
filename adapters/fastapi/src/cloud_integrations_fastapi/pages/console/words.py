"""The words of the console for values from closed lists.  It is in English: its readers are the people who run the installation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cloud_integrations import Health, Outcome
from cloud_integrations_fastapi.errors import Problem

HEALTHS: Final[Mapping[Health, str]] = MappingProxyType({
    Health.OK: "Works",
    Health.CHOOSE_RESOURCE: "Choose a resource",
    Health.RETRYING: "Retrying",
    Health.UNKNOWN: "Answer lost",
    Health.APPLICATION_REFUSED: "Application refused",
    Health.RECONNECT_REQUIRED: "Reconnect required",
    Health.DISABLED: "Disabled",
})  # fmt: skip
TONES: Final[Mapping[str, str]] = MappingProxyType({
    Health.OK: "good",
    Health.CHOOSE_RESOURCE: "warn",
    Health.RETRYING: "warn",
    Health.UNKNOWN: "warn",
    Health.APPLICATION_REFUSED: "bad",
    Health.RECONNECT_REQUIRED: "bad",
    Health.DISABLED: "quiet",
    Outcome.SUCCESS: "good",
    Outcome.FAILURE: "bad",
    Outcome.DENIED: "bad",
    Outcome.STARTED: "quiet",
    Outcome.UNKNOWN: "warn",
    "pending": "warn",
    "ended": "warn",
    "settled": "good",
    "gone": "quiet",
    "reconnected": "quiet",
    "active": "good",
    "decrypt_only": "warn",
    "destroyed": "quiet",
})  # fmt: skip
"""The colour of a badge; its text says the same."""
RULES: Final[Mapping[str, str]] = MappingProxyType({
    "keep": "does not end",
    "refresh": "by its refresh token, by itself",
    "mint": "made anew by itself",
    "reconnect": "by the tenant, who must reconnect",
})  # fmt: skip
ITEMS: Final[Mapping[str, str]] = MappingProxyType({
    "pending": "Not done yet",
    "ended": "Ended here, waits for the provider",
    "settled": "Ended",
    "gone": "Was removed before",
    "reconnected": "Connected anew since",
})  # fmt: skip
OUTBOX: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "revocation": ("revocation waits for its provider", "revocations wait for their provider"),
    "event": ("event waits to be delivered", "events wait to be delivered"),
    "given_up": ("delivery was given up", "deliveries were given up"),
})  # fmt: skip
"""What an entry of the outbox is, and what several are, by their kind."""
KEY_STATES: Final[Mapping[str, str]] = MappingProxyType({
    "active": "seals and opens",
    "decrypt_only": "opens only",
    "destroyed": "destroyed",
})  # fmt: skip


def title_of(problem: Problem, /) -> str:
    """Return the heading of a page that says why a request failed."""
    return {403: "Not allowed", 404: "Not found"}.get(problem.status, "This is not possible")


def outbox_text(kind: str, count: int, /) -> str:
    """Return what *count* entries of the outbox are; a kind that is not known is shown as it is."""
    one, many = OUTBOX.get(kind, (kind, kind))
    return one if count == 1 else many
