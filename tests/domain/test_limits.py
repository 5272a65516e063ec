"""Rates as token buckets, and the names under which uses are counted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.domain.limits import Rate, quota, read_client

MINUTE = 60_000_000


def _taken(rate: Rate, full_at: int, now: int) -> tuple[int, int]:
    """Return how many uses are allowed at one moment, and when the bucket is then full again."""
    allowed = 0
    while True:
        after, wait = rate.take(full_at, now)
        if wait:
            return allowed, full_at
        allowed, full_at = allowed + 1, after


@pytest.mark.requirement("ISO-17")
@pytest.mark.parametrize("number", [1, 7, 10, 30, 60, 600, 1_000_000])
def test_a_full_bucket_allows_its_count_at_once_and_no_use_more(number):
    allowed, full_at = _taken(Rate(count=number), 0, 5 * MINUTE)
    assert allowed == number
    _, wait = Rate(count=number).take(full_at, 5 * MINUTE)
    assert 0 < wait <= MINUTE // number


@pytest.mark.parametrize("number", [1, 7, 10, 600])
def test_after_the_time_to_wait_one_use_is_allowed(number):
    rate = Rate(count=number)
    _, full_at = _taken(rate, 0, MINUTE)
    _, wait = rate.take(full_at, MINUTE)
    assert _taken(rate, full_at, MINUTE + wait)[0] == 1


def test_an_unused_bucket_gathers_no_more_than_its_count():
    assert _taken(Rate(count=10), 0, 1_000 * MINUTE)[0] == 10


@given(st.integers(1, 1_000), st.lists(st.integers(0, MINUTE), max_size=200))
def test_in_any_minute_there_are_at_most_twice_the_count(number, gaps):
    rate, now, full_at = Rate(count=number), MINUTE, 0
    allowed: list[int] = []
    for gap in gaps:
        now += gap
        after, wait = rate.take(full_at, now)
        if not wait:
            full_at = after
            allowed.append(now)
    for began in allowed:
        assert sum(1 for at in allowed if began <= at < began + MINUTE) <= 2 * number + 1


def test_a_rate_can_be_for_any_time():
    rate = Rate(count=2, per=timedelta(seconds=1))
    assert _taken(rate, 0, MINUTE)[0] == 2
    assert rate.take(MINUTE + 1_000_000, MINUTE)[1] == 500_000


@pytest.mark.requirement("ISO-14")
def test_no_two_names_share_a_key_and_no_name_can_be_read_from_one():
    rate = Rate(count=1)
    named = [
        quota("begin", rate, "actor", "acme", "user", "ada"),
        quota("verify", rate, "actor", "acme", "user", "ada"),
        quota("begin", rate, "actor", "globex", "user", "ada"),
        quota("begin", rate, "actor", "acme", "service", "ada"),
        quota("begin", rate, "actor", "acmeuser", "ada", ""),
        quota("begin", rate, "tenant", "acme"),
    ]
    assert len({each.key for each in named}) == len(named)
    assert not any("acme" in each.key or "ada" in each.key for each in named)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0db8:0001:0002:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_stands_for_what_one_client_has(address, client):
    assert read_client(address) == client
