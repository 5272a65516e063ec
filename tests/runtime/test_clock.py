"""The machine's clocks and randomness."""

from __future__ import annotations

from datetime import UTC, timedelta

from cloud_integrations.runtime.clock import AsyncSystemPause, SystemClock, SystemEntropy, SystemPause


def test_the_wall_clock_is_aware_and_in_utc():
    assert SystemClock().now().tzinfo is UTC
    assert SystemClock().now().utcoffset() == timedelta()


async def test_pauses_last_at_least_as_long_as_asked():
    clock = SystemClock()
    start = clock.monotonic()
    SystemPause().pause(0.005)
    middle = clock.monotonic()
    await AsyncSystemPause().pause(0.005)
    assert middle - start >= 0.005
    # An event loop may wake a tick of its clock early.
    assert clock.monotonic() - middle > 0.003


def test_randomness_is_of_the_length_asked_for_and_differs():
    entropy = SystemEntropy()
    assert len(entropy.bytes(32)) == 32
    assert entropy.bytes(32) != entropy.bytes(32)
    assert all(0 <= entropy.fraction() < 1 for _ in range(100))
