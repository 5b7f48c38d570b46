"""Replay what Binder does with `binder/` in a clean virtual environment, and run the book in it.

    python tests/binder.py      some ten minutes or more, and a download of half a gigabyte

Every notebook runs there from top to bottom, its outputs are compared with the committed ones, and
its peak memory is listed. Two things differ from Binder: PyTorch's CPU build comes from the usual
index, and the JupyterLab that Binder brings along is the pinned one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "binder" / "requirements.txt"
BROUGHT = ["jupyterlab", "-c", "requirements.txt"]


def reachable(requirements: str) -> str:
    """The requirements without PyTorch's own index, and without what only that has."""
    requirements = re.sub(r"^--extra-index-url .*\n", "", requirements, flags=re.MULTILINE)
    return re.sub(r"^(torch==[0-9.]+)\+cpu$", r"\1", requirements, flags=re.MULTILINE)


def replay(python: Path, checkout: Path, *options: str) -> None:
    """Take Binder's steps in a checkout, by an interpreter of an environment made for it."""
    copy = checkout / "binder" / "reachable.txt"
    copy.write_text(reachable(REQUIREMENTS.read_text()))
    try:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *options, "-r", copy], cwd=checkout, check=True)
    finally:
        copy.unlink()
    path = f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"  # never another environment
    env = {"PATH": path, "HOME": str(python.parents[1])}
    post_build = [checkout / "binder" / "postBuild"]
    subprocess.run(post_build, cwd=checkout, env=env, stdout=subprocess.DEVNULL, check=True)


def megabytes(folder: Path) -> float:
    """What the files of a folder take on the disk, in millions of bytes, as `du` counts."""
    blocks = subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True)
    return int(blocks.stdout.split()[0]) * 1024 / 1e6


def run_book(python: Path) -> int:
    """The tests of the notebooks, with kernels of that interpreter."""
    kernel = python.parents[1] / "share" / "jupyter" / "kernels" / "binder"
    kernel.mkdir(parents=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Binder", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "pytest", "book", "-q", "--nbval-kernel-name", "binder"]
    env = os.environ | {"JUPYTER_PATH": str(kernel.parents[1])}
    env.pop("PYTHONPATH", None)  # the package comes from where Binder's steps put it
    return subprocess.run(command, cwd=ROOT, env=env).returncode


def main() -> int:
    """Install, measure, run."""
    with TemporaryDirectory() as folder:
        python = Path(folder, "venv", "bin", "python")
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        empty = megabytes(python.parents[1])
        bring = [python, "-m", "pip", "install", "--quiet", *BROUGHT]
        subprocess.run(bring, cwd=ROOT, check=True)
        before = megabytes(python.parents[1])
        replay(python, ROOT)
        after = megabytes(python.parents[1])
        sizes = f"JupyterLab {before - empty:.0f} MB, what binder/ adds {after - before:.0f} MB"
        print(sizes, flush=True)
        return run_book(python)


if __name__ == "__main__":
    sys.exit(main())
