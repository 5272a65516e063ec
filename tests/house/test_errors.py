"""Every error can be pickled, copied and sent from a worker process, whoever wrote its class."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

from cloud_integrations.errors import ReconnectRequiredError, StorageUnavailableError

PACKAGES = ("cloud_integrations", "cloud_integrations_fastapi", "cloud_integrations_cli")
NOT_HERE = tuple(
    f"cloud_integrations.clients.{name}"
    for name, package in {
        **{name: name for name in ("aiobotocore", "githubkit", "kubernetes", "kubernetes_asyncio")},
        "slack": "slack_sdk",
    }.items()
    if find_spec(package) is None
)
"""Modules whose package is in a session of its own."""
RUN_ON_IMPORT = ("__main__", "cloud_integrations.backends.sqlalchemy.migrations.env")

SAMPLES = {
    "str": "text",
    "timedelta": timedelta(seconds=7),
    "bool": True,
    "Sequence": [{"field": "name", "problem": "is wrong"}],
    "ApplicationReason": "invalid_client",
    "CredentialForm": "headers",
    "ReconnectReason": "revoked",
    "SessionRefusal": "ended",
    "RotationReason": "open",
    "tuple": ("params", "basic"),
    "int": 400,
    "Mapping": {"Allow": "GET"},
}

HOST = '''
from cloud_integrations.errors import CloudIntegrationsError, ProviderUnavailableError


class HostError(CloudIntegrationsError):
    """A class of a host, with arguments of its own, one of them in a slot."""

    __slots__ = ("hint", "unset")

    def __init__(self, *, order: int, hint: str) -> None:
        super().__init__(f"order {order}", order=order)
        self.order = order
        self.hint = hint


class HostHintError(HostError):
    """A slot by its name alone."""

    __slots__ = "also"

    def __init__(self) -> None:
        super().__init__(order=5, hint="try now")
        self.also = "call us"


class HostTimeoutError(ProviderUnavailableError, TimeoutError):
    """Another, with a second parent and an argument by position."""

    def __init__(self, seconds: int) -> None:
        super().__init__(provider_id="simulated")
        self.seconds = seconds


def raised(error: Exception) -> None:
    raise error
'''


def _classes(parent: type[BaseException], /) -> Iterator[type[BaseException]]:
    for child in type.__subclasses__(parent):
        yield child
        yield from _classes(child)


@pytest.fixture(scope="module")
def ours() -> list[type[BaseException]]:
    """Every class of an error in the three distributions."""
    for package in map(import_module, PACKAGES):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith((*RUN_ON_IMPORT, *NOT_HERE)) and ".migrations.versions." not in found.name:
                import_module(found.name)
    return sorted(
        {kind for kind in _classes(BaseException) if kind.__module__.partition(".")[0] in PACKAGES}, key=lambda kind: kind.__qualname__
    )


def _sample(parameter: inspect.Parameter) -> Any:
    """A value for a parameter, by its annotation; a kind of value that is new here needs a line in `SAMPLES`."""
    return SAMPLES[str(parameter.annotation).split(" | ")[0].split("[")[0]]


def _instance(kind: type[BaseException]) -> BaseException:
    parameters = [] if kind.__init__ in {Exception.__init__, ValueError.__init__} else [*inspect.signature(kind).parameters.values()]
    args = [_sample(one) for one in parameters if one.kind is one.POSITIONAL_ONLY]
    return kind(*args, **{one.name: _sample(one) for one in parameters if one.kind is one.KEYWORD_ONLY})


def _by_pickle(protocol: int) -> Callable[[Any], Any]:
    return lambda error: pickle.loads(pickle.dumps(error, protocol))


WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, *map(_by_pickle, range(pickle.HIGHEST_PROTOCOL + 1))]


@pytest.fixture
def host(tmp_path, monkeypatch) -> Iterator[ModuleType]:
    """A module of a host, importable in this process and in its workers."""
    (tmp_path / "host_of_errors.py").write_text(HOST)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("host_of_errors")
    monkeypatch.delitem(__import__("sys").modules, "host_of_errors")


def _assert_same(arrived: BaseException, sent: BaseException) -> None:
    assert type(arrived) is type(sent)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(sent), sent.args, vars(sent))


def test_every_error_survives_pickle_and_copy(ours: list[type[BaseException]]) -> None:
    assert len(ours) > 30
    for kind in ours:
        error = _instance(kind)
        error.add_note("a note of the host")
        for way in WAYS:
            arrived = way(error)
            _assert_same(arrived, error)
            assert arrived is not error


def test_a_subclass_of_a_host_survives_pickle_and_copy(host: ModuleType) -> None:
    for error in (host.HostError(order=4, hint="try later"), host.HostHintError(), host.HostTimeoutError(3)):
        for way in WAYS:
            _assert_same(way(error), error)
    assert [way(host.HostHintError()).hint for way in WAYS] == ["try now"] * len(WAYS)
    assert [way(host.HostHintError()).also for way in WAYS] == ["call us"] * len(WAYS)


def test_errors_come_back_from_a_process_pool_that_goes_on_working(host: ModuleType, ours: list[type[BaseException]]) -> None:
    errors = [*map(_instance, ours), host.HostError(order=4, hint="try later"), host.HostTimeoutError(3)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for error in errors:
            arrived = pool.submit(host.raised, error).exception()
            assert arrived is not None
            _assert_same(arrived, error)
        assert pool.submit(len, "still here").result() == 10


def test_the_cause_stays_behind_as_with_every_exception() -> None:
    error = ReconnectRequiredError(integration_id="0190", reason="invalid_grant")
    error.__cause__ = RuntimeError("the words of a driver")
    for way in WAYS:
        assert way(error).__cause__ is None


def test_a_copy_has_details_and_notes_of_its_own_when_it_is_deep() -> None:
    error = StorageUnavailableError(reason="no connection")
    deep = copy.deepcopy(error)
    deep.details["more"] = "of the copy"
    deep.add_note("of the copy")
    assert error.details == {}
    assert error.__notes__ == ["no connection"]
