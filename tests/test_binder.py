"""What Binder builds, checked by Binder's own tool, and its steps taken in a clean environment."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from binder import REQUIREMENTS, ROOT, reachable, replay
from notebooks import notebooks

FIND = "from importlib.util import find_spec; print(find_spec('smallweights').origin)"
PINS = (ROOT / "requirements.txt").read_text().split()


@pytest.fixture(scope="module")
def dockerfile():
    """The recipe that repo2docker makes of the repository, without Docker."""
    command = [Path(sys.executable).with_name("repo2docker"), "--no-build", "--debug", "."]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_binder_takes_the_folder_s_files_and_this_python(dockerfile):
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in dockerfile
    assert "Building conda environment for python=3.11\n" in dockerfile
    assert "./binder/postBuild" in dockerfile


def test_binder_copies_the_repository_before_it_installs_from_it(dockerfile):
    copied = re.search(r"^COPY --chown=\S+ src/ \$\{REPO_DIR\}/$", dockerfile, re.MULTILINE)
    assert copied.end() < dockerfile.index('-r "binder/requirements.txt"')


def test_binder_installs_the_pinned_torch_without_code_for_graphics_cards():
    (torch,) = re.findall(r"^torch==.*", REQUIREMENTS.read_text(), re.MULTILINE)
    (pin,) = (pin for pin in PINS if pin.startswith("torch=="))
    assert torch == f"{pin}+cpu"


def test_no_other_file_names_pytorch_s_own_index():
    command = ["git", "grep", "--files-with-matches", "download.pytorch" + ".org"]
    named = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert named == ["binder/requirements.txt"]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The interpreter of an environment in which Binder's steps were taken, off the network.

    Whatever the steps ask for has to be what this environment has, which is the pinned.
    """
    checkout, venv = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("venv")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("binder", "code"):
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    (checkout / "book").mkdir()
    shutil.copy(ROOT / "tests" / "sample.ipynb", checkout / "book")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    for name in ("jupyter", "jupyter-trust"):
        (python.parent / name).symlink_to(Path(sys.executable).with_name(name))
    packages = next((venv / "lib").glob("python*/site-packages"))
    (packages / "brought.pth").write_text(sysconfig.get_path("purelib"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        replay(python, checkout, "--no-index", "--no-build-isolation")
        yield python, checkout


def test_the_steps_install_the_package_from_the_checkout(replayed):
    python, checkout = replayed
    show = [python, "-c", FIND]
    place = subprocess.run(show, cwd=checkout / "book", capture_output=True, text=True).stdout
    assert place.strip() == str(checkout / "code" / "smallweights" / "__init__.py")


def test_the_steps_leave_the_notebooks_trusted(replayed):
    python, _ = replayed
    signatures = python.parents[1] / ".local" / "share" / "jupyter" / "nbsignatures.db"
    assert signatures.exists()


def test_the_steps_install_all_that_the_notebooks_import():
    """What they import comes from Python, the package, or what binder/ and the package ask for."""
    ours = reachable(REQUIREMENTS.read_text()) + (ROOT / "pyproject.toml").read_text()
    light = ours.partition("\nbook = [")[0].replace("scikit-learn", "sklearn")
    imported = {
        name
        for path in notebooks()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for name in re.findall(r"^\s*(?:from|import) (\w+)", cell.source, re.MULTILINE)
    }
    brought = {"smallweights", "threadpoolctl"}  # scikit-learn needs the latter
    asked = set(re.findall(r"\w+", light))
    assert imported - sys.stdlib_module_names - brought - asked == set()
