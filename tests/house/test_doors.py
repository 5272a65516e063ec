"""What blocks and what awaits say the same words."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable
from importlib import import_module

import pytest


def _pairs() -> list[tuple[type, type]]:
    """The two doors, and every port `X` that has an `AsyncX` beside it."""
    manager = import_module("cloud_integrations.manager")
    ports = import_module("cloud_integrations.ports")
    pairs = [(manager.IntegrationManager, manager.AsyncIntegrationManager)]
    for found in pkgutil.iter_modules(ports.__path__):
        module = import_module(f"{ports.__name__}.{found.name}")
        own = {name: value for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__}
        pairs += [(own[name.removeprefix("Async")], value) for name, value in own.items() if name.startswith("Async")]
    return pairs


def _methods(cls: type) -> dict[str, Callable[..., object]]:
    return {name: member for name, member in inspect.getmembers(cls, inspect.isroutine) if not name.startswith("_")}


def _shape(method: Callable[..., object]) -> str:
    """The signature in one colour: `AsyncX` counts as `X`."""
    return re.sub(r"\bAsync(?=[A-Z])", "", str(inspect.signature(method)))


@pytest.mark.parametrize(("blocking", "awaiting"), [pytest.param(*pair, id=pair[0].__name__) for pair in _pairs()])
def test_both_colours_have_the_same_methods(blocking: type, awaiting: type) -> None:
    mine = {name: _shape(method) for name, method in _methods(blocking).items()}
    theirs = {name: _shape(method) for name, method in _methods(awaiting).items()}
    assert mine == theirs


@pytest.mark.parametrize(("blocking", "awaiting"), [pytest.param(*pair, id=pair[0].__name__) for pair in _pairs()])
def test_nothing_blocking_is_a_coroutine(blocking: type, awaiting: type) -> None:
    assert [name for name, method in _methods(blocking).items() if inspect.iscoroutinefunction(method)] == []
    assert any(inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method) for method in _methods(awaiting).values())
