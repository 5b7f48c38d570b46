"""Run every notebook as other machines would compute: the text must not change.

    python tests/matrix.py      3 instruction sets × 1 and 2 threads, and other last bits

A processor that lacks an instruction set cannot tell about it: that line says so, and fails. The
last line stands in for a graphics card, which rounds in its own way (``last_bits.py``).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CAPABILITIES = ("default", "avx2", "avx512")
THREADS = (1, 2)
LAST_BITS = {"PYTHONSTARTUP": str(ROOT / "tests" / "last_bits.py")}
ASK = "import torch; print(torch.backends.cpu.get_cpu_capability())"


def environment(capability: str, threads: int, last_bits: bool) -> dict[str, str]:
    """The environment that makes torch compute so, in the kernels too."""
    computing = {
        "ATEN_CPU_CAPABILITY": capability,
        "OMP_NUM_THREADS": str(threads),
        "LOKY_MAX_CPU_COUNT": str(threads),
    }
    return os.environ | computing | (LAST_BITS if last_bits else {})


@cache
def best() -> str:
    """The processor's own instruction set: told to use one that it lacks, torch crashes."""
    env = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    asked = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True)
    return asked.stdout.strip().lower()


def run(capability: str, threads: int, last_bits: bool) -> str:
    """'passed', or what went wrong, for all notebooks under this setting."""
    env = environment(capability, threads, last_bits)
    if CAPABILITIES.index(capability) > CAPABILITIES.index(best()):
        return f"not on this processor, which has {best()} at best"
    # The budget is for the usual instruction set; the slower ones may exceed it.
    usual = ["-n", "2", "--dist", "loadfile", "-q", "--color=no"]
    command = [sys.executable, "-m", "pytest", "book", *usual, "-k", "not budget"]
    result = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    if result.returncode == 0:
        return "passed"
    failed = re.findall(r"^FAILED (\S+::Cell \d+)", result.stdout, flags=re.M)
    return "failed: " + (", ".join(failed) or result.stdout[-500:])


def main() -> int:
    """Print a line a setting; the exit status is 0 when all passed."""
    settings = [*product(CAPABILITIES, THREADS, [False]), (best(), 1, True)]
    green = 0
    for capability, threads, last_bits in settings:
        outcome = run(capability, threads, last_bits)
        green += outcome == "passed"
        bits = ", other last bits" * last_bits
        print(f"{capability:8} {threads} thread{'s' * (threads > 1)}{bits}: {outcome}", flush=True)
    print(f"{green} of {len(settings)} green")
    return 0 if green == len(settings) else 1


if __name__ == "__main__":
    sys.exit(main())
