"""Any order of changing keys, connecting and using, by two processes with this or that keyring, against a model of a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.errors import DecryptError, IntegrationNotFoundError, ValidationFailedError

from .conftest import ACME, GLOBEX, World

SLUG = "simulated_keys"
TENANTS = st.sampled_from([ACME, GLOBEX, "hooli"])
PROCESS = st.integers(0, 1)
KEKS = [LocalKeyring.generate_key(kid) for kid in ("one", "two", "three")]
ORDERS = st.permutations(range(len(KEKS)))
MEMORY = 61
"""Seconds after which no process remembers a key that was refused."""


@dataclass
class Known:
    """What the model knows of a tenant."""

    active: int = 0
    """The version that seals; 0 where there is none."""
    last: int = 0
    floor: int = 1
    value: str | None = None
    """The key that is connected."""
    sealed_by: int = 0

    @property
    def opens(self):
        return self.sealed_by >= self.floor


class Keys(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World("blocking")
        self.known = {}
        self.processes = [self._start([0, 1, 2]), self._start([0, 1, 2])]

    def _start(self, order):
        ring = LocalKeyring([KEKS[number] for number in order])
        return self.world.open(keyring=ring, settings=self.world.settings(token_cache=timedelta(), use_window=None)).acting_as()

    def _of(self, tenant):
        return self.known.setdefault(tenant, Known())

    def _passes(self, seconds=1):
        self.world.pass_(seconds=seconds)

    @rule(process=PROCESS, order=ORDERS)
    def restart(self, process, order):
        self.processes[process] = self._start(order)
        self.processes[process].start()

    @rule(process=PROCESS, tenant=TENANTS)
    def connect(self, process, tenant):
        manager, known, key = self.processes[process], self._of(tenant), self.world.provider.issue_api_key()
        held = manager.list_integrations(tenant)
        if held:
            manager.replace_api_key(tenant, held[0].id, api_key=key)
        else:
            manager.add_api_key(tenant, SLUG, name="Key", api_key=key)
        if not known.active:
            known.last = known.active = known.last + 1
        known.value, known.sealed_by = key.reveal(), known.active

    @rule(process=PROCESS, tenant=TENANTS)
    def use(self, process, tenant):
        manager, known = self.processes[process], self._of(tenant)
        if known.value is None:
            with pytest.raises(IntegrationNotFoundError):
                manager.credential(tenant, SLUG)
        elif known.opens:
            assert manager.credential(tenant, SLUG).value.reveal() == known.value
        else:
            with pytest.raises(DecryptError):
                manager.credential(tenant, SLUG)

    @rule(process=PROCESS, tenant=st.none() | TENANTS)
    def rotate(self, process, tenant):
        self._passes()
        run = self.processes[process].keys.rotate(tenant_id=tenant)
        rotated = [known for name, known in self.known.items() if known.active and tenant in {None, name}]
        assert (run.changed, run.failures) == (len(rotated), ())
        for known in rotated:
            known.last = known.active = known.last + 1

    @rule(process=PROCESS)
    def rewrap(self, process):
        manager = self.processes[process]
        assert manager.keys.rewrap().failures == ()
        report = manager.keys.report()
        assert report.misplaced == 0
        assert {usage.kek_uri for usage in report.usage} <= {report.primary}

    @rule(process=PROCESS)
    def reseal(self, process):
        run = self.processes[process].keys.reseal()
        refused = {name for name, known in self.known.items() if known.value is not None and not known.opens}
        assert {failure.tenant_id for failure in run.failures} == refused
        moved = [known for known in self.known.values() if known.value is not None and known.opens and known.sealed_by != known.active]
        assert run.changed == len(moved)
        for known in moved:
            known.sealed_by = known.active

    @rule(process=PROCESS)
    def destroy(self, process):
        self._passes(600)
        assert self.processes[process].keys.destroy(retired_before=self.world.clock.now() - timedelta(minutes=5)).failures == ()
        # The key for fingerprints is no tenant's, and is never replaced.
        left = {(key.tenant_id, key.version) for key in self.world.rows.list_keys(limit=1_000) if key.tenant_id in self.known}
        needed = {(name, known.active) for name, known in self.known.items() if known.active}
        needed |= {(name, known.sealed_by) for name, known in self.known.items() if known.value is not None}
        assert left == needed

    @rule(process=PROCESS, tenant=TENANTS, below=st.integers(0, 6))
    def refuse(self, process, tenant, below):
        manager, known = self.processes[process], self._of(tenant)
        if 1 <= below <= max(known.active, 1):
            manager.keys.refuse(tenant, below=below)
            known.floor = below
        else:
            with pytest.raises(ValidationFailedError):
                manager.keys.refuse(tenant, below=below)
        self._passes(MEMORY)

    @rule(process=PROCESS, tenant=TENANTS)
    def erase(self, process, tenant):
        known = self._of(tenant)
        receipt = self.processes[process].erase_tenant(tenant)
        assert receipt.integrations == (known.value is not None)
        assert self.processes[1 - process].keys.find_returned(tenant, receipt.key_ids) == ()
        known.active, known.value = 0, None

    @precondition(lambda self: self.known)
    @invariant()
    def every_tenant_has_one_key_that_seals_or_none(self):
        for tenant, known in self.known.items():
            keys = self.world.rows.list_keys(tenant_id=tenant, limit=1_000)
            assert [key.version for key in keys if key.state is KeyState.ACTIVE] == ([known.active] if known.active else [])
            assert self.world.rows.last_key_version(tenant) == known.last

    @invariant()
    def nothing_is_sealed_by_a_key_that_is_gone(self):
        for facts in (row for tenant in self.known for row in self.world.rows.list_integrations(tenant)):
            credential = self.world.row(facts).credential
            keys = {key.key_id: key.version for key in self.world.rows.list_keys(tenant_id=facts.tenant_id, limit=1_000)}
            assert keys[credential.key_id] == self.known[facts.tenant_id].sealed_by

    def teardown(self):
        for tenant in self.known:
            assert self.processes[0].audit.verify(tenant).whole


@pytest.mark.requirement("ENC-10", "ENC-12", "ENC-14")
class TestKeys(Keys.TestCase):
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
