"""Whoever is told cannot change an outcome."""

from __future__ import annotations

import logging

from cloud_integrations.domain.events import Fact
from cloud_integrations.runtime.observers import GuardedObserver, LoggingObserver

FACT = Fact(name="integration.connected", facts={"provider": "simulated"})


def test_a_fact_is_logged_by_name(caplog):
    caplog.set_level(logging.INFO, logger="cloud_integrations")
    LoggingObserver().tell(FACT)
    assert [record.getMessage() for record in caplog.records] == ["integration.connected provider=simulated"]


def test_an_observer_that_fails_is_named_by_its_error_alone(caplog):
    class Broken:
        def tell(self, fact, /):
            raise RuntimeError("fake-secret in the message")

    GuardedObserver(Broken()).tell(FACT)
    assert [record.getMessage() for record in caplog.records] == ["observer failed on integration.connected: RuntimeError"]


def test_an_observer_that_works_is_told():
    told = []

    class Collector:
        def tell(self, fact, /):
            told.append(fact)

    GuardedObserver(Collector()).tell(FACT)
    assert told == [FACT]
