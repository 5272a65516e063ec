"""Whoever is told cannot change an outcome."""

from __future__ import annotations

import logging

import pytest
from tests.signals import SoftTimeLimitError, time_is_up

from cloud_integrations.domain.events import Fact
from cloud_integrations.runtime.observers import GuardedObserver, LoggingObserver

FACT = Fact(name="integration.connected", facts={"provider": "simulated"})


def test_a_fact_is_logged_by_name(caplog):
    caplog.set_level(logging.INFO, logger="cloud_integrations")
    LoggingObserver().tell(FACT)
    assert [record.getMessage() for record in caplog.records] == ["integration.connected provider=simulated"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("invalid_grant", "invalid_grant"),
        ("", ""),
        ("https://api.example.com/a", "https://api.example.com/a"),
        ("Zoë", "Zoë"),
        ("expired provider=aws", '"expired provider=aws"'),
        ("expired\nintegration.removed tenant=acme", '"expired\\nintegration.removed tenant=acme"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("x=y", '"x=y"'),
        ("line\u2028end", '"line\\u2028end"'),
    ],
)
def test_what_others_wrote_is_no_second_fact_and_no_second_line(caplog, value, written):
    caplog.set_level(logging.INFO, logger="cloud_integrations")
    LoggingObserver().tell(Fact(name="credential.reconnect_required", facts={"error_description": value, "provider": "simulated"}))
    assert [record.getMessage() for record in caplog.records] == [
        f"credential.reconnect_required error_description={written} provider=simulated"
    ]


def test_an_observer_that_fails_is_named_by_its_error_alone(caplog):
    class Broken:
        def tell(self, fact, /):
            raise RuntimeError("fake-secret in the message")

    GuardedObserver(Broken()).tell(FACT)
    assert [record.getMessage() for record in caplog.records] == ["observer failed on integration.connected: RuntimeError"]


def test_a_caller_who_is_interrupted_while_an_observer_is_told_is_interrupted():
    class Slow:
        def tell(self, fact, /):
            strike()

    with time_is_up() as strike, pytest.raises(SoftTimeLimitError):
        GuardedObserver(Slow()).tell(FACT)


def test_an_observer_that_works_is_told():
    told = []

    class Collector:
        def tell(self, fact, /):
            told.append(fact)

    GuardedObserver(Collector()).tell(FACT)
    assert told == [FACT]
