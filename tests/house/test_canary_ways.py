"""Unique secrets go through every way to obtain access, and every failure of it, and are then nowhere but where they belong."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cloud_integrations import AesGcmCipher, Secret
from cloud_integrations.domain.integration import AccountFacts

from . import canary_ways
from .canaries import listening_to_everything
from .canary_ways import FAILURES, WAYS, Walk, by_mint


@pytest.mark.slow
@pytest.mark.requirement("OAU-081", "ENC-01", "AUD-06")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
async def test_no_secret_of_any_way_to_obtain_access_leaves_the_library(kind, way, tmp_path):
    walk = Walk(kind, tmp_path)
    with listening_to_everything(walk.found):
        kinds = await WAYS[way](walk)
    assert set(walk.canaries.counts) == kinds
    # What a host takes for an address is in its own call, and so in the variables of that call.
    await walk.end(exceptions={"pasted"})


# The walk itself


def log_what_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = AesGcmCipher.seal

    def logged(self: AesGcmCipher, plaintext: bytes, **how: Any) -> bytes:
        logging.getLogger("cloud_integrations").debug("sealing %s", plaintext.decode("utf-8", "replace"))
        return seal(self, plaintext, **how)

    monkeypatch.setattr(AesGcmCipher, "seal", logged)


def name_the_account_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async def identify(*given: Any) -> AccountFacts:
        return AccountFacts(account_id=given[-1].reveal())

    monkeypatch.setattr("cloud_integrations.flows.shared.entered.identify", identify)


def believe_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_integrations.flows.shared.minting.clean_prose", lambda said, **_: said.reveal())


def show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Secret, "__repr__", lambda self: self.reveal())


PLANTS = {
    "in the log": (log_what_is_sealed, {"log"}),
    "in the database": (name_the_account_by_its_key, {"files: .db-wal", "answers"}),
    "in an error": (believe_the_provider, {"errors", "exceptions"}),
    "in the variables of a traceback": (show_secrets, {"exceptions"}),
}


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize("planted", PLANTS)
async def test_the_walk_finds_a_leak_that_was_planted(planted, tmp_path, monkeypatch):
    plant, places = PLANTS[planted]
    monkeypatch.setattr(canary_ways, "FAILURES", FAILURES[:1])
    walk = Walk("awaiting", tmp_path)
    plant(monkeypatch)
    with listening_to_everything(walk.found):
        await by_mint(walk)
    with pytest.raises(AssertionError) as caught:
        await walk.end()
    found = {place for place, data in walk.found.places.items() if walk.canaries.in_(bytes(data))}
    assert places <= found, caught.value
