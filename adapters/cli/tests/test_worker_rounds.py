"""The worker's rounds: how they follow each other, and when it pauses or ends."""

from __future__ import annotations

import asyncio

import pytest

from cloud_integrations import RenewalRun, RevocationRun
from cloud_integrations.errors import SchemaError, StorageUnavailableError
from cloud_integrations_cli.actions import worker
from cloud_integrations_cli.render import Screen


class Stub:
    """A manager whose rounds end as told, the last one again and again."""

    def __init__(self, *ends: RenewalRun | Exception) -> None:
        self.worker = self
        self.ends = list(ends)
        self.rounds = 0

    async def refresh_due(self, *, limit: int) -> RenewalRun:
        self.rounds += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end

    async def retry_revocations(self, *, limit: int) -> RevocationRun:
        return RevocationRun(revoked=0, delayed=0, abandoned=0, waiting=3)


def stubbed(*ends: RenewalRun | Exception) -> tuple[Stub, worker.Worker]:
    stub = Stub(*ends)
    return stub, worker.Worker(stub, Screen(), worker.Pace(batch=2, interval=30))


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the worker wanted to sleep; it never does, and stops at the sixth time."""
    slept: list[float] = []

    async def sleep(self: worker.Worker, seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)
        if len(slept) == 6:
            self.stopping.set()

    monkeypatch.setattr(worker.Worker, "_sleep", sleep)
    monkeypatch.setattr(worker.Worker, "revoke", _no_revocations)
    monkeypatch.setattr(worker, "_around", lambda seconds: seconds)
    return slept


async def _no_revocations(self: worker.Worker) -> bool:
    await self.stopping.wait()
    return False


async def test_full_rounds_follow_each_other_without_a_pause(naps):
    full, rest = RenewalRun(claimed=2, renewed=2), RenewalRun(claimed=1, renewed=1)
    stub, ours = stubbed(full, full, full, rest)
    await ours.run()
    # Three full rounds and one that is not, before the first pause; then one between two pauses.
    assert (stub.rounds, naps[:6]) == (9, [30] * 6)
    assert ours.totals.renewed == 3 * 2 + 6


async def test_trouble_with_the_store_is_tried_again_more_and_more_slowly(naps, capsys):
    _, ours = stubbed(StorageUnavailableError())
    await ours.run()
    assert naps[:6] == [1, 2, 4, 8, 16, 30]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[0].endswith("once more in 1.0 s")
    assert lines[-1] == "stopped; nothing to do"


async def test_after_a_good_round_trouble_begins_anew(naps):
    trouble, good = StorageUnavailableError(), RenewalRun()
    _, ours = stubbed(trouble, trouble, good, trouble)
    await ours.run()
    assert naps[:4] == [1, 2, 30, 1]


@pytest.mark.parametrize("error", [SchemaError, RuntimeError])
async def test_what_time_does_not_heal_ends_the_worker(naps, error):
    _, ours = stubbed(error("test") if error is RuntimeError else error(found="0", expected="1"))
    with pytest.raises(error):
        await ours.run()
    assert ours.totals.rounds == 0


def test_intervals_differ_by_a_fifth():
    lengths = {worker._around(30) for _ in range(200)}
    assert all(24 <= length <= 36 for length in lengths)
    assert len(lengths) > 100
