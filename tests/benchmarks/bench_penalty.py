"""What a penalty costs: a step with L1 and L2 on all layers against the same step without."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from paired import Row, at_most, seconds
from workloads import L_CNN, L_LSTM, M, S, Workload

from smallweights import ElasticNet


def rows() -> Iterable[Row]:
    for work in (S, M, L_CNN, L_LSTM):
        yield cost(replace(work, steps=work.steps // 2))


def cost(work: Workload, rounds: int = 9) -> Row:
    """Whole runs in processor time: a few per cent drown in what else a machine does."""
    net = {alpha: ElasticNet(alpha, alpha) for alpha in work.penalties()}
    sides = {"net": net, "none": dict.fromkeys(net)}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(1 + rounds):
        for side, penalties in sides.items():
            run = partial(work.together, penalties=penalties, jobs=1)
            times[side].append(seconds(run, time.process_time))
    name, note = f"penalty on {work.name.split(':')[0]}", "processor time on one thread"
    return at_most(name, "no penalty", 1.05, times["net"][1:], times["none"][1:], note)
