"""Limit the doors of several replicas together, by counting in Redis.

`python examples/redis_rate_limiter.py` needs a Redis at 127.0.0.1:6379 (`REDIS_URL` names another): two replicas with the router count
together, and each counts by itself while Redis is away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import httpx
import redis
import redis.asyncio
from fastapi import FastAPI, Request

from cloud_integrations import Actor, AesGcmCipher, AsyncIntegrationManager, AsyncMemoryStore, Catalogue, Fact, LocalKeyring, Settings
from cloud_integrations.ports import AsyncRateLimiter, Quota
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider
from cloud_integrations_fastapi import Permission, create_router

# One key for each bucket: the time, in microseconds of Redis's clock, at which it is full again.  Redis forgets it then by itself.
# A script runs alone, so all buckets of a use change together or not at all.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local longest, after = 0, {}
for i, key in ipairs(KEYS) do
  local count, per = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  after[i] = math.max(tonumber(redis.call('GET', key) or '0'), now) + math.floor(per / count)
  longest = math.max(longest, after[i] - now - per)
end
if longest > 0 then return longest end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', after[i]), 'PXAT', math.ceil(after[i] / 1000))
end
return 0
"""


class RedisRateLimiter:
    """Token buckets in Redis 7, awaited; *prefix* keeps them apart from other keys.

    In a Redis cluster, put the prefix in braces (`{limits}:`): the buckets of a use must be in one slot.
    """

    def __init__(self, client: redis.asyncio.Redis, /, *, prefix: str = "limits:") -> None:
        self._take = client.register_script(TAKE)
        self._prefix = prefix

    async def take(self, quotas: Sequence[Quota], /) -> timedelta | None:
        """See `AsyncRateLimiter.take`."""
        wait = await self._take(keys=_keys(self._prefix, quotas), args=_rates(quotas))
        return timedelta(microseconds=wait) if wait else None


class BlockingRedisRateLimiter:
    """The same for the blocking manager.  Give the client a `socket_timeout`: nobody else ends a wait."""

    def __init__(self, client: redis.Redis, /, *, prefix: str = "limits:") -> None:
        self._take = client.register_script(TAKE)
        self._prefix = prefix

    def take(self, quotas: Sequence[Quota], /) -> timedelta | None:
        """See `RateLimiter.take`."""
        wait = self._take(keys=_keys(self._prefix, quotas), args=_rates(quotas))
        return timedelta(microseconds=wait) if wait else None


def _keys(prefix: str, quotas: Sequence[Quota]) -> list[str]:
    return [f"{prefix}{quota.key}" for quota in quotas]


def _rates(quotas: Sequence[Quota]) -> list[int]:
    return [number for quota in quotas for number in (quota.rate.count, quota.rate.per // timedelta(microseconds=1))]


# Two replicas of an application.


class Told:
    """Prints what the library says of its limits."""

    def tell(self, fact: Fact, /) -> None:
        """Print a fact."""
        if fact.name.startswith("rate_limit."):
            print(f"  {fact.name} {dict(fact.facts)}")


def authorize(_request: Request, _permission: Permission, _tenant_id: str | None) -> Actor:
    """Return who asks; a real one looks at the request."""
    return Actor(id="ada")


def build_replica(provider: SimulatedProvider, limiter: AsyncRateLimiter) -> httpx.AsyncClient:
    """Return a client of one replica; a real one has its database and `Catalogue.builtin()`."""
    manager = AsyncIntegrationManager(
        store=AsyncMemoryStore(),
        transport=AsyncSimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("example")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", begin_per_minute=10),
        rate_limiter=limiter,
        observer=Told(),
    )
    app = FastAPI()
    app.include_router(create_router(manager, authorize=authorize))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example.com/api/v1")


async def begin(replica: httpx.AsyncClient, provider: SimulatedProvider) -> httpx.Response:
    """Begin a sign-in at a replica."""
    by_sign_in, _ = provider.catalogue_entries()
    body = {"providerId": str(by_sign_in.provider_id), "name": "Production"}
    return await replica.post("/tenants/acme/authorizations", json=body)


async def main() -> None:
    """Begin sign-ins at two replicas until they refuse, then at one whose Redis is away."""
    provider = SimulatedProvider()
    prefix = f"example:{uuid4()}:"
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
    async with redis.asyncio.from_url(url, socket_timeout=0.5) as client:
        replicas = [build_replica(provider, RedisRateLimiter(client, prefix=prefix)) for _ in range(2)]
        print("two replicas, ten sign-ins a minute for both together:")
        statuses = [(await begin(replicas[n % 2], provider)).status_code for n in range(12)]
        assert statuses == [201] * 10 + [429] * 2, statuses
        refused = await begin(replicas[0], provider)
        print(f"  {refused.status_code}, Retry-After: {refused.headers['Retry-After']}, {refused.json()['error']}")

    async with redis.asyncio.from_url("redis://127.0.0.1:9", socket_timeout=0.5) as away:
        print("Redis is away, so the replica counts by itself:")
        alone = build_replica(provider, RedisRateLimiter(away))
        statuses = [(await begin(alone, provider)).status_code for _ in range(11)]
        assert statuses == [201] * 10 + [429], statuses


if __name__ == "__main__":
    asyncio.run(main())
