"""A small world, seeded: replicas, users and faults in one thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
)
from cloud_integrations.manager import AsyncIntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, Misbehaviour, SeededEntropy, SimulatedProvider, token_id

from .conftest import ACME, ALICE, rewire
from .scheduling import FREEZE, Flights, Pause, Scheduler, Store, _pass

DEADLINE, LEASE, GRACE = timedelta(seconds=15), timedelta(seconds=30), timedelta(seconds=60)
SPOILT = [
    Misbehaviour.CONNECTION_REFUSED,
    Misbehaviour.TIMEOUT_BEFORE,
    Misbehaviour.ERROR_BEFORE,
    Misbehaviour.RATE_LIMITED,
    Misbehaviour.TEMPORARILY_UNAVAILABLE,
    Misbehaviour.INVALID_CLIENT,
    Misbehaviour.ANSWER_LOST,
    Misbehaviour.ERROR_AFTER,
    Misbehaviour.HTML_PAGE,
    Misbehaviour.GARBAGE_JSON,
]
HARMLESS = [
    Misbehaviour.SLOW,
    Misbehaviour.EXPIRES_IN_MISSING,
    Misbehaviour.EXPIRES_IN_TEXT,
    Misbehaviour.REFRESH_TOKEN_MISSING,
    Misbehaviour.REFRESH_TOKEN_NULL,
    Misbehaviour.REFRESH_TOKEN_SAME,
]


class World:
    """One seed: a provider, a store, replicas, and what happens to them."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.clock = FixedClock()
        rule = rng.choice(["none", "tolerant", "grace", "strict", "family"])
        self.rule = rule
        self.provider = SimulatedProvider(
            clock=self.clock,
            entropy=SeededEntropy(f"provider {seed}"),
            rotation="never" if rule == "none" else "always",
            reuse="tolerant" if rule == "none" else rule,
            grace=GRACE,
            access_lifetime=timedelta(seconds=rng.choice([45, 120, 600, 3600])),
            ends_old_access=rng.random() < 0.2,
        )
        self.rows = MemoryStore(self.clock)
        self.keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        quiet = rng.random() < 0.25
        self.faulty = not quiet
        self.store_fails = 0.0
        self.fault_rate = 0.0 if quiet else rng.choice([0.0, 0.02, 0.1])
        self.misbehaves = 0.0 if quiet else rng.choice([0.0, 0.1, 0.4])
        self.freezes = 0.0 if quiet else rng.choice([0.0, 0.0, 0.02])
        self.dallies = 0.0 if quiet else rng.choice([0.0, 0.5])
        """How often somebody is held up with an answer in hand."""
        self.scheduler = Scheduler(rng, self.clock)
        self.scheduler.on_error = self._failed
        self.meddling = rng.random() < 0.4
        """Users close and renew it, hosts say that a token was refused, and the provider ends grants."""
        self.crashes = 0
        self.crashing = self.faulty and rng.random() < 0.4
        self.faults = self.store_failures = 0
        self.integration: Any = None
        self.touched = False
        """The user closed or renewed the integration, or the provider ended the grant: late answers are dropped."""
        self.healed: list[bool] = []
        """Each time that late tokens took back a row which somebody else had given up: whether they worked."""
        self.regranted = False
        """The user renewed it, or the provider ended the grant."""
        self.refused = False
        """Somebody said that the provider refused the held access token."""
        self.out: list[tuple[int, str]] = []
        self.received: list[str] = []
        """The ids of every token that reached us; of one answer, the refresh token comes last."""
        self.seen: list[Any] = []
        self.replicas = [self._replica(number) for number in range(rng.randint(1, 4))]

    def _failed(self, error: CloudIntegrationsError) -> None:
        if isinstance(error, ReconnectRequiredError) and not (self.touched or self.refused or self.store_failures):
            # Late tokens may have taken the row back since it was said.
            assert self.healed or self.held().facts.state is State.NEEDS_REAUTH, (
                "I4: a caller was told to reconnect, and the row does not say so"
            )

    def maybe(self, chance: float, error: type[Exception]) -> None:
        if chance and self.rng.random() < chance:
            self.faults += 1
            self.store_failures += 1
            raise error()

    def _replica(self, number: int) -> AsyncIntegrationManager:
        manager = AsyncIntegrationManager(
            store=Store(self),
            transport=self._transport(),
            keys=self.keyring,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url="https://app.example/oauth/callback", use_window=None, token_cache=timedelta(seconds=5)),
            clock=self.clock,
            entropy=SeededEntropy(f"replica {number} {self.rng.random()}"),
            pause=Pause(self.clock),
        )
        rewire(manager, single_flight=Flights(self, number))
        manager._runner._ready = True
        return manager.acting_as(ALICE)

    def _transport(self) -> Any:
        world = self
        inner = AsyncSimulatedTransport(self.provider)

        class Transport:
            async def send(self, request: Any, /, *, deadline: timedelta) -> Any:
                form = dict(parse_qsl(request.body.decode()))
                entry = None
                if form.get("grant_type") == "refresh_token":
                    entry = world.leaves(form["refresh_token"])
                try:
                    response = await inner.send(request, deadline=deadline)
                finally:
                    if entry is not None:
                        world.out.remove(entry)
                if entry is not None and world.rng.random() < world.dallies:
                    await _pass(FREEZE)
                world.received += tokens_in(response.body)
                return response

            async def close(self) -> None: ...

        return Transport()

    def leaves(self, refresh_token: str) -> tuple[int, str]:
        """Look at a refresh request on its way out."""
        presented = token_id(refresh_token)
        row = self.held()
        if not (self.scheduler.frozen or self.crashes):
            assert not [other for _, other in self.out if other == presented], "I1: two requests at once"
        spent = self.provider.grant_alive(refresh_token) and not self.provider.is_alive(refresh_token)
        if spent and self.rule in {"strict", "family"} and row and not (self.scheduler.frozen or self.refused or self.regranted):
            ended = row.facts.expires_at is not None and row.facts.expires_at <= self.clock.now()
            assert ended or not self.provider.is_alive(self.stored("access")), "I2: a replay put a working token at risk"
        entry = (len(self.provider.requests), presented)
        self.out.append(entry)
        return entry

    # What is done

    def run(self, flow: Coroutine[Any, Any, Any]) -> Any:
        """Run one flow to its end, others beside it."""
        job = self.scheduler.begin(flow, -1)
        while not job.done:
            self.scheduler.step()
        if job.error is not None:
            raise job.error
        return job.value

    async def connect(self) -> Any:
        manager = self.replicas[0]
        begun = await manager.begin_oauth(ACME, "simulated", name="Files of Acme")
        return await self._come_back(manager, begun)

    async def _come_back(self, manager: AsyncIntegrationManager, begun: Any) -> Any:
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        done = await manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
        return done.integration

    async def _reconnect(self, manager: AsyncIntegrationManager) -> None:
        self.touched = self.regranted = True
        await self._come_back(manager, await manager.begin_reconnect(ACME, self.integration.id))

    async def _token(self, manager: AsyncIntegrationManager) -> None:
        self.seen.append(await manager.credential(ACME, "simulated"))

    async def _off_and_on(self, manager: AsyncIntegrationManager) -> None:
        self.touched = True
        await manager.edit_integration(ACME, self.integration.id, status="inactive")
        await _pass(self.clock.now() + timedelta(seconds=self.rng.uniform(0, 20)))
        await manager.edit_integration(ACME, self.integration.id, status="active")

    def _crash(self, number: int) -> None:
        self.crashes += 1
        self.scheduler.kill(number)
        self.replicas[number] = self._replica(number)

    def _revoke(self) -> None:
        self.touched = self.regranted = True
        self.provider.revoke_grant()

    def act(self) -> None:  # noqa: C901  # one line per kind of deed
        rng = self.rng
        number = rng.randrange(len(self.replicas))
        manager = self.replicas[number]
        chance = rng.random()
        if rng.random() < self.misbehaves:
            self.faults += 1
            self.provider.misbehave(rng.choice(SPOILT), endpoint="refresh", times=rng.choice([1, 1, 2, 5]))
        elif rng.random() < 0.1:
            self.provider.misbehave(rng.choice(HARMLESS), endpoint="refresh", delay=timedelta(seconds=rng.choice([0, 3, 10])))
        flow: Coroutine[Any, Any, Any] | None = None
        if chance < 0.60:
            for _ in range(rng.choice([0, 0, 2, 4])):
                other = rng.randrange(len(self.replicas))
                self.scheduler.begin(self._token(self.replicas[other]), other)
            flow = self._token(manager)
        elif chance < 0.80:
            flow = manager.refresh(ACME, self.integration.id)
        elif chance < 0.85 and self.seen and self.meddling:
            self.refused = True
            flow = manager.replace_refused(ACME, rng.choice(self.seen))
        elif chance < 0.88:
            flow = manager.edit_integration(ACME, self.integration.id, name=f"Name {rng.randrange(1000)}")
        elif chance < 0.91 and self.meddling:
            flow = self._off_and_on(manager)
        elif chance < 0.93 and self.meddling:
            flow = self._reconnect(manager)
        elif chance < 0.94 and self.meddling:
            self._revoke()
        elif chance < 0.97 and self.crashing:
            self._crash(number)
        if flow is not None:
            self.scheduler.begin(flow, number)

    def play(self) -> None:
        self.integration = self.run(self.connect())
        self.store_fails, self.scheduler.stalls, self.scheduler.freezes = self.fault_rate, 0.03, self.freezes
        for _ in range(self.rng.randint(10, 30)):
            self.act()
            for _ in range(self.rng.choice([0, 5, 20, 100])):
                self.scheduler.step()
            life = self.provider.access_lifetime.total_seconds()
            self._let_pass(self.rng.choice([0, 0, 0.1, 2, 20, life / 3, life]))
        self._settle()
        self._check()

    def _let_pass(self, seconds: float) -> None:
        if seconds > 2 and self.scheduler.tasks:
            if self.faulty and self.rng.random() < 0.1:
                # The whole machine stands still, whatever is out.
                self.scheduler.frozen += 1
            else:
                while not self.scheduler.is_quiet:
                    self.scheduler.step()
        self.clock.advance(timedelta(seconds=seconds))

    def held(self) -> Any:
        return self.rows.find_integration(ACME, self.integration.id)

    def is_given_up(self) -> bool:
        row = self.held() if self.integration else None
        return row is not None and row.facts.state is State.NEEDS_REAUTH

    def stored(self, name: str) -> Any:
        flow = replace(self.replicas[0]._wiring, store=Direct(self.rows), single_flight=Alone()).sealer.open_token(self.held(), name)
        try:
            flow.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("nothing here waits")

    def _settle(self) -> None:
        """REF-17: the faults stop, and everything comes to rest."""
        self.store_fails = 0.0
        self.scheduler.stalls = self.scheduler.freezes = self.dallies = 0.0
        self.provider.behave()
        while self.scheduler.tasks:
            self.scheduler.step()
        manager = self.replicas[0]
        if self.held().facts.state is State.DISABLED:
            with suppress(ReconnectRequiredError):  # it was dead before it was switched off
                self.run(manager.edit_integration(ACME, self.integration.id, status="active"))
        # A token that lives needs nothing; when it has ended, this is how long an answer may take.
        held = self.held()
        if held.facts.expires_at is not None:
            self.clock.advance(max(held.facts.expires_at - self.clock.now(), timedelta()))
        limit = self.clock.now() + 2 * (LEASE + timedelta(seconds=2)) + timedelta(minutes=5)
        while True:
            try:
                token = self.run(manager.credential(ACME, "simulated"))
            except ReconnectRequiredError:
                return
            except (ProviderUnavailableError, RefreshInProgressError, AppMisconfiguredError) as error:
                self.clock.advance(max(error.retry_after or timedelta(), timedelta(seconds=1)))
                assert self.clock.now() <= limit, "REF-17: no end of it"
            else:
                assert self.provider.is_alive(token.value), "I5: a dead token was handed out"
                return

    def _check(self) -> None:
        assert all(self.healed), "I7: healed, and what is stored is dead"
        row = self.held()
        refresh_token = self.stored("refresh")
        if row.facts.state is State.NEEDS_REAUTH:
            assert not self.provider.is_alive(refresh_token), "I4: it was asked to reconnect, and the token lives"
        else:
            assert row.facts.state is State.ACTIVE
            assert self.provider.is_alive(refresh_token), "I5: active, and the refresh token is dead"
            assert self.provider.is_alive(self.stored("access")), "I5: active, and the access token is dead"
        assert token_id(refresh_token) in self.received, "I3: stored, and never received"
        if not (self.scheduler.frozen or self.crashes or self.touched):
            issued = [request.issued for request in self.provider.requests if request.endpoint == "refresh" and request.issued]
            lost = [tokens for tokens in issued if not set(tokens) & set(self.received)]
            assert lost or row.facts.state is State.ACTIVE, "every answer came, and a tenant has to reconnect"
            rotated = [tokens[1] for tokens in issued if len(tokens) == 2 and tokens[1] in self.received]
            assert not rotated or token_id(refresh_token) == rotated[-1], "I3: not the newest tokens that were received"
        calm = not (self.faults or self.scheduler.frozen or self.crashes)
        if calm and not self.touched:
            assert self.provider.in_flight_max <= 1, "I1: two requests at once"
            assert row.facts.state is State.ACTIVE, "nothing went wrong, and a tenant has to reconnect"
            if self.rule in {"strict", "family"}:
                assert not any(request.reused for request in self.provider.requests), "I2: a spent token was sent"
                assert self.provider.is_newest(refresh_token), "I3: not the newest tokens"
        self._check_audit()

    def _check_audit(self) -> None:
        events = [record.event for record in self.rows.list_audit(ACME, limit=100_000) if record.event.action == "credential.refresh"]
        begun = [event.details["attempt"] for event in events if event.outcome.value == "started"]
        # Where the provider is not asked at all, since it does not answer or refuses the application, there is an event and no attempt.
        unasked = [event for event in events if event.outcome.value == "failure" and not event.details]
        ended = [event.details["attempt"] for event in events if event.outcome.value != "started" and event not in unasked]
        assert len(begun) == len(set(begun))
        assert len(ended) == len(set(ended)), "I6: an attempt ended twice"
        sent = sum(request.endpoint == "refresh" for request in self.provider.requests)
        assert sent <= len(begun), "I6: a request without an intent"
        if not (self.store_failures or self.crashes):
            assert set(ended) == set(begun), "I6: an attempt without an outcome"
        report = self.run(self.replicas[0].audit.verify(ACME))
        assert report.whole


class Alone:
    """Work that is shared with nobody."""

    async def share(self, _: Any, work: Callable[[], Coroutine[Any, Any, Any]], /) -> Any:
        return await work()

    share_afresh = share


class Direct:
    """The store without turns and faults."""

    def __init__(self, rows: MemoryStore) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rows, name)

        async def call(*args: Any, **named: Any) -> Any:
            return method(*args, **named)

        return call


def tokens_in(body: bytes) -> list[str]:
    try:
        answer = json.loads(body)
    except ValueError:
        return []
    return [token_id(answer[name]) for name in ("access_token", "refresh_token") if isinstance(answer.get(name), str) and answer[name]]
