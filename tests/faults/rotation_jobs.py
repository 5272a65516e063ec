"""What a replica does in the tests of key rotation: it works with credentials, or changes keys and may die at any call of its store."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from datetime import datetime
from itertools import count
from uuid import UUID

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError

PATIENCE = 300
"""Seconds after which something hangs."""


class DyingStore:
    """A store whose process is killed at a call of its job: number *nth*, before it or *afterwards*."""

    def __init__(self, store, order):
        self._store, self._order = store, order
        self._calls = 0

    def __getattr__(self, name):
        method, dies = getattr(self._store, name), self._order["dies"]

        def call(*args, **named):
            self._calls += self._order["under_way"]
            if self._calls == dies["nth"] and not dies["afterwards"]:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*args, **named)
            if self._calls == dies["nth"]:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


def do(manager, order):
    """Do what was ordered, and say how it went."""
    order["under_way"] = True
    return {"work": _work, "rotate": _rotate}[order["job"]](manager, order)


class _Worker:
    """Reads and renews what all share, and connects, replaces and removes a key of its own."""

    def __init__(self, manager, order):
        self._manager, self._order = manager, order
        self._chance = random.Random(order["seed"])
        self._keys_slug, self._own = f"{order['slug']}_keys", order["own_tenant"]
        self._held = None
        self.written = None
        self.wrong = Counter()

    def work(self):
        steps = [self.put, self.put, self.remove, *[self.read_own] * 3, *[self.read] * 4, self.renew]
        for _ in range(self._order["count"]):
            step = self._chance.choice(steps)
            try:
                step()
            except CloudIntegrationsError as error:
                self.wrong[f"{step.__name__}: {type(error).__name__}"] += 1
        self.put()
        self.read_own()

    def put(self):
        key = Secret(self._chance.choice(self._order["api_keys"]))
        if self._held is None:
            self._held = self._manager.add_api_key(self._own, self._keys_slug, name="Own key", api_key=key)
        else:
            self._manager.replace_api_key(self._own, self._held.id, api_key=key)
        self.written = key.reveal()

    def remove(self):
        if self._held is not None:
            self._manager.delete(self._own, self._held.id)
            self._held = None

    def read_own(self):
        if self._held is not None and self._manager.credential(self._own, self._keys_slug).value.reveal() != self.written:
            self.wrong["a lost update"] += 1

    def read(self):
        self._manager.credential(self._chance.choice(self._order["tenants"]), self._order["slug"])

    def renew(self):
        tenant, integration = self._chance.choice(self._order["integrations"])
        self._manager.refresh(tenant, UUID(integration))


def _work(manager, order):
    worker = _Worker(manager, order)
    worker.work()
    return {"wrong": dict(worker.wrong), "written": worker.written}


def _rotate(manager, order):
    """Change every key *count* times over; with a cutoff, data keys made since are left alone.

    With `beside_another`, go on until another that changes keys has left something to wrap anew: which of two begins first is chance.
    """
    cutoff = order.get("created_before")
    before = None if cutoff is None else datetime.fromisoformat(cutoff)
    changed, failures = Counter(), Counter()
    end = time.monotonic() + PATIENCE
    for done in count():
        if done >= order["count"] and (changed["rewrapped"] or not order.get("beside_another") or time.monotonic() > end):
            break
        for name, run in (
            ("rotated", manager.keys.rotate(created_before=before)),
            ("rewrapped", manager.keys.rewrap()),
            ("resealed", manager.keys.reseal()),
        ):
            changed[name] += run.changed
            failures.update(failure.reason for failure in run.failures)
    return {"changed": dict(changed), "failures": dict(failures)}
