"""The example of a rate limiter that several processes share, over a real Redis."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from uuid import uuid4

import pytest

from cloud_integrations.domain.limits import Rate, quota
from cloud_integrations.testing.contracts.rate_limiter import RateLimiterContract

EXAMPLE = Path(__file__).parents[2] / "examples/redis_rate_limiter.py"


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("redis")
    spec = importlib.util.spec_from_file_location("redis_rate_limiter", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prefix():
    return f"test:{uuid4()}:"


class Connecting:
    """The awaiting limiter, with a connection for each event loop that it is used in."""

    def __init__(self, example, url, prefix):
        self._example, self._url, self._prefix = example, url, prefix

    async def take(self, quotas, /):
        async with self._example.redis.asyncio.from_url(self._url) as client:
            return await self._example.RedisRateLimiter(client, prefix=self._prefix).take(quotas)


class TestAwaitingRedis(RateLimiterContract):
    @pytest.fixture
    def make_limiter(self, example, redis_url, prefix):
        return lambda: Connecting(example, redis_url, prefix)


class TestBlockingRedis(RateLimiterContract):
    @pytest.fixture
    def make_limiter(self, example, redis_url, prefix):
        with example.redis.from_url(redis_url) as client:
            yield lambda: example.BlockingRedisRateLimiter(client, prefix=prefix)


def test_redis_forgets_a_bucket_that_is_full_and_holds_no_names(example, redis_url, prefix):
    with example.redis.from_url(redis_url) as client:
        limiter = example.BlockingRedisRateLimiter(client, prefix=prefix)
        assert limiter.take([quota("begin", Rate(count=10), "actor", "acme", "user", "ada")]) is None
        (key,) = client.keys(f"{prefix}*")
        assert b"acme" not in key
        assert b"ada" not in key
        assert 0 < client.pttl(key) <= 6_001
        assert client.get(key).isdigit()
        assert int(client.get(key)) > time.time() * 1_000_000 - 60_000_000
