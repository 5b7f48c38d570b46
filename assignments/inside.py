"""What runs in a student's kernel besides the student's code: the walls, and the way out.

Nothing here knows an answer. The kernel is told what to ask the student's functions and hands out
plain numbers; who judges them is another process (``judge.py``).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

import smallweights as sw

MIME = "application/x-answer+json"
MEGABYTE = 2**20
MODULES = {"MLP": sw.MLP, "LSTM": nn.LSTM}

# Landlock, by its number of system calls and the bits of its header; see landlock(7).
CREATE, ADD_RULE, RESTRICT = 444, 445, 446
EXECUTE_AND_READ, ON_FILES = 0x000D, 0xC007
FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # what each version can forbid
TCP, ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11
NO_NEW_PRIVILEGES = 38


class Ruleset(ctypes.Structure):
    """What is forbidden unless a rule allows it."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "network", "scope")]


class Beneath(ctypes.Structure):
    """The rule that allows something in all of a folder."""

    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def landlock() -> int:
    """The version of Landlock that the system has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE, None, 0, 1))


def wall_in(readable: list[str], writable: list[str]) -> int:
    """Leave this process no files but these, no network, and no signals to others.

    Gives the version of Landlock; 0, where the system has none, means that nothing is forbidden.
    The walls cannot be taken down again, and the children of the process are within them.
    """
    version = landlock()
    if not version:
        return 0
    call = ctypes.CDLL(None, use_errno=True).syscall
    everything = FILES[max(known for known in FILES if known <= version)]
    rules = Ruleset(everything, TCP * (version >= 4), ABSTRACT_SOCKETS_AND_SIGNALS * (version >= 6))
    size = 8 * (1 + (version >= 4) + (version >= 6))
    wall = call(CREATE, ctypes.byref(rules), size, 0)
    for paths, allowed in ((readable, EXECUTE_AND_READ), (writable, everything)):
        for path in filter(os.path.exists, paths):
            place = os.open(path, os.O_PATH)
            here = allowed if os.path.isdir(path) else allowed & ON_FILES
            if call(ADD_RULE, wall, 1, ctypes.byref(Beneath(here, place)), 0):
                raise OSError(ctypes.get_errno(), f"Landlock refused a rule for {path}")
            os.close(place)
    ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if call(RESTRICT, wall, 0):
        raise OSError(ctypes.get_errno(), "Landlock refused to restrict the kernel")
    os.close(wall)
    return version


def serve(connection: str, home: str, library: str, megabytes: int, seconds: int) -> None:
    """Be the kernel of one submission, in a folder of its own and behind walls."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.chdir(home)
    roots = (sys.prefix, sys.base_prefix, library)
    sys.path = [place for place in sys.path if place.startswith(roots)]
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.environ.clear()
    os.environ |= {"HOME": home, "IPYTHONDIR": home, "MPLCONFIGDIR": home, "TMPDIR": home}
    os.environ |= {"PATH": os.defpath, "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * MEGABYTE,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * MEGABYTE,) * 2)
    system = ["/usr", "/lib", "/lib64", "/bin", "/etc", "/sys", "/dev", "/opt"]
    about = [f"/proc/{name}" for name in (os.getpid(), "cpuinfo", "meminfo", "stat", "sys")]
    wall_in([*system, *about, *roots], [home, "/dev/null"])
    IPKernelApp.launch_instance(["-f", connection, "--HistoryManager.hist_file=:memory:"])


# The way in and the way out: JSON, with marks for what JSON has no form for


def packed(value: object) -> object:
    """The form of an argument in which it travels; ``unpacked`` undoes it."""
    match value:
        case np.ndarray():
            return {"array": value.tolist()}
        case pd.DataFrame():
            return {"frame": value.to_dict("list"), "index": value.index.tolist()}
        case np.generic():
            return value.item()
        case nn.LSTM():
            sizes = [value.input_size, value.hidden_size, value.num_layers]
            return {"module": "LSTM", "sizes": sizes, "weights": _weights(value)}
        case sw.MLP():
            shapes = [layer.weight.shape for layer in value.layers]
            sizes = [[shapes[0][1], *(shape[0] for shape in shapes)]]
            return {"module": "MLP", "sizes": sizes, "weights": _weights(value)}
        case list() | tuple():
            return [packed(item) for item in value]
    return value


def _weights(module: nn.Module) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def unpacked(value: object) -> object:
    """The argument that ``packed`` made this of."""
    match value:
        case {"array": items}:
            return np.array(items)
        case {"frame": columns, "index": index}:
            return pd.DataFrame(columns, index=index)
        case {"module": kind, "sizes": sizes, "weights": weights}:
            module = MODULES[kind](*sizes, dtype=torch.float64)
            module.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
            return module
        case list():
            return [unpacked(item) for item in value]
    return value


def numbers(value: object) -> object:
    """An answer as nested lists of numbers; None where it is blank."""
    if value is None or value is ...:
        return None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic | pd.Series | pd.DataFrame):
        value = np.asarray(value).tolist()
    if isinstance(value, list | tuple):
        return [numbers(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "a function" if callable(value) else f"of type {type(value).__name__}"
        raise TypeError(f"numbers are expected, and this is {kind}")
    return float(value)


def hand_out(asked: Callable[[], object], cases: str) -> None:
    """Send what the asked answer is, or what it gives for these cases; else what went wrong."""
    from IPython.display import display

    try:
        answer, arguments = asked(), json.loads(cases)
        if arguments is None or answer is None or answer is ...:
            found = numbers(answer)
        elif callable(answer):
            found = [numbers(answer(*unpacked(case))) for case in arguments]
        else:
            raise TypeError(f"a function is expected, and this is of type {type(answer).__name__}")
        reply = {"found": found}
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"[:300]}
    display({MIME: json.dumps(reply)}, raw=True)


def main(library: str) -> None:
    """Fork a kernel for each line of the input, and answer with its process number."""
    import ipykernel.kernelapp  # noqa: F401  # loaded once, for all kernels

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries what has ended
    for line in sys.stdin:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve(library=library, **json.loads(line))
            os._exit(0)
        print(child, flush=True)
