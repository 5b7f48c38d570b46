"""How time and memory grow with the number of networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from paired import ROUNDS, Row, at_least, seconds
from workloads import S

COUNTS = (1, 10, 100, 1000)
# The peak of /proc, because getrusage's starts from the parent's.
PEAK = """
import re, sys
from pathlib import Path
from bench_growth import work
work(int(sys.argv[1])).together()
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def work(count: int) -> object:
    """``count`` networks of workload S: one seed for each ten alphas."""
    alphas = min(count, 10)
    return replace(S, steps=120, alphas=alphas, seeds=count // alphas)


def rows() -> Iterable[Row]:
    """The time of one network against the time a network takes among many."""
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    work(10).together()
    for _ in range(ROUNDS):
        for count in COUNTS:
            times[count].append(seconds(work(count).together) / count)
    peaks = {count: peak_memory(count) for count in COUNTS}
    for count in COUNTS[1:]:
        note = f"seconds per network; peak memory {peaks[count]} MiB, that of one is {peaks[1]} MiB"
        yield at_least(f"growth: K = {count}", "K = 1", 1, times[count], times[1], note)


def peak_memory(count: int) -> int:
    """The most memory a fresh process holds, in MiB (Linux keeps the count)."""
    command = [sys.executable, "-c", PEAK, str(count)]
    here = Path(__file__).parent
    printed = subprocess.run(command, cwd=here, check=True, capture_output=True).stdout
    return int(printed) // 1024
