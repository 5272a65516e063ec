"""Contestants measured in turns, and the table they make.

Other work on the machine moves every number, so contestants take turns within one run, each round in another order.
A goal is looked at in every round, where all met the same moment, and the median of that counts.  A number alone, from
another day or machine, says little.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any, Literal, Protocol

Run = Callable[[int], float]
"""Do the work this many times and return the seconds it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to do the work: the least it can cost (`limit`), what others do (`peer`), or this library (`ours`)."""

    role: Literal["limit", "peer", "ours"]
    name: str
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound on a value made of one round's samples."""

    name: str
    value: Callable[[Mapping[str, float]], float]
    bound: float
    at_least: bool = False

    def is_reached(self, value: float, /) -> bool:
        """Whether *value* keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One comparison, measured."""

    title: str
    unit: str
    contestants: Sequence[Contestant]
    samples: Mapping[str, Sequence[float]]
    goals: Sequence[Goal] = ()

    def medians(self) -> dict[str, float]:
        """Return the middle value of each contestant."""
        return {name: median(samples) for name, samples in self.samples.items()}

    def value_of(self, goal: Goal, /) -> float:
        """Return the median, over the rounds, of what *goal* looks at."""
        rounds = zip(*self.samples.values(), strict=True)
        return median(goal.value(dict(zip(self.samples, samples, strict=True))) for samples in rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A comparison that cannot be made here."""

    title: str
    reason: str


def blocking(call: Callable[[], object], /) -> Run:
    """Return a run of a plain function."""

    def run(count: int) -> float:
        turns = range(count)
        begun = perf_counter()
        for _ in turns:
            call()
        return perf_counter() - begun

    return run


def awaiting(runner: asyncio.Runner, call: Callable[[], Awaitable[object]], /) -> Run:
    """Return a run of a coroutine function, all in the runner's loop."""

    async def many(count: int) -> float:
        turns = range(count)
        begun = perf_counter()
        for _ in turns:
            await call()
        return perf_counter() - begun

    return lambda count: runner.run(many(count))


def compare(
    title: str,
    contestants: Sequence[Contestant],
    /,
    *,
    rounds: int,
    count: int,
    goals: Sequence[Goal] = (),
    unit: str = "µs",
    value: Callable[[float], float] = lambda seconds: seconds * 1_000_000,
) -> Table:
    """Let the contestants take turns; *value* makes a sample of the seconds that one repetition took."""
    samples: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        contestant.run(max(count // 10, 1))  # connections, compiled statements, caches
    order = list(contestants)
    shuffle = random.Random(1).shuffle  # noqa: S311  # an order of turns, not a secret
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        shuffle(order)
        for contestant in order:
            samples[contestant.name].append(value(contestant.run(count) / count))
    gc.unfreeze()
    return Table(title=title, unit=unit, contestants=contestants, samples=samples, goals=goals)


def ratio(name: str, base: str, /) -> Callable[[Mapping[str, float]], float]:
    """Return a goal's value: one contestant over another."""
    return lambda samples: samples[name] / samples[base]


class Tables(Protocol):
    """What a program measures."""

    def __call__(self, *, quick: bool) -> Iterable[Table | Skipped]:
        """Measure, table by table; *quick* asks for as little as shows that it runs."""
        ...


def main(description: str | None, tables: Tables, /) -> None:
    """Measure and print; `--quick` shows that everything runs and gives no verdict."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few repetitions and no verdict: only that it runs")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    options = parser.parse_args()
    measured = list(tables(quick=options.quick))
    if options.output == "json":
        facts = {"python": platform.python_version(), "machine": platform.machine(), "quick": options.quick}
        print(json.dumps({**facts, "tables": [_as_json(table, quick=options.quick) for table in measured]}, indent=2))
    else:
        print("\n\n".join(_as_text(table, quick=options.quick) for table in measured))


def _middle_half(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) < 2:
        return samples[0], samples[0]
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return low, high


def _as_json(table: Table | Skipped, *, quick: bool) -> dict[str, Any]:
    if isinstance(table, Skipped):
        return {"title": table.title, "skipped": table.reason}
    medians = table.medians()
    rows = []
    for contestant in table.contestants:
        low, high = _middle_half(table.samples[contestant.name])
        rows.append(
            {
                "role": contestant.role,
                "name": contestant.name,
                "median": medians[contestant.name],
                "lower_quartile": low,
                "upper_quartile": high,
                "rounds": len(table.samples[contestant.name]),
            }
        )
    goals = []
    for goal in table.goals:
        value = table.value_of(goal)
        bound = {"at_least" if goal.at_least else "at_most": goal.bound}
        goals.append({"name": goal.name, "value": value, **bound, "reached": None if quick else goal.is_reached(value)})
    return {"title": table.title, "unit": table.unit, "rows": rows, "goals": goals}


def _as_text(table: Table | Skipped, *, quick: bool) -> str:
    if isinstance(table, Skipped):
        return f"{table.title}\n  not measured: {table.reason}"
    medians = table.medians()
    first = medians[table.contestants[0].name]
    width = max(len(contestant.name) for contestant in table.contestants)
    lines = [table.title, f"  {'':5}  {'':{width}}  {'median ' + table.unit:>12}  {'middle half':>19}  {'× first':>8}"]
    for contestant in table.contestants:
        middle = medians[contestant.name]
        low, high = _middle_half(table.samples[contestant.name])
        half = f"{_short(low)} … {_short(high)}"
        relative = f"{middle / first:8.2f}" if first > 0 else f"{'':8}"
        lines.append(f"  {contestant.role:5}  {contestant.name:{width}}  {_short(middle):>12}  {half:>19}  {relative}")
    for goal in table.goals:
        value = table.value_of(goal)
        verdict = "" if quick else "reached" if goal.is_reached(value) else "MISSED"
        bound = f"{'≥' if goal.at_least else '≤'} {goal.bound:g}"
        lines.append(f"  goal   {goal.name:{width}}  {value:12.2f}  {bound:>19}  {verdict:>8}".rstrip())
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
