"""Interruptions, which Python delivers to the main thread between any two of its steps."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cloud_integrations.runtime.single_flight import ThreadSingleFlight, _Flight
from cloud_integrations.runtime.sync import run_inline

from .shared_work import Work, call


def interrupted_start(monkeypatch, *, before, after=lambda start: None):
    """Let the next start of a thread be interrupted, *before* or after the thread is there."""
    real = threading.Thread.start

    def start(thread):
        monkeypatch.undo()
        if before:
            after(lambda: real(thread))
        else:
            real(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)


def test_who_is_interrupted_before_the_thread_is_there_keeps_nobody_waiting(monkeypatch):
    single_flight, work = ThreadSingleFlight(), Work()
    work.go_on.set()
    interrupted_start(monkeypatch, before=True)
    with pytest.raises(KeyboardInterrupt):
        call(single_flight, work)
    assert not single_flight._flights
    assert not work.begun
    assert call(single_flight, work) == "done"
    run_inline(single_flight.drain())


def test_a_thread_that_comes_after_its_caller_was_interrupted_does_nothing(monkeypatch):
    single_flight, work, late = ThreadSingleFlight(), Work(), []
    work.go_on.set()
    interrupted_start(monkeypatch, before=True, after=late.append)
    with pytest.raises(KeyboardInterrupt):
        call(single_flight, work)
    late[0]()
    assert call(single_flight, work) == "done"
    assert work.begun == 1


def test_who_is_interrupted_after_the_thread_is_there_leaves_the_work_to_it(monkeypatch):
    single_flight, work = ThreadSingleFlight(), Work()
    interrupted_start(monkeypatch, before=False)
    real_claim = _Flight.claim

    def claim(flight):
        # The thread has come to it before its caller looks.
        if threading.current_thread() is threading.main_thread():
            assert work.running.wait(300)
        return real_claim(flight)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Flight, "claim", claim)
        with pytest.raises(KeyboardInterrupt):
            call(single_flight, work)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(call, single_flight, Work("never begun"))
        work.go_on.set()
        assert other.result(300) == "done"
    run_inline(single_flight.drain())
    assert work.begun == 1


def test_who_is_interrupted_while_it_begins_to_wait_holds_up_nobody(monkeypatch):
    real_start, real_enter = threading.Thread.start, threading.Condition.__enter__
    single_flight, work, started = ThreadSingleFlight(), Work(), []

    def enter(condition):
        taken = real_enter(condition)
        if threading.current_thread() is threading.main_thread():
            # A signal handler may run here: the condition is taken, and the `with` around it does not know of it.
            raise KeyboardInterrupt
        return taken

    def start(thread):
        real_start(thread)
        started.append(thread)
        monkeypatch.setattr(threading.Condition, "__enter__", enter)

    later = threading.Timer(0.05, work.go_on.set)
    later.start()
    monkeypatch.setattr(threading.Thread, "start", start)
    with suppress(KeyboardInterrupt):
        call(single_flight, work)
    monkeypatch.undo()
    later.join()
    started[0].join(300)
    assert not started[0].is_alive()
    assert work.begun == 1


def test_who_waits_is_not_interrupted_by_what_was_meant_for_another():
    class SoftTimeLimitError(Exception):
        pass

    single_flight, work, second = ThreadSingleFlight(), Work(SoftTimeLimitError("in a signal handler")), Work("second")
    second.go_on.set()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: run_inline(single_flight.share("key", work)))
        assert work.running.wait(300)
        other = threads.submit(lambda: run_inline(single_flight.share("key", second)))
        work.go_on.set()
        assert other.result(300) == "second"
        with pytest.raises(SoftTimeLimitError):
            first.result(300)
