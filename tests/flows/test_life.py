"""The life of a tenant's integrations, drawn step by step, against a small model of what must be true (TST-04).

Users connect, rename, switch off and on, reconnect and remove; hosts ask for tokens; workers make their
rounds; processes restart; the provider goes wrong and takes grants back; time passes.  After every step
the list is the model's, what is handed out and held is what the provider says it is, and no secret
shows.  A life ends with the provider well again: then everything comes to rest.

`CI_STEPS=5000x100` plays more and longer lives than the usual 200 of 50 steps.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, initialize, multiple, precondition, rule

from cloud_integrations.domain.freshness import HARD_MARGIN, is_unresolved
from cloud_integrations.domain.integration import State, Status
from cloud_integrations.domain.pending import MAX_PENDING
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .model import KEYS, LOSSES, OAUTH, TROUBLE, Begun, Gone, Kept, Model

pytestmark = [pytest.mark.requirement("TST-04"), pytest.mark.slow, pytest.mark.timeout(900)]

LIVES, STEPS = map(int, os.environ.get("CI_STEPS", "200x50").split("x"))
WRONGS = st.sampled_from(
    [
        Misbehaviour.ANSWER_LOST,
        Misbehaviour.ANSWER_LOST,
        Misbehaviour.ERROR_BEFORE,
        Misbehaviour.ERROR_AFTER,
        Misbehaviour.CONNECTION_REFUSED,
        Misbehaviour.RATE_LIMITED,
    ]
)
MAYBE_WRONG = st.one_of(st.none(), WRONGS)
PLACES = st.sampled_from(["refresh", "refresh", "exchange", "revoke", "me"])
WHICH = st.sampled_from([OAUTH, OAUTH, KEYS])
NAMES = st.sampled_from(["Files of Acme", "Archive", "Ledger 2", "Straße"])
WAITS = st.sampled_from(
    [
        timedelta(seconds=1),
        timedelta(seconds=20),
        timedelta(seconds=45),
        timedelta(minutes=6),
        timedelta(minutes=40),
        timedelta(hours=1),
        timedelta(days=2),
    ]
)


class Life(Model):
    """One tenant's life; `door` says through which door it is led."""

    authorizations = Bundle("authorizations")

    @initialize(
        rotates=st.sampled_from(["always", "always", "never"]),
        reuse=st.sampled_from(["strict", "family", "grace", "tolerant"]),
        life=st.sampled_from([timedelta(seconds=90), timedelta(minutes=10), timedelta(hours=1)]),
        with_key=st.booleans(),
    )
    def open(self, rotates, reuse, life, with_key):
        provider = self.provider
        provider.rotation, provider.reuse, provider.access_lifetime = rotates, reuse, life
        self.world.entries = list(provider.catalogue_entries())
        self.world.door = self.world.open()
        self.connect(name="Files of Acme")
        if with_key:
            self.add_key(name="Key of Acme", valid=True)

    # Connecting

    @precondition(lambda self: OAUTH not in self.kept)
    @rule(name=NAMES)
    def connect(self, name):
        self._complete(self._begun(self.ok(self.world.begin(name=name)), name, reconnects=False), approve=True)

    @precondition(lambda self: sum(begun.open for begun in self.begun) < MAX_PENDING)
    @rule(target=authorizations, name=NAMES)
    def begin(self, name):
        begun, error = self.ask(self.world.begin(name=name))
        if OAUTH in self.kept:
            assert isinstance(error, IntegrationExistsError)
            return multiple()
        assert error is None
        return self._begun(begun, name, reconnects=False)

    @precondition(lambda self: sum(begun.open for begun in self.begun) < MAX_PENDING)
    @rule(target=authorizations)
    def begin_reconnect(self):
        kept = self.kept.get(OAUTH)
        begun, error = self.ask(self.world.door.begin_reconnect(ACME, self.id_of(OAUTH), actor=ALICE))
        if self.refused_as_it_must(kept, error):
            return multiple()
        assert error is None
        return self._begun(begun, kept.name, reconnects=True)

    def _begun(self, authorization, name, *, reconnects):
        begun = Begun(authorization=authorization, name=name, reconnects=reconnects)
        self.begun.append(begun)
        return begun

    @rule(begun=consumes(authorizations), approve=st.sampled_from([True, True, True, False]))
    def complete(self, begun, approve):
        self._complete(begun, approve=approve)

    def _complete(self, begun, *, approve):
        kept = self.kept.get(OAUTH)
        valid = begun.open and self.now < begun.authorization.expires_at and not (begun.reconnects and kept.off)
        begun.open = False
        # A completion that should succeed may fail for the provider's reasons alone.
        may_fail = self.awaits("exchange")
        params = self.world.approve(begun.authorization, approve=approve)
        connected, error = self.ask(self.world.come_back(begun.authorization, params))
        if not (valid and approve):
            assert isinstance(error, GrantRefusedError)
            return
        if error is not None:
            assert may_fail
            assert isinstance(error, TROUBLE)
            return
        facts = connected.integration
        assert facts.id == begun.authorization.integration_id
        assert facts.state is State.ACTIVE
        if not begun.reconnects:
            self.kept[OAUTH] = Kept(id=facts.id, name=begun.name)
        self.kept[OAUTH].taken_back = self.kept[OAUTH].dead = False
        self._close_authorizations()
        # The same callback comes to nothing a second time.
        _, error = self.ask(self.world.come_back(begun.authorization, params))
        assert isinstance(error, GrantRefusedError)

    def _close_authorizations(self):
        for begun in self.begun:
            begun.open = False

    @rule(name=NAMES, valid=st.booleans())
    def add_key(self, name, valid):
        may_fail = self.awaits("me")
        key = self.provider.issue_api_key() if valid else self.provider.invalid_api_key
        facts, error = self.ask(self.world.add_key(api_key=key, name=name))
        if KEYS in self.kept:
            assert isinstance(error, IntegrationExistsError)
        elif error is None:
            assert valid
            self.kept[KEYS] = Kept(id=facts.id, name=name)
        else:
            assert isinstance(error, ProviderUnavailableError) if may_fail else not valid and isinstance(error, InvalidCredentialsError)

    @rule(valid=st.booleans())
    def replace_key(self, valid):
        kept, may_fail = self.kept.get(KEYS), self.awaits("me")
        key = self.provider.issue_api_key() if valid else self.provider.invalid_api_key
        self.world.secrets.append(key.reveal())
        _, error = self.ask(self.world.door.replace_api_key(ACME, self.id_of(KEYS), api_key=key, actor=ALICE))
        if self.refused_as_it_must(kept, error):
            return
        if error is None:
            assert valid
            kept.taken_back = kept.dead = False
            assert self.row(KEYS).facts.state is State.ACTIVE
        else:
            assert isinstance(error, ProviderUnavailableError) if may_fail else not valid and isinstance(error, InvalidCredentialsError)

    # Using

    @rule(which=WHICH, min_ttl=st.sampled_from([None, None, timedelta(minutes=5), timedelta(hours=3)]), wrong=MAYBE_WRONG)
    def ask_for_token(self, which, min_ttl, wrong):
        kept = self.kept.get(which)
        self.go_wrong(wrong, "refresh")
        token, error = self.ask(self.world.door.credential(ACME, which, min_ttl=min_ttl))
        if self.refused_as_it_must(kept, error):
            return
        if error is not None:
            assert isinstance(error, ReconnectRequiredError) or self.row(which).facts.expires_at <= self.now, (
                "a token that works was kept back"
            )
            self.is_excused(which, error)
            return
        assert self.provider.is_alive(token.value) or kept.taken_back, "a dead token was handed out"
        if token.warning is None and token.expires_at is not None:
            assert token.expires_at - self.now >= (min_ttl or HARD_MARGIN), "less life than asked, and no warning"

    @rule(which=WHICH, wrong=MAYBE_WRONG)
    def force_refresh(self, which, wrong):
        kept, before = self.kept.get(which), self.row(which)
        self.go_wrong(wrong, "refresh")
        self._force_refresh(which, kept, before)

    @precondition(lambda self: OAUTH in self.kept)
    @rule(what=st.sampled_from(sorted(LOSSES)))
    def lose_a_renewal(self, what):
        self.go_wrong(what, "refresh")
        self._force_refresh(OAUTH, self.kept[OAUTH], self.row(OAUTH))

    def _force_refresh(self, which, kept, before):
        _, error = self.ask(self.world.door.refresh(ACME, self.id_of(which), actor=ALICE))
        if kept is not None and which == KEYS:
            assert isinstance(error, ValidationFailedError)
        elif self.refused_as_it_must(kept, error):
            return
        elif error is None:
            assert self.row(which).credential.generation == before.credential.generation + 1
            assert self.provider.is_alive(self.stored(which, "access"))
        else:
            self.is_excused(which, error)

    @rule(which=WHICH)
    def verify(self, which):
        kept, may_fail = self.kept.get(which), self.awaits("me")
        report, error = self.ask(self.world.door.verify(ACME, self.id_of(which), actor=ALICE))
        if self.refused_as_it_must(kept, error):
            return
        if error is not None:
            assert (may_fail and isinstance(error, ProviderUnavailableError)) or self.is_excused(which, error)
            return
        if report.works:
            assert self.provider.is_alive(self.stored(which, "access"))
        elif report.outcome == "dead":
            assert self.row(which).facts.state is State.NEEDS_REAUTH
        else:
            assert may_fail

    @rule(which=WHICH, name=NAMES)
    def rename(self, which, name):
        kept = self.kept.get(which)
        _, error = self.ask(self.world.door.edit_integration(ACME, self.id_of(which), name=name, actor=ALICE))
        if kept is None:
            assert isinstance(error, IntegrationNotFoundError)
        else:
            assert error is None
            kept.name = name

    @rule(which=WHICH, on=st.sampled_from([True, True, False]))
    def switch(self, which, on):
        kept, before = self.kept.get(which), self.row(which)
        status = Status.ACTIVE if on else Status.INACTIVE
        facts, error = self.ask(self.world.door.edit_integration(ACME, self.id_of(which), status=status, actor=ALICE))
        if kept is None:
            assert isinstance(error, IntegrationNotFoundError)
            return
        kept.off = not on
        after = self.row(which)
        if on and after.facts.state is State.NEEDS_REAUTH:
            assert isinstance(error, ReconnectRequiredError)
        else:
            assert error is None
            assert facts.status is status
            assert not on or (after.facts.state is State.UNKNOWN) == is_unresolved(before), "a loss is forgotten, or made up"
            assert after.marks.sent_at == before.marks.sent_at

    @precondition(lambda self: self.kept)
    @rule(which=WHICH, wrong=MAYBE_WRONG)
    def remove(self, which, wrong):
        kept = self.kept.pop(which, None)
        self.go_wrong(wrong, "revoke")
        if kept is None:
            _, error = self.ask(self.world.door.delete(ACME, self.id_of(which), actor=ALICE))
            assert isinstance(error, IntegrationNotFoundError)
            return
        gone = Gone(id=kept.id, at=self.now)
        if which == OAUTH:
            gone.tokens = {kind: self.opened(kept.id, kind) for kind in ("refresh", "access")}
            self._close_authorizations()
        removal = self.ok(self.world.door.delete(ACME, kept.id, actor=ALICE))
        self.gone.append(gone)
        for kind, token in gone.tokens.items():
            outcome = getattr(removal, f"{kind}_token")
            assert outcome is RevocationOutcome.FAILED or not self.provider.is_alive(token), "said to be revoked, and it lives"
        _, error = self.ask(self.world.door.get_integration(ACME, kept.id))
        assert isinstance(error, IntegrationNotFoundError)

    # Workers, processes, time

    @rule()
    def refresh_due(self):
        run = self.ok(self.world.door.worker.refresh_due())
        assert run.failed == run.gone == 0
        assert run.claimed == run.renewed + run.postponed + run.reconnect_required

    @rule()
    def retry_revocations(self):
        run = self.ok(self.world.door.worker.retry_revocations())
        assert run.waiting == len(self.outbox)

    @rule()
    def restart(self):
        self.ok(self.world.door.close())
        self.world.door = self.world.open()

    @rule(wait=WAITS)
    def let_time_pass(self, wait):
        self.world.clock.advance(wait)

    # The provider

    @rule(what=WRONGS, where=PLACES)
    def misbehave(self, what, where):
        self.go_wrong(what, where)

    @rule(where=st.sampled_from(["refresh", "exchange", "revoke"]))
    def refuse_our_application(self, where):
        self.go_wrong(Misbehaviour.INVALID_CLIENT, where)

    @precondition(lambda self: self.provider._plans)
    @rule()
    def behave(self):
        self.provider.behave()

    @precondition(lambda self: self.kept)
    @rule(which=WHICH)
    def take_back(self, which):
        if kept := self.kept.get(which):
            kept.taken_back = True
            if which == OAUTH:
                self.provider.revoke_grant(self.stored(OAUTH, "refresh"))
            else:
                self.provider.revoke_api_key(self.stored(KEYS, "access"))


class BlockingLife(Life):
    door = "blocking"


class AwaitingLife(Life):
    door = "awaiting"


TestBlockingLife = BlockingLife.TestCase
TestAwaitingLife = AwaitingLife.TestCase
TestBlockingLife.settings = TestAwaitingLife.settings = settings(
    max_examples=LIVES,
    stateful_step_count=STEPS,
    print_blob=True,
    deadline=None,
    # A step's time is the machine's, which may be busy with other tests; what takes too long is for the timeout to say.
    suppress_health_check=[HealthCheck.too_slow],
)
