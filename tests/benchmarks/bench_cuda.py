"""A thousand networks on a GPU: against the loop on the same GPU, and agreement with the CPU."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from paired import Row, compare
from workloads import DATA, M, S, Workload

from smallweights import fit_many


def rows() -> Iterable[Row]:
    for work in (S, M) if torch.cuda.is_available() else ():
        thousand = work.with_seeds(50)
        loop = (lambda w=thousand: w.loop(2, "cuda"), thousand.replicas / 2)
        yield from compare(
            f"{work.name.split(':')[0]} on CUDA, 1,000 networks",
            lambda w=thousand: w.together(device="cuda"),
            {"loop on CUDA": loop},
            {"loop on CUDA": 100},
            note=f"largest gap of the test loss to the CPU's: {gap(work):.1e}",
        )


def gap(work: Workload) -> float:
    losses = [
        fit_many(
            work.ours, DATA, work.penalties(), work.training(), seeds=range(2), device=device
        ).final.test_loss
        for device in ("cpu", "cuda")
    ]
    return (losses[0] - losses[1]).abs().max()
