"""What blocks and what awaits say the same words."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable
from importlib import import_module

import pytest

import cloud_integrations.manager
import cloud_integrations.ports

PAIRED = [
    *(
        f"cloud_integrations.manager.{found.name}"
        for found in pkgutil.iter_modules(cloud_integrations.manager.__path__)
        if found.name != "parts"
    ),
    *(found.name for found in pkgutil.walk_packages(cloud_integrations.ports.__path__, "cloud_integrations.ports.")),
]

over_modules = pytest.mark.parametrize("module", PAIRED)


def _pairs(module: str) -> list[tuple[type, type]]:
    """Every class `X` that has an `AsyncX` beside it: the two doors, and the ports."""
    loaded = import_module(module)
    own = {name: value for name, value in vars(loaded).items() if inspect.isclass(value) and value.__module__ == module}
    return [(own[name.removeprefix("Async")], value) for name, value in own.items() if name.startswith("Async")]


def _methods(cls: type) -> dict[str, Callable[..., object]]:
    return {name: member for name, member in inspect.getmembers(cls, inspect.isroutine) if not name.startswith("_")}


def _shape(method: Callable[..., object]) -> str:
    """The signature in one colour: `AsyncX` counts as `X`, and so does `AsyncX | X`, where what awaits takes both."""
    return re.sub(r"\bAsync(?=[A-Z])", "", re.sub(r"\bAsync([A-Z]\w*) \| \1\b", r"\1", str(inspect.signature(method))))


def test_the_doors_are_a_pair() -> None:
    assert [blocking.__name__ for blocking, _ in _pairs("cloud_integrations.manager.integrations")] == ["IntegrationManager"]


@over_modules
def test_both_colours_have_the_same_methods(module: str) -> None:
    for blocking, awaiting in _pairs(module):
        mine = {name: _shape(method) for name, method in _methods(blocking).items()}
        theirs = {name: _shape(method) for name, method in _methods(awaiting).items()}
        assert mine == theirs, blocking.__name__


@over_modules
def test_both_colours_are_built_alike(module: str) -> None:
    for blocking, awaiting in _pairs(module):
        assert _shape(blocking.__init__) == _shape(awaiting.__init__), blocking.__name__


@over_modules
def test_what_blocks_is_no_coroutine(module: str) -> None:
    for blocking, awaiting in _pairs(module):
        assert [name for name, method in _methods(blocking).items() if inspect.iscoroutinefunction(method)] == []
        # `auth` gives a value that awaits when it is used, and a list of providers waits for nothing.
        waits = any(map(inspect.iscoroutinefunction, _methods(awaiting).values()))
        assert waits or awaiting.__name__ in {"AsyncClients", "AsyncEventHandler", "AsyncGroups", "AsyncOffering"}, awaiting.__name__


@pytest.mark.parametrize("module", [module for module in PAIRED if module.startswith("cloud_integrations.manager.")])
def test_both_managers_are_described_alike(module: str) -> None:
    for blocking, awaiting in _pairs(module):
        mine, theirs = ({name: inspect.getdoc(method) for name, method in _methods(cls).items()} for cls in (blocking, awaiting))
        assert mine == theirs, blocking.__name__
