"""A store under test, and the fixtures that every subject needs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from cloud_integrations.domain.integration import Integration
from cloud_integrations.ports.store import AddIntegration, AsyncStore, Store
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, PROVIDER, a_credential, add_sealing_keys, an_integration


class BlockingStore:
    """The store under test, blocking or awaited, with methods that block."""

    def __init__(self, store: Store | AsyncStore, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner
        self._awaited = inspect.iscoroutinefunction(store.apply)

    def together(self, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Make all *calls* at once, in tasks or in threads; return answers and `Exception`s, in order."""
        if self._awaited:
            return self._runner.run(self._gathered(calls))
        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(self._answer, calls))

    async def _gathered(self, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        return await asyncio.gather(*[call(self._store) for call in calls], return_exceptions=True)

    def _answer(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._store)
        except Exception as error:  # noqa: BLE001 - as `gather` does it: the test looks at the error
            return error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(method(*args, **kwargs)) if self._awaited else method(*args, **kwargs)

        return call


def refused(answers: Sequence[Any]) -> list[Exception]:
    """Return the answers that are errors."""
    return [answer for answer in answers if isinstance(answer, Exception)]


def everything(blocking: Any) -> tuple[object, ...]:
    """Return all that the store shows of `ACME`, and of keys and entries, to compare before and after."""
    listed = blocking.list_integrations(ACME)
    rows = [blocking.find_integration(ACME, facts.id) for facts in listed]
    return (
        listed,
        [(row.credential, row.marks) for row in rows],
        blocking.find_credential(ACME, PROVIDER),
        blocking.has_pending(ACME, PROVIDER),
        blocking.find_active_key(ACME),
        blocking.list_keys(limit=100),
        blocking.list_key_checks(),
        blocking.list_kek_ids(),
        blocking.count_entries("revocation"),
        blocking.list_audit(ACME),
        blocking.find_audit_head(ACME),
    )


class Contract:
    """The fixtures that the tests of every subject ask for."""

    @pytest.fixture
    def clock(self) -> FixedClock:
        """The clock that the store under test follows."""
        return FixedClock()

    @pytest.fixture
    def runner(self) -> Iterator[asyncio.Runner]:
        """The event loop of a store that is awaited."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def blocking(self, store: Store | AsyncStore, runner: asyncio.Runner) -> BlockingStore:
        """The store under test, with methods that block; its tenants have a data key."""
        blocking = BlockingStore(store, runner)
        add_sealing_keys(blocking, ACME, GLOBEX)
        return blocking

    @pytest.fixture
    def facts(self, blocking: BlockingStore) -> Integration:
        """An integration that is stored, in its first generation."""
        facts = an_integration()
        blocking.apply(AddIntegration(facts=facts, credential=a_credential(), due_at=START + timedelta(minutes=48)))
        return facts
