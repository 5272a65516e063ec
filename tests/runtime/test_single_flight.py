"""One piece of work for any number of callers."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight, _Flight
from cloud_integrations.runtime.sync import run_inline

from .shared_work import Work, call

request_id = ContextVar("request_id", default="none")


def in_threads(single_flight, work, times):
    """Begin *times* calls, of which the first is under way before the others come."""
    threads = ThreadPoolExecutor(times)
    first = threads.submit(call, single_flight, work)
    assert work.running.wait(300)
    others = [threads.submit(call, single_flight, work) for _ in range(times - 1)]
    threads.shutdown(wait=False)
    return first, others


def test_threads_share_one_result(monkeypatch):
    waiting = threading.Semaphore(0)

    class Watched(_Flight):
        def wait(self):
            waiting.release()
            super().wait()

    monkeypatch.setattr("cloud_integrations.runtime.single_flight._Flight", Watched)
    single_flight, work = ThreadSingleFlight(), Work()
    first, others = in_threads(single_flight, work, 5)
    # Only when every caller waits does the work end: who began some of their own has begun it by then.
    assert all(waiting.acquire(timeout=300) for _ in range(5))
    work.go_on.set()
    assert {future.result(300) for future in [first, *others]} == {"done"}
    assert work.begun == 1
    assert not single_flight._flights


def test_threads_share_one_failure():
    single_flight, work = ThreadSingleFlight(), Work(ValueError("the same for all"))
    first, others = in_threads(single_flight, work, 3)
    work.go_on.set()
    for future in [first, *others]:
        with pytest.raises(ValueError, match="the same for all"):
            future.result(300)
    assert not single_flight._flights


def test_when_the_work_itself_is_interrupted_another_caller_begins_again():
    single_flight, work, second = ThreadSingleFlight(), Work(SystemExit("in a port")), Work("second")
    second.go_on.set()
    first, _ = in_threads(single_flight, work, 1)
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(call, single_flight, second)
        work.go_on.set()
        assert late.result(300) == "second"
    with pytest.raises(SystemExit):
        first.result(300)


def test_the_work_sees_the_callers_context():
    single_flight = ThreadSingleFlight()

    async def look():
        return request_id.get()

    token = request_id.set("r-1")
    try:
        assert call(single_flight, look) == "r-1"
    finally:
        request_id.reset(token)


def test_the_work_is_done_by_a_thread_that_the_interpreter_waits_for():
    async def look():
        return threading.current_thread()

    def from_a_daemon(result):
        result.append(call(ThreadSingleFlight(), look))

    result = []
    daemon = threading.Thread(target=from_a_daemon, args=(result,), daemon=True)
    daemon.start()
    daemon.join()
    assert result[0] is not daemon
    assert not result[0].daemon


def test_where_no_thread_can_be_had_the_caller_does_the_work(monkeypatch):
    async def look():
        return threading.current_thread()

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert call(ThreadSingleFlight(), look) is threading.current_thread()


def test_threads_share_what_begins_after_they_asked():
    single_flight, before, after = ThreadSingleFlight(), Work("before"), Work("after")
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(lambda: run_inline(single_flight.share_afresh("key", before)))
        assert before.running.wait(300)
        others = [threads.submit(lambda: run_inline(single_flight.share_afresh("key", after))) for _ in range(5)]
        assert not after.begun
        before.go_on.set()
        after.go_on.set()
        assert first.result(300) == "before"
        assert {other.result(300) for other in others} == {"after"}
    assert not single_flight._flights


def test_what_ended_badly_before_they_asked_is_not_theirs():
    single_flight, before, after = ThreadSingleFlight(), Work(ValueError("not theirs")), Work("after")
    after.go_on.set()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: run_inline(single_flight.share_afresh("key", before)))
        assert before.running.wait(300)
        other = threads.submit(lambda: run_inline(single_flight.share_afresh("key", after)))
        before.go_on.set()
        assert other.result(300) == "after"
        with pytest.raises(ValueError, match="not theirs"):
            first.result(300)


def test_a_forked_child_does_not_wait_for_its_parents_threads():
    single_flight, work, mine = ThreadSingleFlight(), Work(), Work("mine")
    first, _ = in_threads(single_flight, work, 1)
    single_flight._process = -1  # as the child sees it
    mine.go_on.set()
    assert run_inline(single_flight.share_afresh("key", mine)) == "mine"
    work.go_on.set()
    first.result(300)


def test_draining_waits_for_threads():
    single_flight, work = ThreadSingleFlight(), Work()
    first, _ = in_threads(single_flight, work, 1)
    with ThreadPoolExecutor(1) as threads:
        draining = threads.submit(lambda: run_inline(single_flight.drain()))
        assert not draining.done()
        work.go_on.set()
        draining.result(300)
    assert first.result(300) == "done"
    run_inline(single_flight.drain())


def test_a_forked_process_does_not_wait_for_its_parents_threads():
    single_flight, work = ThreadSingleFlight(), Work()
    first, _ = in_threads(single_flight, work, 1)
    single_flight._process = -1  # as the child sees it
    mine = Work("mine")
    mine.go_on.set()
    assert call(single_flight, mine) == "mine"
    work.go_on.set()
    assert first.result(300) == "done"


@pytest.mark.parametrize("make", [ThreadSingleFlight, TaskSingleFlight])
async def test_other_keys_do_not_wait(make):
    single_flight = make()
    work = Work()
    work.go_on.set()
    assert await single_flight.run("one", work) == await single_flight.run("two", work) == "done"
    assert work.begun == 2


async def test_tasks_share_one_result():
    single_flight, begun = TaskSingleFlight(), []

    async def work():
        begun.append(1)
        await asyncio.sleep(0)
        return "done"

    assert await asyncio.gather(*(single_flight.run("key", work) for _ in range(5))) == ["done"] * 5
    assert begun == [1]
    await asyncio.sleep(0)
    assert not single_flight._tasks


async def test_work_goes_on_when_every_caller_has_left():
    single_flight, go_on, ended = TaskSingleFlight(), asyncio.Event(), []

    async def work():
        await go_on.wait()
        ended.append(1)

    callers = [asyncio.create_task(single_flight.run("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    del callers
    gc.collect()
    go_on.set()
    await single_flight.drain()
    assert ended == [1]


async def test_a_failure_that_nobody_waits_for_is_not_complained_about():
    single_flight, go_on, complaints = TaskSingleFlight(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def work():
        await go_on.wait()
        raise ValueError("nobody looks")

    caller = asyncio.create_task(single_flight.run("key", work))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    await single_flight.drain()
    gc.collect()
    assert not complaints


async def test_work_that_is_cancelled_itself_leaves_no_trace():
    single_flight = TaskSingleFlight()
    caller = asyncio.create_task(single_flight.run("key", asyncio.Event().wait))
    await asyncio.sleep(0)
    (task,) = single_flight._tasks.values()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not single_flight._tasks


async def test_draining_leaves_other_loops_alone():
    single_flight, go_on, running = TaskSingleFlight(), threading.Event(), threading.Event()

    async def work():
        running.set()
        while not go_on.is_set():  # noqa: ASYNC110  # the event belongs to another loop
            await asyncio.sleep(0.001)
        return "elsewhere"

    elsewhere = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(single_flight.run("key", work))))
    await asyncio.to_thread(running.wait, 10)
    await single_flight.drain()
    assert len(single_flight._tasks) == 1
    go_on.set()
    assert await elsewhere == "elsewhere"


async def test_ended_work_is_forgotten():
    awaiting, blocking = TaskSingleFlight(), ThreadSingleFlight()

    async def work():
        return 1

    for number in range(200):
        await awaiting.run(number, work)
        await blocking.run(number, work)
    await asyncio.sleep(0)
    assert not awaiting._tasks
    assert not blocking._flights


def test_shared_work_runs_in_the_first_callers_own_thread():
    async def who():
        return threading.get_ident()

    assert run_inline(ThreadSingleFlight().share("key", who)) == threading.get_ident()
    assert run_inline(ThreadSingleFlight().run("key", who)) != threading.get_ident()


async def test_tasks_share_what_begins_after_they_asked():
    single_flight, go_on, begun = TaskSingleFlight(), asyncio.Event(), []

    async def read():
        begun.append(len(begun))
        turn = begun[-1]
        await go_on.wait()
        return turn

    first = asyncio.create_task(single_flight.share_afresh("key", read))
    await asyncio.sleep(0)
    others = [asyncio.create_task(single_flight.share_afresh("key", read)) for _ in range(5)]
    await asyncio.sleep(0)
    go_on.set()
    assert await first == 0
    assert set(await asyncio.gather(*others)) == {1}
    assert not single_flight._tasks


# Interruptions, which Python delivers to the main thread between any two of its steps


def test_who_shares_work_shares_an_error_of_ours():
    single_flight, work = ThreadSingleFlight(), Work(StorageUnavailableError())
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: run_inline(single_flight.share("key", work)))
        assert work.running.wait(300)
        flight = single_flight._flights["key"]
        work.go_on.set()
        with pytest.raises(StorageUnavailableError) as caught:
            first.result(300)
        assert flight.error is caught.value


def test_shielded_work_runs_in_a_thread_of_its_own():
    async def who():
        return threading.get_ident()

    assert run_inline(ThreadSingleFlight().shield(who)) != threading.get_ident()


def test_a_forked_child_that_drains_does_not_wait_for_its_parents_threads():
    single_flight, work = ThreadSingleFlight(), Work()
    first, _ = in_threads(single_flight, work, 1)
    single_flight._process = -1  # as the child sees it
    run_inline(single_flight.drain())
    work.go_on.set()
    assert first.result(300) == "done"
