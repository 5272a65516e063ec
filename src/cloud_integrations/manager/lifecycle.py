"""Opening and closing a manager, and what it says of its store."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from cloud_integrations import flows
from cloud_integrations.ports.store import StoreReport
from cloud_integrations.runtime.sync import run_inline

from .parts import AsyncFlowRunner, AsyncPart, FlowRunner, Part


class Lifecycle(Part):
    """The blocking manager's opening and closing."""

    _runner: FlowRunner

    def __enter__(self) -> Self:
        self._require_itself()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the refreshes and exchanges that are under way, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` where this is a view that `acting_as` returned.
        """
        self._require_itself()
        run_inline(self._wiring.single_flight.drain())
        run_inline(self._wiring.transport.close())
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now.

        Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.  Entering the manager as a
        context manager does the same; without either, the first call does it.
        """
        self._runner.start()

    def report(self) -> StoreReport:
        """Return which kind of store is used and which schema it has."""
        return self._run(flows.report(self._wiring))


class AsyncLifecycle(AsyncPart):
    """The awaiting manager's opening and closing."""

    _runner: AsyncFlowRunner

    async def __aenter__(self) -> Self:
        self._require_itself()
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the refreshes and exchanges that are under way, then close the transport's connections; the store stays the host's.

        Raises `ConfigurationError` where this is a view that `acting_as` returned.
        """
        self._require_itself()
        await self._wiring.single_flight.drain()
        await self._wiring.transport.close()
        self._wiring.tokens.clear()
        self._wiring.data_keys.clear()

    async def start(self) -> None:
        """Check the database schema and every key, so that a wrong or missing one is found now.

        Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.  Entering the manager as a
        context manager does the same; without either, the first call does it.
        """
        await self._runner.start()

    async def report(self) -> StoreReport:
        """Return which kind of store is used and which schema it has."""
        return await self._run(flows.report(self._wiring))
