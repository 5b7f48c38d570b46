"""What a penalty costs: a step with L1 and L2 on all layers against the same step without."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paired import Row, at_most, seconds
from workloads import L_CNN, L_LSTM, M, S, Workload

from smallweights import ElasticNet


def rows() -> Iterable[Row]:
    for work in (S, M, L_CNN, L_LSTM):
        yield cost(replace(work, steps=work.steps // 2))


def cost(work: Workload, rounds: int = 9) -> Row:
    net = {alpha: ElasticNet(alpha, alpha) for alpha in work.penalties()}
    none = dict.fromkeys(net)
    work.together(penalties=net), work.together(penalties=none)
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(seconds(lambda: work.together(penalties=net)))
        theirs.append(seconds(lambda: work.together(penalties=none)))
    return at_most(f"penalty on {work.name}", "no penalty", 1.05, mine, theirs, "whole runs")
