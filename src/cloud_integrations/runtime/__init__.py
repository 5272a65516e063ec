"""Clocks, randomness, locks, caches and concurrency of this process, for the blocking and the awaiting manager."""
