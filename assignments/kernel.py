"""Run a submission: its cells, and at each test cell the questions, in a kernel behind walls."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

import smallweights
from inside import MEGABYTE, MIME

ASK = "import inside\ninside.hand_out(lambda: ({}), {!r})\ndel inside"
ALONE = "def check(name, answer):\n    return f'{name}: handed in.'\n"
TIMEOUT = {
    "ename": "TimeoutError",
    "evalue": "this cell took too long",
    "traceback": ["TimeoutError: this cell took too long, and was stopped"],
}
QUIET = logging.getLogger("assignments.kernel")  # a student's errors are no errors of the run
QUIET.setLevel(logging.CRITICAL)
STOPPED = "the notebook had stopped before this: a crash, or a loop that nothing could stop"


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds for a cell and in all, memory and output."""

    cell_seconds: int = 60
    seconds: int = 600
    megabytes: int = 4000
    output_megabytes: int = 5


@dataclass
class Ran:
    """What came of a submission: its outputs by cell, and its answers by question.

    An answer is ``{"found": nested lists of numbers}`` or ``{"error": a sentence}``.
    """

    outputs: dict[int, list[NotebookNode]] = field(default_factory=dict)
    answers: dict[str, dict] = field(default_factory=dict)


class Nursery:
    """Makes kernels by forking a process that has the libraries loaded, and no secret.

    It sees a copy of the package in which the exercises know no answers.
    """

    def __init__(self, folder: Path) -> None:
        package = Path(smallweights.__file__).parent
        copy = folder / "smallweights"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "exercises"))
        for module in (package / "exercises").glob("*.py"):
            (copy / "exercises").mkdir(exist_ok=True)
            (copy / "exercises" / module.name).write_text(ALONE)
        shutil.copy(Path(__file__).with_name("inside.py"), folder)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import sys, inside; inside.main(sys.argv[1])", str(folder)],
            cwd=folder,
            env={"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(folder)}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JOBLIB_MULTIPROCESSING": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, **how: object) -> int:
        """The process number of a new kernel."""
        self.process.stdin.write(json.dumps(how) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        with self.process:  # closes what it reads, whereupon it ends
            pass


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery for as long as submissions are run."""
    with tempfile.TemporaryDirectory(prefix="library-") as folder:
        made = Nursery(Path(folder))
        try:
            yield made
        finally:
            made.close()


class Child:
    """A forked kernel, as Jupyter's provisioner wants to see a process."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> int:
        return 0

    def send_signal(self, number: int) -> None:
        """Signal the kernel and, once it leads a group of its own, all that it has started."""
        try:
            alone = os.getpgid(self.pid) != self.pid
            (os.kill if alone else os.killpg)(self.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Provisioner(LocalProvisioner):
    """Starts a kernel by forking it."""

    def __init__(self, nursery: Nursery, home: str, limits: Limits, **more: object) -> None:
        super().__init__(**more)
        self.nursery, self.home, self.limits = nursery, home, limits

    async def launch_kernel(self, cmd: list[str], **kwargs: object) -> dict:
        self.pid = self.nursery.fork(
            connection=self.parent.connection_file,
            home=self.home,
            megabytes=self.limits.megabytes,
            seconds=self.limits.seconds,
        )
        self.process = Child(self.pid)
        return self.connection_info


class TooMuch(Exception):
    """A submission that prints without end."""


class Client(NotebookClient):
    """Runs cells one by one, and counts what they print."""

    received = 0

    def process_message(self, message: dict, cell: NotebookNode, index: int) -> object:
        self.received += len(str(message["content"]))
        if self.received > self.most:
            raise TooMuch
        return super().process_message(message, cell, index)


async def run(
    notebook: NotebookNode,
    questions: dict[str, tuple[str, object]],
    nursery: Nursery,
    limits: Limits = Limits(),
) -> Ran:
    """Run a copy of the notebook, and ask each question where its test cell stands.

    ``questions`` maps the names of test cells to what is asked there: an expression, and the
    packed arguments to call it with, or None. After an endless loop comes the next cell; a kernel
    that is gone, or talks nonsense, or cannot be interrupted, is asked nothing more.
    """
    ran = Ran()
    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as home:
        client = _client(notebook, nursery, home, limits)
        async with client.async_setup_kernel(cleanup_kc=True):
            with suppress(Exception):  # a kernel may say anything, once a student's code is in it
                for index, cell in enumerate(client.nb.cells):
                    await _step(client, index, cell, questions, ran)
            client.km.provisioner.process.kill()
    return ran


async def _step(client: Client, index: int, cell: NotebookNode, questions: dict, ran: Ran) -> None:
    """Run a cell, or ask in its place."""
    name = cell.metadata.get("nbgrader", {}).get("grade_id")
    if name in questions:
        ran.answers[name] = {"error": STOPPED}
        ran.answers[name] = await _asked(client, index, *questions[name])
    elif cell.cell_type == "code":
        await client.async_execute_cell(cell, index)
        ran.outputs[index] = cell.outputs


def _client(notebook: NotebookNode, nursery: Nursery, home: str, limits: Limits) -> Client:
    """The client of a new kernel, which talks by files in its folder and not by the network."""
    manager = AsyncKernelManager(
        kernel_name="python3",
        transport="ipc",
        ip=f"{home}/socket",
        connection_file=f"{home}/connection.json",
    )
    manager.context.setsockopt(zmq.MAXMSGSIZE, 4 * limits.output_megabytes * MEGABYTE)
    manager.provisioner = Provisioner(
        nursery, home, limits, parent=manager, kernel_spec=manager.kernel_spec
    )
    client = Client(
        copy.deepcopy(notebook),
        km=manager,
        timeout=limits.cell_seconds,
        interrupt_on_timeout=True,
        error_on_timeout=TIMEOUT,
        raise_on_iopub_timeout=True,
        allow_errors=True,
        record_timing=False,
        shutdown_kernel="immediate",
        log=QUIET,
    )
    client.most = limits.output_megabytes * MEGABYTE
    return client


async def _asked(client: Client, index: int, expression: str, arguments: object) -> dict:
    """What the kernel hands out when asked in the place of a cell."""
    client.nb.cells[index] = new_code_cell(ASK.format(expression, json.dumps(arguments)))
    outputs = (await client.async_execute_cell(client.nb.cells[index], index)).outputs
    replies = [o.data[MIME] for o in outputs if MIME in o.get("data", {})]
    errors = [f"{o.ename}: {o.evalue}"[:300] for o in outputs if o.output_type == "error"]
    try:
        reply = json.loads(replies[-1])
        return {key: reply[key] for key in ("found", "error") if key in reply}
    except (IndexError, ValueError, TypeError):
        return {"error": errors[-1] if errors else "nothing came back"}
