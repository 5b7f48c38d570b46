"""Two sides timed in turn, so that what slows the machine down slows both down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """One comparison: seconds are medians over the rounds, the ratio is the median of ratios."""

    workload: str
    against: str
    ratio: float
    goal: str
    met: bool | None  # None where no goal was set
    rounds: int
    seconds: float
    against_seconds: float
    lowest: float
    highest: float
    note: str = ""


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    run()
    return clock() - start


def compare(
    workload: str,
    ours: Callable[[], object],
    others: dict[str, tuple[Callable[[], object], float]],
    goals: dict[str, float | None],
    note: str = "",
    rounds: int = ROUNDS,
) -> list[Row]:
    """Time our side and each other side in turn; a ratio of 3 means we take a third of its time.

    An other side is (what to run, by how much its time counts): a loop over networks, one after
    another, may run a few of them, and its time counts as many times as there are more.
    """
    ours(), [run() for run, _ in others.values()]  # warm up
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        mine.append(seconds(ours))
        for name, (run, counts) in others.items():
            theirs[name].append(seconds(run) * counts)
    return [
        at_least(workload, name, goals.get(name), mine, theirs[name], _scaled(note, counts))
        for name, (_, counts) in others.items()
    ]


def _scaled(note: str, counts: float) -> str:
    scale = (
        "" if counts == 1 else f"the other side ran 1/{counts:g} of the replicas, times {counts:g}"
    )
    return "; ".join(part for part in (note, scale) if part)


def at_least(
    workload: str,
    against: str,
    goal: float | None,
    mine: list[float],
    theirs: list[float],
    note: str,
) -> Row:
    """The row of a gain, ``theirs / mine``, that should reach the goal."""
    ratios = [other / own for own, other in zip(mine, theirs, strict=True)]
    met = None if goal is None else median(ratios) >= goal
    wanted = "" if goal is None else f">= {goal:g}"
    return _row(workload, against, ratios, wanted, met, mine, theirs, note)


def at_most(
    workload: str, against: str, goal: float, mine: list[float], theirs: list[float], note: str
) -> Row:
    """The row of a cost, ``mine / theirs``, that should not exceed the goal."""
    ratios = [own / other for own, other in zip(mine, theirs, strict=True)]
    met = median(ratios) <= goal
    return _row(workload, against, ratios, f"<= {goal:g}", met, mine, theirs, note)


def _row(
    workload: str,
    against: str,
    ratios: list[float],
    goal: str,
    met: bool | None,
    mine: list[float],
    theirs: list[float],
    note: str,
) -> Row:
    return Row(
        workload=workload,
        against=against,
        ratio=median(ratios),
        goal=goal,
        met=met,
        rounds=len(ratios),
        seconds=median(mine),
        against_seconds=median(theirs),
        lowest=min(ratios),
        highest=max(ratios),
        note=note,
    )
