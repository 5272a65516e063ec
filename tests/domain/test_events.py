"""The list of events is closed, and others are added beside it."""

from __future__ import annotations

from typing import get_args

import pytest

from cloud_integrations.domain import events
from cloud_integrations.domain.event_names import Action, EventName, FactName, MessageName, RecordedName, UnrecordedName
from cloud_integrations.domain.events import DETAILS, EVENTS, FACT_KEYS, MESSAGE_KEYS, EventKind, Keys, find_registered, register


def test_the_names_are_closed_lists() -> None:
    assert set(EVENTS) == set(get_args(EventName))
    assert [name for name in EVENTS if EVENTS[name].action is not None] == list(get_args(RecordedName)) == sorted(get_args(RecordedName))
    assert [name for name in EVENTS if EVENTS[name].action is None] == list(get_args(UnrecordedName)) == sorted(get_args(UnrecordedName))
    assert list(DETAILS) == list(get_args(Action)) == sorted(DETAILS)
    assert list(FACT_KEYS) == list(get_args(FactName)) == sorted(FACT_KEYS)
    assert list(MESSAGE_KEYS) == list(get_args(MessageName)) == sorted(MESSAGE_KEYS)


def test_each_event_is_recorded_or_told_or_delivered_under_a_listed_name_with_its_keys() -> None:
    for name, kind in EVENTS.items():
        assert kind.name == name
        assert kind.action is not None or kind.fact is not None or kind.message is not None
        if kind.fact is not None:
            assert kind.keys == FACT_KEYS[kind.fact]
        if kind.message is not None:
            assert kind.data == MESSAGE_KEYS[kind.message]
        if kind.action != events.ITS_OWN and kind.action is not None:
            assert kind.details == DETAILS[kind.action]
    assert {kind.action for kind in EVENTS.values()} == {None, events.ITS_OWN, *DETAILS}
    assert {kind.fact for kind in EVENTS.values()} == {None, *FACT_KEYS}
    assert {kind.message for kind in EVENTS.values()} == {None, *MESSAGE_KEYS}


def test_no_message_has_what_a_provider_said_to_developers() -> None:
    assert not any("error_description" in keys.always | keys.sometimes for keys in MESSAGE_KEYS.values())


def test_what_is_delivered_once_is_remembered_by_a_fact_of_its_own_or_its_name() -> None:
    for kind in EVENTS.values():
        assert kind.message is not None or (kind.once is None and kind.ends is None)
        assert kind.once is None or kind.ends is None
    ended = {kind.ends for kind in EVENTS.values()} - {None}
    assert ended <= {kind.once.announcement for kind in EVENTS.values() if kind.once is not None}


def test_a_fact_has_what_is_listed_and_nothing_else() -> None:
    keys = Keys.of("a", sometimes=("b",))
    assert list(keys.pick({"b": "2", "x": "3", "a": "1"}).items()) == [("b", "2"), ("a", "1")]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (EventKind(name="report.sent"), "the event report.sent is neither recorded nor told nor delivered"),
        (EventKind(name="credential.used", fact="report.sent"), "there is an event credential.used already"),
        (EventKind(name="report.read", fact="report.sent"), "there is an event report.read already"),
        (EventKind(name="report.sent", action="credential.refresh"), "there is an action credential.refresh already"),
        (EventKind(name="report.sent", action="report.read"), "there is an action report.read already"),
        (EventKind(name="report.sent", action=events.ITS_OWN), r"there is an action \* already"),
        (EventKind(name="report.sent", fact="credential.refreshed"), "there is a fact credential.refreshed already"),
        (EventKind(name="report.sent", fact="report.was_read"), "there is a fact report.was_read already"),
        (EventKind(name="report.sent", message="tenant.erased"), "there is a message tenant.erased already"),
    ],
)
def test_what_is_taken_cannot_be_registered(kind: EventKind, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_REGISTERED", {})
    read = EventKind(name="report.read", action="report.read", fact="report.was_read")
    register(read)
    with pytest.raises(ValueError, match=f"^{problem}$"):
        register(kind)
    assert find_registered("report.read") is read
    assert find_registered("report.sent") is None
