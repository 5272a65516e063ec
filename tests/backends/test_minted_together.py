"""Two processes on one database mint at the same moment: the credential that ends last stays, whoever stores first."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta

import pytest

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    SqlAlchemyStore,
)
from cloud_integrations.domain.provider import Provider
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing import FixedClock

STEP = {"url": "https://bank.example/token", "fields": {"key": "{key}"}}
BANK = {"id": "bank", "name": "Bank", "methods": [{"id": "key", "kind": "key", "inputs": [{"name": "key"}], "mint": [STEP]}]}


class Bank:
    """Mints tokens with the lives that it is told, and lets a test act while a request is under way."""

    def __init__(self):
        self.lives = [3600]
        self.minted = 0
        self.before = None

    def answer(self):
        self.minted += 1
        return HttpResponse(status=200, body=json.dumps({"access_token": f"fake-{self.minted}", "expires_in": self.lives.pop(0)}).encode())


class Transport:
    def __init__(self, bank):
        self.bank = bank

    def send(self, _, /, *, deadline):
        assert deadline
        before, self.bank.before = self.bank.before, None
        if before is not None:
            before()
        return self.bank.answer()

    def close(self):
        """Nothing is open."""


class AsyncTransport(Transport):
    async def send(self, _, /, *, deadline):
        assert deadline
        before, self.bank.before = self.bank.before, None
        if before is not None:
            await before()
        return self.bank.answer()

    async def close(self):
        """Nothing is open."""


@pytest.mark.requirement("Q71")
@pytest.mark.parametrize(("theirs", "ours", "generation"), [(3600, 3601, 3), (3601, 3600, 2), (3600, 3600, 2)])
@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
async def test_the_later_expiry_stays(engine, theirs, ours, generation, awaits):
    bank, clock, keys = Bank(), FixedClock(), LocalKeyring([LocalKeyring.generate_key("test")])
    parts = {"keys": keys, "cipher": AesGcmCipher(), "providers": Catalogue.of(Provider.model_validate(BANK)), "clock": clock}

    def process():
        if awaits:
            return AsyncIntegrationManager(store=AsyncSqlAlchemyStore(engine), transport=AsyncTransport(bank), **parts)
        return IntegrationManager(store=SqlAlchemyStore(engine), transport=Transport(bank), **parts)

    async def done(result):
        return await result if inspect.isawaitable(result) else result

    one, another = process(), process()
    held = await done(one.acting_as("alice").add("acme", "bank", name="Bank", inputs={"key": "fake-key"}))
    clock.advance(timedelta(hours=1))
    bank.lives = [theirs, ours]
    bank.before = lambda: another.acting_as("alice").credential("acme", "bank")
    shown = await done(one.acting_as("alice").credential("acme", "bank"))
    row = SqlAlchemyStore(engine).find_integration(held.tenant_id, held.id)
    assert bank.minted == 3
    assert shown.value.reveal() == ("fake-3" if ours > theirs else "fake-2")
    assert row.credential.generation == generation
    assert shown.expires_at == row.facts.expires_at == clock.now() + timedelta(seconds=max(ours, theirs))
    assert (await done(process().acting_as("alice").credential("acme", "bank"))).value == shown.value
    for manager in (one, another):
        await done(manager.close())
