"""What a result depends on beside the code: versions, processor and threads.

Floating-point sums depend on their order, and that on the processor, the libraries and the number
of threads. So a report of a result that differs starts with these. Nothing in it tells who or
where its reader is: no name, no host, no path.
"""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

import smallweights

PACKAGES = ("numpy", "torch", "scikit-learn", "pandas", "joblib", "scipy", "matplotlib")
CPUINFO = Path("/proc/cpuinfo")


def environment() -> dict[str, str]:
    """The facts by name; a package that is not installed is told as "not installed".

    >>> environment()["smallweights"] == smallweights.__version__
    True
    """
    return {
        "smallweights": smallweights.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in PACKAGES},
        "system": _system(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} processors",
        "accelerator": _accelerator(),
        "BLAS": f"NumPy {_numpy_blas()}, torch {_torch_blas()}",
    }


def environment_report() -> str:
    """The facts as a Markdown list to paste into an issue.

    >>> print(environment_report().splitlines()[0])
    - smallweights: 0.1.0
    """
    return "\n".join(f"- {name}: {fact}" for name, fact in environment().items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _system() -> str:
    """System and C library; a kernel's release is left out, since it may carry a host's name."""
    release = platform.mac_ver()[0] or " ".join(platform.libc_ver())
    return " ".join(filter(None, (platform.system(), platform.machine(), release)))


def _processor() -> str:
    """The processor's model, which Python itself does not know under Linux."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def _accelerator() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return "MPS" if torch.backends.mps.is_available() else "none"


def _numpy_blas() -> str:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _torch_blas() -> str:
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found[1] if found else "unknown"
