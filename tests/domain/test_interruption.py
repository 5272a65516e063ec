"""What a signal handler raised is told from a fault."""

from __future__ import annotations

import signal

import pytest

from cloud_integrations.domain.interruption import is_interruption


class SoftTimeLimitError(Exception):
    """What a task queue raises from a signal handler, as Celery does."""


def function(_number, _frame):
    raise SoftTimeLimitError


class Handler:
    def method(self, _number, _frame):
        raise SoftTimeLimitError

    __call__ = method


def caught(raising, *args):
    with pytest.raises(SoftTimeLimitError) as error:
        raising(*args)
    return error.value


@pytest.mark.parametrize("handler", [function, Handler().method, Handler()])
def test_an_error_of_a_signal_handler_is_an_interruption(handler):
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert is_interruption(caught(signal.raise_signal, signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_error_is_none_even_of_the_same_class():
    assert not is_interruption(caught(function, None, None))
    assert not is_interruption(SoftTimeLimitError())


def test_an_error_of_an_enum_is_none_although_the_systems_own_handlers_are_enums():
    with pytest.raises(ValueError, match="not a valid") as error:
        signal.Signals(10_000)
    assert not is_interruption(error.value)
