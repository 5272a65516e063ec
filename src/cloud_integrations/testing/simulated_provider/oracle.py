"""What a test can ask the provider about its requests and tokens."""

from __future__ import annotations

from cloud_integrations.domain.secret import Secret

from .misbehaviour import Endpoint
from .requests import ReceivedRequest, digest_of, is_at
from .tokens import Tokens


class Oracle(Tokens):
    """Answers about every request that arrived and every token that was issued."""

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request that arrived, in order."""
        with self._lock:
            return tuple(self._requests)

    def count(self, endpoint: Endpoint, /) -> int:
        """Count the requests that *endpoint* received."""
        return sum(is_at(endpoint, request.endpoint) for request in self.requests)

    @property
    def refresh_count(self) -> int:
        """How many refresh requests arrived, whatever their outcome."""
        return self.count("refresh")

    @property
    def in_flight_max(self) -> int:
        """The largest number of refresh requests of one grant that were under way at once."""
        with self._lock:
            return self._in_flight_max

    @property
    def concurrency_max(self) -> int:
        """The largest number of requests of any kind that were under way at once."""
        with self._lock:
            return self._busiest

    def is_alive(self, token: str | Secret, /) -> bool:
        """Say whether this access token, refresh token or API key would work now."""
        with self._lock:
            digest = digest_of(token)
            held = self._tokens.get(digest)
            if held is None:
                return digest in self._keys
            return self._accepts(held)

    def grant_alive(self, token: str | Secret, /) -> bool:
        """Say whether the grant that *token* belongs to has not been ended."""
        with self._lock:
            held = self._tokens.get(digest_of(token))
            return held is not None and held.grant.alive

    def living_grants(self) -> tuple[frozenset[str], ...]:
        """Return, for each grant with tokens that still work, the ids of these tokens (see `token_id`)."""
        with self._lock:
            found: dict[int, set[str]] = {}
            for digest, held in self._tokens.items():
                if self._accepts(held):
                    found.setdefault(id(held.grant), set()).add(digest[:16])
            return tuple(frozenset(ids) for ids in found.values())

    def is_newest(self, refresh_token: str | Secret, /) -> bool:
        """Say whether *refresh_token* is the newest refresh token of its grant."""
        with self._lock:
            digest = digest_of(refresh_token)
            held = self._tokens.get(digest)
            return held is not None and held.grant.newest == digest
