"""The breaker: when it opens, who is let through, when it closes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.runtime.breaker import LEAST_FAILURES, PROBE_SECONDS, WINDOW_SECONDS, WindowBreaker
from cloud_integrations.testing import FixedClock, SeededEntropy

KEY = "server"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def breaker(clock: FixedClock) -> WindowBreaker:
    return WindowBreaker(clock, SeededEntropy(1))


TENANTS = tuple(f"tenant-{number:02}" for number in range(50))


def fail(breaker: WindowBreaker, times: int, key: str = KEY) -> None:
    for tenant in TENANTS[:times]:
        breaker.note(key, ok=False, by=tenant)


def test_a_server_nobody_asked_may_be_asked(breaker: WindowBreaker) -> None:
    assert breaker.wait(KEY, by="acme") is None


def test_four_failures_are_borne_and_the_fifth_opens(breaker: WindowBreaker) -> None:
    fail(breaker, LEAST_FAILURES - 1)
    assert breaker.wait(KEY, by="acme") is None
    fail(breaker, LEAST_FAILURES)
    wait = breaker.wait(KEY, by="acme")
    assert wait is not None
    assert timedelta(seconds=15) <= wait <= timedelta(seconds=45)


def test_one_tenant_counts_once_however_often_it_gets_no_answer(breaker: WindowBreaker) -> None:
    for _ in range(100):
        fail(breaker, LEAST_FAILURES - 1)
    assert breaker.wait(KEY, by="acme") is None


def test_a_tenant_counts_by_its_last_request(breaker: WindowBreaker) -> None:
    fail(breaker, LEAST_FAILURES - 1)
    breaker.note(KEY, ok=True, by=TENANTS[0])
    breaker.note(KEY, ok=False, by="acme")
    assert breaker.wait(KEY, by="acme") is None


def test_failures_that_are_fewer_than_half_do_not_open(breaker: WindowBreaker) -> None:
    for tenant in TENANTS[-LEAST_FAILURES - 1 :]:
        breaker.note(KEY, ok=True, by=tenant)
    fail(breaker, LEAST_FAILURES)
    assert breaker.wait(KEY, by="acme") is None
    fail(breaker, LEAST_FAILURES + 1)
    assert breaker.wait(KEY, by="acme") is not None


def test_old_failures_are_forgotten(breaker: WindowBreaker, clock: FixedClock) -> None:
    fail(breaker, LEAST_FAILURES - 1)
    clock.advance(timedelta(seconds=WINDOW_SECONDS + 1))
    breaker.note(KEY, ok=False, by="acme")
    assert breaker.wait(KEY, by="acme") is None


def test_one_server_does_not_close_another(breaker: WindowBreaker) -> None:
    fail(breaker, LEAST_FAILURES)
    assert breaker.wait("another", by="acme") is None


def test_after_its_time_one_probe_goes_out_and_its_success_closes(breaker: WindowBreaker, clock: FixedClock) -> None:
    fail(breaker, LEAST_FAILURES)
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="acme") is None
    assert breaker.wait(KEY, by="globex") is not None
    breaker.note(KEY, ok=True, by="acme")
    assert breaker.wait(KEY, by="globex") is None


def test_a_probe_that_fails_keeps_it_open(breaker: WindowBreaker, clock: FixedClock) -> None:
    fail(breaker, LEAST_FAILURES)
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="acme") is None
    breaker.note(KEY, ok=False, by="acme")
    assert breaker.wait(KEY, by="globex") is not None


def test_a_tenant_whose_probe_got_no_answer_leaves_the_next_one_to_others(breaker: WindowBreaker, clock: FixedClock) -> None:
    fail(breaker, LEAST_FAILURES)
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="acme") is None
    breaker.note(KEY, ok=False, by="acme")
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="acme") is not None
    assert breaker.wait(KEY, by="globex") is None
    breaker.note(KEY, ok=True, by="globex")
    assert breaker.wait(KEY, by="acme") is None


def test_a_tenant_that_is_alone_probes_again_a_little_later(breaker: WindowBreaker, clock: FixedClock) -> None:
    fail(breaker, LEAST_FAILURES)
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="acme") is None
    clock.advance(timedelta(seconds=46 + PROBE_SECONDS))
    assert breaker.wait(KEY, by="acme") is None


@pytest.mark.requirement("OAU-070")
def test_an_application_that_two_tenants_are_refused_is_left_alone(breaker: WindowBreaker, clock: FixedClock) -> None:
    breaker.refuse(KEY, "invalid_client", by="acme")
    # One alone may be its grant's trouble, also where this process has seen no other.
    assert breaker.wait(KEY, by="initech") is None
    breaker.refuse(KEY, "invalid_client", by="globex")
    assert breaker.wait(KEY, by="initech") is not None
    assert breaker.reason(KEY) == "invalid_client"
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="initech") is None
    breaker.accept(KEY)
    assert breaker.wait(KEY, by="initech") is None
    assert breaker.reason(KEY) is None
    assert repr(breaker) == "WindowBreaker(1 circuits)"


@pytest.mark.requirement("OAU-070")
def test_one_tenants_refusal_is_no_reason_against_an_application_that_was_accepted(breaker: WindowBreaker) -> None:
    breaker.accept(KEY)
    for _ in range(100):
        breaker.note(KEY, ok=True, by="acme")
        breaker.refuse(KEY, "invalid_client", by="acme")
    assert breaker.wait(KEY, by="initech") is None
    assert breaker.reason(KEY) is None
    breaker.refuse(KEY, "invalid_client", by="globex")
    assert breaker.wait(KEY, by="initech") is not None
    assert breaker.reason(KEY) == "invalid_client"


def test_refusals_of_two_tenants_with_a_success_between_them_do_not_open(breaker: WindowBreaker) -> None:
    for tenant in ("acme", "globex", "initech"):
        breaker.accept(KEY)
        breaker.refuse(KEY, "unauthorized_client", by=tenant)
    assert breaker.wait(KEY, by="initech") is None


def test_only_tokens_close_the_circuit_of_a_refused_application(breaker: WindowBreaker, clock: FixedClock) -> None:
    breaker.refuse(KEY, "invalid_client", by="acme")
    breaker.refuse(KEY, "invalid_client", by="globex")
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="initech") is None
    # The probe was answered, by a refusal of its own.
    breaker.note(KEY, ok=True, by="acme")
    assert breaker.wait(KEY, by="initech") is not None
    clock.advance(timedelta(seconds=46))
    assert breaker.wait(KEY, by="initech") is None
    breaker.refuse(KEY, "invalid_client", by="acme")
    assert breaker.wait(KEY, by="initech") is not None
    breaker.accept(KEY)
    assert breaker.wait(KEY, by="initech") is None


def test_who_looks_is_no_probe(breaker: WindowBreaker, clock: FixedClock) -> None:
    assert breaker.look(KEY) is None
    fail(breaker, LEAST_FAILURES)
    first = breaker.look(KEY)
    assert first is not None
    assert timedelta(seconds=15) <= first <= timedelta(seconds=45)
    clock.advance(timedelta(seconds=10))
    assert breaker.look(KEY) == first - timedelta(seconds=10)
    clock.advance(timedelta(seconds=60))
    assert [breaker.look(KEY) for _ in range(3)] == [timedelta()] * 3
    assert breaker.wait(KEY, by="acme") is None
    assert breaker.look(KEY) != timedelta()
    breaker.accept(KEY)
    assert breaker.look(KEY) is None
