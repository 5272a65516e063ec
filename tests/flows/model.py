"""A small model of a tenant's integrations, and what must be true of them after every step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from cloud_integrations.domain.freshness import is_unresolved
from cloud_integrations.domain.integration import SWITCHED_OFF, Health, State, Status
from cloud_integrations.domain.pending import Authorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
)
from cloud_integrations.flows.shared.revocation import KEEP_TRYING
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, World

OAUTH, KEYS = "simulated", "simulated_keys"
NEVER = UUID(int=0)
"""The id of an integration that never was."""
TROUBLE = (ProviderUnavailableError, AppMisconfiguredError, RefreshInProgressError)
LOSSES = {Misbehaviour.ANSWER_LOST, Misbehaviour.ERROR_AFTER}


@dataclass(slots=True, kw_only=True)
class Kept:
    """An integration, as the model knows it."""

    id: UUID
    name: str
    off: bool = False
    taken_back: bool = False
    """The provider ended the grant, or the key, by itself."""
    dead: bool = False
    """It was seen to need a reconnect, and there was none since."""


@dataclass(slots=True, kw_only=True)
class Begun:
    """An authorization that somebody has begun."""

    authorization: Authorization
    name: str
    reconnects: bool
    open: bool = True


@dataclass(slots=True, kw_only=True)
class Gone:
    """A removed integration, and what was held for it."""

    id: UUID
    at: datetime
    tokens: dict[str, Secret] = field(default_factory=dict)


class Model(RuleBasedStateMachine):
    """What must be true of one tenant's life; `door` says through which door it is led."""

    door = ""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World(self.door)
        self.provider = self.world.provider
        self.world.secrets.append(self.provider._client_secret.reveal())
        self.kept: dict[str, Kept] = {}
        self.begun: list[Begun] = []
        self.gone: list[Gone] = []
        self.wronged = False
        self.replays = 0
        """Spent refresh tokens that were sent while the access token still worked, to a provider that punishes it (I2)."""
        self.world.on_send = self._watch

    def teardown(self):
        try:
            self._comes_to_rest()
        finally:
            self.loop.close()

    def _watch(self, request):
        form = dict(parse_qsl(request.body.decode()))
        if form.get("grant_type") != "refresh_token" or self.provider.reuse not in {"strict", "family"}:
            return
        row, token = self.row(OAUTH), form["refresh_token"]
        spent = self.provider.grant_alive(token) and not self.provider.is_alive(token)
        self.replays += spent and row.facts.expires_at > self.now

    def go_wrong(self, what, where):
        if what is not None:
            self.provider.misbehave(what, endpoint=where)
            self.wronged = True

    # What must be true

    @invariant()
    def the_list_is_the_models(self):
        listed = self.ok(self.world.door.list_integrations(ACME))
        assert {facts.id: facts.name for facts in listed} == {kept.id: kept.name for kept in self.kept.values()}
        by_id = {kept.id: kept for kept in self.kept.values()}
        for facts in listed:
            off = by_id[facts.id].off
            assert (facts.state is State.DISABLED) == (facts.health is Health.DISABLED) == off
            waits = facts.health in {Health.DISABLED, Health.RECONNECT_REQUIRED}
            assert (facts.status is Status.INACTIVE) == waits

    @invariant()
    def what_is_held_is_what_the_provider_says(self):
        for which, kept in self.kept.items():
            row = self.row(which)
            token = self.stored(which, "refresh")
            alive = self.provider.is_alive(token)
            kept.dead |= row.facts.state is State.NEEDS_REAUTH
            assert not kept.dead or row.facts.state is State.NEEDS_REAUTH or kept.off, "healed without a reconnect"
            if row.facts.state is State.NEEDS_REAUTH or (kept.off and row.facts.reason != SWITCHED_OFF):
                assert not alive, "I4: it is to be reconnected, and what is stored works"
                assert kept.taken_back or self.lost_an_answer, "it is to be reconnected, and nobody is to blame"
            elif not is_unresolved(row):
                assert alive or kept.taken_back, "active, and what is stored is dead"
                assert which == KEYS or self.provider.is_newest(token), "I3: the provider gave a newer refresh token"

    @invariant()
    def no_working_token_is_put_at_risk(self):
        assert not self.replays, "I2: a spent refresh token was sent while the access token worked"

    @invariant()
    def what_was_removed_is_dead_or_will_be(self):
        waiting = {(entry.integration_id, entry.facts["token"]) for entry in self.outbox}
        for gone in self.gone:
            for kind, token in gone.tokens.items():
                given_up = self.now - gone.at > KEEP_TRYING
                assert given_up or (gone.id, kind) in waiting or not self.provider.is_alive(token), f"a forgotten {kind} token"

    @invariant()
    def the_trail_is_whole_and_shows_no_secret(self):
        assert self.ok(self.world.door.audit.verify(ACME)).whole
        assert self.world.leaks_in(self.world.raw_dump()) == []

    def _comes_to_rest(self):
        """The provider is well again and the held access tokens have ended: everything that can be had is had."""
        self.provider.behave()
        for _ in range(2):
            self.world.clock.advance(timedelta(hours=2))
            for which, kept in self.kept.items():
                token, error = self.ask(self.world.door.credential(ACME, which))
                if self.refused_as_it_must(kept, error):
                    continue
                assert error is None or isinstance(error, ReconnectRequiredError), "there is no end of it"
                assert error is not None or self.provider.is_alive(token.value) or kept.taken_back
            run = self.ok(self.world.door.worker.retry_revocations())
            assert run.waiting == 0
        self.what_is_held_is_what_the_provider_says()
        for gone in self.gone:
            assert self.now - gone.at > KEEP_TRYING or not any(map(self.provider.is_alive, gone.tokens.values()))

    # Looking

    def ask(self, call):
        """Return what *call* gives, and the error it ends in; only ours may come."""
        try:
            return self.loop.run_until_complete(call), None
        except CloudIntegrationsError as error:
            return None, error

    def ok(self, call):
        """Return what *call* gives; it must succeed."""
        given, error = self.ask(call)
        assert error is None
        return given

    @property
    def now(self):
        return self.world.clock.now()

    @property
    def outbox(self):
        return list(self.world.tables.outbox.values())

    @property
    def lost_an_answer(self):
        """Whether the provider rotated a token and its answer did not come, where that can end a grant."""
        forgiving = self.provider.rotation == "never" or self.provider.reuse == "tolerant"
        return not forgiving and any(asked.endpoint == "refresh" and asked.misbehaviour in LOSSES for asked in self.provider.requests)

    def id_of(self, which):
        return self.kept[which].id if which in self.kept else self.gone[-1].id if self.gone else NEVER

    def row(self, which):
        return self.world.rows.find_integration(ACME, self.id_of(which))

    def stored(self, which, kind):
        if which == KEYS:
            row = self.row(KEYS)
            flow = self.world.door.wiring.sealer.open_parts(
                ACME,
                row.facts.id,
                row.credential.presented,
                field="presented",
                generation=row.credential.generation,
            )
            return self.loop.run_until_complete(flow)["key"]
        return self.opened(self.kept[which].id, kind)

    def opened(self, integration_id, name):
        row = self.world.rows.find_integration(ACME, integration_id)
        return self.loop.run_until_complete(self.world.door.wiring.sealer.open_token(row, name))

    def awaits(self, where):
        """Whether the provider will go wrong there."""
        return any(plan.endpoint == where for plan in self.provider._plans)

    def refused_as_it_must(self, kept, error):
        """Say whether the model refuses the call, and then see that it was refused for that reason."""
        if kept is None:
            assert isinstance(error, IntegrationNotFoundError)
        elif kept.off:
            assert isinstance(error, IntegrationInactiveError)
        else:
            return False
        return True

    def is_excused(self, which, error):
        """See that *error* has a reason outside of us."""
        if isinstance(error, ReconnectRequiredError):
            assert self.row(which).facts.state is State.NEEDS_REAUTH
        else:
            assert isinstance(error, TROUBLE)
            assert self.wronged, "nothing ever went wrong, and there is trouble"
        return True
